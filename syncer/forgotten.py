"""
Who was forgotten: the table `syncer.forgotten`, and what pulls and pushes make of it.

It holds keyed hashes: of a record's key in the load table, under its mapping's name, and of the keys that rows of the
way out had, under `SOURCE.KIND by PROPERTY`. A pull leaves such a record blank (`rows.py`), a push rejects such a row.
Not here: erasing (`forgetting.py`, `forgetting_pushed.py`).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from syncer import marks, plan, privacy, sql
from syncer.errors import UsageError
from syncer.mapping import EntityMapping
from syncer.plans import PlanRow, Problem
from syncer.privacy import Privacy
from syncer.settings import Settings
from syncer.tables import STATE, Column, Table
from syncer.values import TEXT, TIMESTAMP
from syncer.warehouses import Transaction

FORGOTTEN = Table(
    schema=STATE,
    name="forgotten",
    columns=(
        Column("mapping", TEXT),
        Column("environment", TEXT),
        Column("key_hash", TEXT, "keyed hash (HMAC-SHA256) of the key of a record that was erased"),
        Column("key_mark", TEXT, "tells which key hashed it"),
        Column("forgotten_at", TIMESTAMP),
        Column("rewritten_at", TIMESTAMP, "when the warehouse was rewritten after it; NULL: not yet"),
    ),
    key=("mapping", "environment", "key_hash"),
)
STANDS_FOR = "forgotten "  # and digits of its hash: what stands where a key stood
SHOWN_DIGITS = 16
REASON = "The person was forgotten: nothing is written."
EMAIL = "email"  # keys of this property are compared in small letters, as the API does


@attrs.frozen(kw_only=True)
class Touched:
    """Rows of one table that held something of a person."""

    table: str
    rows: int
    what: str  # "blanked", "deleted" or "treated"


def recalled(t: Transaction, found: Privacy, *, environment: str) -> Privacy:
    """
    Return the privacy of a mapping with the hashes of who was erased.

    Raises: UsageError: somebody was, and the hash key is missing or another one: the person would come back.
    """
    hashes = _hashes(t, found.mapping.name, key=found.key, environment=environment)
    if not hashes:
        return found
    found = attrs.evolve(found, forgotten=hashes)
    # Whom somebody erased was merged into holds their values, also where that is not told again beside the record.
    into = dict(merged_pairs(t, found.mapping, environment))
    heirs = {found.hash_of_key(heir) for old in into if found.is_forgotten(old) for heir in survivors(old, into)}
    return attrs.evolve(found, forgotten=found.forgotten | heirs)


def _hashes(t: Transaction, owner: str, *, key: bytes, environment: str) -> frozenset[bytes]:
    """Return the hashes that stand under a name. Raises UsageError where they were made with another key."""
    if not t.columns(FORGOTTEN):
        return frozenset()
    query = f"SELECT key_hash, key_mark FROM {sql.table_name(FORGOTTEN)} WHERE mapping = ? AND environment = ?"
    rows = t.rows(sql.statement(query), [owner, environment])
    if not rows:
        return frozenset()
    if not key:
        raise privacy.no_key()
    if {mark for _, mark in rows} != {privacy.key_mark(key)}:
        raise UsageError(
            f"{len(rows):,} records of {owner} were forgotten under another hash key, and would come back.",
            hint="Set SYNCER_HASH_KEY to the key that was used then.",
        )
    return frozenset(bytes.fromhex(each) for each, _ in rows)


def merged_pairs(t: Transaction, mapping: EntityMapping, environment: str) -> list[tuple[str, str]]:
    """Return the ids that were merged away, and what they were merged into."""
    if not t.columns(marks.ALIASES):
        return []
    query = f"SELECT old_id, new_id FROM {sql.table_name(marks.ALIASES)} WHERE mapping = ? AND environment = ?"
    return [(old, new) for old, new in t.rows(sql.statement(query), [mapping.name, environment])]


def survivors(old: str, into: Mapping[str, str]) -> Iterator[str]:
    """Yield what a record was merged into, and what that was merged into."""
    seen = {old}
    while (new := into.get(old)) is not None and new not in seen:
        yield new
        seen.add(new)
        old = new


def remember(
    t: Transaction, hashes: Iterable[tuple[str, bytes]], *, key: bytes, environment: str, now: dt.datetime
) -> None:
    """Keep hashes, each under its name: a mapping's, or `keys_of` of a way out."""
    rows = [
        {
            "mapping": owner,
            "environment": environment,
            "key_hash": each.hex(),
            "key_mark": privacy.key_mark(key),
            "forgotten_at": now,
            "rewritten_at": None,
        }
        for owner, each in dict.fromkeys(hashes)
    ]
    if rows:
        t.stage("forgotten_now", FORGOTTEN.arrow(rows), FORGOTTEN.types())
        t.run(sql.insert_new(FORGOTTEN, "forgotten_now", list(FORGOTTEN.types())))


