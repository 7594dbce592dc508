"""
Making a GitLab of any size from a seed: users, groups, projects, and what they hold besides git.

Everything hangs on the seed and the clock's time, nothing on hashes or on the order of sets. Not here: the words
(`gitlab.text`), repositories and merge requests (`gitlab.generate_git`), later changes (`gitlab.edits`).
"""

from __future__ import annotations

import random
from datetime import datetime, timedelta

from syncer.sandbox.gitlab import text
from syncer.sandbox.gitlab.generate_git import Sizes, fill_merge_requests, fill_repositories
from syncer.sandbox.gitlab.rows import Group, Issue, Milestone, Pipeline, Project, User
from syncer.sandbox.gitlab.store import Store

HISTORY = timedelta(days=900)  # how far back the oldest project goes
BULK = 250  # so many issues, at most, were changed by one bulk edit: they share a time to the microsecond
PIPELINE_SOURCES = ("push", "push", "push", "merge_request_event", "schedule", "web", "api", "trigger")
FINISHED = ("success", "success", "success", "failed", "canceled", "skipped")
RUNNING = ("running", "pending", "created", "manual")


def generate(seed: int, sizes: Sizes, now: datetime) -> Store:
    """Return a store filled from *seed*, as it stands at *now*; its first user owns the token."""
    rng = random.Random(seed)
    store = Store()
    _add_users(store, now)
    _add_groups(store, rng, now)
    own = [_add_project(store, rng, number=n, now=now) for n in range(sizes.projects)]
    _give_oddities(store, own, rng)
    others = [
        _add_project(store, rng, number=sizes.projects + n, now=now) for n in range(sizes.hidden + sizes.strangers)
    ]
    for number, project in enumerate(others):
        project.members = {_user_ids(store)[1 + number % 3]}
        project.visibility = "private" if number < sizes.hidden else "public"
        project.has_repository = project.issues_on = project.jobs_on = True
    projects = own + others
    merges = fill_repositories(store, projects, rng, sizes=sizes, now=now)
    fill_merge_requests(store, projects, rng, count=sizes.merge_requests, merges=merges, now=now)
    _add_issues(store, projects, rng, count=sizes.issues, now=now)
    _add_pipelines(store, projects, rng, count=sizes.pipelines, now=now)
    _settle_activity(store)
    store.changed()
    return store


