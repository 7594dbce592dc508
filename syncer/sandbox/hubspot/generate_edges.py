"""
Generated edges: contacts, deals and tickets of companies, activities of all, labels of the portal's own.

They are written into the store's two-sided map at once, primaries included: `Store.associate` asks for each pair what
a portal of 100,000 records cannot wait for.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence

from syncer.sandbox.hubspot.model import HUBSPOT_DEFINED, MIRRORS, PRIMARY, USER_DEFINED, Spec
from syncer.sandbox.hubspot.store import Store

LABELS = (  # from, to, label
    ("contacts", "companies", "Decision maker"),
    ("contacts", "companies", "Billing; finance"),
    ("companies", "companies", "Reseller of"),
    ("deals", "contacts", "Ondertekenaar ✍"),
)
CRM = ("companies", "contacts", "deals", "tickets")
BULK_FROM = 20_000  # so many companies or more: one company in twenty has contacts


def associate(store: Store, rng: random.Random) -> None:
    """Add edges between records that are there."""
    for start, end, label in LABELS:
        store.add_label(start, end, label)
    ids = {kind: list(records) for kind, records in store.records.items()}
    companies = ids["companies"]
    if companies:
        for kind in ("contacts", "deals", "tickets"):
            _to_companies(store, rng, kind, ids[kind], companies)
        for child, parent in zip(companies[1:40:4], companies[:40:4], strict=False):
            store.associate("companies", parent, "companies", child, [(HUBSPOT_DEFINED, 13)])
    for start, end in (("deals", "contacts"), ("tickets", "contacts"), ("tickets", "deals")):
        _some(store, rng, start, end, ids)
    for known in store.kinds.values():
        if known.is_activity:
            for end in CRM:
                _some(store, rng, known.name, end, ids, share=0.5)
        if known.is_custom:
            _some(store, rng, known.name, "companies", ids)
            _some(store, rng, known.name, "contacts", ids)
    _label_some(store, rng)


def _to_companies(store: Store, rng: random.Random, kind: str, ids: Sequence[str], companies: Sequence[str]) -> None:
    """Give nine of ten a primary company, and a few a second one."""
    primary = PRIMARY[kind, "companies"]
    spec = store.default_spec(kind, "companies")
    assert spec is not None
    for id in ids:
        if rng.random() < 0.1:
            continue
        first = rng.choice(companies)
        _put(store, kind, id, "companies", first, [spec, (HUBSPOT_DEFINED, primary)])
        store.records[kind][id].properties[MIRRORS[kind]] = first
        if rng.random() < 0.15 and (second := rng.choice(companies)) != first:
            _put(store, kind, id, "companies", second, [spec])


def _some(
    store: Store, rng: random.Random, start: str, end: str, ids: dict[str, list[str]], share: float = 0.6
) -> None:
    spec = store.default_spec(start, end)
    if spec is None or not ids[end]:
        return
    for id in ids[start]:
        if rng.random() < share:
            for other in dict.fromkeys(rng.choice(ids[end]) for _ in range(1 + (rng.random() < 0.2))):
                _put(store, start, id, end, other, [spec])


def _label_some(store: Store, rng: random.Random) -> None:
    """Put labels of the portal's own on some pairs."""
    for start, end, text in LABELS:
        label = next(each for each in store.labels[start, end] if each.label == text)
        pairs = [(one, other) for one, others in store.edges.get((start, end), {}).items() for other in others]
        for one, other in rng.sample(pairs, k=min(len(pairs) // 5, 500)):
            store.associate(
                start, one, end, other, store.specs(start, one, end, other) | {(USER_DEFINED, label.type_id)}
            )


def _put(store: Store, start: str, id: str, end: str, other: str, specs: Iterable[Spec]) -> None:
    """Write one pair in both directions."""
    there = set(specs)
    found = [(category, store.label_of(start, end, (category, type_id))) for category, type_id in there]
    back = {(category, label.inverse) for category, label in found if label is not None}
    store.edges.setdefault((start, end), {}).setdefault(id, {})[other] = there
    store.edges.setdefault((end, start), {}).setdefault(other, {})[id] = back
