"""
The commits of merge requests: of each that changed and has another head, or another target, than when it was read.

Many are asked in one GraphQL request; where there is none, one by one by REST, and both bring the same columns. An
answer holds all commits of a merge request, so what left it (a rebase) is deleted.

Not here: which merge requests changed (`items.py`).
Source: GitLab REST API docs, "Merge requests" ("Get single merge request commits"); GraphQL API reference,
"MergeRequest".
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from syncer.ahead import ahead
from syncer.errors import NotFound, SyncerError
from syncer.sources import DELETED, Key, Page, Place, Record, Whole
from syncer.sources.gitlab.api import PER_PAGE, Api, is_scoped, named
from syncer.sources.gitlab.graphql import MAX_QUERY, GraphQL, Size, TooLargeError, last_segment, quoted
from syncer.sources.gitlab.items import MERGE_REQUESTS, Items
from syncer.sources.gitlab.lists import proven
from syncer.sources.gitlab.projects import HIDDEN, Part, Projects

REMEMBERED = 1_000  # merge requests whose head the place knows: those that changed last
FIRST = 20  # commits of each that are asked at once; few have more
COMMIT = {
    "id": "sha",
    "short_id": "shortId",
    "title": "title",
    "message": "message",
    "author_name": "authorName",
    "author_email": "authorEmail",
    "authored_date": "authoredDate",
    "committer_name": "committerName",
    "committer_email": "committerEmail",
    "committed_date": "committedDate",
    "web_url": "webUrl",
}
CONNECTION = f"nodes {{ {' '.join(COMMIT.values())} }} pageInfo {{ endCursor hasNextPage }}"


@attrs.frozen(kw_only=True)
class MergeRequest:
    """One merge request: where it is asked for. `path` is its project's, empty where it is not known."""

    id: int
    iid: int
    project_id: int
    path: str = ""
    head: str = ""  # digest of what its list of commits hangs on

    @classmethod
    def of(cls, row: Record) -> MergeRequest:
        """Read it from the record of a list."""
        full = (row.get("references") or {}).get("full") or ""
        head = hashlib.blake2s(f"{row.get('sha')} {row.get('target_branch')}".encode(), digest_size=6).hexdigest()
        return cls(id=row["id"], iid=row["iid"], project_id=row["project_id"], path=full.rpartition("!")[0], head=head)


@attrs.frozen(kw_only=True)
class Commits:
    """The first commits of one merge request; the next are at `cursor` or `page`, `error` is why there are none."""

    of: MergeRequest
    records: Sequence[Record] = ()
    cursor: str | None = None
    page: int | None = None
    is_there: bool = True
    error: SyncerError | None = None

    @property
    def is_whole(self) -> bool:
        """Whether these are all."""
        return self.cursor is None and self.page is None


