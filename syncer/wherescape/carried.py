"""
`wherescape.confirm`: what pulls put into load tables was carried on, and its offers end.

RED empties its load table, a pull fills it with all that is offered, and a procedure of RED carries that to a table
that stays. What was offered stays offered until `confirm`, the job's last step, says that it was carried; where no job
has that step, `reoffer_days` ends an offer.

Not here: the offers (`offers.py`), pulls (`inward.py`), the marks that others read (`highwater.py`).
"""

from __future__ import annotations

import datetime as dt
import fnmatch
from collections import Counter
from collections.abc import Sequence

import attrs

from syncer import mappings, offers, sql, warehouses
from syncer.clock import SystemClock
from syncer.errors import SyncerError, UsageError
from syncer.landings import LANDINGS
from syncer.offers import Confirmed
from syncer.settings import DEFAULT_ENVIRONMENT, Settings
from syncer.shape import ensure
from syncer.tables import LOAD, Table
from syncer.wherescape import highwater
from syncer.wherescape.binding import hosted
from syncer.wherescape.inward import counted
from syncer.wherescape.sitting import Sitting, sitting

EVERY = "*"  # environment
OVERTAKEN = "a pull began while it was being confirmed: what is offered stays so until a pull ended well behind it"


@attrs.frozen
class Landed:
    """A load table that pulls fill, as `syncer.landings` has it."""

    mapping: str
    environment: str
    load_table: str
    run: str
    began_at: dt.datetime
    carrier: str
    carried_at: dt.datetime | None

    @property
    def told(self) -> str:
        """The table for people, with what fills it."""
        of = "" if self.environment == DEFAULT_ENVIRONMENT else f" of {self.environment}"
        return f"{self.load_table} ({self.mapping}{of})"

    def is_meant(self, name: str) -> bool:
        """Tell whether *name* is the load table's, with or without its schema, or fits the mapping."""
        return self.is_named(name) or fnmatch.fnmatchcase(self.mapping, name)

    def is_named(self, name: str) -> bool:
        """Tell whether *name* is the load table's, with or without its schema."""
        table = self.load_table.lower()
        return name.lower() in (table, table.rpartition(".")[2])


class _Overtaken(Exception):
    """Inside this module: another pull began to fill the load table, so that nothing of the transaction is kept."""

    def __init__(self, landed: Landed) -> None:
        super().__init__(landed.told)
        self.landed = landed


@hosted
def confirm(*names: str, environment: str = "") -> list[Confirmed]:
    """
    Say that what pulls put into load tables was carried on: those offers end. The last step of a job.

    names: load tables, or mappings, patterns among these; left out, all that this execution of the job has pulled.
    environment: of mappings that fill a load table in several; `*`: in all of them.
    Confirms nothing of a pull that did not finish, and says so.
    Raises: UsageError: outside a job, and nothing is named; a name that no pull has filled a load table by, or one
    that means several environments.
    """
    with sitting() as here:
        here.red.require("target_dsn")
        if not names and not here.carrier:
            raise UsageError(
                "Outside a job nobody knows what was carried on.",
                hint='Name the load tables or mappings: confirm("jira.issues").',
            )
        settings = here.settings("", DEFAULT_ENVIRONMENT)
        warehouse = warehouses.find(settings, clock=SystemClock())
        try:
            with warehouse.transaction() as t:
                chosen = _chosen(_landed(t), names, environment, here.carrier)
            done, landed = _all_confirmed(warehouse, chosen, settings)
        finally:
            warehouse.close()
        sources = {
            each.mapping.partition(".")[0] for each, ended in zip(chosen, done, strict=True) if not ended.reason
        }
        kept, failed = _marks_kept(here, sources, landed) if here.red.meta.dsn else ([], "")
        _tell(here, chosen, done, kept, failed)
        return done


def _landed(t: warehouses.Transaction) -> list[Landed]:
    if not t.columns(LANDINGS):
        return []
    ensure(t, LANDINGS)  # one that an earlier version made
    columns = ", ".join(field.name for field in attrs.fields(Landed))
    return [
        Landed(*row)
        for row in t.rows(sql.statement(f"SELECT {columns} FROM {sql.table_name(LANDINGS)} ORDER BY 1, 2"))
    ]


