"""
Walking lists so that nothing is lost while they change, and so that each page proves itself.

Three ways: by the server's own link (keyset), by ascending id, and by ascending `updated_at`. Offset pages overlap: a
page begins with the last row of the one before it, so that a row that left the list before our place is noticed.

Not here: what is asked (the streams).
Source: GitLab REST API docs, "Pagination": totals vanish above 10,000 rows, the links stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import attrs

from syncer import values
from syncer.errors import AnswerError
from syncer.sources import Record
from syncer.sources.gitlab.api import PER_PAGE, STRIPPED, is_silent, next_params, number, rows_of
from syncer.transport import Answer

STEP_BACK = 50  # rows to go back when the list has shifted under us
MAX_SHIFTS = 1000  # a list that shifts so often in one walk is no list

Ask = Callable[[dict[str, str | int], int], Answer]  # parameters, and which repetition of the question it is


def overlapping(seen: int) -> tuple[int, int]:
    """
    Return page number and size of the offset page that goes furthest and still has the last of *seen* rows.

    Behind 100 rows that is page 2 of 99: the rows 99 to 197, counted from 0.
    """
    if seen == 0:
        return 1, PER_PAGE
    index = seen - 1
    size = max(range(PER_PAGE, PER_PAGE // 2, -1), key=lambda size: (index // size + 1) * size)
    return index // size + 1, size


def proven(
    ask: Ask, params: dict[str, str | int], *, page: int, size: int, shifts: int = 0
) -> tuple[list[Record], bool]:
    """
    Ask for one offset page; return its rows, and whether another one follows. After a shift it is asked anew.

    What contradicts itself (fewer rows than the total leaves, a short page that another one follows) is asked once
    more: rows and total are two statements on the server, and a row may come between them. Raises: AnswerError.
    """
    trouble, where = "", ""
    for again in (2 * shifts, 2 * shifts + 1):
        answer = ask({**params, "page": page, "per_page": size}, again)
        rows, where = rows_of(answer), answer.where
        follows = next_params(answer) is not None or bool(answer.headers.get("X-Next-Page"))
        total = number(answer.headers.get("X-Total"))
        trouble = _contradiction(len(rows), follows, total, page=page, size=size)
        if not trouble and len(rows) == size and "Link" not in answer.headers and "X-Next-Page" not in answer.headers:
            trouble = "a full page without a word of whether another one follows: a proxy took the headers away"
        if not trouble:
            return rows, follows
    raise AnswerError(f"{where}, page {page}: {trouble}. Taking it for the end would lose rows.")


def _contradiction(count: int, follows: bool, total: int | None, *, page: int, size: int) -> str:
    if follows and count < size:
        return f"{count} rows of {size}, yet another page follows"
    expected = min(size, max(0, total - (page - 1) * size)) if total is not None else count
    return f"{count} rows where a total of {total} leaves {expected}" if count != expected else ""


def by_link(ask: Ask, params: dict[str, str | int]) -> Iterator[list[Record]]:
    """
    Yield the pages of a keyset list in ascending order of id, each named by the one before it.

    A full page that says nothing of a next one is the end only where nothing is behind its last id. Raises:
    AnswerError: something is; an empty page that another one follows; a link that leads back.
    """
    now: dict[str, str | int] = {**params, "per_page": PER_PAGE}
    while True:
        answer = ask(now, 0)
        rows, following = rows_of(answer), next_params(answer)
        if following is not None and not rows:
            raise AnswerError(f"{answer.where}: an empty page that names a next one.")
        if rows:
            yield rows
        if following is None:
            if is_silent(answer, rows) and rows_of(ask({**now, "id_after": rows[-1]["id"]}, 0)):
                raise AnswerError(f"{answer.where}: {STRIPPED}.")
            return
        if following == {name: str(value) for name, value in now.items()}:
            raise AnswerError(f"{answer.where}: the next page is named as the same page again.")
        now = {**following}


@attrs.frozen(kw_only=True)
class ById:
    """Where a walk by ascending id stands: rows seen, and the id of the last."""

    seen: int = 0
    last: int = 0


def by_id(ask: Ask, params: dict[str, str | int], at: ById) -> Iterator[tuple[list[Record], ById | None]]:
    """
    Yield the new rows of each page of a list in ascending order of id, with the place behind it; None at the end.

    A page that does not begin at or before the last id was shifted by a deletion: it is asked again further back.
    """
    shifts = 0
    while True:
        page, size = overlapping(at.seen)
        rows, follows = proven(ask, params, page=page, size=size, shifts=shifts)
        ids = [row["id"] for row in rows]
        if ids != sorted(ids):
            raise AnswerError(f"A list that was asked for in the order of ids came in another one (page {page}).")
        if at.seen and (not ids or ids[0] > at.last):
            shifts = _shifted(shifts)
            at = attrs.evolve(at, seen=max(0, at.seen - STEP_BACK))
            continue
        fresh = [row for row in rows if row["id"] > at.last]
        at = ById(seen=(page - 1) * size + len(rows), last=ids[-1] if ids else at.last)
        yield fresh, at if follows else None
        if not follows:
            return


@attrs.frozen(kw_only=True)
class ByUpdate:
    """
    Where a walk by ascending `updated_at` stands.

    after: rows from this time on, inclusive; None: all. seen, last: how many rows from there were seen, and the id of
    the last one; only where more than a page has one time, else 0.
    """

    after: str | None = None
    seen: int = 0
    last: int | None = None


def by_update(ask: Ask, params: dict[str, str | int], at: ByUpdate) -> Iterator[tuple[list[Record], ByUpdate | None]]:
    """
    Yield the rows of each page of a list in ascending order of `updated_at`, with the place behind it, None at last.

    The next page is asked again from the last time seen, inclusive, so pages overlap by themselves and a row that is
    touched meanwhile comes again further on. Where a whole page has one time, the next one overlaps it by its last
    row; if that is another one, rows have left, and the walk of this time begins anew.
    """
    shifts = 0
    while True:
        page, size = overlapping(at.seen)
        asked: dict[str, str | int] = {**params, "order_by": "updated_at", "sort": "asc"}
        if at.after is not None:
            asked["updated_after"] = at.after
        rows, follows = proven(ask, asked, page=page, size=size, shifts=shifts)
        index = at.seen - 1 - (page - 1) * size
        if at.seen and (index >= len(rows) or rows[index]["id"] != at.last):
            shifts = _shifted(shifts)
            at = ByUpdate(after=at.after)
            continue
        newest = rows[-1]["updated_at"] if rows else at.after
        if at.after is not None and rows and _moment(newest) < _moment(at.after):
            raise AnswerError(f"Asked for what was updated after {at.after}, got what was updated before it.")
        seen = (page - 1) * size + len(rows)
        if at.after is not None and _moment(newest) == _moment(at.after):
            at = ByUpdate(after=at.after, seen=seen, last=rows[-1]["id"] if rows else None)
        else:
            at = ByUpdate(after=newest)
        yield rows, at if follows else None
        if not follows:
            return


def _shifted(shifts: int) -> int:
    if shifts >= MAX_SHIFTS:
        raise AnswerError(f"A list shifted {shifts} times while it was read; run again when less is deleted there.")
    return shifts + 1


def _moment(text: Any) -> Any:
    return values.timestamp(text)
