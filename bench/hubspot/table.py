"""What `python -m bench hubspot` prints: what each contender used, and syncer's share of it. Nothing is promised."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from bench.hubspot.turns import CHANGED, FIRST, RUNS, Turn
from bench.measure import Measured
from bench.table import HEAD, Line, row

TITLES = {
    "hubspot_floor": "floor",
    "hubspot_syncer": "syncer",
    "hubspot_dlt_list": "dlt, rest_api, list",
    "hubspot_dlt_search": "dlt, rest_api, search",
    "hubspot_dlt_source": "dlt's HubSpot source",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Results:
    """The medians of one portal: how many companies were live, how many changed, what each contender's runs used."""

    live: int
    changed: int
    measured: Mapping[tuple[str, str], Measured]  # contender, run

    @classmethod
    def of(cls, turns: Mapping[str, Sequence[Turn]]) -> Results:
        """Take the medians of each contender's turns."""
        some = next(iter(turns.values()))[0]
        medians = {
            (contender, run): Measured.median([each.measured[run] for each in several])
            for run in RUNS
            for contender, several in turns.items()
        }
        return cls(live=some.live, changed=some.changed, measured=medians)


def lines(results: Results, *, properties: int, repeat: int) -> Iterator[str]:
    """Yield the lines of the table."""
    yield (
        f"{results.live:,} HubSpot companies of {properties} properties, {results.changed:,} of them changed, "
        f"into DuckDB; median of {repeat}"
    )
    yield "a row is a company: all of them in the first run, those that changed in the two others"
    yield ""
    yield HEAD
    for (contender, run), found in results.measured.items():
        about = results.live if run == FIRST else results.changed
        floor = results.measured.get(("hubspot_floor", run))
        yield row((TITLES[contender], run), found, records=about, floor=floor)
    yield ""
    yield from map(str, ratios(results))


def ratios(results: Results) -> Iterator[Line]:
    """Yield syncer's share of what the others used: CPU of each run, wall time of those that have something to do."""
    for (other, run), theirs in results.measured.items():
        ours = results.measured.get(("hubspot_syncer", run))
        if ours is None or other == "hubspot_syncer":
            continue
        yield Line(f"CPU, syncer / {TITLES[other]}, {run}", ours.cpu_s / theirs.cpu_s)
        if run in (FIRST, CHANGED):
            yield Line(f"wall, syncer / {TITLES[other]}, {run}", ours.wall_s / theirs.wall_s)
