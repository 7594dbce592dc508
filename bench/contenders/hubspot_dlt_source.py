"""
dlt's own HubSpot source, as `dlt init hubspot duckdb` puts it into a folder; it is no part of dlt's package, nor of
this one.

It is left as it is but for its address, all properties asked for, and no associations: nobody else reads those here.
It has no incremental run of objects: each run reads the whole list and merges all of it. Read at commit ed0f5a4 of
dlt-hub/verified-sources.
"""

from __future__ import annotations

import importlib
from typing import Any

from bench.contenders import Job, dlt_records
from bench.hubspot import TOKEN

IMPORTED = (*dlt_records.IMPORTED[:-1], "hubspot")
ROWS = "load.companies"


def load(job: Job) -> int:
    """Run a pipeline; return how many rows it wrote."""
    return dlt_records.merge(job, lambda: _source(job.url), table="companies")


def _source(url: str) -> Any:
    source: Any = importlib.import_module("hubspot")
    source.settings.CRM_OBJECT_ENDPOINTS["company"] = "/crm/v3/objects/companies"
    source.helpers.get_url = lambda endpoint: f"{url}{endpoint}"
    properties = {"company": source.settings.ALL}
    return source.hubspot(api_key=TOKEN, properties=properties).with_resources("companies")
