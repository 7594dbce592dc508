"""
`syncer wherescape check`: what RED's repository and its target look like to us, before a host script is changed.

For each load table that is one of ours: which mapping serves it and why, what its columns are, what nobody fills, what
RED and the table in the target differ in, and what will be otherwise in the data. Beside them: the stage tables that a
push would read, RED's parameters (their names alone), and routines that are not there. Nothing is written.

Not here: what is otherwise in the data (`otherwise.py`), how it is shown (`verbs/wherescape.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import attrs

from syncer import landings, mappings, sql, warehouses
from syncer.clock import SystemClock
from syncer.errors import SyncerError, UsageError, WarehouseError
from syncer.landing import Landing
from syncer.landings import LANDINGS
from syncer.loading import RECORD_STATE
from syncer.loadtypes import FAMILIES, Family, LoadColumn, described
from syncer.mapping import EntityMapping
from syncer.marks import Owner
from syncer.settings import DEFAULT_ENVIRONMENT, Account, Settings
from syncer.tables import LOAD
from syncer.warehouses import Transaction
from syncer.wherescape import deducing, legacy, otherwise, shapes, site, written
from syncer.wherescape.connections import Connection, Connections
from syncer.wherescape.environment import Environment
from syncer.wherescape.repository import text

MARKS = ("gitlab_high_water_mark", "gitlab_high_water_mark_next", "jira_high_water_mark")
MARKS_BY_TABLE = "HWM_"  # and the datastore table: Friday Pulse's
UNREAD = ("gitlab_base_url", "gitlab_access_token", "jira_user", "jira_apikey")  # nothing reads them any more
ROUTINES = {  # what each is for; without the first three a host script fails, or RED is told nothing
    "WsParameterRead": "parameters",
    "WsParameterWrite": "parameters",
    "WsWrkTask": "the row counts of a task",
    "Ws_Job_Clear_Logs_By_Date": "wherescape.clear_job_logs",
    "Ws_Job_Clear_Archive": "wherescape.clear_archive",
}
NEEDED = ("WsParameterRead", "WsParameterWrite", "WsWrkTask")
NAMED = 5  # columns that a line names
_EMBED = "anythingllm embed"
_SIZED = re.compile(r"(.*?)\s*\(\s*(\d+)(?:\s*,\s*(\d+))?\s*\)")
_ALIASES = {
    "int": "integer", "int4": "integer", "int8": "bigint", "int2": "smallint", "bool": "boolean",
    "character varying": "varchar", "character": "char", "bpchar": "char", "decimal": "numeric",
    "timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz",
    "float8": "double precision", "float4": "real",
}  # fmt: skip


@attrs.frozen(kw_only=True)
class TableFound:
    """
    A load table of RED's that is one of ours, or looks like it.

    mapping, environment: empty where nobody can tell. told_by: `name`, `host script` (an earlier pull), or `metadata`.
    columns: `legacy`, `legacy, numbered` or `mapping`. unfilled: what RED has and nothing fills. not_carried: what the
    stream has and RED does not. has_states: whether records that end are told. looks: what somebody must look at.
    otherwise: what is otherwise in the data than before.
    """

    table: str
    mapping: str = ""
    environment: str = ""
    told_by: str = ""
    columns: str = ""
    filled: int = 0
    unfilled: tuple[str, ...] = ()
    not_carried: tuple[str, ...] = ()
    is_extended: bool = False  # the source defines further fields, which were not asked for
    has_states: bool = False
    looks: tuple[str, ...] = ()
    otherwise: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class StageFound:
    """A stage table that a push would read by its name; token: RED's parameter, `is_set` whether it is there."""

    table: str
    mapping: str
    environment: str
    token: str = ""
    is_set: bool = True


