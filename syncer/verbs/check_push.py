"""
The part of `syncer check` that looks at the way out: what a push of each mapping needs, and whether it is there. No
verb itself.

Nothing is written: that a token may write is asked by an update of no records at all. Not here: reading (`check.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

import attrs

from syncer import relation, wanting, warehouses
from syncer.errors import SyncerError, UsageError
from syncer.linking import Linking
from syncer.reports.terminal import counted
from syncer.verbs.found import OK, WARNING, Found

if TYPE_CHECKING:
    from syncer.clock import Clock
    from syncer.mapping import EntityMapping, Outbound
    from syncer.settings import Settings
    from syncer.sources import Source
    from syncer.target import Shape, Target
    from syncer.values import Type

NAMED = 6  # columns of a sort that a line names


def looks(source: Source, chosen: Sequence[EntityMapping], settings: Settings, clock: Clock) -> Iterator[Found]:
    """
    Look at what each mapping with a relation needs; nothing where none has one.

    chosen: the source's mappings, with the site's words.
    """
    outgoing = [(each, each.outbound) for each in chosen if each.outbound is not None]
    pushed = [(mapping, outbound) for mapping, outbound in outgoing if outbound.relation]
    if not pushed or not hasattr(source, "send"):
        return
    target = cast("Target", source)
    yield _portal(source, target)
    others = {outbound.kind: outbound for _, outbound in outgoing}
    with_types = _relations([(mapping.name, outbound.relation or "") for mapping, outbound in pushed], settings, clock)
    for mapping, outbound in pushed:
        yield from _mapping(mapping.name, outbound, target, others, with_types[mapping.name])


def _portal(source: Source, target: Target) -> Found:
    """The kind of account, and how much it may be asked."""
    kind = str(getattr(source, "account_type", "")) or "not told"
    tier: Callable[[], str] = getattr(source, "tier", lambda: "")
    detail = f"the account's type is {kind}{f'; {tier()}' if tier() else ''}"
    return Found(about=f"{source.name} as a target", detail=detail)


def _relations(
    wanted: Sequence[tuple[str, str]], settings: Settings, clock: Clock
) -> dict[str, Mapping[str, Type] | SyncerError]:
    """Return the columns of each mapping's relation, or why it cannot be read."""
    found: dict[str, Mapping[str, Type] | SyncerError] = {}
    try:
        warehouse = warehouses.find(settings, clock=clock)
    except SyncerError as refused:
        return dict.fromkeys((name for name, _ in wanted), refused)
    try:
        if isinstance(getattr(warehouse, "file", None), Path) and not warehouse.exists():
            missing = UsageError("The warehouse is not there yet, and so its relation is not.", hint="Pull first.")
            return dict.fromkeys((name for name, _ in wanted), missing)
        for name, reference in wanted:
            try:
                with warehouse.transaction() as t:
                    found[name] = relation.columns_of(t, reference)
            except SyncerError as error:
                found[name] = error
    finally:
        warehouse.close()
    return found


def _mapping(
    name: str,
    outbound: Outbound,
    target: Target,
    others: Mapping[str, Outbound],
    types: Mapping[str, Type] | SyncerError,
) -> Iterator[Found]:
    """
    One mapping: may it be written, is its key unique, what of its relation goes out.

    All that is well is told in one line, which is that of the guard where it failed: none beside it says ok.
    """
    about = f"{name} push"
    guarded = _guarded(about, outbound, target)
    beside = [guarded] if guarded.status != OK else []
    if isinstance(types, SyncerError):
        yield from [*beside, Found.of_error(f"{about}: relation {outbound.relation}", types)]
        return
    try:
        shape = target.shape(outbound.kind)
        wanting.check_words(name, outbound)
        wanting.check_columns(name, outbound, types)
        wanting.check_key(name, shape, outbound)
        wanting.check_fields(name, shape, outbound)
        Linking.of(outbound, target, others).check(types, outbound.relation or "")
        wanted, left = wanting.choose(outbound.relation or "", types, shape, outbound)
    except SyncerError as error:
        yield from [*beside, Found.of_error(about, error)]
        return
    detail = f"{_detail(outbound, wanted.columns, left, shape)}{_scopes(outbound, target)}"
    yield attrs.evolve(
        guarded, detail=f"{guarded.detail} {detail}".strip(), hint=f"{guarded.hint} {_hint(outbound)}".strip()
    )


def _guarded(about: str, outbound: Outbound, target: Target) -> Found:
    """Return what the guard of a push says; an empty line where nothing stands in the way."""
    try:
        target.guard(outbound.kind, to=_ends(outbound))
    except UsageError as error:  # a portal where people work: a dry run is allowed all the same
        return Found(about=about, status=WARNING, detail=error.message, hint=error.hint)
    except SyncerError as error:
        return Found.of_error(about, error)
    return Found(about=about)


def _ends(outbound: Outbound) -> tuple[str, ...]:
    return tuple(dict.fromkeys(edge.to for edge in outbound.edges))


def _scopes(outbound: Outbound, target: Target) -> str:
    """Name the scopes that a push needs, where its target has such."""
    scopes: Callable[..., Sequence[str]] | None = getattr(target, "scopes", None)
    return "" if scopes is None else f"; scopes: {', '.join(scopes(outbound.kind, to=_ends(outbound)))}"


def _detail(outbound: Outbound, columns: Sequence[str], left: Mapping[str, str], shape: Shape) -> str:
    key = f"records are found by {outbound.match_on or 'their id'}"
    if outbound.match_on and shape.properties[outbound.match_on].is_personal:
        key += " (personal: shown with --show-personal only)"
    ends = "".join(f"; {edge.column} leads to {edge.to}" for edge in outbound.edges)
    plain = {column: why for column, why in left.items() if not column.startswith(wanting.OWN)}
    not_pushed = f"; not pushed: {_some([f'{column} ({why})' for column, why in plain.items()])}" if plain else ""
    return f"{outbound.relation}: {counted(len(columns), 'column')} ({_some(columns)}); {key}{ends}{not_pushed}"


def _hint(outbound: Outbound) -> str:
    return "" if outbound.match_on or not outbound.creates else "Without match_on nothing is created."


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
