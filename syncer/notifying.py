"""
Who is told of runs that a person should look at: a webhook, a command, or both, as `[notify]` of `syncer.toml` says;
one document for all runs of a verb, when they have ended and the warehouse is let go.

It has counts, ids of runs and the names of mappings, limits, and what kind of error it was, in words that stand in
this file's errors and not in the error: no value of a record, no key, no text that an API or a warehouse said. Sending
changes nothing: not what the verb came to, and not for longer than `timeout_s`; that it failed is a warning that names
the host. A webhook's URL is a secret, path and all.

Not here: what a site may set (`settings.py`), what runs come to (`journal.py`, `tally.py`, `verifying.py`).
"""

from __future__ import annotations

import contextlib
import json
import socket
import uuid
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from types import TracebackType
from typing import TYPE_CHECKING, Any

import attrs
from loguru import logger

from syncer import errors, telling
from syncer.clock import iso
from syncer.configfile import UNEXPLAINED
from syncer.errors import SyncerError
from syncer.journal import FAILED, REFUSED, Pulled
from syncer.settings import Notify, Settings
from syncer.tally import Pushed
from syncer.transport import Doors

if TYPE_CHECKING:
    from syncer.findings import Report
    from syncer.verifying import Verified

IS_FAILED, IS_REFUSED, IS_REJECTS, IS_CONFLICTS, IS_FINDINGS = "failed", "refused", "rejects", "conflicts", "findings"
LONGEST = 300  # letters of a text that are sent
FAULT = "a fault of syncer, or of a source, mapping or operation of your own"
_SEVERITY = (1, 2, 4, 3, 0)
_PULLED = ("read", "inserted", "updated", "unchanged", "gone", "rejected", "keys", "braked")
OnFailure = Callable[[Any, SyncerError], None]


@attrs.frozen(kw_only=True)
class Run:
    """
    One run, as it may be told to anybody: no text in it is a record's, an API's or a warehouse's.

    causes: why a person should look, of `configfile.CAUSES`; empty: nobody need. look: the command that shows more.
    """

    run: str | None
    plan: str | None = None
    mapping: str
    status: str
    exit_code: int
    causes: tuple[str, ...] = ()
    counts: Mapping[str, int] = attrs.field(factory=dict)
    requests: int = 0
    trips: tuple[str, ...] = ()
    look: str = ""


def of_pulled(pulled: Pulled) -> Run:
    """Tell a pull; its mark and notes are left out: they are of records."""
    causes = ((pulled.exit_code == 1, IS_FAILED), (bool(pulled.rejected), IS_REJECTS))
    return Run(
        run=pulled.run,
        mapping=pulled.mapping,
        status=pulled.status,
        exit_code=pulled.exit_code,
        causes=tuple(cause for is_so, cause in causes if is_so),
        counts={name: getattr(pulled, name) for name in _PULLED},
        requests=pulled.requests,
        look=_look(pulled.run, pulled.mapping),
    )


def of_pushed(pushed: Pushed) -> Run:
    """Tell a run of a plan."""
    counts = pushed.counts
    causes = (
        (pushed.exit_code in (1, 2), IS_FAILED),
        (pushed.status == REFUSED or bool(pushed.trips), IS_REFUSED),
        (bool(counts.rejected), IS_REJECTS),
        (bool(counts.conflicts), IS_CONFLICTS),
    )
    edges = {"associated": pushed.associated, "disassociated": pushed.disassociated}
    return Run(
        run=pushed.run,
        plan=pushed.plan or None,
        mapping=pushed.mapping,
        status=pushed.status,
        exit_code=pushed.exit_code,
        causes=tuple(cause for is_so, cause in causes if is_so),
        counts={"read": counts.read, **attrs.asdict(counts), **edges},
        requests=pushed.requests,
        trips=pushed.trips,
        look=_look(pushed.run, pushed.mapping),
    )


def of_report(report: Report) -> Run:
    """Tell a report; its lines are left out."""
    causes = ((report.status == FAILED, IS_FAILED), (bool(report.new), IS_FINDINGS))
    return Run(
        run=report.run,
        mapping=report.operation,
        status=report.status,
        exit_code=report.exit_code,
        causes=tuple(cause for is_so, cause in causes if is_so),
        counts={"lines": len(report.lines), "findings": len(report.findings), "new": len(report.new)},
        requests=report.requests,
        look=_look(report.run, report.operation),
    )


def of_verified(verified: Verified) -> Run:
    """Tell what comparing both sides came to; there is no run of it."""
    named = ((UNEXPLAINED, UNEXPLAINED), ("rejects", IS_REJECTS), ("conflicts", IS_CONFLICTS))
    return Run(
        run=None,
        mapping=verified.mapping,
        status="done",
        exit_code=verified.exit_code,
        causes=tuple(cause for verdict, cause in named if verified.counts.get(verdict)),
        counts={"read": verified.read, **verified.counts},
        requests=verified.requests,
        look=f"syncer verify {verified.mapping}",
    )


def _look(run: str | None, mapping: str) -> str:
    return f"syncer status {run or mapping}"


