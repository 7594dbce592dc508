"""Bugs planted in what fills load tables that a host made, and in RED's pulls. What each is: `bugs.py`."""

from __future__ import annotations

from tests.campaign.bugs import Bug

LANDING = "tests/test_landing.py"
NIGHT = "tests/wherescape/test_night.py"
TOLD = "tests/wherescape/test_shapes.py"
KEPT = "tests/test_landing_kept.py"
CARRIED_ON = "tests/wherescape/test_carried.py"
INWARD, SHAPES, CARRIED = "wherescape/inward.py", "wherescape/shapes.py", "wherescape/carried.py"

BUGS = (
    Bug(
        "landing",
        "a load table has just what this run offered",
        "landing.py",
        '        which = f" WHERE s.{RECORD_STATE} = \'{LIVE}\'" if lacking else ""\n',
        "        which = f\" WHERE s.dss_offered_by = '{context.owner.run}'\"\n",
        LANDING,
    ),
    Bug(
        "landing",
        "what stands in the load table stays, and comes again",
        "landing.py",
        '        t.run(sql.statement(f"DELETE FROM {table} AS t WHERE t.{sql.quoted(own[RECORD_SOURCE].name)} IN '
        '({labels})"))\n',
        "",
        LANDING,
    ),
    Bug(
        "landing",
        "rows of others are taken out of the load table",
        "landing.py",
        ' AS t WHERE t.{sql.quoted(own[RECORD_SOURCE].name)} IN ({labels})"',
        ' AS t"',
        LANDING,
    ),
    Bug(
        "landing",
        "a value that does not fit is told to nobody",
        "landing.py",
        "        rejected = misfits.keep(t, context, limits, which=which, now=now)\n",
        "        rejected = 0\n",
        LANDING,
    ),
    Bug(
        "landing",
        "a table that cannot tell tombstones gets them as rows",
        "landing.py",
        '        which = f" WHERE s.{RECORD_STATE} = \'{LIVE}\'" if lacking else ""\n',
        '        which = ""\n',
        LANDING,
    ),
    Bug(
        "landing",
        "an offer that is old ends before it stands in the load table once more",
        "landing.py",
        "            ended = self.landing.fill(t, self, context, now=now)\n"
        "            end_old(t, context, outdated=context.started - reoffer)\n",
        "            end_old(t, context, outdated=context.started - reoffer)\n"
        "            ended = self.landing.fill(t, self, context, now=now)\n",
        LANDING,
    ),
    Bug(
        "landing",
        "a mapping fills another load table without a word",
        "landings.py",
        "    if known and known[0][0].lower() != table.lower():\n",
        "    if known and False:\n",
        LANDING,
    ),
    Bug(
        "landing",
        "offers go into a load table of ours as well",
        "offers.py",
        "        if not self._context.is_landed:\n            into.append(",
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
        CARRIED,
        "        return [each for each in within if each.carrier == carrier]\n",
        "        return within\n",
        NIGHT,
    ),
    Bug(
        "RED",
        "confirm believes in the pull before the one that failed",
        CARRIED,
        "run=landed.run, is_last=True\n",
        "run=landed.run\n",
        CARRIED_ON,
    ),
    Bug(
        "landing",
        "a misfit is forgotten when its record is read again",
        "loading.py",
        "if self._context.is_landed else",
        "if False else",
        KEPT,
    ),
    Bug(
        "landing",
        "a tombstone has no key where a host takes it in another type",
        "landing.py",
        "            if _is_value_of(field, kept[name]):\n",
        "            if field == kept[name]:\n",
        KEPT,
    ),
    Bug(
        "landing",
        "a record that ended is told by half a key",
        "landing.py",
        "RECORD_STATE if RECORD_STATE not in own else fitted.key_lacking\n",
        'RECORD_STATE if RECORD_STATE not in own else ""\n',
        KEPT,
    ),
    Bug(
        "landing",
        "a site's treatment does not hold for a host's columns",
        "landing.py",
        "_treated(meaning.field, mapping, column) if meaning and meaning.field else",
        "meaning.field if meaning and meaning.field else",
        KEPT,
    ),
    Bug(
        "landing",
        "whole numbers are rounded in a column of floats",
        "loadtypes.py",
        'f"({value} IS NULL OR ABS({value}) <= {exact})")',
        '"")',
        KEPT,
    ),
    Bug(
        "landing",
        "a full pull offers what differs and no more",
        "offers.py",
        '        anew = " OR b.run IS DISTINCT FROM ?" if self._context.is_full else ""\n        other = '
        'f"(b.row_hash IS DISTINCT FROM {self._hash} OR b.state <> s.{RECORD_STATE}{anew})"\n',
        '        anew = " OR b.run IS DISTINCT FROM ?" if self._context.is_full else ""\n        other = '
        'f"(b.row_hash IS DISTINCT FROM {self._hash} OR b.state <> s.{RECORD_STATE} '
        'OR (FALSE AND (FALSE{anew})))"\n',
        "tests/test_offers.py",
    ),
    Bug(
        "RED",
        "confirm ends the offers of all environments",
        CARRIED,
        "        if not environment and len(several) > 1:\n",
        "        if False:\n",
        CARRIED_ON,
    ),
    Bug(
        "RED",
        "a mark passes over a table that was never carried on",
        "wherescape/highwater.py",
        "    if text is None or len(known) < len(began) or not known:",
        "    if text is None or not known:",
        CARRIED_ON,
    ),
    Bug(
        "RED",
        "a mark that confirm wrote is where the next table begins",
        "wherescape/highwater.py",
        "    if text in kept.ours:\n        text = kept.before\n",
        "",
        CARRIED_ON,
    ),
    Bug(
        "RED",
        "a table of before with a column more becomes the mapping's",
        INWARD,
        "    shape = shape or shapes.shape_of_label(found.mapping, label)\n",
        "",
        CARRIED_ON,
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
