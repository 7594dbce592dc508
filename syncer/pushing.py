"""
A push: which mappings go out, in which order, and on which account; each is a run of a plan.

Not here: what a run of a plan does (`executing.py`), how its plan is made (`outbound.py`).
"""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import cast
from urllib.parse import urlsplit

import attrs

from syncer import forgotten, mappings, notifying, sources, warehouses
from syncer import settings as settings_module
from syncer.clock import SystemClock
from syncer.demomark import is_of_demo
from syncer.engine import doors_of
from syncer.errors import UsageError
from syncer.executing import Executing, Request, Work
from syncer.forgotten import Barred
from syncer.mapping import EntityMapping, Outbound
from syncer.outbound import Planning
from syncer.plans import Header
from syncer.settings import Account, Settings
from syncer.tally import Pushed
from syncer.target import Target
from syncer.transport import Doors
from syncer.warehouses import Warehouse

PUSH = "push"


def push(
    names: str | Sequence[str],
    *,
    settings: Settings | None = None,
    request: Request | None = None,
    doors: Doors | None = None,
) -> list[Pushed]:
    """
    Push the mappings that *names* (patterns may be among them) name; return the outcome of each, failed ones too.

    Mappings that others' edges lead to go first. One that fails does not keep the others from running.
    Raises: UsageError before anything was tried; WarehouseError where no run could be written down.
    """
    settings = settings or settings_module.load()
    request = request or Request()
    request.check()
    doors = doors or doors_of(settings, SystemClock())
    chosen = chosen_of(names, settings)
    if len(chosen) > 1 and (request.plan is not None or request.again):
        word = "--plan" if request.plan is not None else "--again"
        raise UsageError(f"{word} goes with one mapping, and these are {len(chosen)}.")
    done: list[Pushed] = []
    asked = [mapping.name for mapping in chosen]
    with notifying.Watch(PUSH, asked=asked, settings=settings, doors=doors, is_silent=request.is_rehearsal) as watch:
        request = attrs.evolve(request, on_failure=watch.failing(request.on_failure))
        for name in dict.fromkeys(mapping.source for mapping in chosen):
            with executing(name, settings=settings, request=request, doors=doors) as run:
                others = going_out(name, settings)
                of_source = [mapping for mapping in chosen if mapping.source == name]
                done += [watch.pushed(run.run(work_of(mapping, others))) for mapping in of_source]
    return done


@contextlib.contextmanager
def executing(name: str, *, settings: Settings, request: Request, doors: Doors | None) -> Iterator[Executing]:
    """
    Open a source that can be written, and the warehouse, for runs of plans.

    Raises: UsageError: it can only be read, or it is a true account and the warehouse a demo's; what the source and
    the warehouse raise.
    """
    doors = doors or doors_of(settings, SystemClock())
    with contextlib.ExitStack() as opened:
        warehouse = warehouses.find(settings, clock=doors.clock)
        opened.callback(warehouse.close)
        account = settings.account(name)
        source = sources.connect(account, doors=doors, streams=(), folders=settings.folders)
        opened.callback(source.close)
        _refuse_demo(warehouse, account)
        if not hasattr(source, "send"):
            raise UsageError(f"{name} can only be read: no mapping of it goes out.")
        target = cast(Target, source)
        yield Executing(settings=settings, request=request, doors=doors, warehouse=warehouse, target=target)


def _refuse_demo(warehouse: Warehouse, account: Account) -> None:
    """
    Raise UsageError where a demo filled the warehouse and *account* is no sandbox's, which answers on this machine:
    made-up records would stand among true ones, and the next demo would take away what tells of it.
    """
    if _is_on_this_machine(account.url) or not warehouse.exists():
        return
    with warehouse.transaction() as t:
        is_demo = is_of_demo(t)
    warehouse.rest(waiting=True)
    if is_demo:
        raise UsageError(
            f"{warehouse.name} holds the made-up records of a demo: nothing of it goes to a true account, and "
            f"{account.variable('URL')} names one.",
            hint="Name that account's own warehouse in SYNCER_WAREHOUSE; or push to `syncer sandbox`, which prints "
            "the variables that lead to it.",
        )