@attrs.frozen(kw_only=True)
class Checked:
    """
    What `check` found.

    others: load tables that are none of ours. missing: routines, with what they are for. looks: about no single table.
    otherwise: what is otherwise in the data of every table of before.
    """

    tables: tuple[TableFound, ...]
    others: tuple[str, ...]
    stages: tuple[StageFound, ...]
    marks: tuple[str, ...]
    tokens: tuple[str, ...]
    unread: tuple[str, ...]
    missing: Mapping[str, str]
    looks: tuple[str, ...]
    otherwise: tuple[str, ...]

    @property
    def needing_look(self) -> int:
        """How many tables, and other things, somebody must look at."""
        return sum(bool(table.looks) for table in self.tables) + len(self.looks)


@attrs.frozen(kw_only=True)
class _Load:
    """A load table as RED has it: columns with their types, and the source tables that stand at them."""

    schema: str
    name: str
    columns: tuple[tuple[str, str], ...]
    labels: tuple[str, ...]

    @property
    def told(self) -> str:
        return f"{self.schema}.{self.name}"


@attrs.frozen(kw_only=True)
class _Site:
    """What is known on this side: mappings, environments, settings, what pulls have filled before; and parameters."""

    red: Environment
    settings: Settings
    known: Mapping[str, EntityMapping]
    environments: tuple[str, ...]
    landed: Mapping[str, tuple[str, str, str]]
    parameters: tuple[str, ...]

    def absent(self, table: str, said: EntityMapping | None = None) -> dict[str, str]:
        """Return the parameters that would make an environment of words in a table's name, by these."""
        spare = deducing.spare_words(table, self.known.values(), source=site.HUBSPOT, said=said)
        return {words: site.token_parameter(self.red, words) for words in spare - set(self.environments)}

    def token(self, mapping: EntityMapping, environment: str) -> tuple[str, bool]:
        """Return RED's parameter that has the token of a mapping's account, and whether it is there; or none."""
        if mapping.source != site.HUBSPOT or not environment:
            return "", True
        name = site.token_parameter(self.red, environment)
        variable = Account(source=mapping.source, environment=environment).variable("TOKEN")
        return name, name in self.parameters or bool(self.settings.variables.get(variable))

    def said(self, table: str, name: str) -> tuple[str, str]:
        """
        Return the environment of a pull whose script says a mapping, and the sentence that says how; empty, with the
        pull's own refusal, where nobody can tell.
        """
        mapping, absent = self.known[name], self.absent(table, self.known[name])
        others, words = list(self.known.values()), self.environments
        try:
            found = deducing.environment_of(table, mapping, others, words, absent=absent, verb=deducing.PULL)
        except UsageError as error:
            return "", str(error)
        call = deducing.call(deducing.PULL, name, "" if found == DEFAULT_ENVIRONMENT else found)
        return found, f"Say in the host script {call}."


def check(red: Environment, settings: Settings) -> Checked:
    """
    Look at RED's repository and at the target. Raises UsageError: RED names no repository or no target;
    WarehouseError: one of them cannot be read.
    """
    red.require("meta_dsn", "target_dsn")
    known = mappings.known(folders=settings.folders, objects=settings.objects(is_every=True))
    with Connections(red) as connections:
        meta, schema = connections.meta, red.meta_schema
        loads = _loads(meta, schema)
        stages = [text(name) for (name,) in meta.query(f"SELECT t.st_table_name FROM {schema}ws_stage_tab AS t")]
        rows = meta.query(f"SELECT p.dss_parameter_name FROM {schema}dss_parameter AS p ORDER BY p.dss_parameter_name")
        parameters = tuple(text(row[0]) for row in rows)
        missing, unknown = _missing(meta, schema)
    warehouse = warehouses.find(
        site.settings_of(red, source="", parameter=lambda name: None),
        clock=SystemClock(),
    )
    try:
        with warehouse.transaction() as t:
            here = _Site(
                red=red,
                settings=settings,
                known=known,
                environments=_environments(red, settings, parameters),
                landed=_landed(t),
                parameters=parameters,
            )
            found = [_found(t, each, here) for each in loads]
    finally:
        warehouse.close()
    tables = _sharing([each for each in found if isinstance(each, TableFound)])
    looks = [f"Routine {name} is not there: {missing[name]}." for name in NEEDED if name in missing] + unknown
    return Checked(
        tables=tuple(tables),
        others=tuple(each for each in found if isinstance(each, str)),
        stages=tuple(_stages(stages, here)),
        marks=tuple(name for name in parameters if name in MARKS or name.startswith(MARKS_BY_TABLE)),
        tokens=tuple(name for name in parameters if name.startswith(site.TOKEN_PARAMETER)),
        unread=tuple(name for name in parameters if name in UNREAD),
        missing=missing,
        looks=tuple(looks),
        otherwise=otherwise.COMMON if any(each.columns.startswith(shapes.BEFORE) for each in tables) else (),
    )


