"""
Two portals, and two processes on each: no limit of any bucket is ever passed, and every row arrives.

The limits are real time, in the sandbox as at HubSpot.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from syncer.sandbox import Clock
from syncer.sandbox.hubspot import HubSpotSite
from syncer.sandbox.hubspot.limits import ASSOCIATIONS, GENERAL, SEARCH, Limits
from tests.campaign.beds import Bed, bed
from tests.portal_truth import Judge

LIMITS = Limits(ten_secondly=100, search_a_second=5, associations_ten_secondly=100)
FIRST = "companies contacts properties associations"
OTHER = "deals tickets notes calls emails meetings tasks communications owners pipelines pipeline_stages"
NAMES = tuple([f"hubspot.{stream}" for stream in streams.split()] for streams in (FIRST, OTHER))
SECOND = "second"


def campaign(*, is_short: bool) -> int:
    """Run it; print the figures; return how many things were wrong."""
    records = 400 if is_short else 3_000
    began = time.monotonic()
    clock = Clock()
    sites = {
        "hubspot": HubSpotSite.generate(seed=1, companies=records, contacts=records, clock=clock, index_lag_s=0),
        "hubspot_b": HubSpotSite.generate(
            seed=2,
            companies=records,
            contacts=records,
            clock=clock,
            index_lag_s=0,
            name="hubspot_b",
            portal_id=77001,
            token="pat-sandbox-b",
        ),
    }
    for site in sites.values():
        site.limits = LIMITS
    folder = Path(tempfile.mkdtemp(prefix="syncer-portals-"))
    wrong = 0
    try:
        with bed(folder, **sites) as home:
            home.more = {
                f"SYNCER_HUBSPOT__{SECOND.upper()}_URL": home.sandbox.url("hubspot_b"),
                f"SYNCER_HUBSPOT__{SECOND.upper()}_TOKEN": "pat-sandbox-b",
            }
            for turn in ("first load", "after edits"):
                if turn == "after edits":
                    for site in sites.values():
                        site.edit(records // 10, 5)
                    clock.advance(300)
                codes = [process.wait(timeout=900) for process in started(home)]
                wrong += sum(codes)
                print(f"{turn}: exit codes {codes}; {time.monotonic() - began:.0f} s", flush=True)
            wrong += judged(home, sites)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return wrong


def started(home: Bed) -> list[subprocess.Popen[bytes]]:
    """Start two processes on each portal."""
    return [
        subprocess.Popen(
            [sys.executable, "-m", "syncer", "pull", *names, "--output", "json", *environment],
            cwd=home.folder,
            env=home.process_environment(),
            stdout=subprocess.DEVNULL,
        )
        for environment in ([], ["--environment", SECOND])
        for names in NAMES
    ]


def judged(home: Bed, sites: dict[str, Any]) -> int:
    """Compare the peaks with the limits, and the rows with the portals."""
    wrong = 0
    for name, site in sites.items():
        peaks = {bucket: site.meter.peak(bucket) for bucket in (GENERAL, SEARCH, ASSOCIATIONS)}
        over = [bucket for bucket, peak in peaks.items() if peak > LIMITS.burst(bucket)]
        print(f"{name}: at most {peaks}, refused {site.meter.refused}", flush=True)
        wrong += len(over) + site.meter.refused
    for name, environment in (("hubspot", "default"), ("hubspot_b", SECOND)):
        found = Judge(site=sites[name], file=home.file, environment=environment).all()
        print(
            f"{name}: {sum(found.compared.values()):,} records and edges compared, {len(found.wrong)} wrong",
            flush=True,
        )
        for what in found.wrong[:5]:
            print(f"  {what}", flush=True)
        wrong += len(found.wrong)
    return wrong
