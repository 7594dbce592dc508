"""
The verbs of the way out as Python functions: `push`, `revert`, `run`, `verify`.

Not here: `pull` and `forget` (`api.py`), how a verb works (`pushing.py`, `reverting.py`, `operating.py`,
`verifying.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

from syncer import operating, pushing, reverting, verifying
from syncer import settings as settings_module
from syncer.api import check_given, kind_of
from syncer.errors import SyncerError, UsageError
from syncer.executing import OnProgress as OnPlanProgress
from syncer.executing import Request as PlanRequest
from syncer.executing import Told
from syncer.findings import Report
from syncer.handles import Plan
from syncer.settings import Settings
from syncer.tally import Pushed
from syncer.verifying import Verified


class PushFailed(SyncerError):
    """
    A push failed, left rows unwritten, or was refused by its limits; `runs` has the outcome of each mapping.

    `exit_code` is that of the command line: 4 where limits or `require_clean` refused it, and nothing was written.
    """

    def __init__(self, message: str, *, runs: Sequence[Pushed], hint: str = "", exit_code: int = 1) -> None:
        super().__init__(message, hint=hint)
        self.runs = list(runs)
        self.exit_code = exit_code


@overload
def push(
    names: str,
    *,
    dry_run: Literal[True],
    plan: Plan | str | None = ...,
    force: bool = ...,
    first: int | None = ...,
    require_clean: bool = ...,
    again: Sequence[str] = ...,
    wait_s: float = ...,
    environment: str | None = ...,
    settings: Settings | None = ...,
    on_progress: OnPlanProgress | None = ...,
) -> Plan: ...


@overload
def push(
    names: str,
    *,
    dry_run: Literal[False] = ...,
    plan: Plan | str | None = ...,
    force: bool = ...,
    first: int | None = ...,
    require_clean: bool = ...,
    again: Sequence[str] = ...,
    wait_s: float = ...,
    environment: str | None = ...,
    settings: Settings | None = ...,
    on_progress: OnPlanProgress | None = ...,
) -> Pushed: ...


@overload
def push(
    names: list[str] | tuple[str, ...],
    *,
    dry_run: Literal[True],
    plan: Plan | str | None = ...,
    force: bool = ...,
    first: int | None = ...,
    require_clean: bool = ...,
    again: Sequence[str] = ...,
    wait_s: float = ...,
    environment: str | None = ...,
    settings: Settings | None = ...,
    on_progress: OnPlanProgress | None = ...,
) -> list[Plan]: ...


@overload
def push(
    names: list[str] | tuple[str, ...],
    *,
    dry_run: Literal[False] = ...,
    plan: Plan | str | None = ...,
    force: bool = ...,
    first: int | None = ...,
    require_clean: bool = ...,
    again: Sequence[str] = ...,
    wait_s: float = ...,
    environment: str | None = ...,
    settings: Settings | None = ...,
    on_progress: OnPlanProgress | None = ...,
) -> list[Pushed]: ...


def push(
    names: str | Sequence[str],
    *,
    dry_run: bool = False,
    plan: Plan | str | None = None,
    force: bool = False,
    first: int | None = None,
    require_clean: bool = False,
    again: Sequence[str] = (),
    wait_s: float = 0.0,
    environment: str | None = None,
    settings: Settings | None = None,
    on_progress: OnPlanProgress | None = None,
) -> Plan | Pushed | list[Plan] | list[Pushed]:
    """
    Bring a mapping out: what changed in its relation is compared with HubSpot, and written.

    names: one mapping, or a list of mappings and patterns; a list returns a list.
    dry_run: write nothing to the API, and return the `Plan`: it prints field by field, before and after; also one that
    limits would refuse (`is_refused`; `pushed.exit_code` is 4).
    plan: apply just this one (a `Plan`, or its id), as it was reviewed; force: though the limits refuse it.
    first: apply about so many changes, and stop. require_clean: write nothing when a row is rejected or in conflict.
    again: keys of rows whose create was reverted, and whose records are made again; not together with *plan*.
    wait_s: how long to wait for a process that writes the same kind of records.
    environment, settings: as for `pull`.

    Raises: UsageError: nothing was tried. The mapping's own error where one was asked for and failed. PushFailed: rows
    failed or are pending, limits refused it (`exit_code` 4), or some of several failed. Rejects and conflicts do not
    raise: look at `counts`.
    """
    check_given(names, environment, settings)
    if isinstance(names, str) and any(letter in names for letter in "*?["):
        raise UsageError(
            f"'{names}' is a pattern: it may name several mappings.", hint=f'Give a list, and get a list: ["{names}"].'
        )
    found = settings or settings_module.load(environment=environment)
    if not isinstance(names, str) and (plan is not None or again):
        chosen = pushing.chosen_of(names, found)
        if len(chosen) > 1:
            word = "plan= (--plan)" if plan is not None else "again= (--again)"
            raise UsageError(f"{word} goes with one mapping, and these are {len(chosen)}.")
    heard = _Heard(found)
    request = heard.request(
        plan,
        is_rehearsal=dry_run,
        is_forced=force,
        first=first,
        is_strict=require_clean,
        again=(again,) if isinstance(again, str) else tuple(again),
        wait_s=wait_s,
        on_progress=on_progress,
    )
    runs = pushing.push(names, settings=found, request=request)
    if isinstance(names, str):
        return heard.one(runs[0])
    heard.check(runs, is_one=False)
    return heard.plans() if dry_run else runs


@overload
def revert(
    run: Pushed | str,
    *,
    dry_run: Literal[True],
    plan: Plan | str | None = ...,
    force: bool = ...,
    first: int | None = ...,
    require_clean: bool = ...,
    wait_s: float = ...,
    environment: str | None = ...,
    settings: Settings | None = ...,
    on_progress: OnPlanProgress | None = ...,
) -> Plan: ...


@overload
def revert(
    run: Pushed | str,
    *,
    dry_run: Literal[False] = ...,
    plan: Plan | str | None = ...,
    force: bool = ...,
    first: int | None = ...,
    require_clean: bool = ...,
    wait_s: float = ...,
    environment: str | None = ...,
    settings: Settings | None = ...,
    on_progress: OnPlanProgress | None = ...,
) -> Pushed: ...


def revert(
    run: Pushed | str,
    *,
    dry_run: bool = False,
    plan: Plan | str | None = None,
    force: bool = False,
    first: int | None = None,
    require_clean: bool = False,
    wait_s: float = 0.0,
    environment: str | None = None,
    settings: Settings | None = None,
    on_progress: OnPlanProgress | None = None,
) -> Plan | Pushed:
    """
    Put back what a run changed, where nobody touched it since; what somebody did is a conflict that names both values.

    run: what `push` or `revert` returned, or the id of a run (of an operation, too), or a clear beginning of it.
    dry_run: write nothing to the API, and return the `Plan` of what would be put back. The others as for `push`.

    Raises: UsageError: there is no such run, nothing of it can be put back, or nothing was tried. PushFailed: changes
    failed or are pending, or nothing was written (`exit_code` 4). Conflicts do not raise: look at `counts`.
    """
    check_given("", environment, settings)
    of_run = run.run if isinstance(run, Pushed) else run
    if of_run is None:
        raise UsageError("This was a dry run, which changed nothing.", hint="Give what a push returned that wrote.")
    if not isinstance(of_run, str):
        raise UsageError(f"run is {kind_of(of_run)}.", hint="Give the id of a run as a text, or what `push` returned.")
    found = settings or settings_module.load(environment=environment)
    heard = _Heard(found)
    request = heard.request(
        plan,
        is_rehearsal=dry_run,
        is_forced=force,
        first=first,
        is_strict=require_clean,
        wait_s=wait_s,
        on_progress=on_progress,
    )
    return heard.one(reverting.revert(of_run, settings=found, request=request))


@overload
def run(
    operation: str,
    *,
    dry_run: Literal[True],
    plan: Plan | str | None = ...,
    force: bool = ...,
    first: int | None = ...,
    require_clean: bool = ...,
    wait_s: float = ...,
    environment: str | None = ...,
    settings: Settings | None = ...,
    on_progress: OnPlanProgress | None = ...,
) -> Plan | Report: ...


@overload
def run(
    operation: str,
    *,
    dry_run: Literal[False] = ...,
    plan: Plan | str | None = ...,
    force: bool = ...,
    first: int | None = ...,
    require_clean: bool = ...,
    wait_s: float = ...,
    environment: str | None = ...,
    settings: Settings | None = ...,
    on_progress: OnPlanProgress | None = ...,
) -> Pushed | Report: ...


def run(
    operation: str,
    *,
    dry_run: bool = False,
    plan: Plan | str | None = None,
    force: bool = False,
    first: int | None = None,
    require_clean: bool = False,
    wait_s: float = 0.0,
    environment: str | None = None,
    settings: Settings | None = None,
    on_progress: OnPlanProgress | None = None,
) -> Plan | Pushed | Report:
    """
    Run a maintenance operation: it makes a plan, which is held against the limits and carried out; or a `Report`.

    operation: its name, such as `hubspot.merge_tickets`. dry_run: write nothing to the API, and return the `Plan`; of
    a report, do not take its findings for told. The others, and what is raised, as for `push`; new findings do not
    raise.
    """
    check_given(operation, environment, settings)
    found = settings or settings_module.load(environment=environment)
    heard = _Heard(found)
    request = heard.request(
        plan,
        is_rehearsal=dry_run,
        is_forced=force,
        first=first,
        is_strict=require_clean,
        wait_s=wait_s,
        on_progress=on_progress,
    )
    done = operating.run(operation, settings=found, request=request)
    if isinstance(done, Pushed):
        return heard.one(done)
    heard.check([], is_one=True)
    return done


@overload
def verify(
    names: str, *, sample: int | None = ..., environment: str | None = ..., settings: Settings | None = ...
) -> Verified: ...


@overload
def verify(
    names: list[str] | tuple[str, ...],
    *,
    sample: int | None = ...,
    environment: str | None = ...,
    settings: Settings | None = ...,
) -> list[Verified]: ...


def verify(
    names: str | Sequence[str],
    *,
    sample: int | None = None,
    environment: str | None = None,
    settings: Settings | None = None,
) -> Verified | list[Verified]:
    """
    Compare both sides of a mapping whole, and write nothing: what agrees, what is left and why, what is unexplained.

    names: one mapping, or a list of mappings and patterns; a list returns a list. sample: compare so many rows only.
    environment, settings: as for `pull`. Raises: UsageError; what the warehouse and the source raise.
    """
    check_given(names, environment, settings)
    found = verifying.verify(names, settings=settings or settings_module.load(environment=environment), sample=sample)
    return found[0] if isinstance(names, str) else found


def check_words(plan: Plan | str | None, *, is_forced: bool, first: int | None, again: Sequence[str] = ()) -> None:
    """Raise UsageError, in the words of Python, where arguments of a verb contradict each other."""
    if is_forced and plan is None:
        raise UsageError(
            "force=True (--force) goes with a plan that was looked at: give plan= (--plan) as well.",
            hint="Make it with dry_run=True, look at it, and force that one.",
        )
    if again and plan is not None:
        raise UsageError(
            "again= (--again) goes with a plan that is made anew, and plan= (--plan) applies one as it stands.",
            hint="Leave one of them out; with dry_run=True, again= shows what it would make.",
        )
    if first is not None and first < 1:
        raise UsageError(f"first={first} (--first); it is a number from 1 on.")


class _Heard:
    """What a verb told while it ran: plans that were made, and errors."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._told: list[Told] = []
        self._failures: list[SyncerError] = []

    def request(self, plan: Plan | str | None, **words: Any) -> PlanRequest:
        """Make the request of a verb; *words* are its other fields. Raises UsageError, in the words of Python."""
        check_words(plan, is_forced=words["is_forced"], first=words["first"], again=words.get("again", ()))
        return PlanRequest(
            plan=plan.id if isinstance(plan, Plan) else plan,
            on_plan=self._told.append,
            on_failure=lambda pushed, error: self._failures.append(error),
            on_report_failure=lambda report, error: self._failures.append(error),
            **words,
        )

    def plans(self) -> list[Plan]:
        """Return handles of the plans that were made."""
        return [
            Plan(
                header=told.header,
                pushed=told.pushed,
                personal=told.personal,
                personal_ends=told.personal_ends,
                settings=self._settings,
            )
            for told in self._told
        ]

    def one(self, run: Pushed) -> Plan | Pushed:
        """Return what came of one run: its plan, where it was a rehearsal. Raises what `check` does."""
        self.check([run], is_one=True)
        return self.plans()[0] if run.is_rehearsal else run

    def check(self, runs: Sequence[Pushed], *, is_one: bool) -> None:
        """Raise what a script must not overlook. Rejects and conflicts are for a person; a dry run gives its plan."""
        if self._failures and is_one:
            self._failures[0].runs = list(runs)
            raise self._failures[0]
        bad = [run for run in runs if run.exit_code in (1, 2, 4) and not (run.is_rehearsal and run.exit_code == 4)]
        if bad:
            codes = {run.exit_code for run in bad}
            code = next(each for each in (1, 2, 4) if each in codes)
            message = "; ".join(str(run) for run in bad)
            message += "" if message.endswith((".", "!", "?")) else "."
            hints = [_way_on(run) for run in bad if run.exit_code == 4]
            raise PushFailed(message, runs=runs, hint=" ".join(hints), exit_code=code)


def _way_on(run: Pushed) -> str:
    """Say what to do about a run that was refused, in the words of Python and of the command line."""
    parts = [f'Look at it with plan="{run.plan}", dry_run=True.']
    if run.is_too_large:
        parts.append(f'plan="{run.plan}", force=True (--plan {run.plan} --force) applies that very plan.')
    if run.is_unclean:
        parts.append(
            "Something is rejected or in conflict: require_clean=True (--require-clean) lets nothing be written then."
        )
    return " ".join(parts)
