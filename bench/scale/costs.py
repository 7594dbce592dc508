"""
What was measured, as the simulation reads it. `costs.json` beside this file holds the numbers of one machine.

Seconds of CPU, and of waiting that is nobody's CPU (a disk that commits, a round trip), of one HubSpot mapping pulled
into PostgreSQL. `python -m bench.scale measure` writes the file anew.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

FILE = Path(__file__).with_name("costs.json")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Costs:
    """
    The costs of a pull.

    start_s: of the process: interpreter, imports, settings. connect_*: of the connection, and of asking who we are.
    mapping_*: of a mapping in which nothing changed: client, server, and waiting for the server's disk.
    row_*: of each row that changed, beyond that.
    statements: round trips to the warehouse that a mapping takes.
    requests_a_pull, requests_a_mapping: to the API, one after the other, when nothing changed.
    api_s: CPU of the sandbox a request; it matters only where it shares our machine.
    start_wait_s: what a start takes beyond its CPU, where others use the machine.
    """

    start_s: float
    connect_client_s: float
    connect_server_s: float
    mapping_client_s: float
    mapping_server_s: float
    mapping_wait_s: float
    row_client_s: float
    row_server_s: float
    statements: int
    requests_a_pull: int
    requests_a_mapping: int
    api_s: float
    start_wait_s: float = 0.0


def load(file: Path = FILE) -> Costs:
    """Read the costs."""
    return Costs(**json.loads(file.read_text())["costs"])


def save(found: Costs, *, of: str, file: Path = FILE) -> None:
    """Write them, and what they are of."""
    file.write_text(json.dumps({"of": of, "costs": dataclasses.asdict(found)}, indent=2) + "\n")
