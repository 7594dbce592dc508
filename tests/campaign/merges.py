"""
`hubspot.merge_tickets` on 5,000 tickets, in both ways that a merge leaves an id, by both families of paths.

What must be there in the end, record by record and edge by edge, a second opinion says (`merges_model.py`). A second
run plans nothing. Requests are counted, by what they ask for. `--tickets` makes it smaller.
"""

from __future__ import annotations

import time
from collections import Counter

import attrs

from tests.campaign import beds, merges_model
from tests.campaign.merges_history import MergeHistory, kinds_of, wrong_in_warehouse
from tests.campaign.merges_model import PRIMARY_SPEC, Model, State
from tests.campaign.merges_portal import Sizes, portal_of, run
from tests.operations import OperationHome

LARGE, SMALLER, SHORT = 5_000, 500, 100
FORMS = (("new", "v3"), ("primary", "2026-09"), ("new", "2026-09"), ("primary", "v3"))  # the last two are smaller
MUST_REACH = (
    "group across pipelines",
    "group that is too large",
    "group of records merged before",
    "text of several parts",
    "part that repeats",
    "part that was joined before",
    "blank that is filled",
    "pair with labels of several",
    "primary company of another one",
    "tickets of two groups associated",
)
IN_FULL = ("text that is cut",)


@attrs.define
class Counts:
    """What came of one form."""

    what: str
    tickets: int = 0
    groups: int = 0
    left: int = 0
    merges: int = 0
    parts: int = 0
    edges: int = 0
    seconds: float = 0.0  # of the run
    requests: Counter[str] = attrs.field(factory=Counter)
    reached: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)

    def __str__(self) -> str:
        requests = ", ".join(f"{count:,} {what}" for what, count in self.requests.most_common())
        reached = ", ".join(f"{what} {count:,}" for what, count in sorted(self.reached.items()))
        return (
            f"{self.what}: {self.tickets:,} tickets, {self.groups} groups of 2 to 6 became one each by "
            f"{self.merges:,} merges, {self.left} left alone; {self.parts:,} texts and {self.edges:,} associations "
            f"are there; {self.requests.total():,} requests ({requests}); {self.seconds:.0f} s; "
            f"{len(self.wrong)} wrong\n"
            f"  {reached}"
        )


def merged(backend: str, *, merge_mode: str, api: str, tickets: int, seed: int) -> Counts:
    """Merge what is one in a portal; compare everything."""
    sizes = Sizes.of(tickets)
    done = Counts(f"{backend}, {merge_mode} id, {api}")
    with portal_of(backend, sizes, merge_mode=merge_mode, api=api, seed=seed) as home:
        state = State.of(home.site.store)
        model = merges_model.model(state)
        done.reached = reached(state, model)
        history = MergeHistory.of(home)
        log = home.home.sandbox.log
        log.clear()
        began = time.monotonic()
        ran = run(home)
        done.seconds = time.monotonic() - began
        done.requests = kinds_of(log)
        done.tickets, done.groups, done.left = ran.counts.read, len(model.groups), model.left
        done.merges, done.parts, done.edges = ran.counts.merged, model.parts, model.carried
        if ran.error or ran.counts.merged != model.merges:
            done.wrong.append(f"the run: {ran}")
        done.wrong += merges_model.wrong_with(home.site.store, model)[:10]
        done.wrong += history.wrong_with(home, model)[:5]
        done.wrong += wrong_in_warehouse(home, model)[:5]
        done.wrong += wrong_again(home, history)
    return done


def wrong_again(home: OperationHome, history: MergeHistory) -> list[str]:
    """Run it once more: nothing may be planned or sent."""
    history.forget()
    again = run(home)
    planned = len(home.changes(again.plan)) if again.plan else 0
    found = [f"a second run: {again}"] if again.error or again.exit_code else []
    return [
        *found,
        *([f"a second run plans {planned}, sends {len(history.asked)}"] if planned or history.asked else []),
    ]


def reached(state: State, model: Model) -> Counter[str]:
    """Count what there is that could go wrong."""
    found: Counter[str] = Counter()
    tickets = state.records["tickets"]
    links = state.edges.get(("tickets", "companies"), {})
    values = Counter(each.properties.get("nerds_ticket_id") for each in tickets.values())
    too_large = {value for value, count in values.items() if value and count > merges_model.MOST_GROUP}
    found["group that is too large"] = len(too_large)
    found["group across pipelines"] = model.left - len(too_large)
    for group in model.groups:
        members = [tickets[id] for id in group.members]
        texts = [each.value("content") for each in members if each.value("content")]
        heads = sum(text.count("--- ticket ") for text in texts)
        found["group of records merged before"] += any(each.merged for each in members)
        found["text of several parts"] += len(group.parts) > 1
        found["part that repeats"] += len(group.parts) < len(texts)
        found["part that was joined before"] += heads > 0
        found["text that is cut"] += len(group.values.get("content", "")) > merges_model.LONGEST
        found["blank that is filled"] += any(not members[0].value(name) for name in group.values)
        found["tickets of two groups associated"] += any(
            other.startswith("group ") for other in group.edges.get("tickets", {})
        )
        companies = [links.get(id, {}) for id in group.members]
        primaries = {other for ends in companies for other, specs in ends.items() if PRIMARY_SPEC in specs}
        found["primary company of another one"] += not companies[0] and bool(primaries)
        found["pair with labels of several"] += sum(
            any(other in one and specs - one[other] - {PRIMARY_SPEC} for one in companies)
            for ends in companies
            for other, specs in ends.items()
        )
    return found


def told(found: object, wrong: list[str], reached: Counter[str], must: tuple[str, ...]) -> int:
    """Print a block of figures, and what is wrong or was never reached; return how many of both there are."""
    print(found, flush=True)
    for what in wrong[:10]:
        print(f"  {what}")
    missed = [what for what in must if not reached[what]]
    if missed:
        print(f"  never reached: {', '.join(missed)}")
    return len(wrong) + len(missed)


def campaign(*, is_short: bool, seed: int = 1, tickets: int = 0) -> int:
    """Run it; print the figures; return how many things were wrong, or how many situations were never reached."""
    failed = 0
    forms = FORMS[:2] if is_short else FORMS
    for number, (merge_mode, api) in enumerate(forms):
        size = tickets or (SHORT if is_short else LARGE if number < 2 else SMALLER)
        done = merged(beds.KIND.name, merge_mode=merge_mode, api=api, tickets=size, seed=seed)
        failed += told(done, done.wrong, done.reached, MUST_REACH if is_short else MUST_REACH + IN_FULL)
    return failed
