"""
dlt on HubSpot: its `rest_api` source on the list, with the pipeline's settings of `dlt_records`.

The list has no filter, so that each run reads all of it; dlt's `incremental` on `updatedAt` then leaves out what it
knows, before the merge. This is not dlt's own HubSpot source (`hubspot_dlt_source`).
"""

from __future__ import annotations

from typing import Any

from bench.contenders import Job, dlt_records
from bench.hubspot import OBJECTS, PROPERTIES, TOKEN, names_of

IMPORTED = (*dlt_records.IMPORTED[:-1], "dlt.sources.rest_api", "requests")
ROWS = "load.companies"


def load(job: Job) -> int:
    """Run a pipeline; return how many rows it wrote."""
    return run(job, listed(properties(job.url)))


def properties(url: str) -> list[str]:
    """Ask which properties companies have."""
    import requests

    answer = requests.get(f"{url}{PROPERTIES}", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=60)
    answer.raise_for_status()
    return names_of(answer.json()["results"])


def listed(names: list[str]) -> dict[str, Any]:
    """Return the endpoint of the list."""
    return {
        "path": OBJECTS.removeprefix("/"),
        "params": {"limit": 100, "properties": ",".join(names)},
        "data_selector": "results",
        "paginator": {"type": "cursor", "cursor_path": "paging.next.after", "cursor_param": "after"},
        "incremental": {"cursor_path": "updatedAt", "initial_value": "1970-01-01T00:00:00Z"},
    }


def run(job: Job, endpoint: dict[str, Any]) -> int:
    """Merge what an endpoint gives by `upsert`; return how many rows were handed to the merge."""

    def source() -> Any:
        from dlt.sources.rest_api import rest_api_source  # type: ignore[import-not-found]  # the bench's environment

        resource = {
            "name": "companies",
            "primary_key": "id",
            "write_disposition": {"disposition": "merge", "strategy": "upsert"},
            "max_table_nesting": 0,
            "endpoint": endpoint,
            "processing_steps": [{"map": _flat}],
        }
        client = {"base_url": f"{job.url}/", "auth": {"type": "bearer", "token": TOKEN}}
        return rest_api_source({"client": client, "resources": [resource]}, name="hubspot")

    return dlt_records.merge(job, source, table="companies")


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Put a record's properties beside its id, so that dlt has no nested JSON to take apart."""
    found: dict[str, Any] = record.pop("properties")
    return found | record