def _is_on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def chosen_of(names: str | Sequence[str], settings: Settings) -> list[EntityMapping]:
    """
    Return the mappings that *names* name and that have a way out, with the site's words, in the order of their edges.

    A pattern leaves those out that have no relation. Raises UsageError where none is left.
    """
    given = [names] if isinstance(names, str) else list(names)
    known = mappings.choose(given, folders=settings.folders, objects=settings.objects())
    outgoing = [settings.applied_to(mapping) for mapping in known if mapping.outbound is not None]
    if not outgoing:
        raise UsageError(f"{', '.join(given)}: nothing of that goes out.", hint="`syncer list` says what does.")
    chosen = [mapping for mapping in outgoing if mapping.name in given or out_of(mapping).relation]
    if not chosen:
        raise UsageError(
            f"None of the {len(outgoing)} mappings that {', '.join(given)} names has a relation to push.",
            hint=f'Name a table or view in syncer.toml: ["{outgoing[0].name}"] relation = "stage.…".',
        )
    return in_order(chosen)


def in_order(chosen: Sequence[EntityMapping]) -> list[EntityMapping]:
    """
    Return mappings so that what an edge leads to stands before what it comes from; a circle is cut at the mapping that
    is given first.
    """
    by_kind = {out_of(mapping).kind: mapping for mapping in chosen}
    ordered: dict[str, EntityMapping] = {}

    def place(mapping: EntityMapping, above: frozenset[str]) -> None:
        for edge in out_of(mapping).edges:
            other = by_kind.get(edge.to)
            if other is not None and other.name not in above and other.name not in ordered:
                place(other, above | {other.name})
        ordered.setdefault(mapping.name, mapping)

    for mapping in chosen:
        place(mapping, frozenset({mapping.name}))
    return list(ordered.values())


def going_out(source: str, settings: Settings) -> Mapping[str, Outbound]:
    """Return how each kind of records of a source goes out, for the edges that lead to it."""
    found: dict[str, Outbound] = {}
    for mapping in mappings.choose([f"{source}.*"], folders=settings.folders, objects=settings.objects()):
        if mapping.outbound is not None:
            found.setdefault(mapping.outbound.kind, out_of(settings.applied_to(mapping)))
    return found


def work_of(mapping: EntityMapping, others: Mapping[str, Outbound]) -> Work:
    """Return the work of pushing a mapping. *others*: how each kind goes out."""
    outbound = out_of(mapping)

    def make(run: Executing, on_progress: Callable[[int, int], None] | None) -> Header:
        return Planning(
            mapping=mapping,
            environment=run.settings.environment,
            account=run.identity.account,
            target=run.target,
            warehouse=run.warehouse,
            clock=run.doors.clock,
            others=others,
            barred=barred_of(run, mapping),
            is_rehearsal=run.request.is_rehearsal,
            again=frozenset(run.request.again),
            on_progress=on_progress,
        ).make()

    ends = tuple(dict.fromkeys(edge.to for edge in outbound.edges))
    return Work(
        mapping=mapping.name,
        source=mapping.source,
        verb=PUSH,
        outbound=outbound,
        make=make,
        ends=ends,
        keys=keys_of(others),
    )


def barred_of(run: Executing, mapping: EntityMapping) -> dict[str, Barred]:
    """Return, by kind that a mapping is about or links to, whom nobody may make again; none: nobody was forgotten."""
    settings = run.settings
    kinds = dict.fromkeys([out_of(mapping).kind, *(edge.to for edge in out_of(mapping).edges)])
    known = mappings.choose([f"{mapping.source}.*"], folders=settings.folders, objects=settings.objects())
    every = [settings.applied_to(each) for each in known]
    by_kind = {forgotten.kind_of(each): each for each in every if each.outbound is not None} | {
        out_of(mapping).kind: mapping
    }
    with run.warehouse.transaction() as t:
        found = {
            kind: forgotten.barred(t, by_kind[kind], others=every, settings=settings, environment=settings.environment)
            for kind in kinds
            if kind in by_kind
        }
    return {kind: barred for kind, barred in found.items() if barred.is_anybody}


def keys_of(others: Mapping[str, Outbound]) -> dict[str, str]:
    """Return the property that finds a record, by kind, of those that have one."""
    return {kind: outbound.match_on for kind, outbound in others.items() if outbound.match_on}


def out_of(mapping: EntityMapping) -> Outbound:
    """Return the way out of a mapping that has one."""
    assert mapping.outbound is not None
    return mapping.outbound
