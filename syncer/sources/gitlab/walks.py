"""
Walks over commits: what a head reaches, or what it reaches and another does not, and the graph that the walks make.

Every walk names immutable shas, never a branch: its pages stand still while people push, so it goes on by page number
after a kill. The graph tells what a head reaches without asking.

Not here: which walks are needed (`commits.py`, `branch_commits.py`).
Source: GitLab REST API docs, "Commits" (`ref_name` takes a range `old..new`; no totals; a full last page is followed
by an empty one); gitrevisions(7).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from syncer.errors import AnswerError
from syncer.sources import Place, Record
from syncer.sources.gitlab.api import PER_PAGE, STRIPPED, Api, is_silent, next_params, rows_of
from syncer.sources.gitlab.projects import Project
from syncer.sources.gitlab.refs import Proven, RefLists

SHAS_A_PAGE = 500
DETAILS = ("short_id", "title", "message", "created_at", "committed_date")  # of a commit, beside its sha
SPARE = 2  # everything is walked at once where that is fewer requests, by so many, than head by head


@attrs.frozen(kw_only=True)
class CommitPage:
    """One page of a walk; `following` is the number of the next one, None at the end."""

    records: list[Record]
    following: int | None


class Walks:
    """
    Asks for commits; safe for threads.

    Walks are kept where they are needed again: `branch_commits` needs those of `commits`, and some of its own twice.
    """

    def __init__(self, api: Api, *, is_kept: bool) -> None:
        self._api = api
        self._is_kept = is_kept

    def pages(self, project: Project, revision: str, *, page: int = 1) -> Iterator[CommitPage]:
        """
        Yield the pages of a walk from number *page* on.

        Raises: NotFound: a sha of it was collected, or the project went out of sight.
        """
        following: int | None = page
        while following is not None:
            one = self._page(project, revision, following, keep=self._is_kept or following == 1)
            following = one.following
            yield one

    def everything(self, project: Project) -> Iterator[list[Record]]:
        """
        Yield what all branches and tags reach; kept, so that it can be walked twice.

        Unlike a walk of shas it does not stand still: `graph_of` tells whether it holds together.
        """
        following: int | None = 1
        while following is not None:
            one = self._page(project, "", following, keep=True)
            following = one.following
            yield one.records

    def graph_of(self, project: Project, heads: Sequence[str], *, keeps_details: bool = False) -> Graph | None:
        """Walk everything; return its graph where that holds all that *heads* reach, else None: ask head by head."""
        graph = Graph(keeps_details=keeps_details)
        for records in self.everything(project):
            graph.add(records)
        if graph.wants(heads):
            return graph
        graph.close()
        return None

    def fetch_ahead(self, project: Project, revision: str) -> None:
        """Ask for the first page of a walk, and keep it."""
        self._page(project, revision, 1, keep=True)

    def _page(self, project: Project, revision: str, page: int, *, keep: bool) -> CommitPage:
        which: dict[str, str | int] = {"ref_name": revision} if revision else {"all": "true"}
        params: dict[str, str | int] = {**which, "page": page, "per_page": PER_PAGE}
        path = f"/projects/{project.id}/repository/commits"
        answer = self._api.get(path, params, keep=keep)
        rows = rows_of(answer)
        follows = next_params(answer) is not None or bool(answer.headers.get("X-Next-Page"))
        if is_silent(answer, rows) and rows_of(self._api.get(path, {**params, "page": page + 1})):
            raise AnswerError(f"page {page} of a walk over commits: {STRIPPED}.")
        if follows and len(rows) < PER_PAGE:
            raise AnswerError(f"page {page} of a walk over commits has {len(rows)} rows, yet another page follows.")
        records = [{**row, "project_id": project.id} for row in rows]
        return CommitPage(records=records, following=page + 1 if follows else None)


@attrs.frozen(kw_only=True)
class Move:
    """A branch whose head is another one than when it was read; `old` is None where it is new."""

    branch: str
    old: str | None
    new: str

    @property
    def revision(self) -> str:
        """What came to the branch."""
        return self.new if self.old is None else f"{self.old}..{self.new}"


def heads_of(lists: RefLists, proven: Proven) -> dict[str, str]:
    """Return the head of each branch."""
    return {row["name"]: row["commit"]["id"] for rows in lists.pages(proven) for row in rows}


def moves(known: Mapping[str, str], heads: Mapping[str, str], default: str | None) -> list[Move]:
    """Return the branches that moved, the default one first: what it reaches need not be asked for again."""
    ordered = sorted(heads, key=lambda name: (name != default, name))
    return [
        Move(branch=name, old=known.get(name) or None, new=heads[name])
        for name in ordered
        if known.get(name) != heads[name]
    ]


def beside(base: str | None, head: str) -> str:
    """Name what *head* reaches and *base*, where there is one, does not."""
    return head if base is None or base == head else f"{base}..{head}"


def reaches_back(records: Iterable[Record], sha: str) -> bool:
    """Tell whether one of some commits is a child of *sha*: then what reaches it reaches *sha*."""
    return any(sha in (record.get("parent_ids") or ()) for record in records)


class Graph:
    """
    The commits of one project that walks have met, in a temporary file.

    It is closed under parents as far as the walks were whole: what a met head reaches was met as well. Where it
    *keeps_details*, it knows more of a commit than its sha and parents: DETAILS.
    """

    def __init__(self, *, keeps_details: bool = False) -> None:
        self.keeps_details = keeps_details
        self._file = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        self._file.execute("PRAGMA journal_mode = OFF")
        self._file.execute("CREATE TABLE commits (n INTEGER PRIMARY KEY, sha TEXT UNIQUE, details TEXT)")
        self._file.execute("CREATE TABLE parents (child TEXT, parent TEXT)")
        self._file.execute("CREATE INDEX parents_of ON parents (child, parent)")

    def add(self, records: Iterable[Record]) -> None:
        """Take in commits; one that was met before changes nothing."""
        fresh = [record for record in records if not self.has(record["id"])]
        rows = [(record["id"], json.dumps(details_of(record)) if self.keeps_details else None) for record in fresh]
        self._file.executemany("INSERT OR IGNORE INTO commits (sha, details) VALUES (?, ?)", rows)
        edges = [(record["id"], parent) for record in fresh for parent in record.get("parent_ids") or ()]
        self._file.executemany("INSERT INTO parents VALUES (?, ?)", edges)

    def clear(self) -> None:
        """Forget all commits."""
        self._file.execute("DELETE FROM commits")
        self._file.execute("DELETE FROM parents")

    def has(self, sha: str) -> bool:
        """Tell whether a commit was met."""
        return self._file.execute("SELECT 1 FROM commits WHERE sha = ?", [sha]).fetchone() is not None

    def reach(self, head: str) -> Iterator[list[Record]]:
        """Yield what *head* reaches, itself among it, some at a time: the `id` of each, and the details it kept."""
        reached = (
            "WITH RECURSIVE reached (sha) AS (SELECT ? UNION SELECT p.parent FROM parents AS p "
            "JOIN reached ON p.child = reached.sha) SELECT "
        )
        if not self.keeps_details:
            found = self._file.execute(f"{reached} sha FROM reached", [head])
            while rows := found.fetchmany(SHAS_A_PAGE):
                yield [{"id": row[0]} for row in rows]
            return
        found = self._file.execute(f"{reached} sha, details FROM reached LEFT JOIN commits USING (sha)", [head])
        while rows := found.fetchmany(SHAS_A_PAGE):
            yield [{"id": sha, **json.loads(details or "{}")} for sha, details in rows]

    def wants(self, heads: Sequence[str]) -> bool:
        """Note what *heads* reach as wanted; tell whether all of that was met."""
        self._file.execute("CREATE TABLE wanted (sha TEXT PRIMARY KEY)")
        self._file.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", [(head,) for head in heads])
        self._file.execute(
            "INSERT OR IGNORE INTO wanted WITH RECURSIVE reached (sha) AS (SELECT sha FROM wanted UNION "
            "SELECT p.parent FROM parents AS p JOIN reached ON p.child = reached.sha) SELECT sha FROM reached"
        )
        missing = "SELECT 1 FROM wanted WHERE sha NOT IN (SELECT sha FROM commits) LIMIT 1"
        return self._file.execute(missing).fetchone() is None

    def is_wanted(self, sha: str) -> bool:
        """Tell whether `wants` has noted a commit."""
        return self._file.execute("SELECT 1 FROM wanted WHERE sha = ?", [sha]).fetchone() is not None

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def __enter__(self) -> Graph:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def details_of(record: Record) -> Record:
    """Return the details of a commit that it has."""
    return {name: record[name] for name in DETAILS if name in record}


def is_cheaper(heads: int, default_pages: int | None) -> bool:
    """Tell whether to walk everything rather than so many heads; None: the default branch's length is not known."""
    return default_pages is not None and heads >= default_pages + SPARE


def known_heads(place: Place) -> dict[str, str]:
    """Return the heads that a place knows; an empty one is of a branch that must be written whole."""
    return dict(place.get("heads", {}))
