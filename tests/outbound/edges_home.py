"""A portal whose tickets, notes and custom objects have keys of their own; their rows name companies."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import orjson

from syncer import executing, pushing
from syncer.plan import Change
from syncer.sandbox.hubspot.model import HUBSPOT_DEFINED, USER_DEFINED, Definition, PortalRecord
from syncer.tally import Pushed
from tests.outbound import KEY, PushHome, at_home, portal

TICKET_COMPANY, TICKET_PRIMARY = 339, 26
CHILD, PARENT = 14, 13  # of a company: its link to its parent, and back
UNIQUE = "own_key"
NEEDED: Mapping[str, Mapping[str, str | None]] = {
    "tickets": {"hs_pipeline": "0", "hs_pipeline_stage": "1"},
    "deals": {"pipeline": "default", "dealstage": "new"},
    "notes": {"hs_timestamp": "2026-03-01T10:00:00Z"},
}
KEYS = {"companies": KEY, "contacts": "email"}
NAMES = {
    "companies": "name",
    "contacts": "firstname",
    "tickets": "subject",
    "notes": "hs_note_body",
    "cables": "name",
    "deals": "dealname",
}
LIMITS = dict.fromkeys(("max_create_share", "max_update_share", "max_missing_share"), "off")


@attrs.define
class EdgesHome:
    """A `PushHome` with several relations: `stage.<kind>`."""

    home: PushHome

    def rows(self, kind: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Make the relation of a kind hold just these rows, with what a new record needs."""
        key = KEYS.get(kind, UNIQUE)
        given = []
        for row in rows:
            named = {key: row["key"], NAMES[kind]: row.get("name", row["key"]), **NEEDED.get(kind, {})}
            given.append({**named, **{name: value for name, value in row.items() if name not in ("key", "name")}})
        types = ", ".join(f'"{name}" {"BIGINT" if isinstance(v, int) else "TEXT"}' for name, v in given[0].items())
        table = "CREATE SCHEMA IF NOT EXISTS stage", f"DROP TABLE IF EXISTS stage.{kind}"
        marks = ", ".join("?" for _ in given[0])
        self.home.database.tell(
            *((each, ()) for each in (*table, f"CREATE TABLE stage.{kind} ({types})")),
            *((f"INSERT INTO stage.{kind} VALUES ({marks})", list(row.values())) for row in given),
        )

    def set(self, kind: str, row_key: str, **values: Any) -> None:
        """Change a row of a relation."""
        setting = ", ".join(f'"{name}" = ?' for name in values)
        key = KEYS.get(kind, UNIQUE)
        self.home.rows(f"UPDATE stage.{kind} SET {setting} WHERE {key} = ?", [*values.values(), row_key])

    def words(self, kind: str, **words: Any) -> None:
        """Say what `syncer.toml` says of a kind."""
        own = {"relation": f"stage.{kind}", "match_on": KEYS.get(kind, UNIQUE), **LIMITS, **words}
        settings = self.home.settings
        tables = {**settings.tables, f"hubspot.{kind}": own}
        self.home.settings = attrs.evolve(settings, tables=tables)

    def push(self, kind: str = "tickets", **request: Any) -> Pushed:
        """Push one kind, however it ends."""
        [done] = self.push_all(kind, **request)
        return done

    def push_all(self, *kinds: str, **request: Any) -> list[Pushed]:
        """Push some kinds in one run."""
        return pushing.push(
            [f"hubspot.{kind}" for kind in kinds],
            settings=self.home.settings,
            request=executing.Request(**request),
            doors=self.home.doors,
        )

    def make(self, kind: str, key: str) -> PortalRecord:
        """Create a record as a person would."""
        name = KEYS.get(kind, UNIQUE)
        own = {NAMES[kind]: key, name: key, **NEEDED.get(kind, {})}
        return self.home.site.store.create(kind, own, source_type="CRM_UI")

    def record(self, kind: str, key: str) -> PortalRecord:
        """Return the one live record with a key."""
        name = KEYS.get(kind, UNIQUE)
        records = self.home.site.store.records[kind].values()
        [found] = [each for each in records if each.properties.get(name) == key and not each.is_archived]
        return found

    def link(self, ticket: str, company: str, *specs: tuple[str, int], kind: str = "tickets") -> None:
        """Associate as a person would; what the pair has stays."""
        ends = kind, self.record(kind, ticket).id, "companies", self.record("companies", company).id
        store = self.home.site.store
        store.associate(*ends, {*store.specs(*ends), *specs})

    def unlink(self, ticket: str, company: str, *specs: tuple[str, int], kind: str = "tickets") -> None:
        """Take an association away as a person would, or some types of it."""
        ends = kind, self.record(kind, ticket).id, "companies", self.record("companies", company).id
        self.home.site.store.disassociate(*ends, specs)

    def linked(self, key: str, *, kind: str = "tickets", to: str = "companies") -> dict[str, set[int]]:
        """Return the type ids of a record's edges, by the key at the other end."""
        found = self.home.site.store.neighbours(kind, self.record(kind, key).id, to)
        records = self.home.site.store.records[to]
        name = KEYS.get(to, UNIQUE)
        return {records[id].properties.get(name) or id: {type for _, type in specs} for id, specs in found.items()}

    def label(self, text: str, *, kind: str = "tickets", to: str = "companies") -> tuple[str, int]:
        """Add a label of the portal's own."""
        return USER_DEFINED, self.home.site.store.add_label(kind, to, text).type_id

    def changes(self, pushed: Pushed) -> list[Change]:
        """Return the changes of a plan."""
        return self.home.changes(pushed.plan)

    def edges(self, pushed: Pushed) -> list[tuple[str, str, str]]:
        """Return action, row and other end of a plan's changes of edges, in their order."""
        return [
            (each.action, each.key, each.edge.key or each.edge.id or "")
            for each in self.changes(pushed)
            if each.edge is not None
        ]

    def troubles(self, pushed: Pushed) -> list[tuple[str, str, str]]:
        """Return row, field and kind of what stands beside the changes of a plan."""
        return [(each["key"], each["field"], each["kind"]) for each in self.home.problems(pushed.plan)]

    def agreed(self, key: str, *, kind: str = "tickets") -> dict[str, str | None]:
        """Return what both sides agreed on of a row's edges."""
        query = "SELECT fields FROM syncer.agreed WHERE mapping = ? AND key = ?"
        [(fields,)] = self.home.rows(query, [f"hubspot.{kind}", key])
        return {name: id for name, id in orjson.loads(fields).items() if name.startswith("edge:")}

    def writes(self) -> list[str]:
        """Return the paths of what was written since the last call: the guard's questions are none."""
        ends = ("/create", "/update", "/archive", "/merge", "/associate/default")
        return [each for each in self.home.sent() if each.endswith(ends)]


