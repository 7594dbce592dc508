"""The one table that the bench prints: what each contender used, the ratios, and the ratios that are promised."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from bench.measure import RUNS, Measured
from bench.records import COLUMNS, PAGE_RECORDS

Results = Mapping[tuple[int, str, str], Measured]  # records, contender, run

TITLES = {
    "floor": "floor",
    "syncer": "syncer",
    "dlt_records": "dlt, records",
    "dlt_arrow": "dlt, Arrow made by hand",
}
SMALL = 50_000
PROMISED = {"floor": 1.5, "dlt_records": 0.4, "dlt_arrow": 0.65}  # syncer's CPU, at most this of theirs
MAX_GROWTH_CPU, MAX_GROWTH_MEMORY, MAX_PEAK_MB = 1.3, 1.4, 300.0

HEAD = (
    f"{'':<24}{'records':>9} {'run':<10}{'CPU s':>8}{'µs/row':>8}{'of floor':>9}{'work µs/row':>12}"
    f"{'wall s':>8}{'peak MB':>9}{'requests':>9}{'written':>9}"
)


@dataclasses.dataclass(frozen=True)
class Line:
    """A ratio and what is promised of it; None: shown only."""

    what: str
    value: float
    at_most: float | None = None

    def __str__(self) -> str:
        if self.at_most is None:
            return f"{self.what:<58}{self.value:>8.2f}"
        verdict = "met" if self.value <= self.at_most else "MISSED"
        return f"{self.what:<58}{self.value:>8.2f}   at most {self.at_most:g}: {verdict}"


def lines(results: Results, *, repeat: int) -> Iterator[str]:
    """Yield the lines of the table."""
    sizes = sorted({records for records, _, _ in results})
    told = " and ".join(f"{records:,}" for records in sizes)
    yield f"{told} records of {len(COLUMNS)} properties, pages of {PAGE_RECORDS}, into DuckDB; median of {repeat}"
    yield ""
    yield HEAD
    for (records, contender, run), found in results.items():
        yield row((TITLES[contender], run), found, records=records, floor=results.get((records, "floor", run)))
    yield ""
    yield from map(str, ratios(results))


def row(who: tuple[str, str], found: Measured, *, records: int, floor: Measured | None) -> str:
    """Write what a contender used in a run, below HEAD; *records*: how many the run was about."""
    share = f"{found.cpu_s / floor.cpu_s:.2f}" if floor else "-"
    return (
        f"{who[0]:<24}{records:>9,} {who[1]:<10}"
        f"{found.cpu_s:>8.2f}{found.cpu_s / records * 1e6:>8.1f}{share:>9}"
        f"{found.work_cpu_s / records * 1e6:>12.1f}"
        f"{found.wall_s:>8.2f}{found.peak_mb:>9.0f}{found.requests:>9,}{found.written:>9,}"
    )


def ratios(results: Results) -> Iterator[Line]:
    """Yield what syncer promises of its ratios, and the floor's own growth beside it."""
    sizes = sorted({records for records, _, _ in results})
    for records in sizes:
        for other, limit in PROMISED.items():
            yield from _against(results, records, other, limit)
    if len(sizes) > 1:
        for contender in ("floor", "syncer"):
            yield from _growth(results, sizes[0], sizes[-1], contender)


def _against(results: Results, records: int, other: str, limit: float) -> Iterator[Line]:
    for run in RUNS:
        ours, theirs = results.get((records, "syncer", run)), results.get((records, other, run))
        if ours and theirs:
            promised = limit if records >= SMALL else None  # fewer: mostly the price of starting
            yield Line(f"CPU, syncer / {TITLES[other]}, {records:,} {run}", ours.cpu_s / theirs.cpu_s, promised)


def _growth(results: Results, small: int, large: int, contender: str) -> Iterator[Line]:
    """Compare a contender with itself at another size; only syncer promises something."""
    is_ours = contender == "syncer"
    for run in RUNS:
        few, many = results.get((small, contender, run)), results.get((large, contender, run))
        if not (few and many):
            continue
        span = f"{TITLES[contender]}, {large:,} / {small:,} {run}"
        cpu = (many.cpu_s / large) / (few.cpu_s / small)
        yield Line(f"CPU a row, {span}", cpu, MAX_GROWTH_CPU if is_ours else None)
        yield Line(f"peak memory, {span}", many.peak_mb / few.peak_mb, MAX_GROWTH_MEMORY if is_ours else None)
        if is_ours:
            yield Line(f"peak MB, {TITLES[contender]}, {large:,} {run}", many.peak_mb, MAX_PEAK_MB)
