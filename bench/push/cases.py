"""
What is measured of pushes: each case is some steps on a portal and a warehouse; behind each push the portal is looked
at, and a push that did not bring it where it belongs is no figure.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.hubspot.turns import Portal
from bench.measure import Broken, Whole
from bench.postgresql.server import Server
from bench.push import peer, rows, wide
from bench.push.site import Warehouse, portal, warehouse

CHANGED, CREATED, ADOPTED, ALL, DIFF, PEER = CASES = ("changed", "created", "adopted", "all", "diff", "drt")
USUAL = (CHANGED, CREATED, ALL, DIFF, PEER)  # where all change, they are adopted first
SYNCER = "syncer"
HOWS = (  # how drt is run: its name, its policy, and which rows its query selects
    ("all rows", peer.UPSERT, ""),
    ("update only", peer.UPDATE, ""),
    ("changed rows", peer.UPDATE, "phone LIKE '+31 2 %'"),
)
EVERY = 100  # one row of so many changes in CHANGED


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sizes:
    """How many rows the cases are about."""

    changed: int = 20_000
    created: int = 5_000
    few: int = 10_000
    all: int = 100_000
    diff: int = 1_000_000
    peer: int = 1_000


QUICK = Sizes(changed=2_000, created=500, few=500, all=2_000, diff=20_000, peer=200)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Used:
    """
    What one run used, or the median of several. rows: those of the relation; about: those of them that the run is for.
    requests: by what they were for. told: what it says that it did.
    """

    rows: int
    about: int
    cpu_s: float
    wall_s: float
    work_s: float
    peak_mb: float
    server_cpu_s: float = 0.0
    requests: Mapping[str, int] = dataclasses.field(default_factory=dict)
    told: str = ""

    @classmethod
    def of(cls, whole: Whole, *, rows: int, told: str, about: int | None = None, **more: Any) -> Used:
        """Take what a process used."""
        return cls(
            rows=rows, about=about or rows, cpu_s=whole.cpu_s, wall_s=whole.wall_s, work_s=whole.said["work_s"],
            peak_mb=whole.peak_mb, told=told, **more,
        )  # fmt: skip

    @classmethod
    def median(cls, several: Sequence[Used]) -> Used:
        """Return the median of each number; of requests, which must not differ, those with the largest sum."""
        names = ("cpu_s", "wall_s", "work_s", "peak_mb", "server_cpu_s")
        middle = {name: statistics.median(getattr(each, name) for each in several) for name in names}
        most = max(several, key=lambda each: each.requests.get("requests", 0))
        return dataclasses.replace(most, **middle)


Key = tuple[str, str, str]  # case, warehouse, what
Turn = dict[Key, Used]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bench:
    """What all cases need."""

    packages: Path
    sizes: Sizes
    server: Server | None = None
    drt: Path | None = None  # an interpreter that has it

    def turn(self, case: str, backend: str) -> Turn:
        """Run a case once on a warehouse; return what each of its runs used. Raises Broken."""
        if case == DIFF:
            return self._diff(backend)
        if case == PEER:
            return self._beside(backend)
        if case in (CHANGED, CREATED):
            return self._small(case, backend)
        return self._large(case, backend)

    def _small(self, case: str, backend: str) -> Turn:
        """A few rows of many change; or some are new."""
        count, sizes = self.sizes.changed, self.sizes
        with portal(count, self.packages) as site, self._warehouse(backend, site) as place:
            place.tell(rows.inserting(1, count))
            self._pushed(place, site, {"1": count})
            place.tell(_settled(backend))
            if case == CHANGED:
                place.tell(rows.changing(1, count, 2, every=EVERY))
                few = count // EVERY
                used = self._pushed(place, site, {"1": count - few, "2": few})
                nothing = self._pushed(place, site, {"1": count - few, "2": few})
                return {
                    (case, backend, f"{count:,} rows, {few:,} changed"): used,
                    (case, backend, f"{count:,} rows, none changed"): nothing,
                }
            place.tell(rows.inserting(count + 1, count + sizes.created))
            used = self._pushed(place, site, {"1": count + sizes.created})
            used = dataclasses.replace(used, about=sizes.created)
            return {(case, backend, f"{count:,} rows, {sizes.created:,} created"): used}

    def _large(self, case: str, backend: str) -> Turn:
        """All rows are adopted, and then all change; few rows and many, so that memory can be compared."""
        found: Turn = {}
        for count in (self.sizes.few, self.sizes.all):
            with portal(count, self.packages) as site, self._warehouse(backend, site) as place:
                place.tell(rows.inserting(1, count))
                adopted = self._pushed(place, site, {"1": count})
                found[ADOPTED, backend, f"{count:,} rows"] = adopted
                if case == ADOPTED:
                    continue
                place.tell([*rows.changing(1, count, 2), *_settled(backend)])
                used = self._pushed(place, site, {"2": count}, fresh_s=0.0)  # as if each had been read a while ago
                found[case, backend, f"{count:,} rows, all changed"] = used
        return found

    def _beside(self, backend: str) -> Turn:
        """syncer and drt on the same rows: some of them changed, and all."""
        assert self.drt is not None
        count, few = self.sizes.peer, self.sizes.peer // 5
        found: Turn = {}
        some, everyone = {"1": count - few, "2": few}, {"2": count}
        with portal(count, self.packages) as site, self._warehouse(backend, site) as place:
            place.tell(rows.inserting(1, count))
            self._pushed(place, site, {"1": count})
            place.tell(rows.changing(1, count, 2, every=5))
            found[PEER, backend, f"{SYNCER}, {few:,} of {count:,} changed"] = self._pushed(place, site, some)
            place.tell(rows.changing(1, count, 2))
            found[PEER, backend, f"{SYNCER}, all of {count:,} changed"] = self._pushed(place, site, everyone)
        for how, policy, where in HOWS:
            with portal(count, self.packages) as site, self._warehouse(backend, site) as place:
                place.tell([*rows.inserting(1, count), *rows.changing(1, count, 2, every=5)])
                used = self._run(place, site, some, policy=policy, where=where)
                found[PEER, backend, f"drt {how}, {few:,} of {count:,} changed"] = used
                place.tell(rows.changing(1, count, 2))
                used = self._run(place, site, everyone, policy=policy, where=where)
                found[PEER, backend, f"drt {how}, all of {count:,} changed"] = used
        return found

    def _run(self, place: Warehouse, site: Portal, versions: Mapping[str, int], *, policy: str, where: str) -> Used:
        """Measure a run of drt, and look at the portal as behind a push."""
        assert self.drt is not None
        site.ask("count")
        used = peer.run(self.drt, place, policy=policy, where=where)
        requests = site.ask("count")
        told = f"drt {used.said['version']}, exit {used.said['exit']}"
        _check(site, versions, told)
        return Used.of(used, rows=sum(versions.values()), told=told, requests=requests)

    def _diff(self, backend: str) -> Turn:
        count = self.sizes.diff
        expected = count // wide.EVERY
        found: Turn = {}
        with self._warehouse(backend, None) as place:
            place.tell([*wide.making(count), *wide.keeping(backend)])
            place.step("know")
            place.tell([*wide.changing(), *_settled(backend)])
            for what in (*wide.WAYS, SYNCER, *wide.WAYS, SYNCER):  # twice, of which the first one warms the caches
                before = self._server_cpu_s()
                step, more = ("find", {}) if what == SYNCER else ("hand", {"way": what})
                used = place.step(step, **more)
                if used.said["found"] != expected:
                    raise Broken(f"{what}, {backend}: {used.said['found']:,} rows found, and {expected:,} differ.")
                found[DIFF, backend, what] = Used.of(
                    used, rows=count, told=f"{expected:,} found", server_cpu_s=self._server_cpu_s() - before
                )
        return found

    def _pushed(self, place: Warehouse, site: Portal, versions: Mapping[str, int], **request: Any) -> Used:
        """Measure a push; what the portal holds then must be *versions*, one company a key."""
        site.ask("count")
        before = self._server_cpu_s()
        used = place.step("push", request=request)
        requests = site.ask("count")
        _check(site, versions, used.said["told"])
        return Used.of(
            used,
            rows=sum(versions.values()),
            told=used.said["told"],
            requests=requests,
            server_cpu_s=self._server_cpu_s() - before,
        )

    def _warehouse(self, backend: str, site: Portal | None) -> Any:
        url = site.api.url if site else ""
        return warehouse(backend, self.packages, server=self.server if backend == "postgresql" else None, url=url)

    def _server_cpu_s(self) -> float:
        if self.server is None:
            return 0.0
        self.server.wait_until_idle()
        return self.server.cpu_s()


def _check(site: Portal, versions: Mapping[str, int], told: str) -> None:
    """Raise Broken where a portal does not hold one company a key, so many of each version."""
    held, count = site.ask("versions"), sum(versions.values())
    wanted = {"live": count, "keys": count, "wrong": 0, "versions": dict(versions)}
    if held != wanted:
        raise Broken(f"The portal holds {held}, and not {wanted}: {told}")


def _settled(backend: str) -> list[str]:
    """What a warehouse does by itself in a while, done now, so that it does not fall into a measured run."""
    return ["CHECKPOINT"] if backend == "duckdb" else ["VACUUM (ANALYZE)", "CHECKPOINT"]
