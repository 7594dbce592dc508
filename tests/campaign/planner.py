"""
The planner against a naive second one (`tests/outbound/naive.py`): random cases, one base perturbed twice, the same
plan for each; then applied to a model in random order and planned again, which must be empty but for conflicts and
rejects; rows, columns and halves in another order must change nothing. All of it pure: no socket, no warehouse.
"""

from __future__ import annotations

import datetime as dt
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from syncer import compare
from syncer.deciding import Decided, Deciding, Row
from syncer.mapping import Outbound
from syncer.sources.hubspot.definitions import Definition, Option
from syncer.sources.hubspot.shape import Described, HubSpotShape
from syncer.target import Found
from tests.outbound import naive
from tests.outbound.naive import NEVER, Case

NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)
CASES, SHORT = 100_000, 1_500
FIELDS = {"client_id": "string", "name": "string", "size": "number", "since": "date", "products": "several"}
# One value a line, in its texts; the first line is blank, and `bad` what HubSpot would refuse.
VALUES: Mapping[str, Sequence[Sequence[str | None]]] = {
    "string": ((None, ""), ("Ada",), ("ada",), ("O'Neil {x}",)),
    "number": ((None, ""), ("1", "1.0", "1e0"), ("2", "2.00"), ("0", "-0")),
    "date": ((None, ""), ("2026-03-01", "1772323200000"), ("2026-03-02",), ("2026-03-03", "1772496000000")),
    "several": ((None, "", ";"), ("a;b", "b;a", "a; b;a"), ("a",), ("a;b;c", "c;b;a")),
}
BAD = {"number": "1,5", "several": "a;z"}
MUST_REACH = (  # outcomes, actions, kinds of problems: a campaign that missed one of them has failed
    *("rejected", "conflict", "unchanged", "skipped", "create", "update", "archive", "settled"),
    *("archived record", "merged id", "id of nothing", "two rows", "no key", "left, cleared", "made anew"),
    *("two records", "another record", "as agreed"),
)


@attrs.define
class Reached:
    """What came of the cases."""

    cases: int = 0
    rows: int = 0
    what: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)
    seconds: float = 0.0

    def __str__(self) -> str:
        what = ", ".join(f"{name} {count:,}" for name, count in sorted(self.what.items()))
        return f"{self.cases:,} cases, {self.rows:,} rows, {self.seconds:.0f} s: {len(self.wrong)} wrong; {what}"


def shape() -> HubSpotShape:
    """Return companies with a property of each type."""
    sorts = {"several": ("enumeration", "checkbox"), "string": ("string", "text"), "number": ("number", "number")}
    made = []
    for name, type in FIELDS.items():
        kind, field = sorts.get(type, (type, type))
        options = tuple(Option(value=value) for value in "abc") if type == "several" else ()
        made.append(
            Definition(
                object_type="companies",
                name=name,
                type=kind,
                field_type=field,
                options=options,
                has_unique_value=name == "client_id",
            )
        )
    return HubSpotShape(Described(kind="companies", definitions=made, now=lambda: NOON))


SHAPE = shape()


