"""What all tests share: a folder's settings, a clock that can be moved, and a script for the scripted source."""

from __future__ import annotations

import datetime as dt
import gc
import importlib.util
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
import hypothesis
import pytest

from syncer import engine, settings
from syncer.budget import Budget
from syncer.journal import Pulled
from syncer.settings import Settings
from syncer.transport import Doors
from syncer.warehouses import Warehouse, find
from tests import in_memory
from tests.backends import BACKENDS, Database, columns_of
from tests.backends import query_file as query_file
from tests.not_run import pytest_sessionfinish as pytest_sessionfinish

# A case takes as long as a noisy machine needs; fixed seeds make a failure in one run a failure in all.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.load_profile("suite")

OWN = Path(__file__).parent / "own"


class MovableClock:
    """The machine's clock, moved by what a test says; sleeping moves it and takes no time."""

    def __init__(self) -> None:
        self.offset = dt.timedelta(0)
        self.slept: list[float] = []
        self._start = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
        self._ticks = 0

    def now(self) -> dt.datetime:
        self._ticks += 1
        return self._start + self.offset + dt.timedelta(microseconds=self._ticks)

    def monotonic(self) -> float:
        return (self.now() - self._start).total_seconds()

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    @property
    def waited(self) -> list[float]:
        """The sleeps but for a warehouse's short looks, of which a busy machine makes more."""
        return [seconds for seconds in self.slept if seconds > 0.01]

    def advance(self, seconds: float) -> None:
        self.offset += dt.timedelta(seconds=seconds)


def pytest_configure(config: pytest.Config) -> None:
    """
    Let SIGINT through: a shell starts what runs in its background without it, and so would be what we start. Have
    files in memory.
    """
    in_memory.use_memory()
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """
    Take what is imported by now out of the garbage collector's sight: it looked at all of it again and again, which
    was a twelfth of the time of all tests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def own_module(kind: str, name: str) -> ModuleType:
    """Load a module of the tests' own folder under the name that the catalogue gives it."""
    known = f"syncer_own_{kind}_{name}"
    if known not in sys.modules:
        spec = importlib.util.spec_from_file_location(known, OWN / kind / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[known] = module
        spec.loader.exec_module(module)
    return sys.modules[known]


@attrs.define
class Site:
    """A site of the scripted source: its folder, settings, clock and script."""

    folder: Path
    settings: Settings
    clock: MovableClock
    doors: Doors
    script: Any
    database: Database

    def pull(self, name: str = "scripted.things", **request: Any) -> Pulled:
        """Pull one mapping."""
        return engine.pull(name, settings=self.settings, request=engine.Request(**request), doors=self.doors)[0]

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Ask the warehouse, as a person's shell would."""
        return self.database.rows(query, parameters)

    def columns(self, table: str) -> list[str]:
        """Return the columns of a load table, in their order."""
        return columns_of(self.database, table)

    def warehouse(self) -> Warehouse:
        """Open the warehouse through its port."""
        return find(self.settings, clock=self.clock)


def only(backend: str, reason: str) -> pytest.MarkDecorator:
    """Run a test on one warehouse alone; *reason* says why the other one has nothing to do with it."""
    assert backend in BACKENDS and reason
    return pytest.mark.parametrize("backend", [backend], indirect=True)


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    """The name of the warehouse that a test runs on: each test on every one."""
    return str(request.param)


@pytest.fixture
def make_site(tmp_path: Path, backend: str) -> Iterator[Callable[..., Site]]:
    """Make sites of the scripted source, each with a folder and a warehouse of its own."""
    module = own_module("sources", "scripted")
    made: dict[str, Database] = {}

    def make(toml: str = "", name: str = "site") -> Site:
        folder = tmp_path / name
        folder.mkdir()
        (folder / "syncer.toml").write_text(f"[syncer]\nfolders = ['{OWN.as_posix()}']\n{toml}", encoding="utf-8")
        script = module.Script()
        key = f"{folder.parent.name}-{name}"
        module.SCRIPTS[key] = script
        made[key] = database = BACKENDS[backend](folder)
        variables = {
            "SYNCER_WAREHOUSE": database.setting,
            "SYNCER_SCRIPTED_URL": f"http://script/{key}",
            "SYNCER_SCRIPTED_TOKEN": "not-a-secret",
            "SYNCER_CACHE": str(tmp_path / "cache"),
        }
        clock = MovableClock()
        doors = Doors(clock=clock, budget=Budget(tmp_path / "cache", clock=clock))
        return Site(folder, settings.load(variables=variables, folder=folder), clock, doors, script, database)

    yield make
    for key, database in made.items():
        del module.SCRIPTS[key]
        database.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """One site of the scripted source."""
    return make_site()
