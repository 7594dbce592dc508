"""The load tables that exist: each column of each has what it had, read from the sandbox through our sources."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import mappings, sources
from syncer.budget import Budget
from syncer.mapping import EntityMapping, Field
from syncer.rows import Typing
from syncer.sandbox.friday_pulse import TOKEN as PULSE_TOKEN
from syncer.sandbox.gitlab.git import Tag
from syncer.sandbox.jira import EMAIL, TOKEN
from syncer.sources import Source
from syncer.transport import Doors
from syncer.values import DECIMAL, JSON
from syncer.wherescape import legacy
from syncer.wherescape.legacycolumns import LegacyColumn, LegacyStream
from syncer.wherescape.naming import slug
from tests.conftest import MovableClock
from tests.sources import anythingllm_home, gitlab_world, jira_home, pulse_home
from tests.wherescape import flattened
from tests.wherescape.flattened import Api, Rows, cast

# The sandbox has none of these anywhere.
NEVER = {
    "gitlab.projects": {"avatar_url"},
    "gitlab.issues": {
        "service_desk_reply_to", "epic_human_readable_end_date", "epic_human_readable_timestamp",
    },
    "anythingllm.embed_chats": {"user_id"},
    # The API gave an object, or nothing: of an object, what is in it has columns of its own.
    **dict.fromkeys(("friday_pulse.company_results", "friday_pulse.group_results"), {"topic"}),
    **dict.fromkeys(("friday_pulse.notes", "friday_pulse.group_notes"), {"author"}),
    "friday_pulse.risks": {"score", "response_rate", "response_count", "total_count"},
    "friday_pulse.group_risks": {"score", "response_rate", "response_count", "total_count"},
}  # fmt: skip
# The API gave none of these with a risk, and now they are there.
ADDED = {name: {"sample_date", "flow_date"} for name in ("friday_pulse.risks", "friday_pulse.group_risks")}
SECONDS = {"gitlab.pipelines": {"created_at", "updated_at"}}  # no fraction by now


def columns_of(stream: LegacyStream, rows: Rows) -> list[LegacyColumn]:
    """The columns that a table of the stream has, those that only its data told as well."""
    others = sorted({name for row in rows.values() for name in row}) if stream.others is not None else []
    told = [stream.other(name) for name in others if stream.column(name) is None]
    return [*stream.columns, *(column for column in told if column is not None)]


def filled(stream: LegacyStream, source: Source, columns: Iterable[LegacyColumn]) -> Rows:
    """What a pull would put into the columns, by the key of the mapping."""
    mapping = mappings.known()[stream.mapping]
    fields = {column.name: column.field() for column in columns}
    wanted = tuple(
        attrs.evolve(field, column=f"old_{name}", path=field.steps) for name, field in fields.items() if field
    )
    keys = tuple(mapping.field(column) for column in mapping.key)
    typing = Typing(EntityMapping(name=mapping.name, key=mapping.key, fields=(*keys, *wanted)))
    found: Rows = {}
    for page in source.read(stream.mapping.partition(".")[2], places={}, lookback=dt.timedelta(0), fields=wanted):
        typed = typing.rows(page.records, scope="")
        assert typed.rejects == []
        for row in typed.table.to_pylist():
            found[tuple(row[part] for part in mapping.key)] = {
                name: fields_value(row, name, field, stream) for name, field in fields.items()
            }
    return found


def fields_value(row: dict[str, Any], name: str, field: Field | None, stream: LegacyStream) -> Any:
    """What a column has, as a plain value: a time without a zone."""
    if field is None:
        column = stream.column(name)
        return column.constant if column else None
    value = row[f"old_{name}"]
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None)
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def differences(stream: LegacyStream, source: Source, rows: Rows) -> list[str]:
    """Say which column of which row has another value than it had; and which column never has any."""
    columns = columns_of(stream, rows)
    ours = filled(stream, source, columns)
    if stream.mapping.endswith("risks"):  # keyed by what a site chooses
        ours = {(*key[:-1], row["topic_code"]): row for key, row in ours.items()}
    said = [f"{key} is missing" for key in rows.keys() - ours.keys()]
    for column in columns:
        if column.name in ADDED.get(stream.mapping, ()):
            continue
        seen = False
        for key in rows.keys() & ours.keys():
            old = cast(rows[key].get(column.source if stream.is_numbered else column.name), column.type)
            new = ours[key][column.name]
            if column.kind is JSON:
                old, new = json.loads(old), json.loads(new)
            if isinstance(old, dt.datetime) and column.name in SECONDS.get(stream.mapping, ()):
                old = old.replace(microsecond=0)
            seen = seen or old is not None
            if old != new:
                said.append(f"{column.name} of {key} was {old!r}, and is {new!r}")
        if seen == (column.name in NEVER.get(stream.mapping, ())):
            said.append(f"{column.name} {'has a value' if seen else 'never has a value'}")
    return said


def of(source: str) -> list[LegacyStream]:
    return [stream for stream in legacy.STREAMS if stream.mapping.startswith(f"{source}.")]


def named(streams: list[LegacyStream]) -> Any:
    return pytest.mark.parametrize("stream", streams, ids=[stream.name for stream in streams])


@contextmanager
def closing(source: Source) -> Iterator[Source]:
    source.check()
    try:
        yield source
    finally:
        source.close()


@pytest.fixture(scope="module")
def gitlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gitlab_world.World]:
    with gitlab_world.world(tmp_path_factory.mktemp("gitlab"), seed=4) as it:
        store = it.site.store
        issue = min(store.issues.values(), key=lambda issue: issue.id)
        it.site.edits.move_issue(issue.id, max(store.issues.values(), key=lambda issue: issue.id).project_id)
        for number in list(store.milestones)[::2]:
            milestone = store.milestones[number]
            store.milestones[number] = attrs.evolve(milestone, group_id=None, project_id=issue.project_id)
        for repository in store.repositories.values():
            merged = [commit.sha for commit in repository.commits.values() if len(commit.parents) > 1]
            repository.tags |= {f"m{sha[:6]}": Tag(name=f"m{sha[:6]}", sha=sha, target=sha) for sha in merged[:1]}
        yield it


@named(of("gitlab"))
@pytest.mark.parametrize("graphql", ["auto", "off"])
def test_gitlab(gitlab: gitlab_world.World, stream: LegacyStream, graphql: str) -> None:
    """Nine tables: numbered columns of lists, offsets of commits, and what the loader filled in itself."""
    account = gitlab.settings(graphql=graphql).account("gitlab")
    api = Api(gitlab.sandbox.url("gitlab") + "/api/v4", {"PRIVATE-TOKEN": gitlab.site.token})
    clock = MovableClock()
    doors = Doors(clock=clock, budget=Budget(gitlab.folder / "cache", clock=clock))
    with closing(sources.connect(account, doors=doors, streams=[stream.mapping.partition(".")[2]])) as source:
        assert differences(stream, source, flattened.gitlab(api, stream.name)) == []


@named(of("jira"))
def test_jira(tmp_path: Path, stream: LegacyStream) -> None:
    """Times stand in the zone of the API's user, summer and winter; private projects are there, too, by now."""
    site = jira_home.small_site(issues=150)
    with jira_home.running(site, tmp_path) as home, closing(home.source(stream.mapping.partition(".")[2])) as source:
        api = Api(home.sandbox.url("jira") + "/rest/api/3", auth=(EMAIL, TOKEN))
        rows = flattened.jira_issues(api) if stream.name == "issues" else flattened.jira_projects(api)
        assert differences(stream, source, rows) == []