class MergeRequestCommits:
    """The stream `merge_request_commits`."""

    def __init__(
        self,
        api: Api,
        graphql: GraphQL,
        *,
        projects: Projects,
        parts: Sequence[Part],
        is_shared: bool,
        workers: int,
    ) -> None:
        self._api = api
        self._graphql = graphql
        self._parts = parts
        self._workers = workers
        self._size = Size(30, most=100)
        self._known: dict[str, dict[int, str]] = {}  # by scope, id: head; the one that changed last stands last
        self._projects = projects
        self._items = Items(
            MERGE_REQUESTS, api, projects=projects, parts=parts, is_shared=is_shared, settle=self._settle
        )

    def read(self, places: Mapping[str, Place], lookback: dt.timedelta) -> Iterator[Page]:
        """Yield the commits of merge requests that changed."""
        self._known = {part.scope: dict(places.get(part.scope, {}).get("known", ())) for part in self._parts}
        yield from self._items.read(places, lookback)

    def keys(self, places: Mapping[str, Place]) -> Iterator[Page]:
        """Yield the commits of every merge request."""
        self._projects.check_sight(places)
        has_failed = False
        self._items.located.is_confirmed = False
        for part in self._parts:
            known = dict(places.get(part.scope, {}).get("known", ()))
            met: dict[int, str] = {}
            try:
                for rows in self._items.rows(part):
                    asked = [MergeRequest.of(row) for row in rows]
                    met.update((one.id, one.head) for one in asked if one.id in known)
                    for found in self._all(asked):
                        has_failed = has_failed or found.error is not None
                        yield from self._plain(found)
            except SyncerError as error:
                if not part.group or not is_scoped(error):
                    raise
                has_failed = True
                yield Page(scope=part.scope, error=named(error, f"{part}, merge requests"))
                continue
            same = [(key, head) for key, head in known.items() if met.get(key) == head]
            if len(same) < len(known):  # the census leaves the commits of another head: if the old one is back, ask
                yield Page(scope=part.scope, place={**places[part.scope], "known": same})
        yield from self._items.vanished(places)
        if not has_failed:
            yield Page(whole=Whole(first=False))

    def fetch(self, keys: Sequence[Key]) -> Iterator[Page]:
        """Yield those of some commits that their merge requests still have."""
        wanted = set(keys)
        for at in self._items.locate(sorted({key[0] for key in keys})):
            row = MergeRequest(id=at.id, iid=at.iid, project_id=at.project_id)
            for records in self._pages(self._by_rest(row)):
                yield Page(records=[one for one in records if (at.id, one["id"]) in wanted])

    def close(self) -> None:
        """Let go of the temporary file."""
        self._items.close()

    def _settle(self, rows: list[Record], *, scope: str, before: Place | None, after: Place) -> Iterator[Page]:
        """Turn a page of merge requests into pages of the commits of those that have another head now."""
        known = self._known.setdefault(scope, {})
        latest = {row["id"]: MergeRequest.of(row) for row in rows}
        changed = [one for one in latest.values() if known.get(one.id) != one.head]
        is_project = scope.isdigit()
        for found in self._asked(changed):
            whole: list[Commits] = []
            for one in found:
                if one.error is not None and is_project:
                    raise one.error
                if one.error is None and one.is_whole:
                    whole.append(one)
                else:
                    yield from self._failed(one) if one.error is not None else self._long(one)
            place = None if is_project or before is None else {**before, "known": self._remember(scope, found)}
            yield Page(
                scope=scope,
                place=place,
                records=[record for one in whole for record in one.records],
                whole=_slices([one.of for one in whole if one.is_there]),
            )
        place = after if is_project else {**after, "known": list(known.items())}
        yield Page(scope=scope, place=place, mark=after.get("mark"))

    def _remember(self, scope: str, found: Sequence[Commits]) -> list[tuple[int, str]]:
        """Note the heads that were read, the newest last; return what the place keeps."""
        known = self._known[scope]
        for one in found:
            if one.error is None:
                known.pop(one.of.id, None)
                known[one.of.id] = one.of.head
        for key in list(known)[: max(0, len(known) - REMEMBERED)]:
            del known[key]
        return list(known.items())

    def _failed(self, one: Commits) -> Iterator[Page]:
        """Tell that a project failed; it is read whole once it does not any more."""
        assert one.error is not None
        scope = str(one.of.project_id)
        yield Page(scope=scope, place=HIDDEN)
        yield Page(scope=scope, error=one.error)

    def _long(self, one: Commits) -> Iterator[Page]:
        """Yield the commits of one merge request page by page, as one walk under a scope of its own."""
        is_first = True
        held: list[Record] | None = None
        for records in self._pages(one):
            if held is not None:
                yield self._walk_page(one, held, is_first=is_first, is_last=False)
                is_first = False
            held = records
        yield self._walk_page(one, held or [], is_first=is_first, is_last=True)

    @staticmethod
    def _walk_page(one: Commits, records: list[Record], *, is_first: bool, is_last: bool) -> Page:
        whole = attrs.evolve(_slices([one.of]), first=is_first, last=is_last)
        return Page(scope=f"merge request {one.of.id}", records=records, whole=whole)

    def _all(self, asked: Sequence[MergeRequest]) -> Iterator[Commits]:
        for found in self._asked(asked):
            yield from found

    def _plain(self, one: Commits) -> Iterator[Page]:
        if one.error is not None:
            yield Page(scope=str(one.of.project_id), error=one.error)
            return
        for records in self._pages(one):
            yield Page(records=records)

    def _pages(self, one: Commits) -> Iterator[list[Record]]:
        """Yield all commits of a merge request, behind the first ones page by page."""
        if one.error is not None:
            raise one.error
        yield list(one.records)
        while not one.is_whole:
            one = self._next(one)
            yield list(one.records)

    def _asked(self, merge_requests: Sequence[MergeRequest]) -> Iterator[list[Commits]]:
        """Ask for the first commits of many, some at a time."""
        ask = self._by_graphql if self._graphql.is_there else self._each_by_rest
        yield from ahead(ask, self._batches(merge_requests), workers=self._workers)

    def _batches(self, merge_requests: Sequence[MergeRequest]) -> Iterator[list[MergeRequest]]:
        ordered = sorted(merge_requests, key=lambda one: (one.project_id, one.iid))
        start = 0
        while start < len(ordered):
            size = self._size.now if self._graphql.is_there else 1
            yield ordered[start : start + size]
            start += size

    def _by_graphql(self, batch: list[MergeRequest]) -> list[Commits]:
        """Ask for a batch; what GraphQL does not settle is asked by REST."""
        try:
            found = self._query(batch)
        except TooLargeError:
            if len(batch) == 1:
                return self._each_by_rest(batch)
            self._size.halve(len(batch))
            middle = len(batch) // 2
            return self._by_graphql(batch[:middle]) + self._by_graphql(batch[middle:])
        return [found[one.id] if one.id in found else self._by_rest(one) for one in batch]

    def _query(self, batch: list[MergeRequest]) -> dict[int, Commits]:
        """Ask for a batch in one query; return what came back without a hole."""
        by_path: dict[tuple[str, int], dict[str, MergeRequest]] = {}
        for one in batch:
            if one.path:
                by_path.setdefault((one.path, one.project_id), {})[str(one.iid)] = one
        parts = [
            f"p{number}: project(fullPath: {quoted(path)}) {{ "
            f"id mergeRequests(iids: [{', '.join(map(quoted, rows))}], first: {len(rows)}) {{ "
            f"nodes {{ iid commits(first: {FIRST}) {{ {CONNECTION} }} }} }} }}"
            for number, ((path, _), rows) in enumerate(by_path.items())
        ]
        query = " ".join(parts)
        if len(query) > MAX_QUERY:
            raise TooLargeError("the text is too long")
        if not query:
            return {}
        reply = self._graphql.ask(query)
        self._size.learn(reply, len(batch))
        found = {}
        for number, ((_, project_id), rows) in enumerate(by_path.items()):
            for node in _nodes(reply.data.get(f"p{number}"), project_id):
                asked = rows.get(str((node or {}).get("iid")))
                commits = _commits(asked, node.get("commits")) if asked is not None else None
                if commits is not None:
                    found[commits.of.id] = commits
        return found

    def _each_by_rest(self, batch: list[MergeRequest]) -> list[Commits]:
        return [self._by_rest(one) for one in batch]

    def _by_rest(self, one: MergeRequest, *, page: int = 1) -> Commits:
        """Ask for one page by REST. One that is gone has no commits to tell of; a project that is gone is an error."""
        path = f"/projects/{one.project_id}/merge_requests/{one.iid}/commits"
        try:
            rows, follows = proven(lambda params, again: self._api.get(path, params), {}, page=page, size=PER_PAGE)
        except SyncerError as error:
            if isinstance(error, NotFound) and self._has_project(one.project_id):
                return Commits(of=one, is_there=False)
            if not is_scoped(error):
                raise
            what = f"GitLab project {one.path or one.project_id}, commits of merge request {one.iid}"
            return Commits(of=one, error=named(error, what))
        records = [_record(one, {column: row.get(column) for column in COMMIT}) for row in rows]
        return Commits(of=one, records=records, page=page + 1 if follows else None)

    def _has_project(self, project_id: int) -> bool:
        try:
            self._api.get(f"/projects/{project_id}")
        except NotFound:
            return False
        return True

    def _next(self, one: Commits) -> Commits:
        """Ask for the commits behind those that *one* holds."""
        if one.page is not None:
            return _or_raise(self._by_rest(one.of, page=one.page))
        commits = f"commits(first: {PER_PAGE}, after: {quoted(one.cursor or '')}) {{ {CONNECTION} }}"
        query = (
            f"project(fullPath: {quoted(one.of.path)}) {{ "
            f"id mergeRequests(iids: [{quoted(str(one.of.iid))}], first: 1) {{ nodes {{ iid {commits} }} }} }}"
        )
        try:
            nodes = _nodes(self._graphql.ask(query).data.get("project"), one.of.project_id) or [None]
        except TooLargeError:
            nodes = [None]
        found = _commits(one.of, (nodes[0] or {}).get("commits"))
        # where GraphQL does not go on, REST begins anew: rows that come twice do no harm
        return found if found is not None else _or_raise(self._by_rest(one.of))


