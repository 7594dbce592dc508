"""`syncer clean`: delete what the journal need not keep any more. How that is done: `aging.py`."""

from __future__ import annotations

from typing import Annotated

import attrs
import typer

from syncer.verbs import Session, Where


@attrs.frozen(kw_only=True)
class Options:
    """What `clean` takes."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted; change nothing.")] = False
    rewrite: Annotated[
        bool,
        typer.Option("--rewrite", help="Then write the warehouse anew, so that no byte of what was deleted is left."),
    ] = False


class _Rehearsed(Exception):
    """Inside this module: the transaction is to be rolled back; nothing went wrong."""


def run(options: Options, where: Where, session: Session) -> int:
    """
    Delete what pushes wrote down longer ago than [journal] keep_days, and what killed ones left.

    Of old plans: changes, rows and values; the counts of runs stay. Of conflicts: those that were settled. A push does
    the same at its end, but for the rewriting.
    """
    from syncer import aging, warehouses
    from syncer.clock import SystemClock
    from syncer.errors import UsageError

    session.log()
    if options.dry_run and options.rewrite:
        raise UsageError("--rewrite changes the warehouse, and --dry-run changes nothing.")
    settings = session.settings(where)
    clock = SystemClock()
    warehouse = warehouses.find(settings, clock=clock)
    done = aging.Aged()
    left: tuple[str, ...] = ()
    try:
        if warehouse.exists():
            try:
                with warehouse.transaction() as t:
                    done = aging.age(t, keep_days=settings.keep_days, now=clock.now())
                    done = attrs.evolve(done, tables=aging.drop_ownerless(t))
                    if options.dry_run:
                        raise _Rehearsed
            except _Rehearsed:
                pass
            if options.rewrite:
                left = warehouse.rewrite().left
    finally:
        warehouse.close()
    if session.is_json:
        session.document.put("cleaned", {**attrs.asdict(done), "is_rehearsal": options.dry_run, "left": list(left)})
        return 0
    kept = "for good" if settings.keep_days is None else f"for {settings.keep_days} days"
    session.say(
        f"{warehouse.name}: {'would delete' if options.dry_run else 'deleted'} {done}. Values are kept {kept}."
    )
    for sentence in left:
        session.say(f"  {sentence}")
    return 0