def moment(rng: random.Random, start: datetime, end: datetime) -> datetime:
    """Return a time between *start* and *end*, to the microsecond."""
    return start + timedelta(microseconds=rng.randrange(max(1, (end - start) // timedelta(microseconds=1))))


def _user_ids(store: Store) -> list[int]:
    return list(store.users)


def _add_users(store: Store, now: datetime) -> None:
    for number, (name, username, _) in enumerate(text.PEOPLE):
        user = User(
            id=store.next_id("user", start=1_942_272, step=37),
            username=username,
            name=name,
            email=f"{username}@example.com",
            utc_offset=text.offset_of(number),
            created_at=now - HISTORY - timedelta(days=number),
        )
        store.users[user.id] = user


def _add_groups(store: Store, rng: random.Random, now: datetime) -> None:
    by_path: dict[str, Group] = {}
    created = now - HISTORY - timedelta(days=1)
    for name, path, parent_path in text.GROUPS:
        parent = by_path[parent_path] if parent_path else None
        group = Group(
            id=store.next_id("group", start=4_347_861, step=13),
            name=name,
            path=path,
            full_path=f"{parent.full_path}/{path}" if parent else path,
            full_name=f"{parent.full_name} / {name}" if parent else name,
            parent_id=parent.id if parent else None,
            created_at=created,
        )
        store.groups[group.id] = by_path[group.full_path] = group
        for number in range(2):
            _add_milestone(store, rng, group_id=group.id, is_closed=number == 0, created=created)
    owner = store.users[_user_ids(store)[0]]
    own = Group(
        id=store.next_id("group"),
        name=owner.name,
        path=owner.username,
        full_path=owner.username,
        full_name=owner.name,
        kind="user",
        created_at=created,
    )
    store.groups[own.id] = own


def _add_milestone(store: Store, rng: random.Random, *, group_id: int, is_closed: bool, created: datetime) -> None:
    start = (created + timedelta(days=rng.randrange(600))).date()
    milestone = Milestone(
        id=store.next_id("milestone", start=887_728, step=5),
        iid=store.next_iid("group milestone", group_id),
        title=f"{start.year % 100}.{start.month}",
        description=rng.choice(("", "Nächste Auslieferung", "🚀 ship it")),
        state="closed" if is_closed else "active",
        group_id=group_id,
        project_id=None,
        created_at=created,
        updated_at=created + timedelta(days=20, microseconds=rng.randrange(10**9)),
        start_date=start,
        due_date=start + timedelta(days=14) if rng.random() < 0.8 else None,
    )
    store.milestones[milestone.id] = milestone


def _add_project(store: Store, rng: random.Random, *, number: int, now: datetime) -> Project:
    groups = list(store.groups.values())
    subject = text.SUBJECTS[number % len(text.SUBJECTS)]
    round_trip = number // len(text.SUBJECTS)
    created = moment(rng, now - HISTORY, now - timedelta(days=60))
    user_ids = _user_ids(store)
    return store.add_project(
        Project(
            id=store.next_id("project", start=278_964, step=rng.randint(1, 9)),
            name=subject.replace("-", " ").title() + (f" {round_trip}" if round_trip else ""),
            path=subject + (f"-{round_trip}" if round_trip else ""),
            namespace_id=groups[number % len(groups)].id,
            creator_id=rng.choice(user_ids),
            description=rng.choice((None, "", text.title(rng), text.title(rng))),
            visibility=rng.choice(("private", "private", "private", "internal", "public")),
            members={user_ids[0], *rng.sample(user_ids, 4)},
            topics=sorted(rng.sample(("python", "go", "données", "legacy"), rng.randrange(3))),
            star_count=rng.choice((0, 0, 0, 1, 3, 17)),
            created_at=created,
            updated_at=created,
            last_activity_at=created,
        )
    )


def _give_oddities(store: Store, projects: list[Project], rng: random.Random) -> None:
    """Switch things off here and there: of 20 projects one or two of each, of fewer than 8 none."""
    if len(projects) < 8:
        return
    order = rng.sample(projects, len(projects))
    share = max(1, len(projects) // 25)

    def some(times: int = 1) -> list[Project]:
        taken = order[: share * times]
        del order[: share * times]
        return taken

    for project in some(2 if len(projects) >= 40 else 1):
        project.is_archived = True
    for project in some():
        project.has_repository = False
    if len(projects) >= 12:
        for project in some():
            project.jobs_on = False
        for project in some():
            project.issues_on = False
        for project in some():
            project.merge_requests_on = False
        for project in some():
            project.repository_on = False


def spread(rng: random.Random, projects: list[Project], count: int) -> list[Project]:
    """Return *count* projects, some far more often than others, each at least once if there are enough."""
    if not projects:
        return []
    weights = [1.0 + 4.0 * (n % 7 == 0) for n in range(len(projects))]
    certain = projects[:count]
    return certain + rng.choices(projects, weights, k=count - len(certain))


def _add_issues(store: Store, projects: list[Project], rng: random.Random, *, count: int, now: datetime) -> None:
    able = [project for project in projects if project.issues_on]
    born = sorted(
        ((moment(rng, project.created_at, now), project) for project in spread(rng, able, count)),
        key=lambda pair: pair[0],
    )
    user_ids, milestones = _user_ids(store), list(store.milestones)
    bulk_at = moment(rng, now - timedelta(days=20), now - timedelta(days=10))
    in_bulk = set(rng.sample(range(len(born)), min(BULK, len(born) // 8)))
    for number, (created, project) in enumerate(born):
        issue = _issue(store, rng, project, created=created, user_ids=user_ids, milestones=milestones)
        issue.updated_at = moment(rng, created, now) if rng.random() < 0.9 else created
        if number in in_bulk and created < bulk_at:
            issue.updated_at = bulk_at
        if rng.random() < 0.55:
            issue.state, issue.closed_by_id = "closed", rng.choice(user_ids)
            issue.closed_at = moment(rng, created, issue.updated_at)
        if rng.random() < 0.02:  # imported: an old time under a new id
            issue.is_imported, issue.created_at = True, created - timedelta(days=rng.randint(100, 2000))


def _issue(
    store: Store,
    rng: random.Random,
    project: Project,
    *,
    created: datetime,
    user_ids: list[int],
    milestones: list[int],
) -> Issue:
    """Add one issue, open and unchanged since *created*."""
    described, tasks = text.description(rng)
    is_incident = rng.random() < 0.04
    is_tracked = rng.random() < 0.2
    return store.add_issue(
        Issue(
            id=store.next_id("issue", start=22_097_949, step=rng.randint(1, 5)),
            iid=store.next_iid("issue", project.id),
            project_id=project.id,
            title=text.title(rng),
            description=described,
            author_id=rng.choice(user_ids),
            created_at=created,
            updated_at=created,
            labels=text.labels(rng),
            milestone_id=rng.choice(milestones) if rng.random() < 0.3 else None,
            assignee_ids=rng.sample(user_ids, rng.choice((0, 0, 1, 1, 1, 2))),
            type="INCIDENT" if is_incident else "ISSUE",
            severity=rng.choice(("CRITICAL", "LOW")) if is_incident else "UNKNOWN",
            notes_count=rng.choice((0, 0, 1, 2, 5, 9)),
            upvotes=rng.choice((0, 0, 0, 1, 4)),
            due_date=(created + timedelta(days=30)).date() if rng.random() < 0.15 else None,
            is_confidential=rng.random() < 0.05,
            discussion_locked=rng.choice((None, None, None, False, True)),
            time_estimate=rng.choice((1800, 7200, 100_800)) if is_tracked else 0,
            time_spent=rng.choice((0, 900, 5400)) if is_tracked else 0,
            tasks=tasks,
            weight=rng.choice((None, None, 1, 2, 8)),
            health_status=rng.choice((None, None, None, "on_track", "at_risk")),
            epic=(3312, 7, "Großes Ziel 🎯", project.namespace_id) if rng.random() < 0.05 else None,
        )
    )


def _add_pipelines(store: Store, projects: list[Project], rng: random.Random, *, count: int, now: datetime) -> None:
    able = [
        project
        for project in projects
        if project.jobs_on and project.repository_on and store.repositories.get(project.id) is not None
    ]
    born = sorted(
        ((moment(rng, project.created_at, now), project) for project in spread(rng, able, count)),
        key=lambda pair: pair[0],
    )
    user_ids = _user_ids(store)
    refs = {project.id: list(store.repositories[project.id].branches.items()) for project in able}
    for created, project in born:
        ref, sha = rng.choice(refs[project.id])
        dice = rng.random()
        source = "parent_pipeline" if dice < 0.12 else "external" if dice < 0.15 else rng.choice(PIPELINE_SOURCES)
        is_recent = now - created < timedelta(hours=3)
        started = created + timedelta(seconds=rng.randint(2, 90), microseconds=rng.randrange(10**6))
        finished = started + timedelta(seconds=rng.randint(20, 1500))
        is_over = not is_recent and finished < now
        is_silent = source == "external" and rng.random() < 0.6  # nobody reported on it again: updated_at stays null
        store.add_pipeline(
            Pipeline(
                id=store.next_id("pipeline", start=457_474_837, step=rng.randint(1, 120)),
                iid=store.next_iid("pipeline", project.id),
                project_id=project.id,
                sha=sha,
                ref=ref,
                status=rng.choice(FINISHED) if is_over and not is_silent else rng.choice(RUNNING),
                source=source,
                name=rng.choice((None, None, "nightly 🌙", "Deploy {env}")),
                user_id=rng.choice(user_ids),
                created_at=created,
                updated_at=None if is_silent else finished if is_over else created,
                started_at=started if is_over else None,
                finished_at=finished if is_over else None,
            )
        )


def _settle_activity(store: Store) -> None:
    """Put every project's times where its newest issue or merge request is: pipelines do not count."""
    for project in store.projects.values():
        times = [row.updated_at for row in store.issues_of[project.id].values()]
        times += [row.updated_at for row in store.merge_requests_of[project.id].values()]
        project.last_activity_at = project.updated_at = max([project.created_at, *times])
