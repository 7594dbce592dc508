"""What the bench of PostgreSQL prints: what each run used, client and server, and ratios with their targets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bench.postgresql import RUNS
from bench.postgresql.turns import Turn, Used
from bench.records import COLUMNS, PAGE_RECORDS
from bench.table import SMALL, Line

Results = Mapping[tuple[str, str], Used]  # contender, run

TITLES = {
    "postgresql_floor": "floor",
    "postgresql_syncer": "syncer",
    "postgresql_dlt_records": "dlt, records",
    "postgresql_dlt_arrow": "dlt, Arrow made by hand",
    "postgresql_dlt_default": "dlt by default",
}
FLOOR, SYNCER = "postgresql_floor", "postgresql_syncer"
# Syncer's CPU, client and server together, at most this of theirs; None: shown only.
PROMISED = {
    "postgresql_floor": 1.5,
    "postgresql_dlt_records": 0.5,
    "postgresql_dlt_arrow": 1.0,
    "postgresql_dlt_default": None,
}
HEAD = (
    f"{'':<24}{'run':<9}{'client s':>9}{'server s':>9}{'CPU s':>7}{'µs/row':>8}{'of floor':>9}{'wall s':>8}"
    f"{'peak MB':>8}{'WAL MB':>8}{'written':>9}{'elsewhere':>10}{'vacuum s':>9}"
)


def medians(found: Mapping[str, Sequence[Turn]]) -> Results:
    """Take the median of each contender's turns, run by run."""
    return {
        (contender, run): Used.median([turn[run] for turn in several])
        for run in RUNS
        for contender, several in found.items()
    }


def lines(results: Results, *, records: int, repeat: int) -> Iterator[str]:
    """Yield the lines of the table."""
    yield (
        f"{records:,} records of {len(COLUMNS)} properties, pages of {PAGE_RECORDS}, into PostgreSQL; "
        f"median of {repeat}"
    )
    yield ""
    yield HEAD
    for (contender, run), used in results.items():
        yield _row(TITLES[contender], run, used, records=records, floor=results.get((FLOOR, run)))
    yield ""
    yield from map(str, promises(results, is_judged=records >= SMALL))


def promises(results: Results, *, is_judged: bool) -> Iterator[Line]:
    """Yield syncer's ratios, and the rows that it wrote where nothing had changed; *is_judged*: with their targets."""
    for other, limit in PROMISED.items():
        for run in RUNS:
            ours, theirs = results.get((SYNCER, run)), results.get((other, run))
            if ours and theirs:
                what = f"CPU of client and server, syncer / {TITLES[other]}, {run}"
                yield Line(what, ours.cpu_s / theirs.cpu_s, limit if is_judged else None)
    again = results.get((SYNCER, "again"))
    if again:
        yield Line("rows of the table that syncer wrote, again", again.written, 0)


def _row(title: str, run: str, used: Used, *, records: int, floor: Used | None) -> str:
    share = f"{used.cpu_s / floor.cpu_s:.2f}" if floor else "-"
    return (
        f"{title:<24}{run:<9}{used.client.cpu_s:>9.2f}{used.server_cpu_s:>9.2f}{used.cpu_s:>7.2f}"
        f"{used.cpu_s / records * 1e6:>8.1f}{share:>9}{used.client.wall_s:>8.2f}{used.client.peak_mb:>8.0f}"
        f"{used.wal_mb:>8.1f}{used.written:>9,}{used.written_elsewhere:>10,}{used.upkeep_cpu_s:>9.2f}"
    )