def _loads(meta: Connection, schema: str) -> list[_Load]:
    """Read RED's load tables with their columns, by name."""
    columns: dict[int, list[tuple[str, str, str]]] = {}
    for key, *column in meta.query(
        "SELECT c.lc_obj_key, c.lc_col_name, c.lc_data_type, c.lc_src_table "
        f"FROM {schema}ws_load_col AS c ORDER BY c.lc_obj_key, c.lc_order, c.lc_col_name"
    ):
        name, kind, label = map(text, column)
        columns.setdefault(int(key), []).append((name, kind, label))
    found = []
    for key, name, place in meta.query(
        "SELECT t.lt_obj_key, t.lt_table_name, d.dt_schema "
        f"FROM {schema}ws_load_tab AS t "
        f"LEFT JOIN {schema}ws_obj_object AS o ON o.oo_obj_key = t.lt_obj_key "
        f"LEFT JOIN {schema}ws_dbc_target AS d ON d.dt_target_key = o.oo_target_key "
        "ORDER BY t.lt_table_name, t.lt_obj_key"
    ):
        own = columns.get(int(key), [])
        found.append(
            _Load(
                schema=text(place).rstrip(".") or LOAD,
                name=text(name),
                columns=tuple((column, kind) for column, kind, _ in own),
                labels=tuple(dict.fromkeys(label for _, _, label in own if label)),
            )
        )
    return found


def _missing(meta: Connection, schema: str) -> tuple[dict[str, str], list[str]]:
    """Return the routines that are not there; where the catalogue cannot be read, that."""
    *before, owner = schema.rstrip(".").split(".")
    catalogue = ".".join([*before, "INFORMATION_SCHEMA.ROUTINES"])
    try:
        rows = meta.query(
            f"SELECT r.ROUTINE_NAME FROM {catalogue} AS r WHERE r.ROUTINE_SCHEMA = ?", [owner.strip('[]"')]
        )
    except WarehouseError as error:
        return {}, [f"Which routines there are cannot be read: {error.message}"]
    there = {text(row[0]).lower() for row in rows}
    return {name: what for name, what in ROUTINES.items() if name.lower() not in there}, []


def _environments(red: Environment, settings: Settings, parameters: Iterable[str]) -> tuple[str, ...]:
    """Return the environments that may stand in a table's name: the site's, and those whose token a pull finds."""
    found = dict.fromkeys(settings.environments())
    before, behind = site.token_parameter(red, "\n").split("\n")
    for name in parameters:
        word = name.removeprefix(before).removesuffix(behind)
        if word and name == f"{before}{word}{behind}":
            found[word] = None
    return tuple(found)


def _landed(t: Transaction) -> dict[str, tuple[str, str, str]]:
    """Return what pulls have filled: mapping, environment and label by load table, in small letters."""
    if not t.columns(LANDINGS):
        return {}
    query = f"SELECT load_table, mapping, environment, label FROM {sql.table_name(LANDINGS)}"
    return {table.lower(): (name, of, label or "") for table, name, of, label in t.rows(sql.statement(query))}


