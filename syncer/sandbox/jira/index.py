"""
What search knows: every issue as it was some time ago.

An edit is seen by search only when it is due. A later edit that is due sooner brings the earlier ones with it. What
was deleted is still found until then, and what was created is not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs

from syncer.sandbox.jira.model import Issue


@attrs.define
class _Pending:
    known: Issue | None  # as search has it; None: it knows no such issue
    coming: list[tuple[int, Issue | None]]  # due, and how it is from then on


class Index:
    """The issues whose newest edit search has not seen yet; for all others it knows what there is."""

    def __init__(self) -> None:
        """Start without any lag."""
        self._pending: dict[int, _Pending] = {}

    def before(self, number: int, issue: Issue | None) -> None:
        """Remember how issue *number* is, just before an edit; None: it is not there yet."""
        if number not in self._pending:
            self._pending[number] = _Pending(issue.copy() if issue else None, [])

    def after(self, number: int, issue: Issue | None, due_ms: int) -> None:
        """Note how it is just after; search sees that from *due_ms* on."""
        pending = self._pending.get(number)
        if pending is not None:
            pending.coming.append((due_ms, issue.copy() if issue else None))

    def settle(self, now_ms: int) -> bool:
        """Take in what is due; return whether anything was."""
        is_changed = False
        for number, pending in list(self._pending.items()):
            due = [at for at, (due_ms, _) in enumerate(pending.coming) if due_ms <= now_ms]
            if not due:
                continue
            is_changed = True
            pending.known = pending.coming[due[-1]][1]
            del pending.coming[: due[-1] + 1]
            if not pending.coming:
                del self._pending[number]
        return is_changed

    def view(self, issues: Mapping[int, Issue], fresh: Collection[int]) -> list[Issue]:
        """Return the issues as search has them; those in *fresh* as they are."""
        if not self._pending:
            return list(issues.values())
        stale = self._pending.keys() - set(fresh)
        found = [issue for number, issue in issues.items() if number not in stale]
        return found + [known for number in sorted(stale) if (known := self._pending[number].known) is not None]
