"""
The verbs as Python functions. They return values that print well, raise where something failed, and never exit.

Not here: how a verb works (`engine.py`), and the command line (`cli.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

from syncer import cleaning, engine, forgetting, warehouses
from syncer import settings as settings_module
from syncer.cleaning import Cleaned, OnCleaning
from syncer.clock import SystemClock
from syncer.engine import CENSUS, FULL, INCREMENTAL, Request
from syncer.errors import SyncerError, UsageError
from syncer.forgetting import Forgotten
from syncer.inbound import OnProgress
from syncer.journal import Pulled
from syncer.settings import Settings


class PullFailed(SyncerError):
    """Some of several mappings failed; `runs` has the outcome of each."""

    def __init__(self, message: str, *, runs: Sequence[Pulled]) -> None:
        super().__init__(message)
        self.runs = list(runs)


@overload
def pull(
    names: str,
    *,
    full: bool = ...,
    census: bool = ...,
    force: bool = ...,
    wait_s: float = ...,
    environment: str | None = ...,
    settings: Settings | None = ...,
    on_progress: OnProgress | None = ...,
) -> Pulled: ...


@overload
def pull(
    names: list[str] | tuple[str, ...],
    *,
    full: bool = ...,
    census: bool = ...,
    force: bool = ...,
    wait_s: float = ...,
    environment: str | None = ...,
    settings: Settings | None = ...,
    on_progress: OnProgress | None = ...,
) -> list[Pulled]: ...


def pull(
    names: str | Sequence[str],
    *,
    full: bool = False,
    census: bool = False,
    force: bool = False,
    wait_s: float = 0.0,
    environment: str | None = None,
    settings: Settings | None = None,
    on_progress: OnProgress | None = None,
) -> Pulled | list[Pulled]:
    """
    Bring a mapping in: what changed since the last pull, or everything the first time.

    names: one mapping, or a list of mappings and patterns (`["gitlab.*"]`); a list returns a list.
    full: reload everything, still writing only differences. census: find what is no longer there; force: end it,
    though it is a lot.
    wait_s: how long to wait for a process that pulls the same mapping.
    environment, settings: which account; settings (with its environment) in place of environment variables and
    `syncer.toml`.

    Raises: UsageError: nothing was tried. The mapping's own error where one was asked for and failed; PullFailed where
    some of several did. Values that could not be loaded do not raise: look at `rejected`.
    """
    check_given(names, environment, settings)
    if full and census:
        raise UsageError("A pull is full or a census, not both.")
    if isinstance(names, str) and any(letter in names for letter in "*?["):
        raise UsageError(
            f"'{names}' is a pattern: it may name several mappings.", hint=f'Give a list, and get a list: ["{names}"].'
        )
    if force and not census:
        raise UsageError("force is for a census.")
    failures: list[SyncerError] = []
    request = Request(
        mode=FULL if full else CENSUS if census else INCREMENTAL,
        is_forced=force,
        wait_s=wait_s,
        on_progress=on_progress,
        on_failure=lambda pulled, error: failures.append(error),
    )
    runs = engine.pull(names, settings=settings or settings_module.load(environment=environment), request=request)
    if not isinstance(names, str):
        if failures:
            failed = ", ".join(run.mapping for run in runs if run.status != "done")
            raise PullFailed(
                f"{len(failures)} of {len(runs)} pulls failed ({failed}). The first one: {failures[0]}", runs=runs
            )
        return runs
    if failures:
        raise failures[0]
    return runs[0]


def check_given(names: object, environment: object, settings: object) -> None:
    """Say what is wanted where something else was given: a program's variable may hold anything. Raises UsageError."""
    if not isinstance(names, str | list | tuple):
        raise UsageError(
            f"names is {kind_of(names)}.", hint="Give one mapping as a text, or a list of mappings and patterns."
        )
    wrong = [] if isinstance(names, str) else [each for each in names if not isinstance(each, str)]
    if wrong:
        raise UsageError(
            f"names holds something of type {type(wrong[0]).__name__}.",
            hint="Each is a mapping or a pattern, as a text.",
        )
    if environment is not None and not isinstance(environment, str):
        raise UsageError(f"environment is {kind_of(environment)}.", hint="Give its name as a text, or None.")
    if settings is not None and not isinstance(settings, Settings):
        raise UsageError(f"settings is {kind_of(settings)}.", hint="Give a syncer.Settings, or None.")


def kind_of(value: object) -> str:
    """Say what a value is, not its text: it may be a token."""
    return "None" if value is None else f"of type {type(value).__name__}"


def forget(
    name: str, key: str, *, dry_run: bool = False, environment: str | None = None, settings: Settings | None = None
) -> Forgotten:
    """
    Erase a person from the warehouse: what is personal of the record *key* of a mapping; see docs/personal-data.md.

    key: as the load table has it, the parts of a longer one joined by `/`.
    dry_run: count what would be touched, and change nothing.
    environment, settings: as for `pull`.

    Raises: UsageError: nothing is personal in the mapping, no such record is known, or there is no hash key: nothing
    was changed. LeaseHeld: the mapping is being pulled.
    """
    check_given(name, environment, settings)
    found = settings or settings_module.load(environment=environment)
    doors = engine.doors_of(found, SystemClock())
    warehouse = warehouses.find(found, clock=doors.clock)
    try:
        return forgetting.forget(
            name, str(key), settings=found, doors=doors, warehouse=warehouse, is_rehearsal=dry_run
        )
    finally:
        warehouse.close()


def clean(
    *,
    dry_run: bool = False,
    rewrite: bool = False,
    mapping: str | None = None,
    environment: str | None = None,
    settings: Settings | None = None,
    on_progress: OnCleaning | None = None,
) -> Cleaned:
    """
    Delete what the warehouse need not keep any more of what was written there; tell what goes, what stays, and why.

    dry_run: tell what would go, and change nothing. rewrite: then write the warehouse anew, so that no byte of what
    was deleted is left. mapping: also all that is kept of this one, which nobody configures any more.
    environment, settings: as for `pull`.

    Raises: UsageError: both *dry_run* and *rewrite*; the mapping is configured, or may still be put back.
    WarehouseError: the warehouse refused.
    """
    check_given("", environment, settings)
    found = settings or settings_module.load(environment=environment)
    return cleaning.clean(settings=found, dry_run=dry_run, rewrite=rewrite, mapping=mapping, on_progress=on_progress)
