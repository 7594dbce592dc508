"""
The stream `issues`: what changed since the mark, by id, settled before it leaves: rich text as text beside its JSON,
the moment it first went in progress, nothing of the reader's own.

Not here: how changed issues are found (`walk.py`) and fetched (`bulk.py`), the columns (`mappings/jira.py`).
Source: Jira Cloud REST API v3, "Issues", "Issue search". Statuses are renamed and translated, so that only a status's
category tells what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import attrs

from syncer.ahead import ahead
from syncer.sources import GONE, Key, Page, Record, State, Whole
from syncer.sources.jira import adf, bulk, definitions
from syncer.sources.jira.calls import Calls, iso_of, ms_of
from syncer.sources.jira.definitions import IN_PROGRESS, Definitions
from syncer.sources.jira.walk import BATCH, Batch, Once, Walk, Window, ask_again

ALL_FIELDS = ("*all", "-comment", "-worklog", "-lastViewed")
NEVER = (
    "comment",
    "worklog",
    "lastViewed",
)  # streams of their own; and the reader's own, which changes with each look
KEYS_A_PAGE = 1_000


@attrs.frozen(kw_only=True)
class Issues:
    """
    Reads issues.

    ended_projects: the states of projects that are archived or in the trash, by id.
    shares_histories: another stream of the verb reads all changelog entries of the same issues; so we do, too.
    """

    calls: Calls
    once: Once
    definitions: Definitions
    categories: Mapping[str, str]
    ended_projects: Callable[[], Mapping[str, str]] = dict
    shares_histories: bool = False

    def read(self, window: Window) -> Iterator[Page]:
        """Yield what changed in *window*, and the place behind it."""
        batches = Walk(self.calls, window, once=self.once).batches()
        is_shared = self.shares_histories and window.floor is not None
        for batch, records, vanished in ahead(
            lambda batch: self._fetched(batch, is_shared=is_shared), batches, workers=self.calls.workers
        ):
            states = [State(key=(int(number),), state=GONE) for number in vanished]
            yield Page(place=batch.place, mark=window.text, records=[*records, *batch.odd], states=states)
        yield Page(place=window.finished, mark=window.text)

    def keys(self, now: int) -> Iterator[Page]:
        """Yield id and version of every issue."""
        walk = Walk(self.calls, Window(mark=now), once=self.once, fields=("created", "updated"))
        is_first = True
        for batch in walk.batches(KEYS_A_PAGE):
            yield Page(records=[*batch.entries, *batch.odd], whole=Whole(first=is_first, last=False))
            is_first = False
        yield Page(whole=Whole(first=is_first))

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield the issues of *keys* that are there."""
        ids = [str(key[0]) for key in keys]
        batches = [Batch(ids=tuple(ids[at : at + BATCH]), place={}) for at in range(0, len(ids), BATCH)]
        fetched = ahead(lambda batch: self._fetched(batch, is_shared=False), batches, workers=self.calls.workers)
        for _, records, _ in fetched:
            yield Page(records=records, states=self._states(records))

    def _states(self, records: Sequence[Record]) -> list[State]:
        """Return the states of issues that can still be read though their project is archived, or in the trash."""
        states = []
        for record in records:
            project = record["fields"].get("project")
            state = self.ended_projects().get(str(project.get("id"))) if isinstance(project, dict) else None
            if state is not None and str(record.get("id")).isdigit():
                states.append(State(key=(int(record["id"]),), state=state))
        return states

    def _fetched(self, batch: Batch, *, is_shared: bool) -> tuple[Batch, list[Record], list[str]]:
        """Fetch the issues of a batch, settled; and the ids of those that are gone."""
        if not batch.ids:
            return batch, [], []
        found, vanished = bulk.issues(self.calls, batch.ids, fields=ALL_FIELDS)
        histories = bulk.changelogs(
            self.calls, batch.ids, only=() if is_shared else ("status",), once=self.once if is_shared else ask_again
        )
        for record in found:
            self.settle(record, histories.get(str(record.get("id")), ()))
        return batch, found, vanished

    def settle(self, record: Record, histories: Sequence[Record]) -> None:
        """Put into *record*, as the API gave it, what only its format explains; take out what is not to be kept."""
        fields = record["fields"]
        for name in NEVER:
            fields.pop(name, None)
        for name in self.definitions.rich_text:
            if name in fields:
                fields[f"{name}_text"] = adf.plain_text(fields[name])
        for name in self.definitions.json:
            if fields.get(name):
                fields[name] = definitions.cleaned(fields[name])
        record["first_in_progress"] = self.first_in_progress(record, histories)

    def first_in_progress(self, record: Record, histories: Sequence[Record]) -> str | None:
        """
        Return when an issue first had a status of the category "in progress", as ISO text; None: never.

        An issue that was created in such a status, as its earliest change tells, or as it still is without any change
        of status, was in progress since its creation.
        """
        changes = sorted(_status_changes(histories), key=lambda change: change[0])
        fields = record["fields"]
        is_since_creation = _category(fields.get("status")) == IN_PROGRESS
        if changes:
            is_since_creation = self._is_in_progress(changes[0][1])
        if is_since_creation:
            created = fields.get("created")
            return created if isinstance(created, str) else None
        return next((iso_of(at) for at, _, to in changes if self._is_in_progress(to)), None)

    def _is_in_progress(self, status: object) -> bool:
        return self.categories.get(str(status)) == IN_PROGRESS


def _status_changes(histories: Sequence[Record]) -> Iterator[tuple[int, object, object]]:
    """Yield the changes of status: when, from which, to which."""
    for history in histories:
        at = ms_of(history.get("created"))
        for item in history.get("items") or ():
            if at is not None and isinstance(item, dict) and item.get("fieldId") == "status":
                yield at, item.get("from"), item.get("to")


def _category(status: object) -> object:
    category = status.get("statusCategory") if isinstance(status, dict) else None
    return category.get("key") if isinstance(category, dict) else None