def _chosen(found: Sequence[Landed], names: Sequence[str], environment: str, carrier: str) -> list[Landed]:
    """Return what is meant, by mapping and environment. Raises UsageError."""
    known = ", ".join(each.told for each in found) or "none"
    within = [each for each in found if environment in ("", EVERY, each.environment)]
    if environment and not within:
        raise UsageError(
            f"No pull of the environment {environment} has filled a load table of this warehouse.",
            hint=f"Those that did: {known}.",
        )
    if not names:
        return [each for each in within if each.carrier == carrier]
    chosen: dict[Landed, None] = {}
    for name in names:
        if not isinstance(name, str) or not name.strip():
            raise UsageError(
                f"confirm was given {'a blank text' if isinstance(name, str) else type(name).__name__}.",
                hint='Give each name as a text: confirm("jira.issues").',
            )
        meant = [each for each in within if each.is_meant(name)]
        if not meant:
            of = f" of the environment {environment}" if environment not in ("", EVERY) else ""
            raise UsageError(
                f"No pull of {name}{of} has filled a load table of this warehouse.", hint=f"Those that did: {known}."
            )
        tables = {each.load_table for each in meant if each.is_named(name)}
        if len(tables) > 1:
            raise UsageError(
                f"{name} is {len(tables)} load tables: {', '.join(sorted(tables))}.",
                hint=f'Name it with its schema: confirm("{min(tables)}").',
            )
        several = {each.environment for each in meant if not each.is_named(name)}
        if not environment and len(several) > 1:
            raise UsageError(
                f"{name} is filled in {len(several)} environments: {', '.join(each.told for each in meant)}.",
                hint='Name the load tables; or say environment="…", environment="*" for all of them.',
            )
        chosen |= dict.fromkeys(meant)
    return [each for each in found if each in chosen]


def _all_confirmed(
    warehouse: warehouses.Warehouse, chosen: Sequence[Landed], settings: Settings
) -> tuple[list[Confirmed], list[Landed]]:
    """Confirm in one transaction all but those that a pull overtakes; return also what is landed behind it."""
    overtaken: list[Landed] = []
    while True:
        try:
            with warehouse.transaction() as t:
                done = [
                    Confirmed(ended=0, run=each.run, reason=OVERTAKEN)
                    if each in overtaken
                    else _confirmed(t, each, settings)
                    for each in chosen
                ]
                return done, _landed(t)
        except _Overtaken as error:
            overtaken.append(error.landed)


def _confirmed(t: warehouses.Transaction, landed: Landed, settings: Settings) -> Confirmed:
    """End the offers of one load table's pull, and keep when that began. Raises _Overtaken: another one began."""
    known = mappings.known(folders=settings.folders, objects=settings.objects(is_every=True))
    if landed.mapping not in known:
        return Confirmed(ended=0, run=landed.run, reason=f"{landed.mapping} is no mapping any more")
    table = Table(schema=LOAD, name=known[landed.mapping].table(landed.environment), columns=())
    # It must be the last pull: one that failed before it could begin, or that filled another table, came after it.
    done = offers.confirm(
        t, table, mapping=landed.mapping, environment=landed.environment, run=landed.run, is_last=True
    )
    if done.reason:
        return done
    # The row is the landed pull's still, and from here to the commit no other one can take it.
    kept = t.run(
        sql.statement(
            f"UPDATE {sql.table_name(LANDINGS)} SET carried_at = ? WHERE mapping = ? AND environment = ? AND run = ?"
        ),
        [landed.began_at, landed.mapping, landed.environment, landed.run],
    )
    if not kept:
        raise _Overtaken(landed)
    return done


def _marks_kept(here: Sitting, sources: set[str], landed: Sequence[Landed]) -> tuple[list[str], str]:
    """Write RED's marks of the sources that were confirmed; return what is told of it, and what failed."""
    told = []
    try:
        for source in sorted(sources & set(highwater.NAMES)):
            carried = [each.carried_at for each in landed if each.mapping.partition(".")[0] == source]
            if kept := highwater.keep(here.parameters, source, carried):
                told.append(f"RED's parameter {kept[0]} is {kept[1]}")
    except SyncerError as error:  # the offers have ended by now: who reads the mark reads more than need be
        return told, f"RED's mark of {source} was not written: {error.message}"
    return told, ""


def _tell(
    here: Sitting, chosen: Sequence[Landed], done: Sequence[Confirmed], kept: Sequence[str], failed: str
) -> None:
    """Say how many rows of which tables were carried on; what could not be confirmed is a warning."""
    both = list(zip(chosen, done, strict=True))
    shared = Counter(each.load_table for each in chosen)
    names = {each: each.told if shared[each.load_table] > 1 else each.load_table for each in chosen}
    refused = [f"{names[landed]} is not confirmed: {each.reason}" for landed, each in both if each.reason]
    carried = [f"{counted(each.ended, 'row')} of {names[landed]}" for landed, each in both if not each.reason]
    message = f"confirmed: {', '.join(carried)}" if carried else ""
    if not chosen:
        message = "nothing to confirm: this job has pulled nothing, or another one has pulled it again since"
    code = 3 if refused or failed else 0
    here.ended(code, "; ".join(filter(None, [*refused, message, failed])), details=tuple(kept))
