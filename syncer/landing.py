"""
Landing: what a pull of the style `delta` has offered, put into a load table that somebody else made and empties.

Such a table (WhereScape RED's, or any host's) is never made, altered or compared: its columns and their types are the
law. Rows go into the table of offers as ever, in the transaction of their place. The load table is filled once, in the
transaction that ends the run: what stands there of this mapping goes, and all open offers come. So it is never half
filled, needs no key, and a run that died before its end leaves it as it was; the next one fills it with all that is
open. What a column gets is found by its name: a meaning of the host's, else the field of that name.

Not here: how a value gets into a column of some type (`loadtypes.py`), what does not fit (`misfits.py`), the offers
themselves (`offers.py`), which mapping fills which table (`landings.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence

import attrs

from syncer import journal, landings, misfits, privacy, sql
from syncer.errors import UsageError
from syncer.journal import Pulled
from syncer.loading import LOAD_DATE, MERGED_INTO, RECORD_SOURCE, RECORD_STATE, Context, Ended, OnEnd
from syncer.loadtypes import NOTHING, Family, Fitting, LoadColumn, fitting, wanted
from syncer.mapping import DROP, HASH, KEEP, MASK, EntityMapping, Field
from syncer.offers import OFFERED_BY, end_old, offers_table
from syncer.rows import fixed_columns
from syncer.sources import LIVE, STATES
from syncer.tables import Table
from syncer.values import JSON, TEXT, TIMESTAMP
from syncer.warehouses import Transaction

OURS = (RECORD_SOURCE, LOAD_DATE, RECORD_STATE, MERGED_INTO)
NOT_CARRIED, UNFILLED = "column_not_carried", "column_unfilled"  # kinds of findings
NAMED = 5  # how many columns a note names


@attrs.frozen(kw_only=True)
class Meaning:
    """What a column holds where that is not the field of its name: a field of its own, or one text in every row."""

    field: Field | None = None
    constant: str | None = None


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

    def on_end(self, context: Context, *, pulled: Pulled, reoffer: dt.timedelta) -> OnEnd:
        """
        Return what is to be called in the transaction that ends a run: it fills the load table, then ends the offers
        that were put into it for longer than *reoffer*, each of which stands there once more. What is told once is
        told there: a run that fails tells of nothing else.
        """

        def end(t: Transaction, now: dt.datetime) -> Ended:
            ended = self.landing.fill(t, self, context, now=now)
            before = landings.filled_before(t, context.owner, self.landing.told)
            notes = (
                *self.newly_filled(before, is_full=context.is_full),
                *tell(t, self, pulled=pulled, now=now),
                *ended.notes,
            )
            landings.note_filled(t, context.owner, self.filled)
            end_old(t, context, outdated=context.started - reoffer)
            return attrs.evolve(ended, notes=notes)

        return end

    @property
    def key_columns(self) -> set[str]:
        """The load table's columns of the key."""
        return {column.name for column, source, _ in self.sources if source in self.mapping.key}

    @property
    def key_lacking(self) -> str:
        """
        The first column of the key that the table does not have as it is; "" where it has them all. Without one the
        record that ended cannot be told from others.
        """
        carried = {source for _, source, _ in self.sources}
        return next((name for name in self.mapping.key if name not in carried), "")

    @property
    def filled(self) -> list[str]:
        """The load table's columns that fields fill."""
        return [column.name for column, source, _ in self.sources if source is not None]

    def newly_filled(self, before: Collection[str], *, is_full: bool) -> tuple[str, ...]:
        """
        Return a note of the load table's columns that the last pull did not fill: *before* are those that it did.

        Also of one that was dropped and is there again: what was offered meanwhile has no value for it.
        """
        names = [name for name in self.filled if name not in before]
        if not names or not before:
            return ()
        what = f"{_counted(len(names), 'column')} of {self.landing.told} filled from now on"
        return (f"{what}: {_some(names)}{'' if is_full else '; pull(full=True) fills old rows, too'}",)


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

    def _own(self) -> dict[str, LoadColumn]:
        """The warehouse's own columns that the table has, by name in small letters."""
        return {column.name.lower(): column for column in self.columns if column.name.lower() in OURS}

    def check(self) -> None:
        """Refuse a table that cannot be filled. Raises UsageError."""
        if not self.columns:
            raise UsageError(
                f"{self.told}: there is no such table in the warehouse, or it has no columns.",
                hint="Have the host create it; its columns come from `create_metadata`.",
            )
        own = self._own()
        if RECORD_SOURCE not in own:
            raise UsageError(
                f"{self.told} has no column {RECORD_SOURCE}: the rows of this mapping could not be told from others.",
                hint=f"Add {RECORD_SOURCE} (text) to it.",
            )
        if len(own) == len(self.columns):
            raise UsageError(f"{self.told} has no columns but the warehouse's own.", hint="Add those of the records.")
        for name, longest in (
            (RECORD_SOURCE, len(self.label)),
            (RECORD_STATE, max(map(len, STATES))),
            (MERGED_INTO, 0),
        ):
            column = own.get(name)
            if column is None:
                continue
            if column.family is not Family.TEXT or (column.longest is not None and column.longest < longest):
                room = f" of {longest} letters or more" if longest else ""
                raise UsageError(
                    f"{self.told}: {column.name} is {column.told}, and must be a text{room}.",
                    hint="Alter the column.",
                )

    def fitted(self, mapping: EntityMapping) -> Fitted:
        """
        Fit a mapping, whose fields are all known and treated as the site says, to the table.

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
            field = _treated(meaning.field, mapping, column) if meaning and meaning.field else fields.get(name)
            if field is None or column.family is Family.OTHER:
                unfilled.append(column.name if field is None else f"{column.name} (is {column.told})")
                continue
            own = self._offered(field, column, kept, mapping)
            kept[own.column] = own
            sources.append((column, own.column, None))
        if not any(source for _, source, _ in sources):
            raise UsageError(
                f"{self.told} has no column that {mapping.name} could fill.",
                hint=f"Is it the table of another stream? {mapping.name} has {', '.join(list(fields)[:NAMED])}, ….",
            )
        paths = {field.steps for field in kept.values()}
        told_otherwise = kept.keys() | {column.name.lower() for column, source, _ in sources if source is None}
        not_carried = [name for name in fields if name not in told_otherwise and fields[name].steps not in paths]
        landed = attrs.evolve(mapping, fields=(*kept.values(), *_beside(kept, mapping)))
        return Fitted(landing=self, mapping=landed, sources=sources, not_carried=not_carried, unfilled=unfilled)

    def fill(self, t: Transaction, fitted: Fitted, context: Context, *, now: dt.datetime) -> Ended:
        """Take out of the table what stands there of this mapping, and put in all that is offered."""
        fittings = self._fittings(t, fitted, context)
        own = self._own()
        values: dict[str, str] = {column.name: each.safe for column, each in fittings}
        for column, _, constant in fitted.sources:
            if constant is not None:
                told = fitting(sql.literal(constant), TEXT, column, try_cast=t.try_cast)
                values[column.name] = told.safe if told else NOTHING
        values[own[RECORD_SOURCE].name] = sql.literal(self.label)
        values |= {own[name].name: f"s.{name}" for name in (RECORD_STATE, MERGED_INTO) if name in own}
        given: list[object] = []
        if LOAD_DATE in own:
            moment = own[LOAD_DATE]
            fit = fitting("CAST(? AS TIMESTAMP WITH TIME ZONE)", TIMESTAMP, moment, try_cast=t.try_cast)
            values[moment.name] = fit.safe if fit else NOTHING
            given = [now] * values[moment.name].count("?")
        table, source = sql.table_name(self._table), sql.table_name(offers_table(context.table))
        lacking = RECORD_STATE if RECORD_STATE not in own else fitted.key_lacking
        which = f" WHERE s.{RECORD_STATE} = '{LIVE}'" if lacking else ""
        labels = ", ".join(sql.literal(label) for label in dict.fromkeys((self.label, *self.labels)))
        t.run(sql.statement(f"DELETE FROM {table} AS t WHERE t.{sql.quoted(own[RECORD_SOURCE].name)} IN ({labels})"))
        whole = [fit.fits for column, fit in fittings if column.name in fitted.key_columns and fit.fits]
        inserted = " AND ".join([which or " WHERE TRUE", *whole])  # a row without its whole key would be nobody's
        rows = t.run(
            sql.statement(
                f"INSERT INTO {table} ({sql.names(values)}) SELECT {', '.join(values.values())} FROM {source} AS s"
                f"{inserted}"
            ),
            given,
        )
        limits = {column.name: (self._misfit(column), fit.fits) for column, fit in fittings if fit.fits}
        rejected = misfits.keep(t, context, limits, which=which, now=now)
        return Ended(landed=rows, rejected=rejected, notes=self._notes(t, source, rows, inserted, lacking))

    def _notes(self, t: Transaction, source: str, rows: int, inserted: str, lacking: str) -> tuple[str, ...]:
        """Say which offers did not come into the table; a key that does not fit is a reject besides."""
        counts = f"COUNT(*), SUM(CASE WHEN s.{RECORD_STATE} = '{LIVE}' THEN 1 ELSE 0 END)"
        ((offered, live),) = t.rows(sql.statement(f"SELECT {counts} FROM {source} AS s"))
        ((wanted_rows,),) = t.rows(sql.statement(f"SELECT COUNT(*) FROM {source} AS s{inserted}"))
        told_ones = int(live or 0) if lacking else int(offered)
        notes = []
        if told_ones < offered:
            told = f"{_counted(int(offered) - told_ones, 'record')} that ended not told"
            notes.append(f"{told}: {self.told} has no column {lacking}")
        if wanted_rows < told_ones:
            told = f"{_counted(told_ones - int(wanted_rows), 'record')} left out of {self.told}"
            notes.append(f"{told}: a column of the key has no room for theirs")
        if rows != wanted_rows:
            kept_out = _counted(wanted_rows - rows, "row")
            notes.append(f"{kept_out} of {wanted_rows:,} did not come into {self.told}: it has a trigger or a rule")
        return tuple(notes)

    def _fittings(self, t: Transaction, fitted: Fitted, context: Context) -> list[tuple[LoadColumn, Fitting]]:
        """Write how each column gets its value; where no value of what is offered can, each is a misfit."""
        types = context.table.types()
        found = []
        for column, source, _ in fitted.sources:
            if source is None:
                continue
            value = f"s.{sql.quoted(source)}"
            fit = fitting(value, types[source], column, try_cast=t.try_cast)
            found.append((column, fit or Fitting(NOTHING, f"{value} IS NULL")))
        return found

    def outgrown(self, t: Transaction, context: Context) -> list[str]:
        """Return the keys to read again: with a value that did not fit a column that is another one by now."""
        return misfits.outgrown(t, context, [(column.name, self._misfit(column)) for column in self.columns])

    def forget_outgrown(self, t: Transaction, context: Context) -> None:
        """Drop the rejects of what `outgrown` named and the source did not have any more, when it was asked."""
        misfits.forget(t, context, [(column.name, self._misfit(column)) for column in self.columns])

    def _misfit(self, column: LoadColumn) -> str:
        return misfits.reason(column.told, self.told)

    @staticmethod
    def _offered(field: Field, column: LoadColumn, kept: Mapping[str, Field], mapping: EntityMapping) -> Field:
        """
        Return the field by which a column is offered: the key's own, which tombstones have, too; else one of the
        column's name, unless another one has that.
        """
        for name in mapping.key:
            if _is_value_of(field, kept[name]):
                return kept[name]
        if field == kept.get(field.column) and field.column in fixed_columns(mapping):
            return field
        own = attrs.evolve(field, type=wanted(field, column), path=field.path or field.column)
        name = own.column
        while name in kept and attrs.evolve(kept[name], column=own.column) != own:
            name = f"{name}_landed"
        return attrs.evolve(own, column=name)


def _is_value_of(field: Field, key: Field) -> bool:
    """Tell whether a field is the very value of a column of the key, in whatever type."""
    is_plain = field.convert is None and field.index is None and not field.as_written and field.treatment == KEEP
    return field.steps == key.steps and is_plain


def _treated(field: Field, mapping: EntityMapping, column: LoadColumn) -> Field:
    """
    Return a field of a host's as the site treats what stands there: the mapping's field of that name or place decides,
    and one above it, or that it follows, may only be stricter.
    """
    exact = [each for each in mapping.fields if each.column == field.column or each.steps == field.steps]
    above = [
        each
        for each in mapping.fields
        if each.column == field.follows or (each.steps and field.steps[: len(each.steps)] == each.steps)
    ]
    base = [each.treatment for each in exact] or [field.treatment]
    treatment = privacy.strictest([*base, *(each.treatment for each in above if each not in exact)])
    holds_text = column.family in (Family.TEXT, Family.JSON)
    if treatment == MASK and (not holds_text or field.type not in (TEXT, JSON)):
        treatment = KEEP  # a number or a time holds no words
    if treatment == HASH and not holds_text:
        treatment = DROP
    kind = TEXT if treatment == HASH and field.type is not JSON else field.type
    is_personal = field.personal or treatment != KEEP
    return attrs.evolve(field, treatment=treatment, type=kind, personal=is_personal)


def _beside(kept: Mapping[str, Field], mapping: EntityMapping) -> list[Field]:
    """
    Return the fields that no column of the table wants, and that treatments need: those inside JSON that is kept, and,
    where something is masked, the names that stand in the same record.
    """
    whole = [field.steps for field in kept.values() if field.type is JSON]
    masks = any(field.treatment == MASK for field in kept.values())
    found = []
    for field in mapping.fields:
        is_inside = any(field.steps[: len(steps)] == steps and field.steps != steps for steps in whole)
        if (field.treatment != KEEP and is_inside) or (masks and field.names_people):
            if field.column not in kept:
                found.append(field)
            elif kept[field.column].steps != field.steps:
                found.append(attrs.evolve(field, column=f"{field.column}_beside", path=field.path or field.column))
    return found


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
            notes.append(f"{_counted(len(new), 'column')} {what} (finding {kind}): {_some(new)}")
    return tuple(notes)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
