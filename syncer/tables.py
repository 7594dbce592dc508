"""What a warehouse table is, as data: schema, name, columns, key. The two schemas that syncer writes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from syncer.values import Type, arrow_type

if TYPE_CHECKING:
    import pyarrow as pa

LOAD, STATE = "load", "syncer"  # what pulls fill, and everything of ours besides


@attrs.frozen
class Column:
    """A column of a warehouse table."""

    name: str
    type: Type
    comment: str = ""


@attrs.frozen(kw_only=True)
class Table:
    """
    A warehouse table as we want it; a person's own columns may stand beside ours.

    indexes: the columns by which rows are found beside the key, an index each. A backend makes those that help it;
    each begins with the column that tells most rows apart: a planner that knows little of a plan that has just been
    made may take an index that begins with the plan for any other, and reads the whole plan by it.
    """

    schema: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    indexes: tuple[tuple[str, ...], ...] = ()

    def index_name(self, columns: Sequence[str]) -> str:
        """Name an index of its own; of a schema's names it is the only one."""
        return "_".join((self.name, *columns))

    def types(self) -> dict[str, Type]:
        """The type of each column."""
        return {column.name: column.type for column in self.columns}

    def arrow(self, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        """Make Arrow of rows that have all of its columns, to be staged."""
        import pyarrow as pa

        schema = pa.schema([(column.name, arrow_type(column.type)) for column in self.columns])
        return pa.Table.from_pylist(list(rows), schema=schema)
