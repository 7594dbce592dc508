"""
RED's repository: which tables it knows, with their columns, and which facts lead to which dimensions.

A table is found by its name, whatever its capitals; what kind it is the repository says, not the name of its schema.
Statements are plain enough for any server. Nothing is written here.

Not here: writing a load table's columns (`metadata.py`), and the columns that the table really has (`landing.py`).
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from syncer.counting import Name
from syncer.errors import UsageError

if TYPE_CHECKING:
    from syncer.wherescape.connections import Connection

NEAR = 3  # names that an error has
DIMENSION_KEY = "2"  # ws_fact_col.fc_key_type, a text


class Kind(enum.Enum):
    """What a table is in RED."""

    LOAD = "load"
    STAGE = "stage"
    FACT = "fact"
    DIMENSION = "dimension"


_TABLES = {Kind.LOAD: ("ws_load_tab", "lt"), Kind.STAGE: ("ws_stage_tab", "st"), Kind.FACT: ("ws_fact_tab", "ft"),
           Kind.DIMENSION: ("ws_dim_tab", "dt")}  # fmt: skip
_COLUMNS = {Kind.LOAD: ("ws_load_col", "lc"), Kind.STAGE: ("ws_stage_col", "sc"), Kind.FACT: ("ws_fact_col", "fc"),
            Kind.DIMENSION: ("ws_dim_col", "dc")}  # fmt: skip


@attrs.frozen(kw_only=True)
class RedColumn:
    """One column as RED has it; type: in the words of the target, empty where RED has none."""

    name: str
    type: str
    order: int


@attrs.frozen(kw_only=True)
class RedTable:
    """One table as RED has it: its kind, its object key, its name."""

    kind: Kind
    key: int
    name: str


@attrs.frozen(kw_only=True)
class JoinList:
    """
    The facts with the keys of their dimensions, as `joins` of `warehouse.check_fact_dimensions` has them: a fact
    without keys has none. rejects: facts that cannot be counted, as `joins` names a table without its schema, each
    with a sentence that says why.
    """

    joins: dict[str, list[str]]
    rejects: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Repository:
    """RED's repository through the meta connection. All raise WarehouseError where it refuses."""

    meta: Connection
    schema: str = "dbo."

    def find(self, name: str, *, kinds: Iterable[Kind] = Kind) -> RedTable:
        """
        Find a table by its name; a schema before it, quotes and a point at its end count for nothing.

        Raises: UsageError: there is none, with the nearest ones, or there are several.
        """
        plain, kinds = bare(name), tuple(kinds)
        found = [table for kind in kinds for table in self._tables(kind, plain)]
        exact = [table for table in found if table.name == plain]
        chosen = found if len(found) == 1 else exact
        if len(chosen) == 1:
            return chosen[0]
        if found:
            told = ", ".join(f"{table.name} ({table.kind.value})" for table in found)
            raise UsageError(f"RED has several tables named '{plain}': {told}.", hint="Say which kind is meant.")
        words = " or ".join(kind.value for kind in kinds)
        near = difflib.get_close_matches(plain.lower(), [each.lower() for each in self._names(kinds)], NEAR, 0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else "Make it in RED first."
        raise UsageError(f"RED has no {words} table named '{plain}'.", hint=hint)

    def columns(self, table: RedTable) -> tuple[RedColumn, ...]:
        """Return a table's columns in their order. Raises UsageError: it has none."""
        source, p = _COLUMNS[table.kind]
        kind = "NULL" if table.kind is Kind.DIMENSION else f"c.{p}_data_type"
        rows = self.meta.query(
            f"SELECT c.{p}_col_name, {kind} AS data_type, c.{p}_order FROM {self.schema}{source} AS c "
            f"WHERE c.{p}_obj_key = ? ORDER BY c.{p}_order, c.{p}_col_name",
            [table.key],
        )
        if not rows:
            hint = "Run its script that creates metadata first, then create the table in RED."
            hint = hint if table.kind is Kind.LOAD else "Add them in RED."
            raise UsageError(f"RED knows the {table.kind.value} table {table.name}, but no columns of it.", hint=hint)
        return tuple(RedColumn(name=text(name), type=text(kind), order=int(order or 0)) for name, kind, order in rows)

    def fact_joins(self) -> JoinList:
        """Return all facts with the keys of their dimensions; one whose schema RED does not know is a reject."""
        rows = self.meta.query(
            "SELECT dt.dt_schema, ft.ft_table_name, fc.fc_col_name "
            f"FROM {self.schema}ws_fact_tab AS ft "
            f"LEFT JOIN {self.schema}ws_obj_object AS oo ON oo.oo_obj_key = ft.ft_obj_key "
            f"LEFT JOIN {self.schema}ws_dbc_target AS dt ON dt.dt_target_key = oo.oo_target_key "
            f"LEFT JOIN {self.schema}ws_fact_col AS fc ON fc.fc_obj_key = ft.ft_obj_key "
            "AND fc.fc_key_type = ? ORDER BY dt.dt_schema, ft.ft_table_name, fc.fc_order",
            [DIMENSION_KEY],
        )
        joins: dict[str, list[str]] = {}
        rejects: dict[str, str] = {}
        for schema, name, key in rows:
            place = text(schema).rstrip(".")
            if not place:
                alone = str(Name.of("s", text(name))).removeprefix("s.")
                rejects[alone] = f"{text(name)}: RED has no target schema for this fact table"
                continue
            keys = joins.setdefault(str(Name.of(place, text(name))), [])
            keys += [text(key)] if text(key) else []
        return JoinList(joins=joins, rejects=rejects)

    def _tables(self, kind: Kind, name: str) -> list[RedTable]:
        source, p = _TABLES[kind]
        rows = self.meta.query(
            f"SELECT t.{p}_obj_key, t.{p}_table_name FROM {self.schema}{source} AS t "
            f"WHERE LOWER(t.{p}_table_name) = ? ORDER BY t.{p}_obj_key",
            [name.lower()],
        )
        return [RedTable(kind=kind, key=int(key), name=text(found)) for key, found in rows]

    def _names(self, kinds: Sequence[Kind]) -> list[str]:
        found = []
        for source, p in (_TABLES[kind] for kind in kinds):
            rows = self.meta.query(f"SELECT t.{p}_table_name FROM {self.schema}{source} AS t")
            found += [text(row[0]) for row in rows]
        return found


def bare(name: str) -> str:
    """Take schema, quotes, brackets and a point at the end from the name of a table."""
    return name.strip().rstrip(".").rpartition(".")[2].strip('"[]` ')


def text(value: Any) -> str:
    """Return a column's text; NULL is empty, and blanks around it count for nothing."""
    return "" if value is None else str(value).strip()
