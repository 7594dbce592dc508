"""
dlt on HubSpot, as somebody may set it up who knows the API: the first load as `hubspot_dlt_list`, later runs by a
search for what changed, which has all properties in its answer.

It leaves out what makes such a search safe: it goes by an offset while records change, gives no more than 10,000
results, and has no lookback, since a search learns of changes late.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from bench.contenders import Job, hubspot_dlt_list
from bench.hubspot import CHANGED, OBJECTS

IMPORTED = hubspot_dlt_list.IMPORTED
ROWS = hubspot_dlt_list.ROWS


def load(job: Job) -> int:
    """Run a pipeline; return how many rows it wrote."""
    names = hubspot_dlt_list.properties(job.url)
    return hubspot_dlt_list.run(job, _searched(names) if job.is_again else hubspot_dlt_list.listed(names))


def _searched(names: list[str]) -> dict[str, Any]:
    """Return the endpoint of the search."""
    listed = hubspot_dlt_list.listed(names)
    cursor = {"propertyName": CHANGED, "operator": "GTE", "value": "{incremental.start_value}"}
    return {
        "path": f"{OBJECTS.removeprefix('/')}/search",
        "method": "POST",
        "json": {
            "filterGroups": [{"filters": [cursor]}],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": names,
            "limit": 200,
        },
        "data_selector": "results",
        "paginator": {"type": "cursor", "cursor_path": "paging.next.after", "cursor_body_path": "after"},
        "incremental": listed["incremental"] | {"convert": _milliseconds},
    }


def _milliseconds(time: str) -> str:
    """Write a time as the search takes it."""
    return str(round(dt.datetime.fromisoformat(time).timestamp() * 1000))