def case(rng: random.Random) -> Case:
    """Make a base, and perturb it twice: ours and theirs; what was agreed is the base, or a part of it."""
    rows: list[dict[str, Any]] = []
    snapshot: dict[str, tuple[str, dict[str, str | None] | None, str]] = {}
    portal: dict[str, tuple[bool, dict[str, str | None]]] = {}
    merged: dict[str, str] = {}
    columns = [name for name in FIELDS if name in ("client_id", "name") or rng.random() < 0.8]
    for number in range(rng.randint(1, 6)):
        key, id = f"k{number}", str(100 + number)
        base = {name: rng.choice(VALUES[type]) for name, type in FIELDS.items()}
        if rng.random() < 0.85:
            theirs = {name: rng.choice(each) for name, each in _perturbed(rng, base).items()}
            has = {"client_id": key, **_without(theirs, "client_id", rng)}
            if rng.random() < 0.06:
                has["client_id"] = rng.choice([None, f"{key} no more"])
            portal[id] = (rng.random() < 0.12, has)
            if portal[id][0] and rng.random() < 0.2:
                portal[f"8{id}"] = (False, {**has, "client_id": key})  # somebody made it anew
        if rng.random() < 0.7:
            agreed = {name: _normal(name, base[name]) for name in columns[1:] if rng.random() < 0.8}
            state = "declined" if rng.random() < 0.06 else "live"
            snapshot[key] = (id, {"client_id": key, **agreed} if rng.random() < 0.9 else None, state)
            if id in portal and rng.random() < 0.08:
                portal[f"9{id}"] = portal.pop(id)
                merged[id] = f"9{id}"
        if rng.random() < 0.85:
            ours = _perturbed(rng, base)
            row: dict[str, Any] = {name: rng.choice(ours[name]) for name in columns[1:]}
            row |= {name: BAD[FIELDS[name]] for name in columns if FIELDS[name] in BAD and rng.random() < 0.02}
            given = rng.choice([id, id, id, f"4{id}"]) if rng.random() < 0.3 else None
            if rng.random() < 0.03 and "100" in portal and portal.get(id, (True, {}))[1].get("client_id") == key:
                given = given if portal[id][0] else "100"  # of another row: two records, by its id and by its key
            row = {"client_id": key, **row, "hs_object_id": given}
            rows += [row] * (2 if rng.random() < 0.05 else 1)
    rows += [dict.fromkeys(columns)] * (rng.randint(1, 2) if rng.random() < 0.05 else 0)
    newer = {(f"k{number}", name): rng.choice([True, False, None]) for number in range(6) for name in columns}
    return Case(
        words=_words(rng),
        fields={name: FIELDS[name] for name in columns},
        rows=rows,
        snapshot=snapshot,
        portal=portal,
        merged=merged,
        newer=newer,
    )


def _perturbed(rng: random.Random, base: Mapping[str, Sequence[str | None]]) -> dict[str, Sequence[str | None]]:
    return {name: rng.choice(VALUES[FIELDS[name]]) if rng.random() < 0.35 else each for name, each in base.items()}


def _without(properties: dict[str, str | None], name: str, rng: random.Random) -> dict[str, str | None]:
    """Leave a name out, and some of what is blank: missing is blank too."""
    return {each: value for each, value in properties.items() if each != name and (value or rng.random() < 0.5)}


def _normal(name: str, texts: Sequence[str | None]) -> str | None:
    return SHAPE.properties[name].theirs(texts[0])


def _words(rng: random.Random) -> dict[str, Any]:
    return {
        "policy": rng.choice(compare.POLICIES),
        "policies": {name: rng.choice(compare.FIELD_POLICIES) for name in FIELDS if rng.random() < 0.4},
        "adopt": rng.choice(compare.ADOPTS),
        "blanks": rng.choice(compare.BLANKS),
        "blanks_by_field": {name: rng.choice(compare.BLANKS) for name in FIELDS if rng.random() < 0.2},
        "creates": rng.random() < 0.8,
        "on_archived": rng.choice(["report", "create"]),
        "on_missing": rng.choice(["leave", "clear", "archive"]),
    }


def planned(case: Case) -> dict[str, Decided]:
    """Plan with the product: rows grouped and records found as `outbound.py` does it."""
    deciding = _deciding(case)
    found: dict[str, Decided] = {}
    for key, row in _rows(case).items():
        is_usable = row.key is not None and row.times == 1 and not row.unfit
        record = _found(case, row) if is_usable else None
        by_key = _by_key(case, key) if is_usable and deciding.asks_for_key(row, record) else None
        known = _by_id(case, row.known_id) if is_usable else None
        decided = deciding.decide(row, record, known=known, by_key=by_key)
        if record is not None and not record.is_archived and deciding.is_as_agreed(row):
            assert not decided.changes, f"{key} holds what was agreed on, and is written"
        found[key] = decided
    return found


def _deciding(case: Case) -> Deciding:
    return Deciding(Outbound(kind="companies", match_on="client_id", changed_at="at", **case.words), SHAPE)


def _rows(case: Case) -> dict[str, Row]:
    columns = list(case.fields)
    typing = SHAPE.typing(columns)
    made: dict[str, Row] = {}
    for each in case.rows:
        key = each["client_id"] or ""
        if key in made:
            made[key] = attrs.evolve(made[key], times=made[key].times + 1)
            continue
        values, unfit = typing([each[name] for name in columns])
        newer = {name: case.newer.get((key, name)) for name in columns}
        made[key] = Row(
            key=key or None,
            row_hash=f"hash of {key}",
            given_id=each.get("hs_object_id"),
            values=values,
            unfit=unfit,
            is_newer=newer,
        )
    for key, (id, agreed, state) in case.snapshot.items():
        made[key] = attrs.evolve(made.get(key, Row(key=key)), known_id=id, agreed=agreed, state=state, base="before")
    return made


