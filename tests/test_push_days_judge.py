"""The judge of the days of both sides notices a product that is broken on purpose: a rule that excuses all cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from syncer import colliding, compare, conflicts, plan, sql
from syncer.compare import NEVER, SAME, WRITE, Verdict
from syncer.deciding import Decided, Deciding
from syncer.sources.hubspot import walking
from tests.campaign import beds, push_days

DAYS = 30
SEEDS = (1, 2, 3)  # a table, a view, and a table with an older warehouse put back
Patch = pytest.MonkeyPatch
_decide, _compared = compare.decide, Deciding._compared


def line(verdict: Callable[[Any, Any, Any], compare.Decision | None]) -> Callable[[Patch], None]:
    """Make another decision of what *verdict* names by agreed, ours and theirs."""

    def broken(agreed: Any, ours: Any, theirs: Any, *more: Any, **named: Any) -> compare.Decision:
        return (verdict(agreed, ours, theirs) if ours != theirs else None) or _decide(
            agreed, ours, theirs, *more, **named
        )

    return lambda patch: patch.setattr(compare, "decide", broken)


def agreed_becomes(which: str, verdict: Verdict) -> Callable[[Patch], None]:
    """Move the agreed value of fields that were left, or are in conflict, to one of the two sides."""

    def broken(self: Deciding, row: Any, found: Any) -> Decided:
        decided = _compared(self, row, found)
        agreed = dict(decided.row.agreed)
        for name, ours in row.values.items():
            theirs = self._theirs(name, found)
            was = _decide((row.agreed or {}).get(name, NEVER), ours.normal, theirs, self.rule(name))
            if was.verdict is verdict:
                agreed[name] = ours.normal if which == "ours" else theirs
        return attrs.evolve(decided, row=attrs.evolve(decided.row, agreed=agreed))

    return lambda patch: patch.setattr(Deciding, "_compared", broken)


def closed_by_itself(patch: Patch) -> None:
    """Note an open conflict as a settled one."""
    noted = conflicts._conflict
    patch.setattr(conflicts, "_conflict", lambda *given: {**noted(*given), "state": conflicts.SETTLED})


def never_closed(patch: Patch) -> None:
    """Keep conflicts open that are none any more."""
    keep = conflicts.keep

    def broken(t: Any, seen: Any, *, now: Any) -> None:
        keep(t, seen, now=now)
        settled = f"UPDATE syncer.conflicts SET state = '{conflicts.OPEN}' WHERE state = '{conflicts.SETTLED}'"
        t.run(sql.statement(settled))

    patch.setattr(conflicts, "keep", broken)


def rejected_for_nothing(patch: Patch) -> None:
    """Reject a row that nothing is wrong with."""
    reasons = Deciding._reasons

    def broken(self: Deciding, row: Any, *more: Any) -> Iterator[tuple[str, str, str | None]]:
        yield from reasons(self, row, *more)
        if row.key == "k3" and row.row_hash is not None:
            yield "name", "It is a row.", None

    patch.setattr(Deciding, "_reasons", broken)


def archived_for_nothing(patch: Patch) -> None:
    """Archive the records of rows that left: the limits refuse it."""

    def broken(self: Deciding, row: Any, found: Any) -> Decided:
        if found is None:
            return left(self, row, found)
        change = plan.Change(number=0, action=plan.ARCHIVE, kind="companies", key=row.key, id=found.id)
        return Decided(self._plan_row(row, found), [change])

    left = Deciding._left
    patch.setattr(Deciding, "_left", broken)
    patch.setattr("syncer.outbound.Planning._is_unasked", lambda self, deciding, row: False)


BUGS: dict[str, tuple[Callable[[Patch], None], str]] = {
    "agreed becomes theirs where theirs was left": (agreed_becomes("theirs", Verdict.LEAVE), "agreed was"),
    "agreed becomes theirs in a conflict": (agreed_becomes("theirs", Verdict.CONFLICT), "agreed was"),
    "agreed becomes ours in a conflict": (agreed_becomes("ours", Verdict.CONFLICT), "no conflict is open"),
    "a conflict closes by itself": (closed_by_itself, "no conflict is open"),
    "a conflict stays open though both are equal": (never_closed, "a conflict is open"),
    "theirs is overwritten though ours did not change": (
        line(lambda agreed, ours, theirs: WRITE if agreed == ours else None),
        "agreed was",
    ),
    "a conflict is written": (
        line(lambda agreed, ours, theirs: WRITE if agreed is not NEVER and len({agreed, ours, theirs}) == 3 else None),
        "agreed was",
    ),
    "what was never agreed on is written": (
        line(lambda agreed, ours, theirs: WRITE if agreed is NEVER and ours and theirs else None),
        "agreed was",
    ),
    "a blank that was never agreed on is written": (
        line(lambda agreed, ours, theirs: WRITE if agreed is NEVER and ours is None else None),
        "agreed was",
    ),
    "ours is not written where theirs is as agreed": (
        line(lambda agreed, ours, theirs: SAME if agreed == theirs else None),
        "differs, and it is not theirs",
    ),
    "theirs as it was left is a conflict": (
        line(lambda agreed, ours, theirs: compare.Decision(Verdict.CONFLICT, "x") if agreed == ours else None),
        "a conflict is open",
    ),
    "rows that share a record are not looked for": (
        lambda patch: patch.setattr(colliding, "settle", lambda *given, **named: False),
        "shares its record, and nothing says so",
    ),
    "what was merged into a record is not asked for": (
        lambda patch: patch.setattr(walking, "merged_ids", lambda record: []),
        "shares its record, and nothing says so",
    ),
    "an archived record is made anew": (
        lambda patch: patch.setattr(Deciding, "_why_none", lambda *given: ""),
        "and its record was",
    ),
    "a row is rejected for nothing": (rejected_for_nothing, "nothing is wrong with it"),
    "the record of a row that left is archived": (archived_for_nothing, "not done by 4 pushes: "),
}


@pytest.mark.parametrize("bug", BUGS)
def test_the_days_notice_a_product_that_is_broken_on_purpose(bug: str, monkeypatch: Patch) -> None:
    """Each of these loses somebody's edit, or hides that it may: a campaign that passes over one proves nothing."""
    breaks, said = BUGS[bug]
    breaks(monkeypatch)
    wrong: list[str] = []
    for seed in SEEDS:
        days = push_days.Days()
        push_days.live(seed, DAYS, beds.POSTGRESQL, days, older=seed == 3)
        wrong += days.wrong
        if any(said in each for each in wrong):
            return
    pytest.fail(f"not noticed as {said!r}: {wrong[:3]}")
