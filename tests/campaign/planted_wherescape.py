"""Bugs planted in what fills load tables that a host made, and in RED's pulls. What each is: `bugs.py`."""

from __future__ import annotations

from tests.campaign.bugs import Bug

LANDING = "tests/test_landing.py"
NIGHT = "tests/wherescape/test_night.py"
TOLD = "tests/wherescape/test_shapes.py"
INWARD, SHAPES = "wherescape/inward.py", "wherescape/shapes.py"

BUGS = (
    Bug(
        "landing",
        "a load table has just what this run offered",
        "landing.py",
        '        which = "" if RECORD_STATE in names else f" WHERE s.{RECORD_STATE} = \'{LIVE}\'"\n',
        "        which = f\" WHERE s.dss_offered_by = '{context.owner.run}'\"\n",
        LANDING,
    ),
    Bug(
        "landing",
        "what stands in the load table stays, and comes again",
        "landing.py",
        '        t.run(sql.statement(f"DELETE FROM {table} AS t WHERE t.{sql.quoted(names[RECORD_SOURCE])} IN '
        '({labels})"))\n',
        "",
        LANDING,
    ),
    Bug(
        "landing",
        "rows of others are taken out of the load table",
        "landing.py",
        ' AS t WHERE t.{sql.quoted(names[RECORD_SOURCE])} IN ({labels})"',
        ' AS t"',
        LANDING,
    ),
    Bug(
        "landing",
        "a value that does not fit is told to nobody",
        "landing.py",
        "rejects=self._rejects(t, fittings, context, which))",
        "rejects=())",
        NIGHT,
    ),
    Bug(
        "landing",
        "a table that cannot tell tombstones gets them as rows",
        "landing.py",
        '        which = "" if RECORD_STATE in names else f" WHERE s.{RECORD_STATE} = \'{LIVE}\'"\n',
        '        which = ""\n',
        LANDING,
    ),
    Bug(
        "landing",
        "an offer that is old ends before it stands in the load table once more",
        "landing.py",
        "            filled = landing.fill(t, self, context, now=now)\n"
        "            end_old(t, context, outdated=context.started - reoffer)\n",
        "            end_old(t, context, outdated=context.started - reoffer)\n"
        "            filled = landing.fill(t, self, context, now=now)\n",
        LANDING,
    ),
    Bug(
        "landing",
        "a mapping fills another load table without a word",
        "landing.py",
        "    if known and known[0][0].lower() != landing.told.lower():\n",
        "    if known and False:\n",
        LANDING,
    ),
    Bug(
        "landing",
        "offers go into a load table of ours as well",
        "offers.py",
        "        if not self._is_landed:\n            into.append(",
        "        if self._columns:\n            into.append(",
        LANDING,
    ),
    Bug(
        "landing",
        "an offer leaves the older one of its key beside it",
        "offers.py",
        "                    f\"WHERE EXISTS (SELECT 1 FROM {stage} AS s WHERE {sql.equal('t', 's', table.key)})\"\n",
        '                    f"WHERE FALSE AND EXISTS (SELECT 1 FROM {stage} AS s WHERE '
        "{sql.equal('t', 's', table.key)})\"\n",
        LANDING,
    ),
    Bug(
        "RED",
        "confirm ends what another execution of the job has loaded",
        INWARD,
        "        return [row[:5] for row in found if row[5] == carrier]\n",
        "        return [row[:5] for row in found]\n",
        NIGHT,
    ),
    Bug(
        "RED",
        "confirm believes in the pull before the one that failed",
        INWARD,
        "mapping=mapping, environment=environment)\n\n\ndef _tell(",
        "mapping=mapping, environment=environment, run=run)\n\n\ndef _tell(",
        NIGHT,
    ),
    Bug(
        "RED",
        "a pull that failed is done",
        INWARD,
        "        if failures:\n            raise failures[0]\n",
        "",
        NIGHT,
    ),
    Bug(
        "RED",
        "a census is a pull as any other",
        INWARD,
        "FULL if full else CENSUS if census else INCREMENTAL",
        "FULL if full else INCREMENTAL",
        NIGHT,
    ),
    Bug(
        "RED",
        "of two verbs in a script the last is counted",
        "wherescape/sitting.py",
        "_COUNTED.get(self.host, Counts()) + counts\n",
        "counts\n",
        NIGHT,
    ),
    Bug(
        "RED",
        "a table of before with a column more is the mapping's",
        SHAPES,
        "    if not only_own or not lacking:\n",
        "    if not only_own:\n",
        TOLD,
    ),
    Bug(
        "RED",
        "columns of before that the mapping has, too, are the mapping's",
        SHAPES,
        "        if name in OURS or (name in own and not (is_before and stream.column(name))):\n",
        "        if name in OURS or name in own:\n",
        TOLD,
    ),
)
