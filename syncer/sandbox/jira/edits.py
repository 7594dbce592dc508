"""
Random realistic edits of a Jira site: what people do to issues while somebody reads them.

Each edit is one call of `jira.records`; only which one, and with what, is decided here.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from syncer.sandbox.jira import words
from syncer.sandbox.jira.model import Issue
from syncer.sandbox.jira.records import JiraRecords

MAX_TRIES = 200


class Editor:
    """Makes edits, drawn from a seed."""

    def __init__(self, records: JiraRecords, seed: int) -> None:
        """Prepare for edits of *records*."""
        self.records = records
        self.rng = random.Random(f"edit {seed}")
        self._ids = list(records.issues)
        self._kinds: tuple[tuple[int, Callable[[Issue], str | None]], ...] = (
            (15, self._create),
            (25, self._update),
            (20, self._transition),
            (10, self._comment),
            (4, self._edit_comment),
            (3, self._delete_comment),
            (8, self._worklog),
            (3, self._edit_worklog),
            (3, self._delete_worklog),
            (4, self._delete),
            (3, self._move),
            (1, self._hide),
        )

    def make(self, count: int) -> list[str]:
        """Make *count* edits; return what was done. One whose issue does not suit it is drawn again."""
        done: list[str] = []
        weights = [weight for weight, _ in self._kinds]
        for _ in range(count):
            for _ in range(MAX_TRIES):
                _, kind = self.rng.choices(self._kinds, weights)[0]
                issue = self._some_issue()
                said = kind(issue) if issue is not None else None
                if said is not None:
                    done.append(said)
                    break
            else:
                raise RuntimeError(f"no issue suits an edit, after {MAX_TRIES} tries: too few are visible")
        return done

    def _some_issue(self) -> Issue | None:
        """Return a visible issue, or None where the one that was drawn is not."""
        if not self._ids:
            return None
        issue = self.records.issues.get(self.rng.choice(self._ids))
        return issue if issue is not None and self.records.is_visible(issue) else None

    def _create(self, near: Issue) -> str:
        values = {"summary": words.summary(self.rng), "description": words.document(self.rng, 2)}
        issue = self.records.create_issue(near.project, values)
        self._ids.append(issue.id)
        return f"created {issue.key} ({issue.id})"

    def _update(self, issue: Issue) -> str:
        rng = self.rng
        name, value = rng.choice(
            (
                ("summary", words.summary(rng)),
                ("description", words.document(rng, 2) if rng.random() < 0.8 else None),
                ("labels", rng.sample(words.LABELS, rng.randrange(3))),
                ("priority", rng.randint(1, 5)),
                ("assignee", rng.choice(list(self.records.catalogue.users)) if rng.random() < 0.8 else None),
                ("customfield_10016", rng.choice((1, 2, 3.5, 8, None))),
                ("customfield_10030", rng.choice((*words.CUSTOMERS, None))),
                ("duedate", rng.choice(("2026-12-31", "2027-02-28", None))),
            )
        )
        self.records.update_issue(issue.id, {name: value})
        return f"updated {issue.key} ({issue.id}): {name}"

    def _transition(self, issue: Issue) -> str:
        flow = [status for status in self.records.projects[issue.project].statuses if status != issue.status]
        target = self.rng.choice(flow)
        self.records.transition(issue.id, target)
        return f"moved {issue.key} ({issue.id}) to status {target}"

    def _comment(self, issue: Issue) -> str:
        comment = self.records.add_comment(issue.id, words.document(self.rng, 1))
        return f"commented on {issue.key} ({issue.id}): {comment.id}"

    def _edit_comment(self, issue: Issue) -> str | None:
        if not issue.comments:
            return None
        comment = self.rng.choice(issue.comments)
        self.records.edit_comment(issue.id, comment.id, words.document(self.rng, 1))
        return f"changed comment {comment.id} of {issue.key} ({issue.id})"

    def _delete_comment(self, issue: Issue) -> str | None:
        if not issue.comments:
            return None
        comment = self.rng.choice(issue.comments)
        self.records.delete_comment(issue.id, comment.id)
        return f"deleted comment {comment.id} of {issue.key} ({issue.id})"

    def _worklog(self, issue: Issue) -> str:
        worklog = self.records.add_worklog(issue.id, 900 * self.rng.randint(1, 30))
        return f"logged work on {issue.key} ({issue.id}): {worklog.id}"

    def _edit_worklog(self, issue: Issue) -> str | None:
        if not issue.worklogs:
            return None
        worklog = self.rng.choice(issue.worklogs)
        self.records.edit_worklog(issue.id, worklog.id, 900 * self.rng.randint(1, 30))
        return f"changed worklog {worklog.id} of {issue.key} ({issue.id})"

    def _delete_worklog(self, issue: Issue) -> str | None:
        if not issue.worklogs:
            return None
        worklog = self.rng.choice(issue.worklogs)
        self.records.delete_worklog(issue.id, worklog.id)
        return f"deleted worklog {worklog.id} of {issue.key} ({issue.id})"

    def _delete(self, issue: Issue) -> str:
        self.records.delete_issue(issue.id)
        return f"deleted {issue.key} ({issue.id})"

    def _move(self, issue: Issue) -> str | None:
        live = [p for p in self.records.projects.values() if p.state == "live" and not p.is_hidden]
        others = [project for project in live if project.id != issue.project]
        if not others or issue.parent is not None:
            return None
        old = issue.key
        self.records.move_issue(issue.id, self.rng.choice(others).id)
        return f"moved {old} ({issue.id}) to {issue.key}"

    def _hide(self, issue: Issue) -> str:
        self.records.hide_issue(issue.id)
        return f"hid {issue.key} ({issue.id})"
