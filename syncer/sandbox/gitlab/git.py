"""
Git as GitLab's API shows it: commits with parents, branches, tags, ranges, reachability, garbage.

A repository is changed in place by `edits`; commits and tags are values. Not here: the JSON (`git_shapes`),
the routes (`rest_git`).

Source: git-rev-list(1), gitrevisions(7). Files are not modelled: there are no trees, blobs or diffs.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterable, Iterator
from datetime import datetime

import attrs

BAD_REF = re.compile(r"[\x00-\x20~^:?*\[\\]|^-|^/|//|@\{|\.lock$|^$")
MIN_SHORT_SHA = 7
_SHA = re.compile(r"[0-9a-f]{7,40}")


@attrs.frozen(kw_only=True)
class Commit:
    """A commit. Dates keep the offset of whoever made it and have whole seconds."""

    sha: str
    parents: tuple[str, ...]
    message: str
    author_name: str
    author_email: str
    authored_date: datetime
    committer_name: str
    committer_email: str
    committed_date: datetime

    @property
    def title(self) -> str:
        """The first line of the message."""
        return self.message.partition("\n")[0]


@attrs.frozen(kw_only=True)
class Tag:
    """A tag: annotated where it has a message, and then `target` is the tag object's own sha."""

    name: str
    sha: str
    target: str
    message: str = ""
    created_at: datetime | None = None
    release: str | None = None


class UnknownRefError(LookupError):
    """A ref, or a side of a range, that the repository does not have (any more)."""


class Repository:
    """One project's repository."""

    def __init__(self, default_branch: str = "main") -> None:
        """Begin empty: no commit, no branch."""
        self.default_branch = default_branch
        self.commits: dict[str, Commit] = {}
        self.branches: dict[str, str] = {}
        self.protected: set[str] = set()
        self.tags: dict[str, Tag] = {}

    @property
    def head(self) -> str | None:
        """The sha of the default branch's head; None where it does not exist."""
        return self.branches.get(self.default_branch)

    def add(self, commit: Commit) -> Commit:
        """Store *commit*, whose parents must be there."""
        self.commits[commit.sha] = commit
        return commit

    def resolve(self, ref: str) -> str:
        """Return the sha that *ref* names: a branch, else a tag, else a sha, whole or at least 7 characters of it."""
        if ref in self.branches:
            return self.branches[ref]
        if ref in self.tags:
            return self.tags[ref].sha
        if ref in self.commits:
            return ref
        if ref == "HEAD" and self.head:
            return self.head
        if _SHA.fullmatch(ref):
            found = [sha for sha in self.commits if sha.startswith(ref)]
            if len(found) == 1:
                return found[0]
        raise UnknownRefError(ref)

    def select(self, revision: str) -> tuple[list[str], list[str]]:
        """Return the heads to start from and those to leave out: *revision* is a ref, or a range `old..new`."""
        old, dots, new = revision.partition("..")
        if not dots or not old or not new or new.startswith("."):
            return [self.resolve(revision)], []
        return [self.resolve(new)], [self.resolve(old)]

    def heads(self) -> list[str]:
        """Return the heads of all branches and tags, each once."""
        return list(dict.fromkeys([*self.branches.values(), *(tag.sha for tag in self.tags.values())]))

    def reachable(self, heads: Iterable[str]) -> set[str]:
        """Return every sha that can be reached from *heads*."""
        seen: set[str] = set()
        waiting = list(heads)
        while waiting:
            sha = waiting.pop()
            if sha not in seen:
                seen.add(sha)
                waiting.extend(self.commits[sha].parents)
        return seen

    def log(
        self,
        heads: Iterable[str],
        *,
        without: Iterable[str] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        first_parent_only: bool = False,
    ) -> list[Commit]:
        """
        Return what *heads* reach and *without* do not, newest committer date first among those whose child was shown.

        As in git, the walk ends at a commit older than *since*: a newer one that is reached only through it is not
        found.
        """
        left_out = self.reachable(without)
        walk = self._walk(heads, left_out, since=since, first_parent_only=first_parent_only)
        return [commit for commit in walk if until is None or commit.committed_date <= until]

    def _walk(
        self, heads: Iterable[str], left_out: set[str], *, since: datetime | None, first_parent_only: bool
    ) -> Iterator[Commit]:
        """Yield commits as git-rev-list orders them."""
        seen = set(left_out)
        queue: list[tuple[float, int, Commit]] = []

        def put(sha: str) -> None:
            if sha not in seen:
                seen.add(sha)
                commit = self.commits[sha]
                heapq.heappush(queue, (-commit.committed_date.timestamp(), len(seen), commit))

        for head in heads:
            put(head)
        while queue:
            _, _, commit = heapq.heappop(queue)
            if since is not None and commit.committed_date < since:
                continue
            yield commit
            for parent in commit.parents[:1] if first_parent_only else commit.parents:
                put(parent)

    def collect_garbage(self) -> int:
        """Drop every commit that no branch and no tag reaches; return how many."""
        kept = self.reachable(self.heads())
        gone = len(self.commits) - len(kept)
        self.commits = {sha: commit for sha, commit in self.commits.items() if sha in kept}
        return gone

    def copy(self) -> Repository:
        """Return a fork of it: the same commits, branches and tags, from now on apart."""
        fork = Repository(self.default_branch)
        fork.commits = dict(self.commits)
        fork.branches = dict(self.branches)
        fork.protected = set(self.protected)
        fork.tags = dict(self.tags)
        return fork
