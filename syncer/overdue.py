"""
What has not finished a run for too long: mappings that are pulled or pushed, and operations, each verb for itself.

Not here: reading the runs (`status.py`), telling of it (`reports/standing.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Protocol

import attrs

from syncer import limits
from syncer.declared import MAX_AGE
from syncer.settings import Settings

PULL, PUSH, RUN = "pull", "push", "run"
VERBS = (PULL, PUSH, RUN)  # that are run again and again: each has a last run, and may be too old


@attrs.frozen(kw_only=True)
class Stale:
    """
    A mapping or operation that has not finished a run of a verb for too long. `last_done` is None where it never did.
    """

    mapping: str
    environment: str
    last_done: dt.datetime | None
    last_status: str | None
    verb: str = PULL


class Run(Protocol):
    """The last run of a mapping and verb."""

    @property
    def mapping(self) -> str: ...
    @property
    def environment(self) -> str: ...
    @property
    def verb(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def last_done(self) -> dt.datetime | None: ...


@attrs.frozen(kw_only=True)
class Asked:
    """What is asked. names: what counts even if it never ran in *environment*, each with its verb."""

    names: Mapping[str, str]
    environment: str
    max_age: dt.timedelta


def of(runs: Iterable[Run], asked: Asked, *, settings: Settings, now: dt.datetime) -> tuple[Stale, ...]:
    """
    Find what is overdue among the last *runs*. An operation that is not named may have an age of its own: jobs of
    every night and of every week, and one that was run once by hand, stand beside pulls of every hour.
    """
    found = [run for run in runs if run.verb in VERBS]
    ever = {(run.mapping, run.environment) for run in found}
    late = [
        Stale(
            mapping=run.mapping,
            environment=run.environment,
            last_done=run.last_done,
            last_status=run.status,
            verb=run.verb,
        )
        for run in found
        if (oldest := _oldest(run, asked, settings, now)) is not None
        and (run.last_done is None or run.last_done < oldest)
    ]
    never = [
        Stale(mapping=name, environment=asked.environment, last_done=None, last_status=None, verb=verb)
        for name, verb in asked.names.items()
        if (name, asked.environment) not in ever
    ]
    return (*late, *never)


def _oldest(run: Run, asked: Asked, settings: Settings, now: dt.datetime) -> dt.datetime | None:
    """Return when a run must have ended since; None: whenever it did is right."""
    own: float | str | None = None
    if run.verb == RUN and run.mapping not in asked.names:
        own = attrs.evolve(settings, environment=run.environment).for_mapping(run.mapping).get(MAX_AGE)
    if own == limits.OFF:
        return None
    return now - (asked.max_age if own is None else dt.timedelta(seconds=float(own)))
