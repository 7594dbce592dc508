"""
Generated Jira data: any number of projects and issues, the same ones for the same seed and clock.

Here: how they are spread over time and projects, and the few that are large on purpose. The words are in `jira.words`,
what issues refer to in `jira.catalogue`, edits of what is there in `jira.edits`.
"""

from __future__ import annotations

import random
import uuid
from typing import Any

import attrs

from syncer.sandbox.jira import catalogue, words
from syncer.sandbox.jira.model import (
    DAY_MS,
    MINUTE_MS,
    Comment,
    History,
    Issue,
    Item,
    Link,
    Project,
    Worklog,
    to_date,
)
from syncer.sandbox.jira.records import DONE, JiraRecords

TEAM_MANAGED_EVERY = 3  # every third project is team-managed
GONE_STATUS = (10999, "Verwijderde status")  # changelogs still name it, no list of statuses does
LARGE_FROM = 20  # a site of so many issues has one that is large in every respect
LARGE = (130, 25, 60)  # its comments, worklogs, changelog entries: each more than is embedded


@attrs.frozen(kw_only=True)
class Shape:
    """How much hangs on a generated issue, on average, and how wide it is."""

    comments: float = 2.0
    worklogs: float = 1.0
    histories: float = 4.0
    extra_fields: int = 20  # custom fields that are null on every issue
    days: int = 730  # how far back the oldest issue goes


def generate(records: JiraRecords, *, projects: int, issues: int, shape: Shape) -> None:
    """Fill empty *records*. Everything happened at least five minutes before now, so search knows it all."""
    rng = random.Random(records.seed)
    catalogue.fill(records.catalogue, rng, extra_fields=shape.extra_fields)
    for n in range(projects):
        _add_project(records, rng, n)
    _Writer(records, rng, shape).write(issues)
    records.revision += 1


def _add_project(records: JiraRecords, rng: random.Random, n: int) -> None:
    is_team_managed = n % TEAM_MANAGED_EVERY == TEAM_MANAGED_EVERY - 1
    number = records.next_id("project")
    statuses: tuple[int, ...] = catalogue.CLASSIC_STATUSES
    if is_team_managed:
        own = catalogue.team_statuses(number, 11000 + n * 10)
        records.catalogue.statuses.update({status.id: status for status in own})
        fields = catalogue.team_fields(number, 11000 + n * 2)
        records.catalogue.fields.update({field.id: field for field in fields})
        statuses = tuple(status.id for status in own)
    name = words.PROJECTS[n % len(words.PROJECTS)]
    records.add_project(
        Project(
            id=number,
            key=_project_key(n),
            name=name if n < len(words.PROJECTS) else f"{name} {n}",
            lead=rng.choice(list(records.catalogue.users)),
            type_key=("software", "software", "business", "service_desk")[n % 4],
            is_team_managed=is_team_managed,
            is_private=n % 4 == 3,
            uuid=str(uuid.UUID(int=rng.getrandbits(128), version=4)),
            avatar=10400 + n % 20,
            description="" if n % 2 else rng.choice(words.WORDS),
            statuses=statuses,
        )
    )


def _project_key(n: int) -> str:
    """Return AA, AB, ..., some with a digit: keys of which none begins another would be too easy."""
    first, second = divmod(n, 26)
    return f"{chr(65 + first % 26)}{chr(65 + second)}{'' if n % 5 else 'X2'}"


