"""
Landing: what a pull of the style `delta` has offered, put into a load table that somebody else made and empties.

Such a table (WhereScape RED's, or any host's) is never made, altered or compared: its columns and their types are the
law. Rows go into the table of offers as ever, in the transaction of their place. The load table is filled once, in the
transaction that ends the run: what stands there of this mapping goes, and all open offers come. So it is never half
filled, needs no key, and a run that died before its end leaves it as it was; the next one fills it with all that is
open. What a column gets is found by its name: a meaning of the host's, else the field of that name.

Not here: how a value gets into a column of some type (`loadtypes.py`), the offers themselves (`offers.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from syncer import journal, marks, sql
from syncer.errors import UsageError
from syncer.journal import Pulled
from syncer.loading import LOAD_DATE, MERGED_INTO, RECORD_SOURCE, RECORD_STATE, Context
from syncer.loadtypes import Fitting, LoadColumn, described, fitting, wanted
from syncer.mapping import MASK, EntityMapping, Field
from syncer.offers import OFFERED_BY, end_old, number, offers_table
from syncer.rows import Reject, fixed_columns
from syncer.sources import LIVE
from syncer.tables import STATE, Column, Table
from syncer.values import TEXT, TIMESTAMP
from syncer.warehouses import Transaction

OURS = (RECORD_SOURCE, LOAD_DATE, RECORD_STATE, MERGED_INTO)
NOT_CARRIED, UNFILLED = "column_not_carried", "column_unfilled"  # kinds of findings
NAMED = 5  # how many columns a note names
MISFIT = "does not fit "  # how the reason of a reject begins; behind it stand the column's type and table
REJECTS_A_COLUMN = 1_000  # that are named; all are counted

LANDINGS = Table(
    schema=STATE,
    name="landings",
    columns=(
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("load_table", TEXT),  # with its schema, as the host has it
        Column("run", TEXT),  # the last pull that began to fill it
        Column("carrier", TEXT),  # what carries it on: the host's word for this execution of its job
        Column("began_at", TIMESTAMP),
    ),
    key=("mapping", "environment"),
)


@attrs.frozen(kw_only=True)
class Meaning:
    """What a column holds where that is not the field of its name: a field of its own, or one text in every row."""

    field: Field | None = None
    constant: str | None = None


@attrs.frozen(kw_only=True)
class Filled:
    """What filling a load table did."""

    rows: int
    left_out: int  # offers of records that are not live any more, where the table has no column for that
    rejects: Sequence[Reject] = ()


@attrs.frozen(kw_only=True)
class Fitted:
    """
    A mapping as a load table has it.

    landing: the table. mapping: with just the fields that the table wants, and those that rows are found by.
    sources: for each column that is filled, the offers' column, or a constant.
    not_carried: fields that the table has no column for. unfilled: its columns that nothing fills.
    """

    landing: Landing
    mapping: EntityMapping
    sources: Sequence[tuple[LoadColumn, str | None, str | None]]
    not_carried: Sequence[str]
    unfilled: Sequence[str]

    def on_end(
        self, context: Context, *, reoffer: dt.timedelta
    ) -> Callable[[Transaction, dt.datetime], tuple[Sequence[Reject], tuple[str, ...]]]:
        """
        Return what is to be called in the transaction that ends a run: it fills the load table, then ends the offers
        that were put into it for longer than *reoffer*, each of which stands there once more. It returns what did not
        fit, and notes.
        """
        landing = self.landing

        def end(t: Transaction, now: dt.datetime) -> tuple[Sequence[Reject], tuple[str, ...]]:
            filled = landing.fill(t, self, context, now=now)
            end_old(t, context, outdated=context.started - reoffer)
            notes = [f"{landing.told} has {_counted(filled.rows, 'row')} to carry on"]
            if filled.left_out:
                left_out = _counted(filled.left_out, "record")
                notes.append(f"{left_out} that ended not told: {landing.told} has no column {RECORD_STATE}")
            return filled.rejects, tuple(notes)

        return end


@attrs.frozen(kw_only=True)
class Landing:
    """
    A load table that somebody else made.

    columns: as the warehouse's catalogue has them, in their order. meanings: by the name of a column in small letters.
    label: what `dss_record_source` gets; labels: other texts that stand there in rows of this mapping.
    carrier: the host's word for the execution of its job that carries the rows on; "" where it has none.
    """

    schema: str
    name: str
    columns: tuple[LoadColumn, ...]
    label: str
    labels: tuple[str, ...] = ()
    meanings: Mapping[str, Meaning] = attrs.field(factory=dict)
    carrier: str = ""

    @property
    def told(self) -> str:
        """The table for people."""
        return f"{self.schema}.{self.name}"

    @property
    def _table(self) -> Table:
        return Table(schema=self.schema, name=self.name, columns=())

    def check(self) -> None:
        """Refuse a table that cannot be filled. Raises UsageError."""
        if not self.columns:
            raise UsageError(
                f"{self.told}: there is no such table in the warehouse, or it has no columns.",
                hint="Have the host create it; its columns come from `create_metadata`.",
            )
        names = {column.name.lower() for column in self.columns}
        if RECORD_SOURCE not in names:
            raise UsageError(
                f"{self.told} has no column {RECORD_SOURCE}: the rows of this mapping could not be told from others.",
                hint=f"Add {RECORD_SOURCE} (text) to it.",
            )
        if not names - set(OURS):
            raise UsageError(f"{self.told} has no columns but the warehouse's own.", hint="Add those of the records.")

    def fitted(self, mapping: EntityMapping) -> Fitted:
        """
        Fit a mapping, whose fields are all known, to the table.

        Raises: UsageError: no column of the table is one of the mapping's.
        """
        self.check()
        fields = {field.column: field for field in mapping.fields}
        told_by_keys = mapping.inbound.told_by_keys if mapping.inbound else ()
        fixed = fixed_columns(mapping) | set(told_by_keys)
        kept: dict[str, Field] = {name: fields[name] for name in fields if name in fixed}
        sources: list[tuple[LoadColumn, str | None, str | None]] = []
        unfilled = []
        for column in self.columns:
            name = column.name.lower()
            if name in OURS:
                continue
            meaning = self.meanings.get(name)
            if meaning is not None and meaning.field is None:
                sources.append((column, None, meaning.constant or ""))
                continue
            field = meaning.field if meaning is not None else fields.get(name)
            if field is None:
                unfilled.append(column.name)
                continue
            own = self._offered(field, column, kept, fixed)
            kept[own.column] = own
            sources.append((column, own.column, None))
        if not any(source for _, source, _ in sources):
            raise UsageError(
                f"{self.told} has no column that {mapping.name} could fill.",
                hint=f"Is it the table of another stream? {mapping.name} has {', '.join(list(fields)[:NAMED])}, ….",
            )
        if any(field.treatment == MASK for field in kept.values()):  # by the names that stand in the same record
            kept |= {name: field for name, field in fields.items() if field.names_people and name not in kept}
        paths = {field.steps for field in kept.values()}
        not_carried = [name for name, field in fields.items() if name not in kept and field.steps not in paths]
        landed = attrs.evolve(mapping, fields=tuple(kept.values()))
        return Fitted(landing=self, mapping=landed, sources=sources, not_carried=not_carried, unfilled=unfilled)

    def fill(self, t: Transaction, fitted: Fitted, context: Context, *, now: dt.datetime) -> Filled:
        """Take out of the table what stands there of this mapping, and put in all that is offered."""
        offers = offers_table(context.table)
        fittings = self._fittings(t, fitted, context)
        names = {column.name.lower(): column.name for column in self.columns}
        values: dict[str, str] = {column.name: each.safe for column, _, each in fittings}
        given: list[object] = []
        for column, _, constant in fitted.sources:
            if constant is not None:
                values[column.name] = sql.literal(constant)
        values[names[RECORD_SOURCE]] = sql.literal(self.label)
        for name in (RECORD_STATE, MERGED_INTO):
            if name in names:
                values[names[name]] = f"s.{name}"
        if LOAD_DATE in names:
            moment = next(column for column in self.columns if column.name.lower() == LOAD_DATE)
            given = [now]
            fit = fitting("CAST(? AS TIMESTAMP WITH TIME ZONE)", TIMESTAMP, moment, try_cast=t.try_cast)
            values[names[LOAD_DATE]] = fit.value if fit else "NULL"
            given = given if fit else []
        table, source = sql.table_name(self._table), sql.table_name(offers)
        which = "" if RECORD_STATE in names else f" WHERE s.{RECORD_STATE} = '{LIVE}'"
        labels = ", ".join(sql.literal(label) for label in dict.fromkeys((self.label, *self.labels)))
        t.run(sql.statement(f"DELETE FROM {table} AS t WHERE t.{sql.quoted(names[RECORD_SOURCE])} IN ({labels})"))
        rows = t.run(
            sql.statement(
                f"INSERT INTO {table} ({sql.names(values)}) SELECT {', '.join(values.values())} FROM {source} AS s"
                f"{which}"
            ),
            given,
        )
        offered = int(t.rows(sql.statement(f"SELECT COUNT(*) FROM {source} AS s"))[0][0])
        return Filled(rows=rows, left_out=offered - rows, rejects=self._rejects(t, fittings, context, which))

    def _fittings(self, t: Transaction, fitted: Fitted, context: Context) -> list[tuple[LoadColumn, str, Fitting]]:
        """Write how each column gets its value; one that no value of its field can get into stays blank."""
        types = context.table.types()
        found = []
        for column, source, _ in fitted.sources:
            if source is None:
                continue
            fit = fitting(f"s.{sql.quoted(source)}", types[source], column, try_cast=t.try_cast)
            found.append((column, source, fit or Fitting("NULL", "")))
        return found

    def _rejects(
        self, t: Transaction, fittings: Iterable[tuple[LoadColumn, str, Fitting]], context: Context, which: str
    ) -> list[Reject]:
        """Name the values that did not fit their column."""
        limited = [(column, fit.fits) for column, _, fit in fittings if fit.fits]
        if not limited:
            return []
        rejects: list[Reject] = []
        offers = sql.table_name(offers_table(context.table))
        # One pass, whatever the number of columns.
        counts = ", ".join(f"SUM(CASE WHEN {fits} THEN 0 ELSE 1 END)" for _, fits in limited)
        (found,) = t.rows(sql.statement(f"SELECT {counts} FROM {offers} AS s{which}"))
        narrowed = f"{which} AND" if which else " WHERE"
        for (column, fits), count in zip(limited, found, strict=True):
            if not count:
                continue
            query = f"SELECT {context.key_of('s')} FROM {offers} AS s{narrowed} NOT ({fits}) LIMIT {REJECTS_A_COLUMN}"
            rejects += [Reject(str(key), column.name, self._misfit(column)) for (key,) in t.rows(sql.statement(query))]
        return rejects

    def widened(self, t: Transaction, context: Context) -> list[str]:
        """
        Return the keys with a value that did not fit a column that is another one by now, and forget what was seen of
        them: read again, they are offered anew.
        """
        owner = context.owner
        query = (
            f'SELECT r.key, r."column", r.reason FROM {sql.table_name(journal.REJECTS)} AS r '
            f"WHERE {context.owned('r')} AND STARTS_WITH(r.reason, '{MISFIT}') ORDER BY r.key"
        )
        now = {column.name: self._misfit(column) for column in self.columns}
        found = t.rows(sql.statement(query))
        keys = list(dict.fromkeys(key for key, column, reason in found if now.get(column) != reason))
        for key in keys:
            t.run(
                sql.statement(
                    f"UPDATE {sql.table_name(marks.SEEN)} SET row_hash = '' "
                    "WHERE mapping = ? AND environment = ? AND key = ?"
                ),
                [owner.mapping, owner.environment, key],
            )
        return keys

    def _misfit(self, column: LoadColumn) -> str:
        return f"{MISFIT}{column.told} of {self.told}"

    @staticmethod
    def _offered(field: Field, column: LoadColumn, kept: Mapping[str, Field], fixed: Iterable[str]) -> Field:
        """Return the field by which a column is offered: under its own name, unless another one has that."""
        if field.column in fixed and field == kept.get(field.column):
            return field
        own = attrs.evolve(field, type=wanted(field, column), path=field.path or field.column)
        name = own.column
        while name in kept and attrs.evolve(kept[name], column=own.column) != own:
            name = f"{name}_landed"
        return attrs.evolve(own, column=name)


def begin(t: Transaction, fitted: Fitted, context: Context, *, reoffer: dt.timedelta, now: dt.datetime) -> None:
    """
    Give this pull its number among those that offer, and write down which table it lands in.

    Raises: UsageError: it is another one than before, whose offers would go astray.
    """
    number(t, context, outdated=now - reoffer)
    landing = fitted.landing
    owner, name = context.owner, sql.table_name(LANDINGS)
    whose = [owner.mapping, owner.environment]
    where = "WHERE mapping = ? AND environment = ?"
    known = t.rows(sql.statement(f"SELECT load_table FROM {name} {where}"), whose)
    if known and known[0][0].lower() != landing.told.lower():
        raise UsageError(
            f"{owner.mapping} of the environment {owner.environment} fills {known[0][0]}, and not {landing.told}.",
            hint="A mapping fills one load table an environment: name another environment; or, where the first table "
            "is given up, delete its row of syncer.landings.",
        )
    if known:
        t.run(
            sql.statement(f"UPDATE {name} SET load_table = ?, run = ?, carrier = ?, began_at = ? {where}"),
            [landing.told, owner.run, landing.carrier, now, *whose],
        )
    else:
        t.run(sql.insert(LANDINGS), [*whose, landing.told, owner.run, landing.carrier, now])


def read_columns(t: Transaction, schema: str, name: str) -> tuple[LoadColumn, ...]:
    """Read the columns of a load table out of the catalogue, in their order; none where there is no such table."""
    query = (
        "SELECT c.column_name, c.data_type, c.character_maximum_length, c.numeric_precision, c.numeric_scale "
        "FROM information_schema.columns AS c WHERE LOWER(c.table_schema) = ? AND LOWER(c.table_name) = ? "
        "ORDER BY c.ordinal_position"
    )
    found = t.rows(sql.statement(query), [schema.lower(), name.lower()])
    return tuple(described(*row) for row in found)


def table_of(wanted: Table, offers: Table) -> Table:
    """Return the load table that a mapping would have, with the types that the columns of its offers have now."""
    return attrs.evolve(wanted, columns=tuple(column for column in offers.columns if column.name != OFFERED_BY))


def tell(t: Transaction, fitted: Fitted, *, pulled: Pulled, now: dt.datetime) -> tuple[str, ...]:
    """
    Keep as findings, one a kind, the columns that only the stream or only the table has; return notes of those that no
    run has told before.
    """
    table = fitted.landing.told
    notes = []
    for kind, names, what in (
        (NOT_CARRIED, fitted.not_carried, f"that {table} does not have"),
        (UNFILLED, fitted.unfilled, f"of {table} that nothing fills"),
    ):
        known = set(journal.standing(t, kind, pulled=pulled).get(table, "").split(", "))
        journal.stand(t, kind, {table: ", ".join(names)} if names else {}, pulled=pulled, now=now)
        if new := [name for name in names if name not in known]:
            more = f" and {len(new) - NAMED:,} more" if len(new) > NAMED else ""
            notes.append(f"{_counted(len(new), 'column')} {what} (finding {kind}): {', '.join(new[:NAMED])}{more}")
    return tuple(notes)


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
