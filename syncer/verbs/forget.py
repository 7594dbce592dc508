"""`syncer forget`: erase a person. How that is done: `forgetting.py`."""

from __future__ import annotations

from typing import Annotated

import attrs
import typer

from syncer.errors import UsageError
from syncer.verbs import Session, Where, complete_mapping


@attrs.frozen(kw_only=True)
class Options:
    """What `forget` takes."""

    name: Annotated[str, typer.Argument(metavar="NAME", help="The mapping.", autocompletion=complete_mapping)]
    key: Annotated[
        str | None,
        typer.Argument(metavar="ID", help="The record's key, as the load table has it; parts are joined by /."),
    ] = None
    untreated: Annotated[
        bool,
        typer.Option(
            "--untreated", help="In place of ID: what was loaded before its field was dropped, hashed or masked."
        ),
    ] = False
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be touched; change nothing.")] = False


def run(options: Options, where: Where, session: Session) -> int:
    """
    Erase a person from the warehouse: personal columns, raw JSON, offers, rejects and findings; then rewrite it.

    A file is written anew; on a server, the tables that are ours. What that does not reach is said. A keyed hash of
    the key is left, so that the person does not come back with the next pull.
    """
    from syncer import engine, forgetting, treating, warehouses
    from syncer.clock import SystemClock

    session.log()
    if (options.key is None) is not options.untreated:
        raise UsageError("forget takes the ID of a record, or --untreated.", hint="See `syncer forget --help`.")
    if options.untreated and options.dry_run:
        raise UsageError("--dry-run is for one record.")
    settings = session.settings(where)
    doors = engine.doors_of(settings, SystemClock())
    warehouse = warehouses.find(settings, clock=doors.clock)
    try:
        if options.key is None:
            done = treating.treat_loaded(options.name, settings=settings, doors=doors, warehouse=warehouse)
        else:
            done = forgetting.forget(
                options.name,
                options.key,
                settings=settings,
                doors=doors,
                warehouse=warehouse,
                is_rehearsal=options.dry_run,
            )
    finally:
        warehouse.close()
    if session.is_json:
        session.document.put("forgotten", attrs.asdict(done))
    else:
        session.say(str(done))
    return 0
