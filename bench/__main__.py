"""
The command `python -m bench [records|postgresql|hubspot|push]`: makes the environments, measures each contender's
runs, prints one table.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from bench import environments, measure, table
from bench.hubspot import table as hubspot_table
from bench.hubspot import turns
from bench.postgresql import server as postgresql_server
from bench.postgresql import table as postgresql_table
from bench.postgresql import turns as postgresql_turns
from bench.push import BACKENDS as PUSH_BACKENDS
from bench.push import cases as push_cases
from bench.push import peer as push_peer
from bench.push import table as push_table

QUICK = {"records": 5_000, "postgresql": 5_000, "hubspot": 2_000, "push": 0}
USUAL = {"records": table.SMALL, "postgresql": table.SMALL, "hubspot": 20_000, "push": 0}
KNOWN = {
    "records": measure.CONTENDERS,
    "postgresql": postgresql_turns.CONTENDERS,
    "hubspot": turns.CONTENDERS,
    "push": push_cases.CASES,
}
WARM = 1_000


def main() -> int:
    """Measure and print; return the exit code: 0 measured, 1 a contender failed, 2 wrong usage."""
    parser = _options()
    chosen = parser.parse_args()
    known = KNOWN[chosen.what]
    for name in chosen.only:
        if name not in known:
            parser.error(f"no contender {name} of {chosen.what}; known: {', '.join(known)}")
    for name in chosen.warehouse:
        if name not in PUSH_BACKENDS:
            parser.error(f"no warehouse {name}; known: {', '.join(PUSH_BACKENDS)}")
    if turns.LENT in chosen.only and chosen.dlt_source is None:
        parser.error(f"{turns.LENT} needs --dlt-source")
    if push_cases.PEER in chosen.only and chosen.drt is None:
        parser.error(f"{push_cases.PEER} needs --drt: an interpreter in whose environment drt-core[duckdb] is")
    if chosen.what == "push" and chosen.records:
        parser.error("push: each case has its own number of rows; --quick takes few")
    if not hasattr(os, "wait4"):
        print("bench: needs os.wait4 to measure a process from outside (Linux, macOS).", file=sys.stderr)
        return 2
    if _has_server(chosen) and sys.platform != "linux":
        print("bench: the server's CPU is read from /proc, which is Linux's.", file=sys.stderr)
        return 2
    records = QUICK[chosen.what] if chosen.quick else chosen.records or USUAL[chosen.what]
    measured = {"records": _records, "postgresql": _postgresql, "hubspot": _hubspot, "push": _push}[chosen.what]
    try:
        print("\n".join(measured(chosen, records)))
    except (measure.Broken, environments.NoEnvironment) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure syncer against a floor and dlt; see docs/bench.md."
    )
    parser.add_argument(
        "what", nargs="?", choices=tuple(USUAL), default="records",
        help="a made-up API into DuckDB (default) or PostgreSQL, the companies of a HubSpot portal, or pushes to one",
    )  # fmt: skip
    parser.add_argument(
        "--records", type=_positive, metavar="N",
        help=f"records to load (default {table.SMALL}; more: floor and syncer only, beside {table.SMALL}), "
        f"or companies (default {USUAL['hubspot']})",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="few records: does it run, not how fast")
    parser.add_argument(
        "--repeat", type=_positive, default=3, metavar="N", help="measure N times, take the median (default 3)"
    )
    parser.add_argument(
        "--only", type=lambda text: text.split(","), default=[], metavar="NAMES",
        help="; ".join(f"{what}: {','.join(names)}" for what, names in KNOWN.items()),
    )  # fmt: skip
    parser.add_argument(
        "--package", type=Path, default=environments.ROOT, metavar="FOLDER",
        help="the folder that holds the package syncer to measure (default: this repository)",
    )  # fmt: skip
    parser.add_argument(
        "--dlt-source", type=Path, metavar="FOLDER",
        help="HubSpot: where `dlt init hubspot duckdb` was run; dlt's own source is measured too then",
    )  # fmt: skip
    parser.add_argument(
        "--warehouse", type=lambda text: text.split(","), default=list(PUSH_BACKENDS), metavar="NAMES",
        help=f"push: {','.join(PUSH_BACKENDS)} (default: both)",
    )  # fmt: skip
    parser.add_argument(
        "--drt", type=Path, metavar="PYTHON",
        help="push: an interpreter in whose environment drt-core[duckdb] is; drt is measured too then",
    )  # fmt: skip
    return parser


def _has_server(chosen: argparse.Namespace) -> bool:
    return chosen.what == "postgresql" or (chosen.what == "push" and "postgresql" in chosen.warehouse)


def _records(chosen: argparse.Namespace, records: int) -> Iterator[str]:
    """Measure the made-up API; yield the lines to print."""
    is_large = records > table.SMALL
    contenders = chosen.only or (["floor", "syncer"] if is_large else list(measure.CONTENDERS))
    sizes = [table.SMALL, records] if is_large else [records]
    results = _measured(contenders, sizes, repeat=chosen.repeat, packages=chosen.package.resolve())
    return table.lines(results, repeat=chosen.repeat)


def _measured(contenders: list[str], sizes: list[int], *, repeat: int, packages: Path) -> table.Results:
    """Warm up, then measure in turns, so that a busy minute of the machine does not meet one contender only."""
    with measure.server(WARM) as api:
        for contender in contenders:
            _tell(f"{contender}: warming up")
            measure.both_runs(contender, api, packages)
    found: dict[tuple[int, str, str], list[measure.Measured]] = {
        key: [] for key in itertools.product(sizes, contenders, measure.RUNS)
    }
    for records in sizes:
        with measure.server(records) as api:
            for number, contender in itertools.product(range(1, repeat + 1), contenders):
                _tell(f"{contender}: {records:,} records, {number} of {repeat}")
                for run, measured in measure.both_runs(contender, api, packages).items():
                    found[records, contender, run].append(measured)
    return {key: measure.Measured.median(several) for key, several in found.items()}


def _postgresql(chosen: argparse.Namespace, records: int) -> Iterator[str]:
    """Measure the same API into a server of the bench's own, in turns as well; yield the lines to print."""
    contenders = chosen.only or list(postgresql_turns.CONTENDERS[: 2 if records > table.SMALL else None])
    packages = chosen.package.resolve()
    found: dict[str, list[postgresql_turns.Turn]] = {contender: [] for contender in contenders}
    with postgresql_server.running() as server:
        with postgresql_turns.site(server, WARM) as site:
            for contender in contenders:
                _tell(f"{contender}: warming up")
                postgresql_turns.turn(contender, site, packages)
        with postgresql_turns.site(server, records) as site:
            for number, contender in itertools.product(range(1, chosen.repeat + 1), contenders):
                _tell(f"{contender}: {records:,} records, {number} of {chosen.repeat}")
                found[contender].append(postgresql_turns.turn(contender, site, packages))
    return postgresql_table.lines(postgresql_table.medians(found), records=records, repeat=chosen.repeat)


