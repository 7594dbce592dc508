"""
syncer on HubSpot, whole: `engine.pull` of the mapping that is shipped, limits off, everything else as anybody has it.

It also looks into the recycle bin, and reads what was archived there.
"""

from __future__ import annotations

from bench.contenders import Job, syncer
from bench.hubspot import TOKEN

IMPORTED = (*syncer.IMPORTED, "syncer.sources.hubspot", "hubspot.crm.properties")
ROWS = "load.hubspot_companies WHERE dss_record_state = 'live'"


def load(job: Job) -> int:
    """Pull the companies; return how many rows were inserted or updated."""
    return syncer.pull(job, "hubspot.companies", {"SYNCER_HUBSPOT_URL": job.url, "SYNCER_HUBSPOT_TOKEN": TOKEN})
