"""Bugs planted in the operations that merge. What each is: `bugs.py`."""

from __future__ import annotations

from tests.campaign.bugs import Bug

FILE = "tests/operations/test_merge_campaigns.py::test_"
MERGED = FILE + "one_ticket_a_group_and_nothing_lost"
LOST = FILE + "a_lost_answer_of_a_merge_is_read_and_not_sent_again"
PUT_BACK = FILE + "merges_put_back_are_as_they_were"
NOT_COPIED = FILE + "a_ticket_whose_association_is_refused_is_not_merged"
OPERATION = "operations/merge_tickets.py"

BUGS = (
    Bug(
        "merges",
        "the survivor's content is not joined",
        OPERATION,
        '            keep.setdefault("content", merging.CONCATENATE)\n',
        '            keep.setdefault("content", merging.FILL)\n',
        MERGED,
    ),
    Bug(
        "merges",
        "labels of a pair that the survivor has too are lost",
        "merging.py",
        "        if edge.id in group or spec in has or (",
        "        if edge.id in group or (edge.kind, edge.id) in pairs or (",
        MERGED,
    ),
    Bug(
        "merges",
        "the second merge goes into the old id",
        "apply.py",
        "into=made[change.into_by][1] or change.into)",
        "into=change.into)",
        MERGED,
    ),
    Bug(
        "merges",
        "a merge whose answer was lost is sent again unread",
        "apply.py",
        "        known = settling.settled(self.target, self.shape, part, match_on=self.match_on, "
        "patience=self._patience())\n",
        "        known = [attrs.evolve(each, state=plan.PLANNED) for each in part]\n",
        LOST,
    ),
    Bug(
        "merges",
        "a merge is sent though what it would lose was not copied",
        "apply.py",
        "        failed = [number for number, state in states.items() if state not in plan.AGREED_STATES]\n",
        "        failed: list[int] = []\n",
        NOT_COPIED,
    ),
    Bug(
        "merges",
        "a value that is as good as blank makes one ticket of many",
        OPERATION,
        "            if group.size > most:\n",
        "            if group.size > 100 * most:\n",
        MERGED,
    ),
    Bug(
        "merges",
        "a group across pipelines is merged",
        OPERATION,
        "        if pipeline and len(pipelines) > 1 and ",
        "        if pipeline and len(pipelines) > 2 and ",
        MERGED,
    ),
    Bug(
        "merges",
        "aliases are not written with a merge",
        "following.py",
        "        marks.put_aliases(t, {old: each.id for old, each in survivors.items()}, owner=owner, now=now)\n",
        "",
        MERGED,
    ),
    Bug(
        "merges",
        "rows that were merged before do not follow",
        "following.py",
        "t.{MERGED_INTO} <> s.new_id",
        "t.{MERGED_INTO} <> t.{MERGED_INTO}",
        MERGED,
    ),
    Bug(
        "merges",
        "the journal keeps no associations of what goes",
        OPERATION,
        '"edges": tuple(member.edges())}',
        '"edges": ()}',
        PUT_BACK,
    ),
    Bug(
        "merges",
        "where old ids are not answered, nobody looks for the survivor",
        "settling_merges.py",
        "        if survivor is None and lost is None and kept is None:",
        "        if survivor is None and lost is None and kept is None and not changes:",
        LOST,
    ),
    Bug(
        "merges",
        "a merge that does not show yet counts as not done",
        "settling_merges.py",
        "        if not left or not next(waits, False):\n",
        "        if not left or waits is not None:\n",
        LOST,
    ),
    Bug(
        "merges",
        "the newest company is the primary one",
        "merging.py",
        ".get(rule, first)",
        ".get(rule, first[::-1])",
        MERGED,
    ),
)
