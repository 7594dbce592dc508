"""
Treating what is loaded already: a site drops, hashes or masks a field, and rows are there from before.

A pull brings a treatment to the rows that it reads; what the source no longer has would keep its values for ever. Here
the load table, and the offers of the style `delta`, are read some rows at a time, treated as a pull would, and written
where that makes a difference; then the warehouse is rewritten. Each batch is a transaction: killed, it is run again.

Not here: what a treatment is (`privacy.py`), erasing one person (`forgetting.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from loguru import logger

from syncer import forgetting, journal, shape, sql, values
from syncer.errors import UsageError
from syncer.forgetting import Forgotten, Touched
from syncer.mapping import EntityMapping
from syncer.offers import offers_table
from syncer.privacy import Privacy
from syncer.settings import Settings
from syncer.tables import Table
from syncer.transport import Doors
from syncer.values import JSON, TEXT
from syncer.warehouses import Transaction, Warehouse

ROWS_A_BATCH = 500
LEFT = ("Not reached: rejects and findings hold no values; what was carried on from the load table holds them still.",)


def treat_loaded(name: str, *, settings: Settings, doors: Doors, warehouse: Warehouse) -> Forgotten:
    """
    Treat the rows of a mapping that are loaded as its fields are treated now.

    Raises: UsageError: no field is dropped, hashed or masked, or there is no warehouse.
    """
    mapping = forgetting.described(name, settings=settings, doors=doors, warehouse=warehouse)
    found = attrs.evolve(settings.privacy_of(mapping), is_again=True)
    if not found.treated_columns:
        raise UsageError(
            f"No field of {name} is dropped, hashed or masked.",
            hint=f'Say so in syncer.toml: personal in ["{name}"].',
        )
    if not warehouse.exists():
        raise UsageError(f"Nothing was ever pulled into {warehouse.name}.")
    lease = warehouse.lease(f"{name}@{settings.environment}", run=journal.new_run(), wait_s=0)
    try:
        touched = [
            Touched(table=f"{table.schema}.{table.name}", rows=rows, what="treated")
            for table, rows in _treated(warehouse, found, shape.load_table(mapping, settings.environment))
        ]
        rewritten = warehouse.rewrite()
    finally:
        lease.release()
    count = sum(each.rows for each in touched)
    logger.info("{}: {} loaded rows treated", name, count)
    return Forgotten(
        mapping=name,
        environment=settings.environment,
        records=count,
        columns=found.treated_columns,
        touched=tuple(touched),
        is_rewritten=True,
        left=(*LEFT, *rewritten.left),
    )


def treated(mapping: EntityMapping, *, settings: Settings, warehouse: Warehouse) -> EntityMapping:
    """
    Return a mapping whose columns its source has told as a site treats them, for a pull.

    A rule for a column that only the load table still has (a property was archived) treats nothing: it is logged.
    Raises: UsageError: neither has it: it is a typing error.
    """
    rules = settings.for_mapping(mapping.name)
    only_there = {field.column for field in forgetting.only_loaded(mapping, settings=settings, warehouse=warehouse)}
    if only_there:
        logger.warning(
            "{}: personal names {}, which the source does not tell of any more; `syncer forget {} --untreated` treats "
            "what is loaded",
            mapping.name,
            ", ".join(sorted(only_there)),
            mapping.name,
        )
        kept = {column: each for column, each in rules["personal"].items() if column not in only_there}
        settings = attrs.evolve(settings, tables={**settings.tables, mapping.name: {**rules, "personal": kept}})
    return settings.treated(mapping)


def _treated(warehouse: Warehouse, found: Privacy, load: Table) -> list[tuple[Table, int]]:
    """Treat the load table and the offers; return how many rows of each were written."""
    done = []
    for table in (load, offers_table(load)):
        with warehouse.transaction() as t:
            is_there = bool(t.columns(table))
            if is_there:
                table = shape.ensure(t, table).table  # a number that is hashed needs a column of texts
        warehouse.rest(waiting=True)
        count, after = 0, ""
        while is_there:
            with warehouse.transaction() as t:
                last, written = _batch(t, found, table, after)
            warehouse.rest(waiting=True)
            count += written
            if last is None:
                done.append((table, count))
                break
            after = last
    return done


def _batch(t: Transaction, found: Privacy, table: Table, after: str) -> tuple[str | None, int]:
    """Treat the rows behind the key *after*; return the last key (None: there were none) and how many were written."""
    import pyarrow as pa

    mapping = found.mapping
    treated = found.treated_columns
    wanted = [field for field in mapping.fields if field.column in treated or field.names_people]
    key = sql.key_text("b", mapping.key, table.types())
    rows = t.rows(
        sql.statement(
            f"SELECT {key}, {sql.names((field.column for field in wanted), of='b')} FROM {sql.table_name(table)} AS b "
            f"WHERE {key} > ? ORDER BY {key} LIMIT {ROWS_A_BATCH}"
        ),
        [after],
    )
    if not rows:
        return None, 0
    keys, *before = (list(column) for column in zip(*rows, strict=True))
    columns: dict[str, Sequence[Any]] = {
        field.column: [_read(value) for value in column] if field.type is JSON else column
        for field, column in zip(wanted, before, strict=True)
    }
    found.treat(columns)
    data = {"dss_key": pa.array(keys, pa.string())}
    for column in treated:
        data[column] = pa.array(
            [_written(value, mapping.field(column).type is JSON) for value in columns[column]], pa.string()
        )
    types = {"dss_key": TEXT} | {column: table.types()[column] for column in treated}
    t.stage("treated_now", pa.table(data), types)
    setting = ", ".join(f"{sql.quoted(column)} = s.{sql.quoted(column)}" for column in treated)
    written = t.run(
        sql.statement(
            f"UPDATE {sql.table_name(table)} AS b SET {setting} FROM treated_now AS s WHERE s.dss_key = {key} "
            f"AND ({sql.differs('b', 's', treated)})"
        )
    )
    return keys[-1], written


def _read(value: Any) -> Any:
    """Read the JSON of a column; what is none is a text."""
    if not isinstance(value, str):
        return value
    try:
        return values.parse(value.encode("utf-8", "surrogatepass"))
    except ValueError:
        return value


def _written(value: Any, is_json: bool) -> str | None:
    """Write a value as text, from which the column's own type is cast."""
    if value is None:
        return None
    return values.dumps(value) if is_json else value if isinstance(value, str) else str(value)
