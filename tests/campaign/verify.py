"""
Records damaged behind our back: 5,000 rows pushed, some edited by people, some changed here, some in conflict or
rejected; then twenty are damaged, of a dozen kinds, and verify must name each of them, and nothing else.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import orjson

from syncer import verifying
from syncer.verifying import Verified
from tests.campaign import beds
from tests.outbound import PushHome, at_home

ROWS, SHORT, DAMAGED = 5_000, 400, 20
RELATION = "stage.companies"
Damage = Callable[[PushHome, str, random.Random], None]


def _agreed(home: PushHome, key: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(home.rows("SELECT fields FROM syncer.agreed WHERE key = ?", [key])[0][0])
    return found


def _set_agreed(home: PushHome, key: str, fields: dict[str, Any]) -> None:
    home.rows("UPDATE syncer.agreed SET fields = ? WHERE key = ?", [orjson.dumps(fields).decode(), key])


def _take_hash(home: PushHome, key: str) -> None:
    """Give the snapshot's row the hash that a plan would read of the row as it is now."""
    plan = home.push(is_rehearsal=True).plan
    query = "SELECT row_hash FROM syncer.changes WHERE plan = ? AND key = ?"
    home.rows("UPDATE syncer.snapshots SET row_hash = ? WHERE key = ?", [home.rows(query, [plan, key])[0][0], key])


def archived(home: PushHome, key: str, rng: random.Random) -> None:
    """A record in the recycle bin."""
    home.site.store.archive("companies", home.company(key).id)


def purged(home: PushHome, key: str, rng: random.Random) -> None:
    """A record deleted for good."""
    home.site.store.purge("companies", home.company(key).id)


def replaced(home: PushHome, key: str, rng: random.Random) -> None:
    """A record deleted, and another one made with its key."""
    record = home.company(key)
    properties = {name: record.properties.get(name) for name in ("name", "phone")}
    home.site.store.purge("companies", record.id)
    home.make(key, **{name: value for name, value in properties.items() if value})


def lost_update(home: PushHome, key: str, rng: random.Random) -> None:
    """A write that was acknowledged, and that the portal never kept."""
    record = home.company(key)
    record.history["phone"].pop()
    record.properties = {**record.properties, "phone": record.history["phone"][-1].value}


def lost_value(home: PushHome, key: str, rng: random.Random) -> None:
    """A value of a create that the portal never kept."""
    record = home.company(key)
    record.history.pop("industry")
    record.properties = {name: value for name, value in record.properties.items() if name != "industry"}


def agreed_value(home: PushHome, key: str, rng: random.Random) -> None:
    """An agreed value that is another one than both sides have."""
    _set_agreed(home, key, {**_agreed(home, key), rng.choice(["name", "phone"]): "damaged"})


def agreed_gone(home: PushHome, key: str, rng: random.Random) -> None:
    """The agreed values of a row are gone."""
    home.rows("DELETE FROM syncer.agreed WHERE key = ?", [key])


def snapshot_gone(home: PushHome, key: str, rng: random.Random) -> None:
    """The snapshot's row is gone, and with it which record a row has."""
    home.rows("DELETE FROM syncer.snapshots WHERE key = ?", [key])
    if rng.random() < 0.5:
        home.rows("DELETE FROM syncer.agreed WHERE key = ?", [key])


def no_id(home: PushHome, key: str, rng: random.Random) -> None:
    """The snapshot's row names no record."""
    home.rows("UPDATE syncer.snapshots SET id = NULL WHERE key = ?", [key])


def another_id(home: PushHome, key: str, rng: random.Random) -> None:
    """The snapshot's row names a stranger's record."""
    home.rows("UPDATE syncer.snapshots SET id = ? WHERE key = ?", [home.make(None, name="stranger").id, key])


def counts_as_pushed(home: PushHome, key: str, rng: random.Random) -> None:
    """A row that changed here, whose hash the snapshot has though nobody wrote it."""
    home.change(key, name=f"changed {key}")
    _take_hash(home, key)


def claims_a_write(home: PushHome, key: str, rng: random.Random) -> None:
    """The same, and the snapshot says that both sides agreed on it."""
    home.change(key, phone=f"claimed {key}")
    _take_hash(home, key)
    _set_agreed(home, key, {**_agreed(home, key), "phone": f"claimed {key}"})


def forgotten_here(home: PushHome, key: str, rng: random.Random) -> None:
    """A record that we made, and that neither the relation nor the snapshot knows any more."""
    home.rows(f"DELETE FROM {RELATION} WHERE client_id = ?", [key])
    home.rows("DELETE FROM syncer.snapshots WHERE key = ?", [key])
    home.rows("DELETE FROM syncer.agreed WHERE key = ?", [key])


DAMAGES: tuple[Damage, ...] = (
    archived,
    purged,
    replaced,
    lost_update,
    lost_value,
    agreed_value,
    agreed_gone,
    snapshot_gone,
    no_id,
    another_id,
    counts_as_pushed,
    claims_a_write,
    forgotten_here,
)


