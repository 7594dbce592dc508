"""
The stream `projects`: all that we may browse, each time anew; archived ones and those in the trash are told apart.

Lists by offset, ordered by key, and a project may move from one to another while they are read: so each list must have
as many as it says, and the list of the live ones is read before and after the others.
Source: Jira Cloud REST API v3, "Get projects paginated".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from syncer.errors import AnswerError, RequestError
from syncer.sources import ARCHIVED, DELETED, LIVE, Key, Page, Place, Record, State, Whole
from syncer.sources.jira.calls import Calls, a_count, a_list, an_object, iso_of
from syncer.sources.jira.offsets import TRIES, listed

PROJECTS_A_PAGE = 100  # the most that Jira gives, whatever is asked for
EXPAND = "description,lead,projectKeys,url"
LISTS = (("live", LIVE), ("archived", ARCHIVED), ("deleted", DELETED), ("live", LIVE))


@attrs.frozen(kw_only=True)
class Projects:
    """Reads projects."""

    calls: Calls

    def read(self, place: Place | None, now: int) -> Iterator[Page]:
        """
        Yield all projects.

        Raises: AnswerError: none at all where there were some: more likely a permission than the truth.
        """
        found, failed = self._everything()
        before = place.get("count", 0) if place else 0
        if not found and before:
            raise nothing_visible(before)
        yield from failed
        yield from _pages(found, is_whole=not failed)
        yield Page(place={"mark": now, "count": len(found)}, mark=iso_of(now))

    def keys(self) -> Iterator[Page]:
        """Yield the live projects: archived and trashed ones are missed, then asked for by key and told apart."""
        live = {number: (record, LIVE) for number, record in self._listed("live").items()}
        yield from _pages(live, is_whole=True)

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield the projects of *keys* that are there."""
        found, failed = self._everything()
        for page in failed:
            if page.error is not None:
                raise page.error
        wanted = {str(key[0]) for key in keys}
        yield from _pages({number: each for number, each in found.items() if number in wanted}, is_whole=False)

    def live(self) -> dict[str, str]:
        """Return the keys of the live projects, by id."""
        return {number: str(project.get("key")) for number, project in self._listed("live").items()}

    def ended(self) -> dict[str, str]:
        """Return the states of the projects that are archived or in the trash, by id; empty where we may not know."""
        found: dict[str, str] = {}
        for status, state in LISTS:
            if state != LIVE:
                try:
                    found.update(dict.fromkeys(self._listed(status), state))
                except RequestError as error:
                    if _is_about_us(error):
                        raise
        return found

    def _everything(self) -> tuple[dict[str, tuple[Record, str]], list[Page]]:
        """Return all projects with their states, by id; and a page of failure for each list that was refused."""
        found: dict[str, tuple[Record, str]] = {}
        failed = []
        for status, state in LISTS:
            try:
                listed = self._listed(status)
            except RequestError as error:
                if status == "live" or _is_about_us(error):
                    raise
                failed.append(Page(scope=f"{status} projects", error=error))  # an experimental parameter, not for all
            else:
                found.update((number, (record, state)) for number, record in listed.items())
        return found, failed

    def _listed(self, status: str) -> dict[str, Record]:
        """Return the projects of one list, by id. Raises AnswerError where they are never as many as it says."""
        found = listed(lambda start: self._page(status, start))
        assert found is not None
        if not found.is_whole:
            raise AnswerError(
                f"GET /project/search ({status}) gave {len(found.records)} projects of {found.total}, {TRIES} times.",
                hint="Projects may be changing just now: it is safe to run again.",
            )
        return {str(project.get("id")): project for project in found.records}

    def _page(self, status: str, start: int) -> tuple[list[Record], int]:
        params = {
            "status": status,
            "startAt": start,
            "maxResults": PROJECTS_A_PAGE,
            "orderBy": "key",
            "expand": EXPAND,
        }
        answer = self.calls.get("project/search", params)
        page = an_object(answer)
        return a_list(answer, "values", of=page), a_count(answer, "total", of=page)


def nothing_visible(before: int | None) -> AnswerError:
    """Make the error for an account that saw *before* projects, or who knows how many, and sees none now."""
    there = before or "some"
    return AnswerError(
        f"GET /project/search: no project at all is visible, where there were {there}; nothing was changed.",
        hint="Look at the permissions of the token's user (Browse projects), or begin anew with --full.",
    )


def _is_about_us(error: RequestError) -> bool:
    """Tell whether the token itself was refused (a 200 that means so, too), and not this one list."""
    return error.status in (200, 401)


def _pages(found: dict[str, tuple[Record, str]], *, is_whole: bool) -> Iterator[Page]:
    """Yield projects with their states, a page at a time."""
    rows = list(found.items())
    last = max(0, len(rows) - 1) // PROJECTS_A_PAGE
    for n in range(last + 1):
        some = rows[n * PROJECTS_A_PAGE : (n + 1) * PROJECTS_A_PAGE]
        states = [State(key=(int(number),), state=state) for number, (_, state) in some if state != LIVE]
        whole = Whole(first=n == 0, last=n == last) if is_whole else None
        yield Page(records=[record for _, (record, _) in some], states=states, whole=whole)
