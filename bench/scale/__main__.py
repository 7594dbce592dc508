"""
The command `python -m bench.scale [WHAT …]`: simulates, measures, prints tables; see docs/scale.md.

    simulate    the scenarios, from the costs in costs.json; --svg FILE draws the picture
    allowance   what one account's limits let through
    accounts    two machines and one account, measured (8 minutes)
    pulls       small pulls, many at once, a thousand in a row, leases, connections, measured
    large       a group's cost as the table grows, measured
    validate    a small fleet that really runs, beside its prediction
    measure     the costs that the simulation starts from: writes costs.json
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Broken
from bench.scale import accounts, allowance, costs, large, picture, pulls, real, scenarios, server

WHAT = ("simulate", "allowance", "accounts", "pulls", "large", "validate", "measure")


def main() -> int:
    """Do what was asked; return the exit code: 0 done, 1 something that was measured failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description="See docs/scale.md.")
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"of {', '.join(WHAT)} (default: simulate)")
    parser.add_argument("--quick", action="store_true", help="few turns: does it run, not what it costs")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="with simulate: write the picture there")
    chosen = parser.parse_args()
    for name in chosen.what:
        if name not in WHAT:
            parser.error(f"nothing is called {name}; known: {', '.join(WHAT)}")
    try:
        for name in chosen.what or ["simulate"]:
            for line in done(name, quick=chosen.quick, svg=chosen.svg):
                print(line, flush=True)
            print(flush=True)
    except Broken as error:
        print(f"bench.scale: {error}", file=sys.stderr)
        return 1
    return 0


def done(what: str, *, quick: bool, svg: Path | None = None) -> Iterator[str]:
    """Yield the lines of one of WHAT."""
    if what not in ("simulate", "allowance"):
        yield f"{what}: measured while {os.getloadavg()[0]:.1f} programs wanted a core of {os.cpu_count()}"
    match what:
        case "simulate":
            yield from _simulated(svg)
        case "allowance":
            yield from allowance.lines()
        case "accounts":
            asked = [
                accounts.measure(bucket, processes=processes, budgets=budgets, seconds=seconds / (10 if quick else 1))
                for bucket, seconds in (("general", 60.0), ("search", 20.0))
                for processes, budgets in ((1, 1), (2, 1), (2, 2), (8, 1), (8, 8))
            ]
            yield from accounts.lines(asked)
        case "pulls":
            yield from _pulls(quick)
        case "large":
            sizes = [5_000, 10_000] if quick else [50_000, 500_000, 2_000_000]
            for into in ("postgresql", "duckdb"):
                yield from large.lines(large.measure(sizes, [100, 1_000], times=2 if quick else 10, into=into))
        case "validate":
            yield from real.lines(real.compare(times=1 if quick else 3))
        case "measure":
            found = real.costs(times=1 if quick else 5)
            costs.save(found, of=f"{os.cpu_count()} cores, PostgreSQL over ODBC, HubSpot's sandbox")
            yield str(found)


def _simulated(svg: Path | None) -> Iterator[str]:
    found = costs.load()
    yield from scenarios.rounds(found)
    yield ""
    yield from scenarios.days(found, scenarios.DAYS, "four hours, minutes until a change arrives")
    yield ""
    yield from scenarios.days(found, scenarios.QUARTERS, "two hours, all every 15 minutes")
    if svg is not None:
        svg.write_text(picture.draw(found), encoding="utf-8")
        yield f"the picture stands in {svg}"


def _pulls(quick: bool) -> Iterator[str]:
    times, seconds, many = (4, 1.0, 20) if quick else (40, 8.0, 1_000)
    with server.running() as measured, pulls.folder_() as folder:
        yield "PostgreSQL"
        yield from pulls.lines(pulls.costs(measured, Path(folder), times=times))
    with server.running() as measured, pulls.folder_() as folder:
        yield from pulls.beside(
            [pulls.together(measured, Path(folder), processes=n, seconds=seconds) for n in (1, 2, 4, 8)]
        )
        yield from pulls.grown(*pulls.growth(measured, Path(folder), times=many), times=many)
        command = [pulls.command(measured.string, Path(folder), mappings=n, times=1 if quick else 5) for n in (1, 10)]
        yield from pulls.lines(command)
    with pulls.folder_() as folder:
        yield "DuckDB"
        yield from pulls.lines(pulls.costs(None, Path(folder), times=times))


if __name__ == "__main__":
    sys.exit(main())