def _found(t: Transaction, load: _Load, here: _Site) -> TableFound | str:
    """Look at one load table; return just its name where it is none of ours."""
    labelled = _of_labels(load.labels, here.known)
    looks, label = [], ""
    if load.told.lower() in here.landed:
        name, environment, label = here.landed[load.told.lower()]
        told_by = "host script"
    else:
        try:
            mapping, environment = deducing.deduce(
                load.name, here.known.values(), here.environments, absent=here.absent(load.name), verb=deducing.PULL
            )
            name, told_by = mapping.name, "name"
            if labelled and labelled != name:
                looks.append(
                    f"RED's metadata were made for {labelled}, and the table's name says {name}: which one is it? "
                    + here.said(load.name, labelled)[1]
                )
        except UsageError as error:
            if not labelled:
                if not deducing.names_ours(load.name, list(here.known.values())):
                    return load.told
                return TableFound(table=load.told, looks=(str(error),))
            (environment, how), name, told_by = here.said(load.name, labelled), labelled, "metadata"
            looks.append(f"The name does not tell it. {how}")
    found = TableFound(table=load.told, mapping=name, environment=environment, told_by=told_by, looks=tuple(looks))
    if name not in here.known:
        return attrs.evolve(found, looks=(*looks, f"{name} is no mapping any more."))
    try:
        mapping = here.settings.applied_to(here.known[name])
    except SyncerError as error:
        return attrs.evolve(found, looks=(*looks, str(error)))
    if mapping.inbound is None:
        return attrs.evolve(found, looks=(*looks, f"{name} only goes out: nothing fills a load table."))
    token, is_set = here.token(mapping, environment)
    if not is_set and told_by != "host script":  # a pull went through: its connection has one
        looks.append(f"RED's parameter {token} is not there: a pull needs it, unless its connection has the token.")
        found = attrs.evolve(found, looks=tuple(looks))
    try:
        there = landings.look_up(t, load.schema, load.name).columns
    except UsageError as error:
        return attrs.evolve(found, looks=(*looks, str(error)))
    owner = Owner(mapping=name, environment=environment, run="")
    wrote = shapes.shape_of_source(mapping, written.source_of(t, load.name, owner))
    return _with_columns(found, load, there, mapping, shape=shapes.shape_of_label(mapping, label), wrote=wrote)


def _of_labels(labels: Iterable[str], known: Iterable[str]) -> str:
    """Return the mapping that the source tables of RED's columns name: as they were before, or as we write them."""
    by_label = {stream.source_table.lower(): stream.mapping for stream in legacy.STREAMS}
    by_label |= {name: name for name in known}
    found = set()
    for label in labels:
        key = _EMBED if label.lower().startswith(_EMBED) else label.lower()
        found |= {by_label[key]} if key in by_label else set()
    return found.pop() if len(found) == 1 else ""


def _with_columns(
    found: TableFound,
    load: _Load,
    there: Sequence[LoadColumn],
    mapping: EntityMapping,
    *,
    shape: str,
    wrote: str,
) -> TableFound:
    """Compare RED's columns with those of the table, and both with what the mapping has."""
    looks = [*found.looks, *_drifted(load, there)]
    columns = there or tuple(described(name, kind, None, None, None) for name, kind in load.columns)
    if not columns:
        return attrs.evolve(found, looks=tuple(looks))
    try:
        meanings, label = shapes.meanings(mapping, columns, shape=shape, written=wrote)
        fitted = Landing(
            schema=load.schema, name=load.name, columns=tuple(columns), label=label or mapping.name, meanings=meanings
        ).fitted(mapping)
    except UsageError as error:
        return attrs.evolve(found, looks=(*looks, str(error)))
    assert mapping.inbound is not None
    if fitted.unfilled and not mapping.inbound.discovers:
        looks.append(f"Nothing fills {_some(fitted.unfilled)}: NULL in every row.")
    return attrs.evolve(
        found,
        columns=_shape(mapping, columns) if label else shapes.MAPPING,
        filled=len(fitted.sources),
        unfilled=tuple(fitted.unfilled),
        not_carried=tuple(fitted.not_carried),
        is_extended=mapping.inbound.discovers,
        has_states=RECORD_STATE in {column.name.lower() for column in columns},
        looks=tuple(looks),
        otherwise=otherwise.texts(mapping.name) if label else (),
    )


