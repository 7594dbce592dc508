"""The command `python -m bench`: makes the environments, measures each contender's two runs, prints one table."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
from pathlib import Path

from bench import environments, measure, table

QUICK = 5_000
WARM = 1_000


def main() -> int:
    """Measure and print; return the exit code: 0 measured, 1 a contender failed, 2 wrong usage."""
    chosen = _options().parse_args()
    if not hasattr(os, "wait4"):
        print("bench: needs os.wait4 to measure a process from outside (Linux, macOS).", file=sys.stderr)
        return 2
    records = QUICK if chosen.quick else chosen.records
    is_large = records > table.SMALL
    contenders = chosen.only or (["floor", "syncer"] if is_large else list(measure.CONTENDERS))
    sizes = [table.SMALL, records] if is_large else [records]
    try:
        results = _measured(contenders, sizes, repeat=chosen.repeat, packages=chosen.package.resolve())
    except (measure.Broken, environments.NoEnvironment) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print("\n".join(table.lines(results, repeat=chosen.repeat)))
    return 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure syncer against a floor and dlt; see docs/bench.md."
    )
    parser.add_argument(
        "--records", type=_positive, default=table.SMALL, metavar="N",
        help=f"records to load (default {table.SMALL}); more: floor and syncer only, beside {table.SMALL}",
    )  # fmt: skip
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} records: does it run, not how fast")
    parser.add_argument(
        "--repeat", type=_positive, default=3, metavar="N", help="measure N times, take the median (default 3)"
    )
    parser.add_argument(
        "--only", type=_contenders, default=[], metavar="NAMES", help=f"of {','.join(measure.CONTENDERS)}"
    )
    parser.add_argument(
        "--package", type=Path, default=environments.ROOT, metavar="FOLDER",
        help="the folder that holds the package syncer to measure (default: this repository)",
    )  # fmt: skip
    return parser


def _measured(contenders: list[str], sizes: list[int], *, repeat: int, packages: Path) -> table.Results:
    """Warm up, then measure in turns, so that a busy minute of the machine does not meet one contender only."""
    with measure.server(WARM) as url:
        for contender in contenders:
            _tell(f"{contender}: warming up")
            measure.both_runs(contender, url, packages)
    found: dict[tuple[int, str, str], list[measure.Measured]] = {
        key: [] for key in itertools.product(sizes, contenders, measure.RUNS)
    }
    for records in sizes:
        with measure.server(records) as url:
            for turn, contender in itertools.product(range(1, repeat + 1), contenders):
                _tell(f"{contender}: {records:,} records, {turn} of {repeat}")
                for run, measured in measure.both_runs(contender, url, packages).items():
                    found[records, contender, run].append(measured)
    return {key: measure.Measured.median(several) for key, several in found.items()}


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _contenders(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in measure.CONTENDERS:
            raise argparse.ArgumentTypeError(f"no contender {name}; known: {', '.join(measure.CONTENDERS)}")
    return names


def _tell(what: str) -> None:
    print(f"bench: {what}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