@named(of("friday_pulse"))
def test_friday_pulse(tmp_path: Path, stream: LegacyStream) -> None:
    """Lists stand as one text; what a table was made of by chance (`position`, `share`) is filled by its name."""
    site = pulse_home.small_site(dates=3, groups=5)
    with pulse_home.running(site, tmp_path) as home, closing(home.source()) as source:
        api = Api(home.sandbox.url("friday_pulse") + "/api/v1", {"Authorization": f"Bearer {PULSE_TOKEN}"})
        rows = flattened.pulse(api, stream.name, list(site.groups), site.dates)
        assert differences(stream, source, rows) == []


def test_anythingllm(tmp_path: Path) -> None:
    """The masks are unconditional; an answer that is no JSON has a type no more, and lists that are empty."""
    with (
        anythingllm_home.running(anythingllm_home.small_site(embed_chats=240), tmp_path) as home,
        closing(home.source()) as source,
    ):
        api = Api(home.sandbox.url("anythingllm") + "/api", {"Authorization": f"Bearer {home.site.token}"})
        rows = flattened.chats(api, [embed.uuid for embed in home.site.store.embeds.values()])
        assert differences(legacy.CHATS, source, rows) == []


COUNTS = {
    "gitlab": {
        "projects": 16, "tags": 21, "issues": 52, "pipelines": 10, "merge_requests": 28, "commits": 7,
        "merge_request_commits": 8, "branch_commits": 8, "branches": 19,
    },
    "jira": {"issues": 22, "projects": 10},
    "anythingllm": {"chats": 20},
}  # fmt: skip


