"""
A target as a company's own operation asks it: a property that the records do not have is told with the operation's
file, before the API is asked. HubSpot refuses it in a search without saying which, and elsewhere it is silently left
out of what is read.

Not here: what a target is (`target.py`), an operation's file otherwise (`operations/`, `catalog.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from syncer import catalog
from syncer.errors import UsageError
from syncer.target import Found, Target


@attrs.frozen
class Asking:
    """A target; all that it is not asked here goes to it. file, operation: who asks."""

    target: Target
    file: str
    operation: str

    def __getattr__(self, name: str) -> Any:
        return getattr(self.target, name)

    def find(
        self, kind: str, keys: Sequence[str], *, by: str | None, properties: Sequence[str]
    ) -> Mapping[str, Found]:
        """Read records by id or by a unique property. Raises UsageError: there is no such property."""
        self._check(kind, [*([] if by is None else [by]), *properties])
        return self.target.find(kind, keys, by=by, properties=properties)

    def moved(self, kind: str, ids: Sequence[str], properties: Sequence[str]) -> Mapping[str, Found]:
        """Read records with when each property last changed. Raises UsageError: there is no such property."""
        self._check(kind, properties)
        return self.target.moved(kind, ids, properties)

    def walked(self, kind: str, properties: Sequence[str]) -> Iterator[Sequence[Found]]:
        """Yield all live records of a kind. Raises UsageError: there is no such property."""
        self._check(kind, properties)
        return self.target.walked(kind, properties)

    def matching(
        self, kind: str, property: str, wanted: Sequence[str], properties: Sequence[str]
    ) -> Iterator[Sequence[Found]]:
        """Yield the live records with certain values. Raises UsageError: there is no such property."""
        self._check(kind, [property, *properties])
        return self.target.matching(kind, property, wanted, properties)

    def _check(self, kind: str, names: Sequence[str]) -> None:
        known = self.target.shape(kind).properties
        for name in names:
            if name in known:
                continue
            near = catalog.nearest(name, known)
            raise UsageError(
                f"{self.file}: the operation {self.operation} asks for the property {name} of {kind}, and they have "
                "none of that name.",
                hint=f"{f'Did you mean {near[0]}? ' if near else ''}Correct it in that file, or in the setting of "
                f'["{self.operation}"] in syncer.toml that names it.',
            )