class _Writer:
    """Writes issues in the order of their creation."""

    def __init__(self, records: JiraRecords, rng: random.Random, shape: Shape) -> None:
        self.records = records
        self.rng = rng
        self.shape = shape
        self.users = list(records.catalogue.users)
        self.until = records.now_ms() - 5 * MINUTE_MS
        self.projects = list(records.projects.values())
        self.custom_values = _CustomValues(records, rng)
        self.epics: dict[int, list[int]] = {}
        self.standards: dict[int, list[int]] = {}

    def write(self, count: int) -> None:
        """Write *count* issues."""
        rng = self.rng
        span = self.shape.days * DAY_MS
        created = self.until - span
        step = span / (count + 1)
        # Issues are not spread evenly: the first projects have most, the last of many may have none.
        pool = [project for n, project in enumerate(self.projects) for _ in range(len(self.projects) - n)]
        for n in range(count):
            if rng.random() > 0.05:  # a twentieth came in bulk: created in the same millisecond as the one before
                created = min(created + int(rng.random() * 2 * step), self.until - 1)
            extent = LARGE if count >= LARGE_FROM and n == count // 2 else None
            self._write_one(rng.choice(pool), created, extent)

    def _write_one(self, project: Project, created: int, extent: tuple[int, int, int] | None) -> None:
        rng, records = self.rng, self.records
        number = records.next_id("issue")
        project.last_number += 1 if rng.random() < 0.97 else 3
        issue = Issue(
            id=number,
            key=f"{project.key}-{project.last_number}",
            project=project.id,
            type=rng.choice((catalogue.STORY, catalogue.BUG, catalogue.TASK, catalogue.TASK)),
            status=project.statuses[0],
            created=created,
            updated=created,
            creator=rng.choice(self.users),
            reporter=rng.choice(self.users) if rng.random() < 0.98 else None,
            assignee=rng.choice(self.users) if rng.random() < 0.7 else None,
            priority=rng.choice((1, 2, 3, 3, 3, 4, 5)),
            tie=records.tie(number),
            status_since=created,
        )
        self._relate(issue)
        self.custom_values.put(issue)
        self._live(issue, extent)
        records.issues[number] = issue
        records.ids_by_key[issue.key] = number
        if rng.random() < 0.01 and len(self.projects) > 1 and issue.type != catalogue.SUBTASK:
            old = f"{rng.choice(self.projects).key}-{90_000 + number}"
            issue.old_keys = (old,)
            records.ids_by_key[old] = number

    def _relate(self, issue: Issue) -> None:
        """Make it an epic, or give it a parent or a link, among those of its project."""
        rng, dice = self.rng, self.rng.random()
        epics = self.epics.setdefault(issue.project, [])
        standards = self.standards.setdefault(issue.project, [])
        if dice < 0.05 or not epics:
            issue.type = catalogue.EPIC
            epics.append(issue.id)
            return
        if dice < 0.2 and standards:
            issue.type, issue.parent = catalogue.SUBTASK, rng.choice(standards[-20:])
            self.records.issues[issue.parent].subtasks.append(issue.id)
            return
        standards.append(issue.id)
        if dice < 0.5:
            issue.parent = epics[-1]
        elif dice < 0.56:
            other, number = self.records.issues[rng.choice(standards[:-1] or epics)], 20_000 + issue.id
            kind = rng.choice((10000, 10003))
            issue.links.append(Link(id=number, type=kind, is_outward=True, other=other.id))
            other.links.append(Link(id=number, type=kind, is_outward=False, other=issue.id))

    def _live(self, issue: Issue, extent: tuple[int, int, int] | None) -> None:
        """Let things happen to it: comments, worklogs and changes, in the order of time."""
        rng, shape = self.rng, self.shape
        counts = extent or (self._count(shape.comments), self._count(shape.worklogs), self._count(shape.histories))
        events = [0] * counts[0] + [1] * counts[1] + [2] * counts[2]
        if not events:
            if rng.random() < 0.1:  # created straight into a status that is not the first: no changelog tells
                issue.status = self.records.projects[issue.project].statuses[1]
            return
        rng.shuffle(events)
        step = min(self.until - issue.created, 60 * DAY_MS) / len(events)
        at = float(issue.created)
        for event in events:
            at += rng.random() * step
            (self._comment, self._worklog, self._change)[event](issue, int(at))
        issue.updated = int(at)

    def _count(self, mean: float) -> int:
        return int(self.rng.expovariate(1 / (mean + 0.5))) if mean else 0

    def _comment(self, issue: Issue, at: int) -> None:
        rng = self.rng
        author = rng.choice(self.users)
        issue.comments.append(
            Comment(
                id=self.records.next_id("comment"),
                author=author,
                editor=author,
                created=at,
                updated=at,
                body=words.document(rng, 1 + (rng.random() < 0.3)),
                role="Administrators" if rng.random() < 0.05 else None,
            )
        )

    def _worklog(self, issue: Issue, at: int) -> None:
        rng = self.rng
        author, seconds = rng.choice(self.users), 900 * int(1 + rng.random() * 40)
        number = self.records.next_id("worklog")
        self.records.worklog_issues[number] = issue.id
        issue.worklogs.append(
            Worklog(
                id=number,
                author=author,
                editor=author,
                created=at,
                updated=at,
                started=at - seconds * 1000,
                seconds=seconds,
                comment=words.document(rng, 1) if rng.random() < 0.5 else None,
            )
        )

    def _change(self, issue: Issue, at: int) -> None:
        rng, dice = self.rng, self.rng.random()
        items: list[Item]
        if dice < 0.5:
            items = self._transition(issue, at)
        elif dice < 0.7:
            old = issue.values["summary"]
            issue.values["summary"] = words.summary(rng)
            items = [("summary", "summary", None, old, None, issue.values["summary"])]
        elif dice < 0.85:
            items = [("Rank", None, "", "", "", "Ranked higher")]
        else:
            workflow: Item = ("Workflow", None, "13880", "Old workflow", "18234", "Workflow {2}")
            items = [workflow, *self._transition(issue, at)]
        author = rng.choice(self.users) if rng.random() < 0.92 else None
        entry = History(id=self.records.next_id("history"), author=author, created=at, items=tuple(items))
        issue.histories.append(entry)

    def _transition(self, issue: Issue, at: int) -> list[Item]:
        """Move it one status on, or back to the first; now and then by way of one that is gone."""
        rng, statuses = self.rng, self.records.catalogue.statuses
        flow = self.records.projects[issue.project].statuses
        place = flow.index(issue.status)
        target = flow[place + 1] if place + 1 < len(flow) else flow[rng.randrange(2)]
        old, new = statuses[issue.status], statuses[target]
        items: list[Item] = [("status", "status", str(old.id), old.name, str(new.id), new.name)]
        if rng.random() < 0.02:
            gone = str(GONE_STATUS[0])
            items = [("status", "status", str(old.id), old.name, gone, GONE_STATUS[1])]
            items.append(("status", "status", gone, GONE_STATUS[1], str(new.id), new.name))
        if (new.category == DONE) != (old.category == DONE):
            issue.resolution, issue.resolved = (10000, at) if new.category == DONE else (None, None)
            if new.category == DONE:
                items.insert(0, ("resolution", "resolution", None, None, "10000", "Gereed"))
            else:
                items.insert(0, ("resolution", "resolution", "10000", "Gereed", None, None))
        issue.status = target
        if old.category != new.category:
            issue.status_since = at
        return items