def _shape(mapping: EntityMapping, columns: Iterable[LoadColumn]) -> str:
    stream = legacy.stream_of(mapping.name)
    assert stream is not None  # else the table has no columns of before
    pairs = [(stream.column(column.name), column.name.lower()) for column in columns]
    is_numbered = any(column is not None and column.name != name for column, name in pairs)
    return f"{shapes.BEFORE}, numbered" if is_numbered else shapes.BEFORE


def _drifted(load: _Load, there: Sequence[LoadColumn]) -> list[str]:
    """Say where RED's metadata and the table in the target differ."""
    if not load.columns:
        told = ["RED knows no columns of it: run its script that creates metadata."]
        return told if there else [*told, f"The target has no table {load.told}: create it in RED afterwards."]
    if not there:
        return [f"The target has no table {load.told}: create it in RED."]
    ours = {name.lower(): kind for name, kind in load.columns}
    theirs = {column.name.lower(): column for column in there}
    told = []
    if lacking := [name for name in ours if name not in theirs]:
        told.append(f"In RED's metadata and not in the table: {_some(lacking)}. Create the table anew in RED.")
    if unknown := [name for name in theirs if name not in ours]:
        told.append(f"In the table and not in RED's metadata: {_some(unknown)}.")
    differing = [
        f"{name} ({kind} in RED, {theirs[name].told} in the table)"
        for name, kind in ours.items()
        if name in theirs and kind and plain_type(kind) != plain_type(theirs[name].told)
    ]
    return [*told, f"Of another type: {_some(differing)}."] if differing else told


def plain_type(told: str) -> str:
    """Write a type by one of its names: `character varying(64)` is `varchar(64)`, and `int` is `integer`."""
    match = _SIZED.fullmatch(told.strip().lower())
    name, *sizes = match.groups() if match else (told.strip().lower(), None, None)
    assert name is not None
    kind = _ALIASES.get(name, name)
    if FAMILIES.get(name) not in (Family.TEXT, Family.NUMERIC) or sizes[0] is None:
        return kind
    if FAMILIES[name] is Family.NUMERIC:
        return f"{kind}({sizes[0]},{sizes[1] or 0})"
    return f"{kind}({sizes[0]})"


def _sharing(tables: Sequence[TableFound]) -> list[TableFound]:
    """Say of tables that are of one mapping in one environment that just one of them can be filled."""
    by_pair: dict[tuple[str, str], list[str]] = {}
    for each in tables:
        by_pair.setdefault((each.mapping, each.environment), []).append(each.table)
    found = []
    for each in tables:
        others = [name for name in by_pair[each.mapping, each.environment] if name != each.table]
        if each.mapping and others:
            look = (
                f"{_some(others)} is of {each.mapping} ({each.environment}), too: a mapping fills one load table in "
            )
            each = attrs.evolve(each, looks=(*each.looks, look + "an environment. Keep one of them."))
        found.append(each)
    return found


def _stages(names: Iterable[str], here: _Site) -> Iterable[StageFound]:
    """
    Find the stage tables whose names tell what a push of them would write to; also where just another system, such as
    that of development, has the token of their account: the push asks for it.
    """
    going_out = [each for each in here.known.values() if each.outbound is not None]
    tokens = (name for name in here.parameters if name.startswith(site.TOKEN_PARAMETER))
    words = {name.removeprefix(site.TOKEN_PARAMETER).removesuffix(site.OF_DEVELOPMENT).strip("_") for name in tokens}
    environments = (*here.environments, *sorted(words - {""} - set(here.environments)))
    for name in sorted(names):
        try:
            mapping, environment = deducing.deduce(name, going_out, environments, verb=deducing.PUSH)
        except UsageError:
            continue
        token, is_set = here.token(mapping, environment)
        yield StageFound(table=name, mapping=mapping.name, environment=environment, token=token, is_set=is_set)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
