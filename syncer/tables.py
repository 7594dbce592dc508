"""What a warehouse table is, as data: schema, name, columns, key. The two schemas that syncer writes to."""

from __future__ import annotations

import attrs

from syncer.values import Type

LOAD, STATE = "load", "syncer"  # what pulls fill, and everything of ours besides


@attrs.frozen
class Column:
    """A column of a warehouse table."""

    name: str
    type: Type
    comment: str = ""


@attrs.frozen(kw_only=True)
class Table:
    """A warehouse table as we want it; a person's own columns may stand beside ours."""

    schema: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    def types(self) -> dict[str, Type]:
        """The type of each column."""
        return {column.name: column.type for column in self.columns}