@pytest.mark.parametrize("source", sorted(COUNTS))
def test_each_stream_has_all_its_columns(source: str) -> None:
    """So many columns metadata was created with."""
    assert {stream.name: len(stream.columns) for stream in of(source)} == COUNTS[source]


@pytest.mark.parametrize("stream", legacy.STREAMS, ids=lambda stream: stream.record_source)
def test_names_stand_by_themselves_or_with_their_place(stream: LegacyStream) -> None:
    """A table made long ago has `id_001`; both are the same column. Names are those that slugs give."""
    assert [column.name for column in stream.columns] == [
        slug(column.source) if stream.is_numbered else column.name for column in stream.columns
    ]
    for place, column in enumerate(stream.columns, start=1):
        assert stream.column(column.name.upper()) is column
        assert stream.column(f"{column.name}_{place:03}") is (column if stream.is_numbered else None)
        # Another version of that library may have counted otherwise.
        assert stream.column(f"{column.name}_999") is (column if stream.is_numbered else None)
    assert stream.column("nobody") is None


@pytest.mark.parametrize("stream", legacy.STREAMS, ids=lambda stream: stream.record_source)
def test_a_column_is_as_personal_as_the_field_beside_it(stream: LegacyStream) -> None:
    """What the mapping treats at a place in a record is treated in the old column that stands there, too."""
    mapping = mappings.known()[stream.mapping]
    assert mapping.inbound is not None and legacy.stream_of(mapping.name) is stream
    for column in stream.columns:
        field = column.field()
        beside = [each for each in mapping.fields if field and each.steps == field.steps and not column.convert]
        for each in beside if field else ():
            assert field is not None
            told = (field.personal, field.treatment, field.names_people)
            assert told == (each.personal, each.treatment, each.names_people), column.name
            assert not field.personal or each.column in (field.column, field.follows), column.name


def test_labels_of_records() -> None:
    """Rows that stand in a load table, and in what RED made of it, have these texts."""
    labels = {stream.record_source for stream in legacy.STREAMS}
    assert {"gitlab api - merge_request_commits", "Jira api - issue", "Friday Pulse API - general_results"} < labels
    assert len(labels) == len(legacy.STREAMS)


def test_a_fraction_of_many_digits_fits_a_column_of_decimals() -> None:
    """Tokens a second are a division's result: 16 digits, of which a decimal of ours has nine behind the point."""
    column = legacy.CHATS.column("metrics_output_tps")
    field = column.field(DECIMAL) if column else None
    assert field is not None
    typing = Typing(EntityMapping(name="a.b", key=("id",), fields=(Field("id"), field)))
    typed = typing.rows([{"id": "1", "response": {"metrics": {"outputTps": 23.45678901234567}}}], scope="")
    assert (typed.rejects, str(typed.table[field.column][0].as_py())) == ([], "23.456789012")