def _found(case: Case, row: Row) -> Found | None:
    return _by_key(case, row.key) if row.id is None else _by_id(case, row.id)


def _by_key(case: Case, key: str | None) -> Found | None:
    for id, (is_archived, properties) in case.portal.items():
        if not is_archived and properties.get("client_id") == key:
            return Found(id=id, properties=properties)
    return None


def _by_id(case: Case, asked: str | None) -> Found | None:
    id = case.merged.get(asked or "", asked or "")
    if id not in case.portal:
        return None
    is_archived, properties = case.portal[id]
    return Found(id=id, properties=properties, is_archived=is_archived)


def told(case: Case, decided: Decided) -> dict[str, Any]:
    """Tell what the product planned for a row as the naive planner tells it."""

    def same(name: str, text: str | None) -> Any:
        return naive.same(case.fields.get(name, "string"), text)

    changes = [
        (
            change.action,
            change.id,
            {name: (edit.before, same(name, edit.after)) for name, edit in change.fields.items()},
        )
        for change in decided.changes
    ]
    problems: set[tuple[Any, ...]] = set()
    for each in decided.row.problems:
        if each.kind == "rejected":
            problems.add((each.kind, each.field))
            continue
        agreed = same(each.field, each.agreed) if each.has_agreed or not each.field else NEVER
        problems.add((each.kind, each.field, agreed, same(each.field, each.ours), each.theirs, each.setting))
    return {"outcome": decided.row.outcome, "changes": changes, "problems": problems}


def applied(case: Case, plan: Mapping[str, Decided], rng: random.Random) -> tuple[Case, set[str]]:
    """
    Carry a plan out in a model, in random order; return it, and the keys that it refused: no two live records may have
    one key. The snapshot moves as `snapshots.py` moves it.
    """
    portal = {id: (gone, dict(has)) for id, (gone, has) in case.portal.items()}
    snapshot = dict(case.snapshot)
    refused: set[str] = set()
    for key, decided in rng.sample(sorted(plan.items()), len(plan)):
        row = decided.row
        seen = {**row.agreed}
        if not decided.changes:
            if row.outcome in ("unchanged", "conflict") and row.id is not None:
                snapshot[key] = (row.id, seen, "live")
            continue
        [change] = decided.changes
        id = change.id or f"new {key}"
        values = {name: edit.after for name, edit in change.fields.items()}
        taken = [
            each for each, (gone, has) in portal.items() if not gone and has.get("client_id") == key and each != id
        ]
        if taken and "client_id" in values:
            refused.add(key)
            continue
        gone, has = portal.get(id, (False, {}))
        portal[id] = (gone or change.action == "archive", {**has, **values})
        snapshot[key] = (id, {**seen, **change.agreed}, "live")
    return attrs.evolve(case, portal=portal, snapshot=snapshot), refused


def check(case: Case, rng: random.Random, reached: Reached) -> list[str]:
    """Hold one case against all rules; return what is wrong with it."""
    plan = planned(case)
    ours, theirs = {key: told(case, each) for key, each in plan.items()}, naive.plan(case)
    wrong = [
        f"{key}: {ours.get(key)} and not {theirs.get(key)}"
        for key in {*ours, *theirs}
        if ours.get(key) != theirs.get(key)
    ]
    wrong += _agreed_wrongly(case, plan)
    mixed = attrs.evolve(
        case,
        rows=[dict(rng.sample(list(row.items()), len(row))) for row in rng.sample(list(case.rows), len(case.rows))],
        fields=dict(rng.sample(list(case.fields.items()), len(case.fields))),
    )
    again = planned(mixed)
    wrong += [f"{key}: another order plans {again[key]}" for key in plan if _bare(again[key]) != _bare(plan[key])]
    whole = {**planned(_half(case, 0)), **planned(_half(case, 1))}
    wrong += [f"{key}: a half plans {whole[key]}" for key in plan if _bare(whole[key]) != _bare(plan[key])]
    after, refused = applied(case, plan, rng)
    for key, decided in planned(after).items():
        if decided.changes and key not in refused:
            wrong.append(f"{key}: applied and planned again, {told(after, decided)}")
    _note(case, plan, reached)
    return wrong