@attrs.define
class Reached:
    """What came of one run."""

    backend: str
    seed: int
    damaged: dict[str, str]
    expected: dict[str, int]
    found: Verified
    seconds: float

    @property
    def wrong(self) -> list[str]:
        """What was missed, and what was named for nothing."""
        named = {record.key: record for record in self.found}
        missed = [f"missed {key}: {kind}" for key, kind in self.damaged.items() if key not in named]
        extra = [f"named {key}: {each.reasons[0].cause}" for key, each in named.items() if key not in self.damaged]
        counts = {verdict: count for verdict, count in self.found.counts.items() if verdict in self.expected}
        other = [] if counts == self.expected else [f"counted {counts}, not {self.expected}"]
        return missed + extra + other

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(Counter(self.damaged.values()).items()))
        hits = len(self.damaged) - sum(each.startswith("missed") for each in self.wrong)
        extra = sum(each.startswith("named") for each in self.wrong)
        return (
            f"{self.backend}, seed {self.seed}: {hits} of {len(self.damaged)} found, {extra} named for nothing, "
            f"{self.seconds:.1f} s; {self.found}\n  {kinds}"
        )


def run(backend: str, *, rows: int, damaged: int, seed: int) -> Reached:
    """Push, let people and rows move, damage, and verify."""
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder, at_home(Path(folder) / "home", backend) as home:
        home = home.with_words(policies={"industry": "once"}, max_creates="off")
        keys = list(_pushed(home, rows))
        rng.shuffle(keys)
        chosen, others = keys[:damaged], keys[damaged:]
        _change_phones(home, chosen + others[: rows // 20])
        _live_on(home, others, rng)
        kinds = [DAMAGES[at % len(DAMAGES)] for at in range(damaged)]
        for key, damage in zip(chosen, kinds, strict=True):
            damage(home, key, rng)
        home.later()
        home.sent()
        began = time.perf_counter()
        [found] = verifying.verify("hubspot.companies", settings=home.settings, doors=home.doors)
        seconds = time.perf_counter() - began
        wrote = home.writes()
    assert wrote == [], wrote
    told = {key: damage.__name__ for key, damage in zip(chosen, kinds, strict=True)}
    part = _part(len(others))
    expected = {"left_alone": 3 * part, "conflicts": part, "not_pushed": part + 1, "rejects": 2}
    return Reached(backend=backend, seed=seed, damaged=told, expected=expected, found=found, seconds=seconds)


def _pushed(home: PushHome, rows: int) -> Iterator[str]:
    """Make and push so many rows; yield their keys."""
    home.rows("CREATE SCHEMA IF NOT EXISTS stage")
    columns = "client_id TEXT, name TEXT, phone TEXT, industry TEXT, size BIGINT"
    home.rows(f"CREATE TABLE {RELATION} ({columns})")
    numbers = f"(SELECT * FROM generate_series(1, {rows})) AS g(n)"
    home.rows(
        f"INSERT INTO {RELATION} SELECT 'c' || CAST(n AS TEXT), 'Company ' || CAST(n AS TEXT), '+31 ' || "
        f"CAST(n AS TEXT), 'industry ' || CAST(n % 7 AS TEXT), n FROM {numbers}"
    )
    done = home.push()
    assert done.counts.created == rows, str(done)
    home.later()
    return (f"c{number}" for number in range(1, rows + 1))


def _change_phones(home: PushHome, keys: list[str]) -> None:
    """Push a second write of some rows: what a lost one goes back to."""
    for key in keys:
        home.change(key, phone=f"+31 20 {key}")
    done = home.push()
    assert done.counts.updated == len(keys), str(done)
    home.later()


def _part(rows: int) -> int:
    """Return how many rows each legitimate thing happens to."""
    return max(2, rows // 40)


def _live_on(home: PushHome, keys: list[str], rng: random.Random) -> None:
    """Let happen what is legitimate: edits of people, old values put back, conflicts, rejects, rows that come."""
    part = _part(len(keys))
    edited, put_back, both, changed, gone = (keys[at * part : (at + 1) * part] for at in range(5))
    for key in edited:
        home.edit(key, **{rng.choice(["phone", "name", "industry"]): f"by a person {key}"})
    for key in put_back:
        home.edit(key, phone=f"+31 {key[1:]}")
    for key in both:
        home.edit(key, name=f"theirs {key}")
        home.change(key, name=f"ours {key}")
    home.rows(f"INSERT INTO {RELATION} VALUES ('twice', 'a', '1', 'x', 1), ('twice', 'b', '2', 'x', 1)")
    home.later()
    done = home.push()
    assert (done.counts.conflicts, done.counts.rejected) == (len(both), 2), str(done)
    for key in changed:
        home.change(key, phone=f"not pushed {key}")
    for key in gone:
        home.rows(f"DELETE FROM {RELATION} WHERE client_id = ?", [key])
    home.rows(f"INSERT INTO {RELATION} VALUES ('new', 'New', '1', 'x', 1)")
    home.later()


def campaign(*, is_short: bool) -> int:
    """Run it on one kind of warehouse, two seeds; return how much was missed, or named for nothing."""
    wrong = 0
    for seed in (1,) if is_short else (1, 2):
        reached = run(beds.KIND.name, rows=SHORT if is_short else ROWS, damaged=DAMAGED, seed=seed)
        print(reached)
        for line in reached.wrong:
            print(f"  {line}")
        wrong += len(reached.wrong)
    return wrong