def _hubspot(chosen: argparse.Namespace, records: int) -> Iterator[str]:
    """Measure a portal of so many companies, in turns as well; yield the lines to print."""
    lent = chosen.dlt_source.resolve() if chosen.dlt_source else None
    packages = turns.Packages(syncer=chosen.package.resolve(), dlt_source=lent)
    contenders = chosen.only or [name for name in turns.CONTENDERS if lent or name != turns.LENT]
    with turns.portal(WARM, packages) as site:
        for contender in contenders:
            _tell(f"{contender}: warming up")
            turns.turn(contender, site, packages)
    found: dict[str, list[turns.Turn]] = {contender: [] for contender in contenders}
    with turns.portal(records, packages) as site:
        properties = site.ask("properties")
        for number, contender in itertools.product(range(1, chosen.repeat + 1), contenders):
            _tell(f"{contender}: {records:,} companies, {number} of {chosen.repeat}")
            found[contender].append(turns.turn(contender, site, packages))
    return hubspot_table.lines(hubspot_table.Results.of(found), properties=properties, repeat=chosen.repeat)


def _push(chosen: argparse.Namespace, _: int) -> Iterator[str]:
    """Measure the cases of pushes on each warehouse, in turns as well; yield the lines to print."""
    sizes = push_cases.QUICK if chosen.quick else push_cases.Sizes()
    if chosen.drt is not None:
        _tell(f"drt {push_peer.version_of(chosen.drt)}")
    cases = chosen.only or [name for name in push_cases.USUAL if chosen.drt or name != push_cases.PEER]
    found: dict[push_cases.Key, list[push_cases.Used]] = {}
    with contextlib.ExitStack() as opened:
        server = opened.enter_context(postgresql_server.running()) if _has_server(chosen) else None
        # The path to an interpreter is not resolved: a link to it is what makes an environment one.
        bench = push_cases.Bench(
            packages=chosen.package.resolve(), sizes=sizes, server=server, drt=chosen.drt and chosen.drt.absolute()
        )
        for number, case, backend in itertools.product(range(1, chosen.repeat + 1), cases, chosen.warehouse):
            if case == push_cases.PEER and backend != "duckdb":
                continue
            _tell(f"{case}, {backend}: {number} of {chosen.repeat}")
            for key, used in bench.turn(case, backend).items():
                found.setdefault(key, []).append(used)
    medians = {key: push_cases.Used.median(several) for key, several in found.items()}
    return push_table.lines(medians, sizes=sizes, repeat=chosen.repeat)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _tell(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
