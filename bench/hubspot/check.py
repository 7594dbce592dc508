"""
What a contender's table holds: `python -m bench.hubspot.check CONTENDER FILE` prints {"rows", "checksum"} as one line
of JSON.

A process of its own in the environment of syncer, so that it adds nothing to what is measured.
"""

from __future__ import annotations

import importlib
import json
import sys

from bench.hubspot import Source, checksum, query


def main(contender: str, file: str) -> None:
    """Read the rows, print what they are."""
    import duckdb

    module: Source = importlib.import_module(f"bench.contenders.{contender}")
    with duckdb.connect(file, read_only=True) as connection:
        rows = connection.execute(query(module.ROWS)).fetchall()
    print(json.dumps({"rows": len(rows), "checksum": checksum(rows)}))


if __name__ == "__main__":
    main(*sys.argv[1:])