def _or_raise(found: Commits) -> Commits:
    if found.error is not None:
        raise found.error
    return found


def _slices(of: Sequence[MergeRequest]) -> Whole:
    return Whole(columns=("merge_request_id",), values=[(one.id,) for one in of], absent=DELETED)


def _nodes(project: Any, project_id: int) -> Sequence[Any]:
    """Return the merge requests of an answer; none where the path is another project's by now: REST asks by id."""
    if not isinstance(project, dict) or last_segment(project["id"]) != project_id:
        return ()
    return (project.get("mergeRequests") or {}).get("nodes") or ()


def _commits(of: MergeRequest, connection: Any) -> Commits | None:
    """Turn a connection of commits into REST's records; None where it has a hole."""
    if not isinstance(connection, dict):
        return None
    nodes, info = connection.get("nodes"), connection.get("pageInfo") or {}
    if nodes is None or not all(isinstance(node, dict) for node in nodes):
        return None
    records = [_record(of, {column: node.get(name) for column, name in COMMIT.items()}) for node in nodes]
    return Commits(of=of, records=records, cursor=info.get("endCursor") if info.get("hasNextPage") else None)


def _record(of: MergeRequest, commit: Record) -> Record:
    return {"merge_request_id": of.id, "merge_request_iid": of.iid, "project_id": of.project_id, **commit}
