"""
Commits, branches, tags and push events as GitLab's REST API shows them.

None of them names its project or (a commit) its branch: the caller knows which it asked. Not here: the graph
(`gitlab.git`), the other records (`gitlab.shapes`).

Source: GitLab REST API docs (commits, branches, tags, events), lib/api/entities.
"""

from __future__ import annotations

import re
from collections.abc import Container
from datetime import UTC, datetime
from urllib.parse import quote

from syncer.sandbox.gitlab.git import Commit, Repository, Tag
from syncer.sandbox.gitlab.rows import Event, Project
from syncer.sandbox.gitlab.shapes import Record, Shapes, shown

TRAILER = re.compile(r"^([A-Z][\w-]+-by|Refs|Changelog): (.+)$")


def git_time(at: datetime) -> str:
    """Return a git date: whole seconds, shown with milliseconds and the author's own offset."""
    return at.isoformat(timespec="milliseconds")


def utc_time(at: datetime) -> str:
    """Return a git date as a merge request's own copy has it: in UTC, since a database column holds it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds")[:23] + "Z"


def trailers_of(message: str) -> dict[str, str]:
    """Return the trailers that end a message; of a name that comes twice the last."""
    last_paragraph = message.rstrip("\n").rpartition("\n\n")[2]
    found = [TRAILER.match(line) for line in last_paragraph.split("\n")] if "\n\n" in message else []
    return {match[1]: match[2] for match in found if match}


def stats_of(commit: Commit) -> dict[str, int]:
    """Return the size of a commit: invented, but always the same for the same commit."""
    additions, deletions = int(commit.sha[:2], 16), int(commit.sha[2:4], 16) // 2
    return {"additions": additions, "deletions": deletions, "total": additions + deletions}


def commit_record(
    shapes: Shapes, project: Project, commit: Commit, *, with_stats: bool = False, with_trailers: bool = False
) -> Record:
    """Return a commit of a repository."""
    trailers = trailers_of(commit.message) if with_trailers else {}
    record: Record = {
        "id": commit.sha,
        "short_id": commit.sha[:8],
        "created_at": git_time(commit.committed_date),
        "parent_ids": list(commit.parents),
        "title": commit.title,
        "message": commit.message,
        "author_name": commit.author_name,
        "author_email": commit.author_email,
        "authored_date": git_time(commit.authored_date),
        "committer_name": commit.committer_name,
        "committer_email": commit.committer_email,
        "committed_date": git_time(commit.committed_date),
        "trailers": trailers,
        "extended_trailers": {name: [value] for name, value in trailers.items()},
        "web_url": f"{shapes.url}/{shapes.store.path_of(project)}/-/commit/{commit.sha}",
    }
    if with_stats:
        record["stats"] = stats_of(commit)
    return record


def merge_request_commit(shapes: Shapes, project: Project, commit: Commit) -> Record:
    """Return a commit of a merge request's list: no parents, times in UTC."""
    return commit_record(shapes, project, commit) | {
        "parent_ids": [],
        "created_at": utc_time(commit.committed_date),
        "authored_date": utc_time(commit.authored_date),
        "committed_date": utc_time(commit.committed_date),
    }


def branch_record(
    shapes: Shapes, project: Project, repository: Repository, *, name: str, merged: Container[str]
) -> Record:
    """Return a branch; *merged* are the commits that the default branch reaches."""
    sha = repository.branches[name]
    is_default = name == repository.default_branch
    is_protected = name in repository.protected
    return {
        "name": name,
        "commit": commit_record(shapes, project, repository.commits[sha]),
        "merged": not is_default and sha in merged,
        "protected": is_protected,
        "developers_can_push": False,
        "developers_can_merge": False,
        "can_push": not project.is_archived and not is_protected,
        "default": is_default,
        "web_url": f"{shapes.url}/{shapes.store.path_of(project)}/-/tree/{quote(name, safe='/')}",
    }


def tag_record(shapes: Shapes, project: Project, repository: Repository, tag: Tag) -> Record:
    """Return a tag; a lightweight one has no time of its own."""
    return {
        "name": tag.name,
        "message": tag.message,
        "target": tag.target,
        "commit": commit_record(shapes, project, repository.commits[tag.sha]),
        "release": {"tag_name": tag.name, "description": tag.release} if tag.release is not None else None,
        "protected": False,
        "created_at": shown(tag.created_at),
    }


def event_record(shapes: Shapes, event: Event) -> Record:
    """Return an event; one that is a push has `push_data`."""
    record: Record = {
        "id": event.id,
        "project_id": event.project_id,
        "action_name": event.action,
        "target_id": event.target_id,
        "target_iid": event.target_iid,
        "target_type": event.target_type,
        "author_id": event.author_id,
        "target_title": event.target_title,
        "created_at": shown(event.created_at),
        "author": shapes.user(event.author_id),
        "imported": False,
        "imported_from": "none",
        "author_username": shapes.store.users[event.author_id].username,
    }
    if event.ref is not None:
        action = {"pushed new": "created", "deleted": "removed"}.get(event.action, "pushed")
        record["push_data"] = {
            "commit_count": event.commit_count,
            "action": action,
            "ref_type": event.ref_type,
            "commit_from": event.commit_from,
            "commit_to": event.commit_to,
            "ref": event.ref,
            "commit_title": event.commit_title,
            "ref_count": None,
        }
    return record