def keys_of(source: str, kind: str, match_on: str) -> str:
    """Name the keys that rows of a way out have, whatever their mappings are called."""
    return f"{source}.{kind} by {match_on}"


def outbound_hash(key: bytes, owner: str, text: str) -> bytes:
    """Hash the key of a row; *owner* is `keys_of` its way out. An address is one in capitals and small letters."""
    is_email = owner.endswith(f" by {EMAIL}")
    return privacy.forgotten_hash(key, owner, privacy.normalised(text) if is_email else text.strip())


def shown(hash_of_key: bytes) -> str:
    """Write what stands where a key stood: it tells two of them apart, and leads to nobody without the hash key."""
    return f"{STANDS_FOR}{hash_of_key.hex()[:SHOWN_DIGITS]}"


@attrs.frozen(kw_only=True)
class Barred:
    """
    Whom a push must not make again, nor change: asked with the key of a row and the id of its record, as far as known.

    by_id: the mappings of the same kind of records, with whom was erased of them. owner: `keys_of` the way out; empty
    where rows name their record by id.
    """

    by_id: tuple[Privacy, ...] = ()
    owner: str = ""
    keys: frozenset[bytes] = frozenset()
    key: bytes = attrs.field(default=b"", repr=False)

    @property
    def is_anybody(self) -> bool:
        """Whether somebody was forgotten at all."""
        return bool(self.keys or self.by_id)

    def __call__(self, key: str | None, id: str | None) -> bool:
        """Tell whether the row is of somebody who was forgotten."""
        if not self.is_anybody:
            return False
        ids = [each for each in (id, key if not self.owner else None) if each]
        if any(found.is_forgotten(each) for each in ids for found in self.by_id):
            return True
        return bool(key and self.owner and self.keys) and outbound_hash(self.key, self.owner, key or "") in self.keys

    def row(self, key: str | None, id: str | None, *, times: int = 1) -> PlanRow:
        """Return what such a row comes to: rejected, without its key, its id or a value of it."""
        hashed = privacy.forgotten_hash(self.key, self.owner or "id", key or id or "")
        problem = Problem(kind=plan.REJECTED, reason=REASON)
        return PlanRow(key=shown(hashed), outcome=plan.REJECTED, problems=[problem], times=times)


def barred(
    t: Transaction, mapping: EntityMapping, *, others: Sequence[EntityMapping], settings: Settings, environment: str
) -> Barred:
    """
    Return whom a push of *mapping* must not make again; *others* are the mappings of the source, itself among them.

    Raises: UsageError: somebody was forgotten, and the hash key is missing or another one.
    """
    if not t.columns(FORGOTTEN):
        return Barred()
    assert mapping.outbound is not None
    key = settings.hash_key() if settings.has_hash_key else b""
    match_on = mapping.outbound.match_on
    owner = keys_of(mapping.source, mapping.outbound.kind, match_on) if match_on else ""
    found = [
        recalled(t, Privacy(mapping=_bare(each), key=key), environment=environment)
        for each in of_kind({each.name: each for each in (*others, mapping)}.values(), mapping)
        if len(each.key) == 1
    ]
    return Barred(
        by_id=tuple(each for each in found if each.forgotten),
        owner=owner,
        keys=_hashes(t, owner, key=key, environment=environment) if owner else frozenset(),
        key=key,
    )


def kind_of(mapping: EntityMapping) -> str:
    """Return the kind of records that a mapping is about, as its source names it."""
    if mapping.outbound is not None:
        return mapping.outbound.kind
    return mapping.inbound.stream if mapping.inbound is not None else mapping.entity


def of_kind(mappings: Iterable[EntityMapping], like: EntityMapping) -> list[EntityMapping]:
    """Return the mappings of the same source that are about the same kind of records as *like*."""
    kind = kind_of(like)
    return [each for each in mappings if each.source == like.source and kind_of(each) == kind]


def _bare(mapping: EntityMapping) -> EntityMapping:
    """Return a mapping with its key alone: nothing is treated here."""
    return attrs.evolve(
        mapping,
        fields=tuple(each for each in mapping.fields if each.column in mapping.key),
        inbound=None,
    )
