"""`syncer pull`: bring records in. What a pull does: `engine.py`, `inbound.py`, `census.py`."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from syncer.errors import UsageError
from syncer.reports import documents, terminal
from syncer.verbs import Session, Where, complete_mapping, naming_mappings, seconds_of, worst

if TYPE_CHECKING:
    from syncer.journal import Pulled
    from syncer.mapping import EntityMapping

FOREVER = "forever"  # what `--wait` alone is spelled out to


@attrs.frozen(kw_only=True)
class Options:
    """What `pull` takes."""

    names: Annotated[
        list[str],
        typer.Argument(
            metavar="NAME", help="Mappings; patterns in quotes ('gitlab.*').", autocompletion=complete_mapping
        ),
    ]
    full: Annotated[bool, typer.Option("--full", help="Read everything again; still writes only differences.")] = False
    census: Annotated[bool, typer.Option("--census", help="Read all keys, to find what is no longer there.")] = False
    force: Annotated[
        bool, typer.Option("--force", help="With --census: end rows even where they are too many (max_gone_share).")
    ] = False
    wait: Annotated[
        str | None,
        typer.Option(
            "--wait",
            metavar="[SECONDS]",
            help="Wait for a mapping that another process pulls: so long, or as long as it takes.",
        ),
    ] = None


def run(options: Options, where: Where, session: Session) -> int:
    """
    Pull mappings: what changed since the last time; the first time, everything.

    One line a mapping, as it ends. Nothing is written twice: a second pull of an unchanged source writes nothing.
    """
    from syncer import engine, mappings
    from syncer.reports.progress import PullProgress

    session.log()
    settings = session.settings(where)
    mode = _mode(options)
    wait_s = wait_s_of(options.wait)
    with naming_mappings(settings):
        chosen = mappings.choose(options.names, folders=settings.folders, objects=settings.objects())
    progress = PullProgress(in_order(chosen), sys.stderr, is_shown=not session.shared.quiet)
    session.before_note = progress.clear

    def told(pulled: Pulled) -> None:
        progress.ended(pulled)
        tell(session, pulled)

    request = engine.Request(
        mode=mode,
        is_forced=options.force,
        wait_s=wait_s,
        on_progress=progress.moved,
        on_wait=progress.waits,
        on_run=told,
        on_failure=session.traced,
    )
    began = time.monotonic()
    with progress:
        runs = engine.pull(options.names, settings=settings, request=request)
    if session.is_json:
        session.document.open_list("runs")
    elif len(runs) > 1:
        session.say(summary(runs, time.monotonic() - began))
    return worst(pulled.exit_code for pulled in runs)


def tell(session: Session, pulled: Pulled, *, indent: str = "") -> None:
    """Print the outcome of one mapping: what failed on stderr."""
    session.has_runs = True
    if session.is_json:
        entry = documents.run(pulled)
        session.document.add("runs", {**entry, "error": session.hidden(pulled.error)} if pulled.error else entry)
    elif pulled.exit_code == 1:
        session.note(session.hidden(f"syncer: {pulled}"))
    elif pulled.exit_code:
        session.show("\n".join([f"{indent}{pulled}", *(f"{indent}  {line}" for line in _next_steps(pulled))]))
    else:
        session.say(f"{indent}{pulled}")


def _next_steps(pulled: Pulled) -> Iterator[str]:
    """Say where to look at what is left, and what then to do."""
    name = pulled.mapping
    if pulled.braked:
        yield (
            f"Too many to believe (finding max_gone_share): look with `syncer status {name}`; "
            f"if they are gone indeed, `syncer pull {name} --census --force`."
        )
    if pulled.rejected and not (pulled.braked and pulled.rejected == 1):  # a brake counts as one
        yield f"Look with `syncer status {name} --rejects`."


def summary(runs: Sequence[Pulled], seconds: float) -> str:
    """Write what several pulls did together."""
    written = sum(pulled.inserted + pulled.updated for pulled in runs)
    ended = sum(pulled.gone for pulled in runs)
    braked = sum(pulled.braked for pulled in runs)
    requests = sum(pulled.requests for pulled in runs)
    extra = "".join(
        f", {count:,} {what}" for count, what in ((ended, "ended"), (braked, "would have ended and did not")) if count
    )
    return (
        f"{terminal.counted(len(runs), 'mapping')}: {terminal.counted(written, 'row')} written{extra}, "
        f"{terminal.counted(requests, 'request')}, {terminal.duration(float(seconds))}"
    )


def _mode(options: Options) -> str:
    from syncer.engine import CENSUS, FULL, INCREMENTAL

    if options.full and options.census:
        raise UsageError("--full and --census are two different pulls.", hint="Give one of them.")
    if options.force and not options.census:
        raise UsageError("--force goes with --census only.")
    return CENSUS if options.census else FULL if options.full else INCREMENTAL


def wait_s_of(wait: str | None) -> float:
    """Return how many seconds `--wait` asks for; 0 without it. Raises UsageError."""
    if wait is None:
        return 0.0
    return math.inf if wait == FOREVER else seconds_of(wait, "--wait")


def in_order(chosen: Sequence[EntityMapping]) -> list[str]:
    """Return the names in the engine's order: source by source."""
    sources = list(dict.fromkeys(mapping.source for mapping in chosen))
    return [mapping.name for source in sources for mapping in chosen if mapping.source == source]
