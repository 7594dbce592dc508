"""What `python -m bench push` prints: what each run used, and what is promised of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bench.push import DEFINITIONS, GUARD, READ, WRITE
from bench.push.cases import ADOPTED, ALL, CHANGED, CREATED, DIFF, PEER, SYNCER, Key, Sizes, Used
from bench.push.wide import WAYS
from bench.table import Line

Results = Mapping[Key, Used]

BESIDE_DEFINITIONS = 5  # of 20,000 rows, 200 changed
A_HUNDRED, SLACK = 3, 1.01  # requests a hundred rows, all changed: read, fresh read, write
OF_HAND = 1.5  # a diff's time, at most so many times that by hand
BESIDE_HAND_MB = 100.0
GROWTH = 1.2  # the peak of a plan of 100,000 updates, at most so many times that of 10,000

HEAD = (
    f"{'':<44}{'CPU s':>8}{'server s':>9}{'wall s':>8}{'work s':>8}{'peak MB':>9}{'requests':>9}{'guard':>7}"
    f"{'defined':>8}{'reads':>8}{'writes':>8}{'else':>6}"
)


def lines(results: Results, *, sizes: Sizes, repeat: int) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"pushes of HubSpot companies, limits off; median of {repeat}"
    yield ""
    yield HEAD
    for key, used in results.items():
        yield row(key, used)
    yield ""
    yield from map(str, promises(results, is_judged=sizes == Sizes()))


def row(key: Key, used: Used) -> str:
    """Write what a run used, below HEAD."""
    case, backend, what = key
    asked = used.requests
    known = [asked.get(name, 0) for name in (GUARD, DEFINITIONS, READ, WRITE)]
    others = asked.get("requests", 0) - sum(known)
    sorts = "".join(f"{number:>{width},}" for number, width in zip(known, (7, 8, 8, 8), strict=True))
    return (
        f"{f'{case}, {backend}: {what}':<44}{used.cpu_s:>8.2f}{used.server_cpu_s:>9.2f}{used.wall_s:>8.2f}"
        f"{used.work_s:>8.2f}{used.peak_mb:>9.0f}{asked.get('requests', 0):>9,}{sorts}{others:>6,}"
    )


def promises(results: Results, *, is_judged: bool) -> Iterator[Line]:
    """Yield what is promised of requests, of a diff's time and memory, and of memory; few rows are only shown."""

    def line(what: str, value: float, at_most: float) -> Line:
        return Line(what, value, at_most if is_judged else None)

    for (case, backend, what), used in results.items():
        told = f"{case}, {backend}: {what}"
        beside = used.requests.get("requests", 0) - used.requests.get(DEFINITIONS, 0)
        if case == CHANGED:
            yield line(f"requests beside definitions, {told}", beside, BESIDE_DEFINITIONS)
        elif case == CREATED:
            yield line(f"writes a hundred rows, {told}", used.requests.get(WRITE, 0) / (used.about / 100), 1)
        elif case == ADOPTED:
            yield line(f"reads a hundred rows, {told}", used.requests.get(READ, 0) / (used.about / 100), 1)
            yield line(f"writes, {told}", used.requests.get(WRITE, 0), 0)
        elif case == ALL:
            yield line(f"requests a hundred rows, {told}", beside / (used.about / 100), A_HUNDRED * SLACK)
        elif case == PEER and SYNCER not in what:
            ours = results[case, backend, what.replace(what.partition(",")[0], SYNCER)]
            yield Line(f"requests, {told} / syncer", used.requests["requests"] / ours.requests["requests"])
            yield Line(f"CPU, syncer / {told}", ours.cpu_s / used.cpu_s)
    yield from _of_diffs(results, is_judged=is_judged)
    yield from _growth(results, is_judged=is_judged)


def _of_diffs(results: Results, *, is_judged: bool) -> Iterator[Line]:
    """Compare a diff with the fastest one by hand, and with the memory of that one."""
    for backend in dict.fromkeys(backend for case, backend, _ in results if case == DIFF):
        by_hand = {way: results[DIFF, backend, way] for way in WAYS}
        best = min(by_hand, key=lambda way: by_hand[way].work_s)
        ours, theirs = results[DIFF, backend, SYNCER], by_hand[best]
        told = f"diff, {backend}: syncer / by hand ({best})"
        yield Line(f"time, {told}", ours.work_s / theirs.work_s, OF_HAND if is_judged else None)
        more = ours.peak_mb - theirs.peak_mb
        yield Line(f"peak MB more than by hand ({best}), {backend}", more, BESIDE_HAND_MB if is_judged else None)


def _growth(results: Results, *, is_judged: bool) -> Iterator[Line]:
    """Compare the peak of many rows with that of few."""
    for case, backend in dict.fromkeys((case, backend) for case, backend, _ in results if case in (ADOPTED, ALL)):
        of_size = {used.rows: used for key, used in results.items() if key[:2] == (case, backend)}
        few, many = min(of_size), max(of_size)
        yield Line(
            f"peak memory, {case}, {backend}: {many:,} / {few:,} rows",
            of_size[many].peak_mb / of_size[few].peak_mb,
            GROWTH if is_judged and case == ALL else None,
        )
