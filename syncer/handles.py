"""
`Plan`: what `syncer.push(…, dry_run=True)` returns. A handle: header and counts in memory; its changes stand in the
warehouse, which is opened for as long as they are read.

Not here: how a plan is made and stored (`outbound.py`, `plans.py`), how it looks (`reports/plan_*.py`).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

import attrs

from syncer import warehouses
from syncer.clock import SystemClock
from syncer.plan import Change
from syncer.plans import Header
from syncer.reports import plan_html, plan_markdown, plan_text
from syncer.reports.plan_shown import Shown
from syncer.settings import Settings
from syncer.tally import Counts, Pushed


@attrs.frozen(kw_only=True)
class Plan:
    """
    A stored plan. It prints as its counts and its first fifty changes, personal values hidden; iterating yields all
    `Change`s in their order, whole.

    pushed: what applying it would come to. Raises, where it is printed or iterated: WarehouseError.
    """

    header: Header
    pushed: Pushed
    personal: frozenset[str] = attrs.field(default=frozenset(), repr=False)
    personal_ends: frozenset[str] = attrs.field(default=frozenset(), repr=False)
    _settings: Settings = attrs.field(repr=False, eq=False, alias="settings")

    @property
    def id(self) -> str:
        """What `--plan` and `push(plan=…)` take."""
        return self.header.plan

    @property
    def checksum(self) -> str:
        """Of mapping, environment and changes, whatever their order."""
        return self.header.checksum

    @property
    def mapping(self) -> str:
        """Whose plan it is."""
        return self.header.mapping

    @property
    def counts(self) -> Counts:
        """Rows by what they would come to."""
        return self.pushed.counts

    @property
    def is_refused(self) -> bool:
        """Whether limits refuse it; `pushed.trips` says which."""
        return bool(self.pushed.trips)

    def __len__(self) -> int:
        """How many changes it has."""
        return self.header.changes

    def __bool__(self) -> bool:
        """A plan without changes is a plan as well."""
        return True

    def __iter__(self) -> Iterator[Change]:
        """Yield its changes, some thousand in memory at once."""
        with self._shown(shows_personal=True) as shown:
            yield from shown.changes()

    def __str__(self) -> str:
        """Write its counts, and the first fifty changes field by field."""
        with self._shown() as shown:
            return "\n".join(plan_text.lines(shown, io.StringIO()))

    def markdown(self) -> str:
        """Write it for a pull request."""
        with self._shown() as shown:
            return plan_markdown.text(shown)

    def report(self, path: str | Path, *, show_personal: bool = False) -> None:
        """Write all of it to one HTML file. Raises UsageError where that cannot be written."""
        plan_html.check(Path(path))
        with self._shown(shows_personal=show_personal) as shown, plan_html.Report(Path(path)) as report:
            report.add(shown)

    @contextlib.contextmanager
    def _shown(self, *, shows_personal: bool = False) -> Iterator[Shown]:
        warehouse = warehouses.find(self._settings, clock=SystemClock())
        try:
            yield Shown(
                pushed=self.pushed,
                header=self.header,
                warehouse=warehouse,
                personal=self.personal,
                personal_ends=self.personal_ends,
                shows_personal=shows_personal,
            )
        finally:
            warehouse.close()
