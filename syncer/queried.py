"""
What a person's query gives: columns, each under a name of its own. Pure. Not here: asking a warehouse for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from syncer.errors import UsageError


def named(told: Iterable[Sequence[Any]], *, folds: bool) -> list[tuple[str, Sequence[Any]]]:
    """
    Return what is told of each column beside its name, which stands first there.

    folds: `A` is `a` where a name is compared. Raises UsageError: two columns have one name.
    """
    found = [(str(each[0]), each) for each in told]
    met: set[str] = set()
    for name, _ in found:
        if (name.lower() if folds else name) in met:
            raise UsageError(
                f"Two columns of the relation are called {name}: nothing tells which one is meant.",
                hint="Name the columns that are wanted, each once; or give one another name: … AS ….",
            )
        met.add(name.lower() if folds else name)
    return found