PRIMARY = (HUBSPOT_DEFINED, TICKET_PRIMARY)


@contextlib.contextmanager
def edges_at_home(folder: Path, backend: str) -> Iterator[EdgesHome]:
    """Serve the portal, beside a warehouse of a backend."""
    site = portal()
    for kind in ("tickets", "notes", "cables", "deals"):
        site.store.define(kind, _key_of(kind))
    with at_home(folder, backend, site=site) as found:
        own = {**found.settings.tables["hubspot"], "objects": ["cables"]}
        found.settings = attrs.evolve(found.settings, tables={**found.settings.tables, "hubspot": own})
        home = EdgesHome(found)
        home.words("companies")
        home.words("tickets", edges={"company": "companies"})
        yield home


def _key_of(kind: str) -> Definition:
    return Definition(
        name=UNIQUE,
        label="Own key",
        type="string",
        field_type="text",
        group_name=f"{kind}_information",
        has_unique_value=True,
    )


def tickets(*pairs: tuple[str, Any], **more: Any) -> Sequence[dict[str, Any]]:
    """Make rows of tickets, each with the company that it names."""
    return [{"key": key, "company": company, **more} for key, company in pairs]


def agreed_on(edges: EdgesHome, company: str | None = "a") -> None:
    """Make a ticket that is linked to a company, and agreed on."""
    edges.rows("tickets", tickets(("t", company)))
    done = edges.push()
    assert (done.status, done.counts.created, done.exit_code) == ("done", 1, 0), done
    edges.home.later()
    edges.home.sent()
