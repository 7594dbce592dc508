"""
How each verb of a host script begins: the host takes over, and only then are the verb's arguments looked at.

Python refuses a wrong argument before the first line of a function runs. RED would read nothing then, neither a status
nor a message; here it is an error like any other.

Not here: what a verb ends with (`sitting.py`).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from syncer.errors import SyncerError, UsageError
from syncer.wherescape import hosting

P = ParamSpec("P")
Returned = TypeVar("Returned")


def hosted(verb: Callable[P, Returned]) -> Callable[P, Returned]:
    """
    Make a verb of a function: the host is there before anything else, and an error is counted before it goes on.

    The verb raises UsageError for an argument that the function does not take.
    """
    shape = inspect.signature(verb)

    @functools.wraps(verb)
    def begun(*args: P.args, **kwargs: P.kwargs) -> Returned:
        host = hosting.host()
        try:
            _check(verb.__name__, shape, args, kwargs)
            with host.working(verb.__name__):
                return verb(*args, **kwargs)
        except SyncerError as error:
            host.failed(error)
            raise

    return begun


def _check(name: str, shape: inspect.Signature, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Raise UsageError for arguments that do not fit, in words for people, with those that there are."""
    try:
        shape.bind(*args, **named)
    except TypeError:
        found = shape.parameters
        hint = f"Its arguments: {', '.join(found)}." if found else "It has no arguments."
        raise UsageError(f"{name} {_wrong(shape, args, named)}", hint=hint) from None


def _wrong(shape: inspect.Signature, args: Sequence[Any], named: Mapping[str, Any]) -> str:
    """Say what is wrong; a value is not repeated."""
    found = shape.parameters.values()
    places = [each.name for each in found if each.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    takes_more = any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in found)
    by_name = {*places, *(each.name for each in found if each.kind is inspect.Parameter.KEYWORD_ONLY)}
    unknown = [each for each in named if each not in by_name]
    if unknown:
        return f"has no argument '{unknown[0]}'."
    if len(args) > len(places) and not takes_more:
        most = f"{len(places) or 'no'} argument{'s' if len(places) > 1 else ''}"
        return f"takes {most} without a name, and was given {len(args)}."
    twice = [each for each in places[: len(args)] if each in named]
    if twice:
        return f"was given the argument {twice[0]} twice."
    lacking = [each for each in places[len(args) :] if each not in named]
    needed = [each for each in lacking if shape.parameters[each].default is inspect.Parameter.empty]
    return f"needs the argument {needed[0]}."
