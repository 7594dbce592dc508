"""
The bench of pushes, `python -m bench push`: what a push costs in requests, seconds, CPU and memory, and what finding
the rows that differ costs beside the best statement made by hand.

    portal.py      the sandbox's portal, a process of its own
    rows.py        the relation that is pushed, in SQL, and the same values as a portal has them
    wide.py        the relation of the diff, and the same comparison by hand
    child.py       one measured process: a push, a diff, a diff by hand
    site.py        a portal and a warehouse, and the processes that work on them
    cases.py       what is measured
    peer.py        drt's project for the same rows; who has no drt is told so
    peer_child.py  a run of it, by the interpreter that has it
    table.py       what is printed, and what is promised

Not here: how a process is measured (`bench/measure.py`), the PostgreSQL server (`bench/postgresql/server.py`).
Only the standard library is imported here, so that every environment can read this.
"""

from __future__ import annotations

TOKEN = "pat-bench-push"
KIND = "companies"
MAPPING = "hubspot.companies"
RELATION = "stage.companies"
KEY = "client_id"
BACKENDS = ("duckdb", "postgresql")

# What a request is for, by the end of its path.
GUARD, READ, WRITE, DEFINITIONS, OTHER = "guard", "read", "write", "definitions", "other"
