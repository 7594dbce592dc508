"""
What a group costs as the table grows: so many changed rows, spread over all ids, into a table made by hand.

The first pull makes the table; SQL fills it; then groups of changed rows come by `engine.pull`, each a pull of its
own. CPU and wall are of the whole pull; docs/scale.md has what a pull without rows costs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.scale import pulls, server, told

TEXTS = ", ".join(f"'text {column} of record ' || i" for column in range(2, 9))
FILL = (
    "INSERT INTO load.scale_large (id, updated, amount, owner_id, text_1, {texts}, dss_record_source, "
    "dss_load_date, dss_record_state) SELECT i, TIMESTAMP '2026-01-01 00:00:00', i / 4.0, i % 100, 'turn 0', {made}, "
    "'scale', now(), 'live' FROM generate_series({first}, {last}) AS g (i)"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Group:
    """What a pull of one group costs at a table's size; averages, milliseconds."""

    warehouse: str
    rows: int
    group: int
    client_ms: float
    server_ms: float
    wall_ms: float


def measure(sizes: Sequence[int], groups: Sequence[int], *, times: int, into: str) -> list[Group]:
    """Measure groups at each size of the table, in PostgreSQL or (`into` is `duckdb`) DuckDB."""
    with pulls.folder_() as folder:
        if into == "duckdb":
            return _measured(None, Path(folder), sizes, groups, times)
        with server.running() as measured:
            return _measured(measured, Path(folder), sizes, groups, times)


def _measured(
    measured: server.Measured | None, folder: Path, sizes: Sequence[int], groups: Sequence[int], times: int
) -> list[Group]:
    file = folder / "warehouse.duckdb"
    given = pulls.variables(measured.string if measured else f"duckdb:{file}", folder)
    found, last, turn = [], 10, 1
    with pulls.puller("default", given) as one:
        one.ask("large 1 10 1 0")
        for size in sizes:
            if measured:
                _run(measured, _fill(last + 1, size))
            else:
                _fill_duckdb(file, _fill(last + 1, size))
            last = size
            for group in groups:
                found.append(_group(one, measured, size=size, group=group, times=times, turn=turn))
                turn += times + 1
    return found


def _group(one: told.Told, measured: server.Measured | None, *, size: int, group: int, times: int, turn: int) -> Group:
    step = max(size // group, 1)
    _written(one, f"large 1 {group} {step} {turn}", group)
    before = measured.cpu_s() if measured else 0.0
    said = _written(one, f"large {times} {group} {step} {turn + 1}", group * times)
    cpu_s = (measured.cpu_s() if measured else 0.0) - before
    return Group(
        warehouse="PostgreSQL" if measured else "DuckDB", rows=size, group=group,
        client_ms=said["cpu_s"] / times * 1000, server_ms=cpu_s / times * 1000, wall_ms=said["wall_s"] / times * 1000,
    )  # fmt: skip


def _written(one: told.Told, words: str, rows: int) -> dict[str, Any]:
    """Pull; every row must have been written."""
    said: dict[str, Any] = one.ask(words)
    if said["written"] != rows:
        raise RuntimeError(f"{said['written']} rows were written, not {rows}")
    return said


def _fill(first: int, last: int) -> str:
    texts = ", ".join(f"text_{column}" for column in range(2, 9))
    return FILL.format(texts=texts, made=TEXTS, first=first, last=last)


def _run(measured: server.Measured, text: str) -> None:
    with measured.server.connection(measured.database) as connection:
        connection.execute(text)
        connection.execute("ANALYZE load.scale_large")


def _fill_duckdb(file: Path, text: str) -> None:
    import duckdb

    with duckdb.connect(str(file)) as connection:
        connection.execute(text)


def lines(found: Sequence[Group]) -> Iterator[str]:
    """Yield the table."""
    yield f"{'':<12}{'rows':>11}{'group':>8}{'client ms':>11}{'server ms':>11}{'wall ms':>9}"
    for one in found:
        yield (
            f"{one.warehouse:<12}{one.rows:>11,}{one.group:>8,}{one.client_ms:>11.1f}{one.server_ms:>11.1f}"
            f"{one.wall_ms:>9.1f}"
        )