class Watch:
    """
    Hears of the runs of one verb, and tells of them when the verb is over; a context manager.

    An error that ends the verb is told, too, and goes on. Ctrl-C is not: somebody is there.
    """

    def __init__(
        self, verb: str, *, asked: Iterable[str], settings: Settings, doors: Doors, is_silent: bool = False
    ) -> None:
        """Begin to listen. asked: the names that are run; is_silent: nobody is told, as of a dry run."""
        self._verb, self._asked = verb, list(asked)
        self._environment = settings.environment
        self._notify = Notify() if is_silent else settings.notify()
        self._doors = doors
        self._runs: list[Run] = []
        self._errors: dict[str, SyncerError] = {}

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell what there is to tell; nothing that goes wrong then goes further."""
        if not self._notify.is_set or (error is not None and not isinstance(error, Exception)):
            return
        try:
            self._tell(error)
        except Exception as wrong:  # noqa: BLE001  # an outermost door: telling must not change what is told of
            logger.warning("notify: nobody could be told ({})", type(wrong).__name__)

    def failing(self, on_failure: OnFailure | None) -> OnFailure:
        """Return what hears of a run that failed, and why, beside *on_failure*."""

        def heard(run: Any, error: SyncerError) -> None:
            self._errors[getattr(run, "mapping", None) or run.operation] = error
            if on_failure is not None:
                on_failure(run, error)

        return heard

    def pulling(self, on_run: Callable[[Pulled], None] | None) -> Callable[[Pulled], None]:
        """Return what hears of each pull as it ends, beside *on_run*."""

        def heard(pulled: Pulled) -> None:
            self.add(of_pulled(pulled))
            if on_run is not None:
                on_run(pulled)

        return heard

    def pushed(self, pushed: Pushed) -> Pushed:
        """Hear of a run of a plan; return it."""
        self.add(of_pushed(pushed))
        return pushed

    def reported(self, report: Report) -> Report:
        """Hear of a report; return it."""
        self.add(of_report(report))
        return report

    def add(self, run: Run) -> None:
        """Hear of a run."""
        self._runs.append(run)

    def _tell(self, error: Exception | None) -> None:
        wanted = set(self._notify.on)
        runs = [run for run in self._runs if wanted.intersection(run.causes)]
        ended = error if IS_FAILED in wanted else None
        if not runs and ended is None:
            return
        causes = [cause for cause in self._notify.on if ended is not None and cause == IS_FAILED]
        causes += [cause for cause in self._notify.on if any(cause in run.causes for run in runs)]
        codes = [run.exit_code for run in runs]
        codes += [ended.exit_code if isinstance(ended, SyncerError) else 1] if ended is not None else []
        document = {
            **head(self._verb, self._environment, self._doors),
            "asked": self._asked,
            "causes": list(dict.fromkeys(causes)),
            "exit_code": next(code for code in _SEVERITY if code in codes),
            "runs": [self._entry(run) for run in runs],
            **({"error": _told(ended)} if ended is not None else {}),
        }
        for sent in send(document, self._notify, doors=self._doors):
            if sent.trouble:
                logger.warning("notify: {} could not be told of this {}: {}", sent.to, self._verb, sent.trouble)

    def _entry(self, run: Run) -> dict[str, Any]:
        error = self._errors.get(run.mapping) if run.status == FAILED else None
        entry = {name: value for name, value in attrs.asdict(run).items() if name != "look"}
        return {**entry, **({"error": _told(error)} if error is not None else {}), "look": run.look}


def head(verb: str, environment: str, doors: Doors) -> dict[str, Any]:
    """Return what stands at the beginning of a document."""
    version = ""
    with contextlib.suppress(metadata.PackageNotFoundError):
        version = metadata.version("syncer")
    return {
        "notification": uuid.uuid4().hex[:12],
        "syncer": version,
        "verb": verb,
        "environment": environment,
        "host": socket.gethostname(),
        "at": iso(doors.clock.now()),
    }


def receivers(notify: Notify) -> list[tuple[str, str]]:
    """Name who is told, without what is secret: the webhook by its host, the command by its program."""
    found = (("the webhook at", telling.host_of(notify)), ("the command", telling.program_of(notify)))
    return [(what, name) for what, name in found if name]


def send(document: Mapping[str, Any], notify: Notify, *, doors: Doors) -> list[telling.Sent]:
    """Send a document to the webhook, the command, or both; return what came of each. It raises nothing."""
    body = json.dumps(_plain(document))  # ASCII: whatever encoding a pipe is taken for
    sent = []
    if notify.webhook:
        sent.append(telling.by_webhook(body, notify, doors))
    if notify.command:
        sent.append(telling.by_command(body, notify))
    return sent


def _told(error: Exception) -> dict[str, Any]:
    """Tell an error by its kind, in the words of `errors.py`: its own may name records, keys, paths."""
    ours: Iterable[type] = (each for each in type(error).__mro__ if each.__module__ == errors.__name__)
    known = next(iter(ours), None)
    if known is None:
        return {"type": type(error).__name__, "message": FAULT}
    status = getattr(error, "status", 0)
    return {
        "type": known.__name__,
        "message": " ".join((known.__doc__ or "").split()),
        **({"status": status} if status else {}),
    }


def _plain(value: Any) -> Any:
    """Write every text so that any program can read it: no NUL, half a letter, or what a terminal would obey."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, str):
        return "".join(letter if letter.isprintable() else "\ufffd" for letter in value[:LONGEST])
    return value
