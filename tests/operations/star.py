"""A warehouse with a star schema, for the tests of its checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs

from syncer import operating
from syncer.executing import Request
from syncer.findings import Report
from syncer.operations import check_current_flags, check_fact_dimensions, check_sizes
from tests.conftest import Site

JOINS, SIZES, FLAGS = check_fact_dimensions.NAME, check_sizes.NAME, check_current_flags.NAME


@attrs.define
class Star:
    """A site whose warehouse holds a star schema; words: what `syncer.toml` says of an operation."""

    site: Site

    def words(self, operation: str, **words: Any) -> Star:
        """Say what `syncer.toml` says of an operation."""
        tables = {**self.site.settings.tables, operation: words}
        self.site.settings = attrs.evolve(self.site.settings, tables=tables)
        return self

    def run(self, operation: str = JOINS, **request: Any) -> Report:
        """Make a report, however it ends."""
        done = operating.run(operation, settings=self.site.settings, request=Request(**request), doors=self.site.doors)
        assert isinstance(done, Report)
        return done

    def table(self, name: str, columns: str, *rows: Sequence[Any]) -> None:
        """Make a table of whole numbers, or of what its columns say, that holds just some rows."""
        self.site.rows(f"DROP TABLE IF EXISTS {name}")
        declared = ", ".join(each if " " in each.strip('"') else f"{each} INTEGER" for each in columns.split(", "))
        self.site.rows(f"CREATE TABLE {name} ({declared})")
        for row in rows:
            self.site.rows(f"INSERT INTO {name} VALUES ({', '.join('?' for _ in row)})", list(row))

    def rows(self, query: str) -> None:
        """Tell the warehouse something."""
        self.site.rows(query)
