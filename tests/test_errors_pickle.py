"""Every error of syncer goes from a child process to its parent, as pools do it, and comes out as it went in."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import syncer
from syncer.errors import SyncerError

GIVEN: dict[str, Any] = {
    "known": ["a"],
    "runs": [("a", 1)],
    "hint": "Look.",
    "status": 404,
    "body": "b",
    "exit_code": 4,
}
for module in pkgutil.walk_packages(syncer.__path__, "syncer."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)


def classes(root: type[SyncerError] = SyncerError) -> Iterator[type[SyncerError]]:
    """Yield *root* and all that come from it."""
    yield root
    for each in root.__subclasses__():
        if each.__module__.startswith("syncer."):
            yield from classes(each)


def made(kind: type[SyncerError]) -> SyncerError:
    """Make an error with a value for each argument that it has."""
    given: dict[str, Any] = {}
    for name, each in inspect.signature(kind).parameters.items():
        given[name] = GIVEN.get(name, f"the {name}") if each.kind is not inspect.Parameter.VAR_POSITIONAL else None
    return kind(**given)


@pytest.mark.parametrize("kind", sorted(set(classes()), key=lambda each: each.__qualname__))
def test_an_error_is_whole_in_another_process(kind: type[SyncerError]) -> None:
    """A pool whose worker's error cannot be read waits for ever."""
    error = made(kind)
    error.args = (*error.args, 7)
    error.runs = [("b", 2)]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(error, protocol))
        assert type(again) is kind and (str(again), again.args) == (str(error), error.args)
        assert again.exit_code == error.exit_code and vars(again) == vars(error)