class _CustomValues:
    """Fills the fields of an issue that are stored as they come: system ones and custom ones."""

    def __init__(self, records: JiraRecords, rng: random.Random) -> None:
        self.records = records
        self.rng = rng
        self.users = list(records.catalogue.users)
        self.sprints = [_sprint(n, records.now_ms()) for n in range(12)]
        self.team: dict[int, list[str]] = {}
        for field in records.catalogue.fields.values():
            if field.project is not None:
                self.team.setdefault(field.project, []).append(field.id)

    def put(self, issue: Issue) -> None:
        """Fill the fields of *issue*: many stay null."""
        rng = self.rng
        values: dict[str, Any] = {"summary": words.summary(rng), "customfield_10019": f"0|i{issue.id:05x}:"}
        chance = rng.random
        if chance() < 0.8:
            values["description"] = words.document(rng, int(1 + chance() * 4))
        if chance() < 0.1:
            values["environment"] = words.document(rng, 1)
        if chance() < 0.4:
            values["labels"] = rng.sample(words.LABELS, int(1 + chance() * 3))
        if chance() < 0.3:
            values["duedate"] = to_date(issue.created + int(chance() * 90) * DAY_MS).isoformat()
        if chance() < 0.3:
            values["timeoriginalestimate"] = 3600 * int(1 + chance() * 40)
            values["timeestimate"] = 3600 * int(chance() * 40)
        if chance() < 0.2:
            values["components"] = (rng.choice(catalogue.COMPONENTS).id,)
        if chance() < 0.2:
            values["fixVersions"] = (rng.choice(catalogue.VERSIONS).id,)
        if chance() < 0.05:
            values["attachment"] = (f"scherm {{{issue.id}}}.png", int(chance() * 1e6))
        values["votes"], values["watches"] = int(chance() * 1.2), int(chance() * 4)
        issue.values = values
        self._put_custom(issue.created, values)
        values.update(zip(self.team.get(issue.project, ()), (int(chance() * 8), "eigen notitie"), strict=False))

    def _put_custom(self, created: int, values: dict[str, Any]) -> None:
        rng, chance = self.rng, self.rng.random
        if chance() < 0.5:
            values["customfield_10016"] = rng.choice((1, 2, 3, 5, 8, 0.5))
        if chance() < 0.4:
            values["customfield_10020"] = self.sprints[int(chance() * 10) :][:2]
        if chance() < 0.3:
            values["customfield_10030"] = rng.choice(words.CUSTOMERS)
            values["customfield_10037"] = int(chance() * 1e5)
        if chance() < 0.2:
            values["customfield_10031"] = words.document(rng, 1)
            values["customfield_10015"] = to_date(created).isoformat()
        if chance() < 0.3:
            values["customfield_10032"] = rng.choice(("Laag", "Midden", "Hoog", "致命"))
            values["customfield_10033"] = ("test", "productie")[: int(1 + chance() * 2)]
        if chance() < 0.2:
            values["customfield_10034"] = rng.choice(self.users)
            values["customfield_10035"] = rng.sample(self.users, 2)
        if chance() < 0.1:
            values["customfield_10036"] = created + int(chance() * 300) * DAY_MS
            values["customfield_10038"] = ["vip", "regio:noord"]
            values["customfield_10039"] = "https://wiki.sandbox.invalid/x?y={z}"


def _sprint(n: int, now: int) -> dict[str, Any]:
    start = now - (11 - n) * 14 * DAY_MS
    sprint = {
        "id": n + 1,
        "name": f"Sprint {n + 1}",
        "state": "closed" if n < 10 else "active" if n == 10 else "future",
        "boardId": 8,
        "goal": "" if n % 2 else "Sneller {factureren}",
        "startDate": f"{to_date(start)}T07:00:51.882Z",
        "endDate": f"{to_date(start + 14 * DAY_MS)}T15:00:00.000Z",
    }
    if n < 10:
        sprint["completeDate"] = f"{to_date(start + 14 * DAY_MS)}T15:09:58.980Z"
    return sprint