def _agreed_wrongly(case: Case, plan: Mapping[str, Decided]) -> list[str]:
    """The agreed value of a field moves only when both sides were seen equal, or ours is written."""
    wrong = []
    for key, decided in plan.items():
        known, agreed, _ = case.snapshot.get(key, ("", None, ""))
        is_another = decided.row.id != case.merged.get(
            known, known
        )  # what was agreed on with one record is no other's
        before = agreed or {}
        row = next((each for each in case.rows if (each["client_id"] or "") == key), {})
        for name in {*before, *decided.row.agreed}:
            now = decided.row.agreed.get(name, NEVER)
            if (
                now == before.get(name, NEVER)
                or (now is NEVER and is_another)
                or (decided.changes and decided.changes[0].action == "create")
            ):
                continue
            has = case.portal[decided.row.id or ""][1].get(name)
            type = FIELDS[name]
            if not naive.same(type, row.get(name)) == naive.same(type, has) == naive.same(type, now):
                wrong.append(f"{key}: {name} became agreed, {now}")
        wrong += [
            f"{key}: writes {sorted(change.fields)}, and agrees on {sorted(change.agreed)}"
            for change in decided.changes
            if change.action == "update" and set(change.agreed) != set(change.fields)
        ]
    return wrong


def _bare(decided: Decided) -> tuple[Any, ...]:
    """Return what does not depend on the order of columns, nor on which of two rows with one key came first."""
    row = decided.row
    problems = {each for each in row.problems if row.times == 1}
    return row.outcome, row.id, row.row_hash, dict(row.agreed), problems, row.times, decided.changes


def _half(case: Case, which: int) -> Case:
    def is_here(key: str) -> bool:
        return bool(key) and int(key[1:]) % 2 == which or (not key and which == 0)

    return attrs.evolve(
        case,
        rows=[row for row in case.rows if is_here(row["client_id"] or "")],
        snapshot={key: each for key, each in case.snapshot.items() if is_here(key)},
    )


def _note(case: Case, plan: Mapping[str, Decided], reached: Reached) -> None:
    """Count what was reached."""
    rows = _rows(case)
    deciding = _deciding(case)
    for key, decided in plan.items():
        row = rows[key]
        actions = [change.action for change in decided.changes]
        kinds = {each.kind for each in decided.row.problems}
        gone = case.portal.get(case.merged.get(row.id or "", row.id or ""), (None,))[0]
        marks = {
            "archived record": gone is True,
            "merged id": bool(actions) and row.id in case.merged,
            "id of nothing": "rejected" in kinds and row.given_id is not None and gone is None,
            "two rows": bool(key) and row.times > 1,
            "no key": row.key is None,
            "left, cleared": row.row_hash is None and "update" in actions,
            "made anew": row.id is not None and "create" in actions,
            "two records": any("its client_id record" in each.reason for each in decided.row.problems),
            "another record": None not in (row.given_id, row.known_id) and row.given_id != row.known_id,
            "as agreed": deciding.is_as_agreed(row),
        }
        reached.rows += 1
        reached.what.update([*actions, *kinds, decided.row.outcome or "written"])
        reached.what.update(name for name, is_so in marks.items() if is_so)


def run(cases: int, *, seed: int) -> Reached:
    """Run so many cases; each has a seed of its own, so that it can be run alone."""
    reached = Reached()
    began = time.perf_counter()
    for number in range(cases):
        rng = random.Random(f"{seed}/{number}")
        made = case(rng)
        found = check(made, rng, reached)
        if found:
            reached.wrong.append(f"seed {seed}, case {number}: {'; '.join(found[:2])}; words {made.words}")
        reached.cases += 1
    reached.seconds = time.perf_counter() - began
    return reached


def campaign(*, is_short: bool) -> int:
    """Run it; return how many cases went wrong, or how many situations were never reached."""
    reached = run(SHORT if is_short else CASES, seed=1)
    print(reached)
    for line in reached.wrong[:10]:
        print(f"  {line}")
    missed = [name for name in MUST_REACH if not reached.what[name]]
    if missed:
        print(f"  never reached: {', '.join(missed)}")
    return len(reached.wrong) + len(missed)
