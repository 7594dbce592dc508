"""
Making repositories and merge requests from a seed: main lines with merges, branches, tags, forks.

Not here: the other rows (`gitlab.generate`), later changes (`gitlab.edits`).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

import attrs

from syncer.sandbox.gitlab import text
from syncer.sandbox.gitlab.git import Commit, Repository, Tag
from syncer.sandbox.gitlab.rows import MergeRequest, Project, User
from syncer.sandbox.gitlab.store import Store

MERGED_SHARE = 0.65
CLOSED_SHARE = 0.15
FORKS_FROM = 12  # with so many projects, and for every 25th, one is a fork of another


@attrs.frozen(kw_only=True)
class Sizes:
    """How much of each there is."""

    projects: int = attrs.field(default=20, validator=attrs.validators.ge(1))
    issues: int = attrs.field(default=200, validator=attrs.validators.ge(0))
    merge_requests: int = attrs.field(default=100, validator=attrs.validators.ge(0))
    pipelines: int = attrs.field(default=300, validator=attrs.validators.ge(0))
    branches: int = attrs.field(default=120, validator=attrs.validators.ge(0))  # each repository has one at least
    commits: int = attrs.field(default=800, validator=attrs.validators.ge(0))  # about so many
    tags: int = attrs.field(default=40, validator=attrs.validators.ge(0))
    hidden: int = attrs.field(default=1, validator=attrs.validators.ge(0))  # besides `projects`
    strangers: int = attrs.field(default=0, validator=attrs.validators.ge(0))  # besides `projects`, public


def new_sha(store: Store, kind: str = "commit") -> str:
    """Return a sha that was never there before."""
    return hashlib.sha1(f"{kind} {store.next_id('sha')}".encode(), usedforsecurity=False).hexdigest()


def make_commit(
    store: Store,
    author: User,
    *,
    parents: Sequence[str],
    message: str,
    authored: datetime,
    committed: tuple[User, datetime] | None = None,
) -> Commit:
    """Return a new commit; *committed*: by whom and when, if not by its author and then. Times are cut to seconds."""
    committer, committed_at = committed or (author, authored)
    return Commit(
        sha=new_sha(store),
        parents=tuple(parents),
        message=message,
        author_name=author.name,
        author_email=author.email,
        authored_date=authored.replace(microsecond=0).astimezone(timezone(author.utc_offset)),
        committer_name=committer.name,
        committer_email=committer.email,
        committed_date=committed_at.replace(microsecond=0).astimezone(timezone(committer.utc_offset)),
    )


@attrs.define(kw_only=True, eq=False)
class Merge:
    """A merge that a main line has: what a merged merge request can be told of."""

    commits: tuple[Commit, ...]  # newest first
    merge: Commit


def fill_repositories(
    store: Store,
    projects: list[Project],
    rng: random.Random,
    *,
    sizes: Sizes,
    now: datetime,
) -> dict[int, list[Merge]]:
    """
    Give every project that has one a repository; together they have the branches and about the commits of *sizes*.

    Returns the merges that each main line has, by project id.
    """
    merges: dict[int, list[Merge]] = {}
    able = sorted((project for project in projects if project.has_repository), key=lambda one: not one.repository_on)
    forks = _forks(able, rng)
    read = sum(project.repository_on for project in able)  # those whose feature is off come last, and have one branch
    extra = max(0, sizes.branches - read)
    counts = [(extra // read + (n < extra % read)) if n < read else 0 for n in range(len(able))]
    main_line = max(1, (sizes.commits - 2 * extra) // max(1, len(able)))
    for number, (project, count) in enumerate(zip(able, counts, strict=True)):
        parent = forks.get(project.id)
        if parent is not None and parent.id in store.repositories:
            _fork(store, project, parent, count)
        else:
            maker = _Maker(store=store, project=project, rng=rng, now=now)
            merges[project.id] = maker.fill(branches=count, main_line=max(1, int(main_line * rng.uniform(0.5, 1.5))))
        repository = store.repositories[project.id]
        add_tags(store, repository, rng, count=sizes.tags // len(able) + (number < sizes.tags % len(able)))
    return merges


def _forks(projects: list[Project], rng: random.Random) -> dict[int, Project]:
    """Choose which projects are forks, and of which."""
    if len(projects) < FORKS_FROM:
        return {}
    parents = projects[: len(projects) // 2]
    forks = projects[len(projects) // 2 :][: max(1, len(projects) // 25)]
    return {fork.id: rng.choice(parents) for fork in forks}


def _fork(store: Store, project: Project, parent: Project, branches: int) -> None:
    """Make *project* a fork: the same commits under the same shas, and as many branches as it should have."""
    project.forked_from = parent.id
    fork = store.repositories[parent.id].copy()
    fork.tags.clear()
    others = [name for name in fork.branches if name != fork.default_branch]
    for name in others[branches:]:
        del fork.branches[name]
    for number in range(branches - len(others)):
        fork.branches[f"fork-{number}"] = fork.branches[fork.default_branch]
    fork.collect_garbage()
    store.repositories[project.id] = fork


def add_tags(store: Store, repository: Repository, rng: random.Random, *, count: int) -> None:
    """Add *count* version tags, annotated ones and lightweight ones."""
    line = [commit for commit in repository.commits.values() if len(commit.parents) < 2]
    for number in range(count):
        commit = rng.choice(line)
        is_annotated = rng.random() < 0.5
        repository.tags[f"v{number // 10}.{number % 10}"] = Tag(
            name=f"v{number // 10}.{number % 10}",
            sha=commit.sha,
            target=new_sha(store, "tag") if is_annotated else commit.sha,
            message=text.title(rng) if is_annotated else "",
            created_at=commit.committed_date + timedelta(hours=1) if is_annotated else None,
            release=rng.choice((None, *text.RELEASE_NOTES)),
        )


@attrs.define(kw_only=True, eq=False)
class _Maker:
    """Makes one repository."""

    store: Store
    project: Project
    rng: random.Random
    now: datetime
    users: list[User] = attrs.field(init=False)
    repository: Repository = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.users = list(self.store.users.values())
        self.repository = Repository(self.rng.choice(("main", "main", "master")))

    def fill(self, *, branches: int, main_line: int) -> list[Merge]:
        """Make a main line of *main_line* commits and *branches* more branches; return the merges on the main line."""
        repository, rng = self.repository, self.rng
        step = (self.now - timedelta(days=2) - self.project.created_at) / (main_line + 1)
        head = self._commit((), self.project.created_at + step / 2, "Initial commit\n")
        trunk, made = [head], 1
        merges: list[Merge] = []
        while made < main_line:
            at = self.project.created_at + step * (made + rng.random())
            if rng.random() < 0.2 and main_line - made > 4:
                merge = self._merge(trunk, at)
                merges.append(merge)
                made += len(merge.commits) + 1
                trunk.append(merge.merge)
            else:
                trunk.append(self._commit((trunk[-1].sha,), at, text.message(rng)))
                made += 1
        repository.branches[repository.default_branch] = trunk[-1].sha
        repository.protected.add(repository.default_branch)
        for number in range(branches):
            self._branch(trunk, number)
        self.store.repositories[self.project.id] = repository
        return merges

    def _commit(self, parents: Sequence[str], at: datetime, message: str) -> Commit:
        """Add a commit; one in twelve was made days before it was committed, or has somebody else as committer."""
        author = self.rng.choice(self.users)
        dice = self.rng.random()
        made = at - timedelta(days=self.rng.randint(1, 30)) if dice < 0.08 else at
        committer = self.rng.choice(self.users) if dice > 0.92 else author
        commit = make_commit(
            self.store,
            author,
            parents=parents,
            message=message,
            authored=made,
            committed=(committer, made if dice < 0.03 else at),
        )
        return self.repository.add(commit)

    def _merge(self, trunk: list[Commit], at: datetime) -> Merge:
        """Add a side line of one to three commits and its merge."""
        side: list[Commit] = []
        start = self.rng.choice(trunk[-5:]).sha
        for number in range(self.rng.randint(1, 3)):
            parent = side[-1].sha if side else start
            side.append(self._commit((parent,), at - timedelta(hours=9 - number), text.message(self.rng)))
        merge = self._commit((trunk[-1].sha, side[-1].sha), at, f"Merge branch 'x{len(trunk)}' into 'main'\n")
        return Merge(commits=tuple(reversed(side)), merge=merge)

    def _branch(self, trunk: list[Commit], number: int) -> None:
        """Add a branch: one in eight is merged already, the others have one to three commits of their own."""
        name = text.branch_name(self.rng, number + 1)
        start = self.rng.choice(trunk[-20:])
        head = start.sha
        if self.rng.random() > 0.125:
            for day in range(self.rng.randint(1, 3)):
                at = min(start.committed_date + timedelta(days=1 + day), self.now - timedelta(hours=1))
                head = self._commit((head,), at, text.message(self.rng)).sha
        self.repository.branches[name] = head


def fill_merge_requests(
    store: Store,
    projects: list[Project],
    rng: random.Random,
    *,
    count: int,
    merges: dict[int, list[Merge]],
    now: datetime,
) -> None:
    """Add *count* merge requests; an open one has a branch of its own, so fewer may be open than should be."""
    able = [
        project
        for project in projects
        if project.merge_requests_on and project.repository_on and project.id in store.repositories
    ]
    born = [project for n, project in enumerate(able * (count // max(1, len(able)) + 1)) if n < count]
    free = {project.id: _free_branches(store, project) for project in able}
    drafts = sorted((_birth(rng, project, now), n, project) for n, project in enumerate(born)) if born else []
    for created, _, project in drafts:
        maker = _MergeRequestMaker(store=store, rng=rng, now=now, project=project)
        dice = rng.random()
        if dice > MERGED_SHARE + CLOSED_SHARE and free[project.id]:
            maker.opened(created, free[project.id].pop(0))
        elif dice < MERGED_SHARE:
            maker.merged(created, merges[project.id].pop(0) if merges.get(project.id) else None)
        else:
            maker.closed(created)


def _birth(rng: random.Random, project: Project, now: datetime) -> datetime:
    span = (now - project.created_at) // timedelta(microseconds=1)
    return project.created_at + timedelta(microseconds=rng.randrange(span))


def _free_branches(store: Store, project: Project) -> list[str]:
    """Return the branches that have commits of their own: an open merge request can be told of them."""
    repository = store.repositories[project.id]
    main = repository.reachable([repository.head] if repository.head else [])
    return [name for name, sha in repository.branches.items() if sha not in main]


@attrs.frozen(kw_only=True)
class _MergeRequestMaker:
    """Makes one merge request of a project."""

    store: Store
    rng: random.Random
    now: datetime
    project: Project

    def opened(self, created: datetime, branch: str) -> None:
        """Add an open one from a branch that is there."""
        repository = self.store.repositories[self.project.id]
        target = repository.branches[repository.default_branch]
        commits = repository.log([repository.branches[branch]], without=[target])
        self._add(created, branch, tuple(commits))

    def merged(self, created: datetime, merge: Merge | None) -> None:
        """Add a merged one: of a merge that the main line has, or squashed, with commits that are nowhere else."""
        commits = merge.commits if merge else self._own_commits(created)
        row = self._add(created, f"merged-{self.rng.randrange(10**6)}", commits)
        row.state, row.merged_by_id = "merged", self._user_id()
        row.merged_at = row.updated_at - timedelta(milliseconds=self.rng.randrange(900))
        if row.merged_at < created:
            row.merged_at = row.updated_at = created
        repository = self.store.repositories[self.project.id]
        row.merge_commit_sha = merge.merge.sha if merge else None
        if merge is None:
            row.is_squash, row.squash_commit_sha = True, repository.head

    def closed(self, created: datetime) -> None:
        """Add one that was closed without a merge."""
        row = self._add(created, f"closed-{self.rng.randrange(10**6)}", self._own_commits(created))
        row.state, row.closed_by_id, row.closed_at = "closed", self._user_id(), row.updated_at

    def _user_id(self) -> int:
        return self.rng.choice(list(self.store.users))

    def _own_commits(self, created: datetime) -> tuple[Commit, ...]:
        head = self.store.repositories[self.project.id].head
        commits: list[Commit] = []
        for hour in range(self.rng.randint(1, 4)):
            parent = commits[-1].sha if commits else head or ""
            author = self.rng.choice(list(self.store.users.values()))
            at = created - timedelta(hours=5 - hour)
            commits.append(
                make_commit(self.store, author, parents=(parent,), message=text.message(self.rng), authored=at)
            )
        return tuple(reversed(commits))

    def _add(self, created: datetime, branch: str, commits: tuple[Commit, ...]) -> MergeRequest:
        rng = self.rng
        described, tasks = text.description(rng)
        is_draft = rng.random() < 0.15
        user_ids = list(self.store.users)
        updated = created + (self.now - created) * rng.random() * rng.random()
        return self.store.add_merge_request(
            MergeRequest(
                id=self.store.next_id("merge_request", start=15_869_219, step=rng.randint(1, 7)),
                iid=self.store.next_iid("merge_request", self.project.id),
                project_id=self.project.id,
                source_project_id=self.project.id,
                title=("Draft: " if is_draft else "") + text.title(rng),
                description=described,
                author_id=rng.choice(user_ids),
                created_at=created,
                updated_at=updated,
                target_branch=self.store.repositories[self.project.id].default_branch,
                source_branch=branch,
                commits=commits,
                sha=commits[0].sha if commits else None,
                labels=text.labels(rng),
                milestone_id=rng.choice(list(self.store.milestones)) if rng.random() < 0.2 else None,
                assignee_ids=rng.sample(user_ids, rng.choice((0, 1, 1))),
                reviewer_ids=rng.sample(user_ids, rng.choice((0, 1, 2))),
                is_draft=is_draft,
                has_conflicts=rng.random() < 0.1,
                notes_count=rng.choice((0, 1, 4, 9)),
                upvotes=rng.choice((0, 0, 2)),
                discussion_locked=rng.choice((None, None, None, True)),
                tasks=tasks,
            )
        )
