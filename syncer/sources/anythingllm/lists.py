"""
The streams `embeds`, `workspaces` and `threads`: lists that come whole, each time anew.

A list that is empty where it had rows is an error and no news (`Calls.trusted`). Threads stand in the list of
workspaces, without an id: their slug is their key, and the id of their workspace is put beside it.
Source: `endpoints/api/embed/index.js`, `endpoints/api/workspace/index.js`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from syncer.errors import AnswerError
from syncer.sources import Key, Page, Place, Record, Whole
from syncer.sources.anythingllm.calls import Calls, a_list, number_of
from syncer.transport import Answer

RECORDS_A_PAGE = 500


def embeds_in(answer: Answer) -> list[Record]:
    """Return the embeds of an answer. Raises AnswerError: one without an id or a uuid."""
    rows = a_list(answer, "embeds")
    for row in rows:
        number_of(answer, row, "id")
        if not isinstance(row.get("uuid"), str) or not row["uuid"]:
            raise AnswerError(f"{answer.where}: an embed without a uuid; its chats cannot be asked for.")
    return rows


def workspaces_in(answer: Answer) -> list[Record]:
    """Return the workspaces of an answer."""
    return a_list(answer, "workspaces")


def threads_in(answer: Answer) -> list[Record]:
    """Return the threads of all workspaces of an answer. Raises AnswerError: a workspace without a list of them."""
    return [
        {**thread, "workspace_id": workspace.get("id")}
        for workspace in workspaces_in(answer)
        for thread in a_list(answer, "threads", of=workspace)
    ]


@attrs.frozen(kw_only=True)
class Listed:
    """
    One stream that is a list.

    rows_in: its records in an answer. witness_in: what must be there where the list is: a workspace may well have no
    threads.
    """

    calls: Calls
    path: str
    key: str
    rows_in: Callable[[Answer], list[Record]]
    witness_in: Callable[[Answer], list[Record]]

    def read(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield all records. The place: {"listed": how many rows the list had}."""
        return self._pages(self.calls.once(self.path), places)

    def keys(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield all records, for a census."""
        for page in self._pages(self.calls.get(self.path), places):
            yield attrs.evolve(page, place=None, mark=None)

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield those of *keys* that are in the list. Raises AnswerError: the list is empty, which settles nothing."""
        answer = self.calls.once(self.path, kept_as=f"again {self.path}")
        if not self.calls.trusted(answer, self.witness_in(answer), path=self.path, before=None):
            raise self.calls.liar(answer, "answered 200 with an empty list where rows were looked for")
        wanted = {str(key[0]) for key in keys}
        yield Page(records=[row for row in self.rows_in(answer) if str(row.get(self.key)) in wanted])

    def _pages(self, answer: Answer, places: Mapping[str, Place]) -> Iterator[Page]:
        witnesses, rows = self.witness_in(answer), self.rows_in(answer)
        before = places.get("", {}).get("listed")
        is_trusted = self.calls.trusted(answer, witnesses, path=self.path, before=before)
        place = {"listed": len(witnesses)}
        last = max(0, len(rows) - 1) // RECORDS_A_PAGE
        for number in range(last + 1):
            some = rows[number * RECORDS_A_PAGE : (number + 1) * RECORDS_A_PAGE]
            is_last = number == last
            yield Page(
                records=some,
                whole=Whole(first=number == 0, last=is_last) if is_trusted else None,
                place=place if is_last and is_trusted else None,
                mark=self.calls.mark() if is_last and is_trusted else None,
            )
