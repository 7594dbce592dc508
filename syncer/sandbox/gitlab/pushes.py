"""
Changes of a GitLab's repositories: pushes, force pushes, branches, merges, tags, garbage collection.

Open merge requests follow the branches that they come from. Not here: other changes (`gitlab.edits`).

Source: GitLab docs on merge requests and events; gitlab-org/gitlab app/models/event.rb (activity once an hour).
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

import attrs

from syncer.sandbox.gitlab import text
from syncer.sandbox.gitlab.generate_git import make_commit, new_sha
from syncer.sandbox.gitlab.git import Commit, Repository, Tag
from syncer.sandbox.gitlab.rows import Event, MergeRequest, Project, User
from syncer.sandbox.gitlab.store import Store, TellsTime


@attrs.frozen(kw_only=True)
class Pushes:
    """What people do to repositories; every method leaves the site consistent, and the time is the clock's."""

    store: Store
    clock: TellsTime
    rng: random.Random

    def push(
        self, project_id: int, branch: str, *, count: int = 1, made: datetime | None = None, message: str | None = None
    ) -> list[Commit]:
        """
        Push *count* new commits to *branch*; return them, oldest first.

        *made*: their author and committer date, for commits made on Monday and pushed on Friday; None: now.
        """
        repository = self._repository(project_id)
        old = repository.branches[branch]
        commits = self._new_commits(repository, old, count=count, made=made, message=message)
        self._move(project_id, branch, commits[-1].sha, old=old, count=count)
        return commits

    def force_push(self, project_id: int, branch: str, *, back: int = 1, count: int = 1) -> list[Commit]:
        """Take *back* commits off *branch*, push *count* others; the old ones stay until garbage is collected."""
        repository = self._repository(project_id)
        old = base = repository.branches[branch]
        for _ in range(back):
            parents = repository.commits[base].parents
            base = parents[0] if parents else base
        commits = self._new_commits(repository, base, count=count, made=None, message=None)
        self._move(project_id, branch, commits[-1].sha if commits else base, old=old, count=count)
        return commits

    def create_branch(self, project_id: int, name: str, *, ref: str | None = None, count: int = 0) -> str:
        """Create a branch where *ref* stands (None: the default branch), push *count* commits; return its head."""
        repository = self._repository(project_id)
        if name in repository.branches:
            raise ValueError(f"project {project_id} has a branch {name!r} already")
        start = repository.resolve(ref or repository.default_branch)
        commits = self._new_commits(repository, start, count=count, made=None, message=None)
        repository.branches[name] = head = commits[-1].sha if commits else start
        self._pushed(project_id, "pushed new", name, moved=(None, head), count=count)
        return head

    def delete_branch(self, project_id: int, name: str) -> None:
        """Delete a branch; its commits stay until garbage is collected."""
        old = self._repository(project_id).branches.pop(name)
        self._pushed(project_id, "deleted", name, moved=(old, None))

    def merge_branch(self, project_id: int, name: str, *, into: str | None = None) -> Commit:
        """Merge a branch into *into* (None: the default branch); commits keep the dates that they had."""
        repository = self._repository(project_id)
        target = into or repository.default_branch
        old = repository.branches[target]
        now = self.clock.now()
        commit = repository.add(
            make_commit(
                self.store,
                self._somebody(),
                parents=(old, repository.branches[name]),
                message=f"Merge branch '{name}' into '{target}'\n",
                authored=now,
            )
        )
        self._move(project_id, target, commit.sha, old=old, count=1)
        return commit

    def create_tag(
        self, project_id: int, name: str, *, ref: str | None = None, message: str = "", release: str | None = None
    ) -> Tag:
        """Create a tag where *ref* stands; with a *message* it is annotated."""
        repository = self._repository(project_id)
        sha = repository.resolve(ref or repository.default_branch)
        tag = Tag(
            name=name,
            sha=sha,
            target=new_sha(self.store, "tag") if message else sha,
            message=message,
            created_at=self.clock.now() if message else None,
            release=release,
        )
        repository.tags[name] = tag
        self._pushed(project_id, "pushed new", name, moved=(None, sha), ref_type="tag")
        return tag

    def delete_tag(self, project_id: int, name: str) -> None:
        """Delete a tag."""
        tag = self._repository(project_id).tags.pop(name)
        self._pushed(project_id, "deleted", name, moved=(tag.sha, None), ref_type="tag")

    def garbage_collect(self, project_id: int) -> int:
        """Drop every commit that no branch or tag reaches; return how many. A range from one of them is 404 then."""
        gone = self._repository(project_id).collect_garbage()
        self.store.changed()
        return gone

    def init_repository(self, project_id: int, branch: str = "main") -> Commit:
        """Push the first commit of a project that has no repository yet."""
        project = self.store.projects[project_id]
        repository = Repository(branch)
        commit = make_commit(
            self.store, self._somebody(), parents=(), message="Initial commit\n", authored=self.clock.now()
        )
        repository.add(commit)
        repository.branches[branch] = commit.sha
        repository.protected.add(branch)
        self.store.repositories[project_id] = repository
        project.has_repository = True
        self._pushed(project_id, "pushed new", branch, moved=(None, commit.sha), count=1)
        return commit

    def note(self, project_id: int, action: str, target: object = None, *, kind: str | None = None) -> None:
        """Note an event that is no push: it moves the project's activity too."""
        now = self.clock.now()
        event = Event(
            id=self.store.next_id("event", start=3_000_000_001),
            project_id=project_id,
            author_id=self._somebody().id,
            action=action,
            created_at=now,
            target_type=kind,
            target_id=getattr(target, "id", None),
            target_iid=getattr(target, "iid", None),
            target_title=getattr(target, "title", None),
        )
        self._record(event, now)

    def _record(self, event: Event, now: datetime) -> None:
        self.store.events_of[event.project_id].append(event)
        self._project(event.project_id).touch(now)
        self.store.changed()

    def _project(self, project_id: int) -> Project:
        return self.store.projects[project_id]

    def _repository(self, project_id: int) -> Repository:
        if project_id not in self.store.repositories:
            raise ValueError(f"project {project_id} has no repository: init_repository() makes one")
        return self.store.repositories[project_id]

    def _somebody(self) -> User:
        return self.rng.choice(list(self.store.users.values()))

    def _new_commits(
        self, repository: Repository, start: str, *, count: int, made: datetime | None, message: str | None
    ) -> list[Commit]:
        now = self.clock.now()
        head, commits = start, []
        for number in range(count):
            at = made + timedelta(minutes=number) if made else now - timedelta(minutes=count - 1 - number)
            commit = make_commit(
                self.store,
                self._somebody(),
                parents=(head,),
                message=message or text.message(self.rng),
                authored=at,
            )
            commits.append(repository.add(commit))
            head = commit.sha
        return commits

    def _move(self, project_id: int, branch: str, new: str, *, old: str, count: int) -> None:
        """Put a branch on *new*, with everything that follows it."""
        repository = self._repository(project_id)
        repository.branches[branch] = new
        self._pushed(project_id, "pushed to", branch, moved=(old, new), count=count)
        for row in self.store.merge_requests.values():
            if row.state == "opened" and row.source_project_id == project_id and row.source_branch == branch:
                self.refresh(row)

    def refresh(self, row: MergeRequest) -> None:
        """Let an open merge request see the head of its source branch."""
        source = self._repository(row.source_project_id)
        target = self._repository(row.project_id)
        without = [target.branches[row.target_branch]] if row.target_branch in target.branches else []
        known = [sha for sha in without if sha in source.commits]
        row.commits = tuple(source.log([source.branches[row.source_branch]], without=known))
        row.sha = source.branches[row.source_branch]
        row.updated_at = self.clock.now()
        self.store.changed()

    def _pushed(
        self,
        project_id: int,
        action: str,
        ref: str,
        *,
        moved: tuple[str | None, str | None],
        count: int = 0,
        ref_type: str = "branch",
    ) -> None:
        """Note a push that *moved* a ref from one sha to another; None: it was not there, or is no more."""
        old, new = moved
        now = self.clock.now()
        commit = self._repository(project_id).commits.get(new or "")
        event = Event(
            id=self.store.next_id("event", start=3_000_000_001),
            project_id=project_id,
            author_id=self._somebody().id,
            action=action,
            created_at=now,
            ref=ref,
            ref_type=ref_type,
            commit_from=old,
            commit_to=new,
            commit_count=count,
            commit_title=commit.title if commit else None,
        )
        self._record(event, now)
