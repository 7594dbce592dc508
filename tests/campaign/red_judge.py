"""
Whether `datastore.*` of a RED site holds what the sandbox has: each key once, those that are there no more told where
the table can tell it, and what each column of before had; written without the product's own conversion.
"""

from __future__ import annotations

import datetime as dt
import decimal
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from syncer.sandbox.friday_pulse import TOKEN as PULSE_TOKEN
from syncer.sandbox.jira import EMAIL
from syncer.sandbox.jira import TOKEN as JIRA_TOKEN
from syncer.wherescape import legacy
from tests.portal_truth import same
from tests.truth import UNTOLD
from tests.wherescape import flattened
from tests.wherescape.flattened import Api, Rows, cast
from tests.wherescape.red_site import RedSite

Key = tuple[str, ...]
SECONDS = {"gitlab.pipelines": {"created_at", "updated_at"}}  # no fraction by now
NAMED = 20  # differences that one table tells


@attrs.frozen(kw_only=True)
class Loaded:
    """
    A load table of the site. key: its columns that are the mapping's key. columns: name in the table and type, by the
    name that the column has in `flattened`; empty where it is the mapping's own. adds: columns beside those of before.
    """

    table: str
    mapping: str
    key: tuple[str, ...]
    is_numbered: bool = False
    is_ours: bool = False
    adds: tuple[tuple[str, str], ...] = ()

    @property
    def source(self) -> str:
        """Whose it is."""
        return self.mapping.partition(".")[0]

    @property
    def stream(self) -> str:
        """What it holds."""
        return self.mapping.partition(".")[2]

    @property
    def datastore(self) -> str:
        """Where RED carries it."""
        return f"datastore.ds_{self.table.removeprefix('load_')}"

    def before(self) -> list[tuple[str, str, str]]:
        """Return the columns of before: name in the API's words, name in the table, type."""
        stream = legacy.stream_of(self.mapping)
        assert stream is not None
        names = stream.numbered if self.is_numbered else [column.name for column in stream.columns]
        return [
            (column.source if stream.is_numbered else column.name, name, column.type)
            for column, name in zip(stream.columns, names, strict=True)
        ]


def plain_key(parts: Iterable[Any]) -> Key:
    """Write a key so that the API's and the warehouse's are equal."""
    return tuple(
        str(int(part)) if isinstance(part, decimal.Decimal | float) else "overall" if part is None else str(part)
        for part in parts
    )


def truth_of(site: RedSite, loaded: Loaded) -> dict[Key, Any]:
    """Return what the API has, by key."""
    with site.sandbox.locked(loaded.source) as api:
        return {plain_key(key): each for key, each in api.truth(loaded.stream).items()}  # type: ignore[attr-defined]


def differences(site: RedSite, loaded: Loaded, ever: Iterable[Key]) -> tuple[int, list[str]]:
    """Compare one table of the datastore with the sandbox; *ever*: keys that the API has had. Count, and say."""
    truth, ever = truth_of(site, loaded), set(ever)
    rows, wrong = _rows(site, loaded)
    has_states = rows and "dss_record_state" in next(iter(rows.values()))
    wrong += [f"{key}: not there" for key in truth if key not in rows and _state(truth[key]) != "merged"]
    for key, row in rows.items():
        state = row.get("dss_record_state", "live")
        if key in truth:
            if state != _state(truth[key]) and has_states:
                wrong.append(f"{key}: {state}, the API says {_state(truth[key])}")
        elif key not in ever:
            wrong.append(f"{key}: the API never had it")
        elif has_states and state == "live" and not _is_purged(site, loaded, key):
            wrong.append(f"{key}: live, and the API has it no more")
    live = {key: row for key, row in rows.items() if key in truth and row.get("dss_record_state", "live") == "live"}
    if loaded.is_ours:
        wrong += _ours(site, loaded, live, truth)
    else:
        wrong += _before(loaded, live, flattened_of(site, loaded))
    return len(rows), [f"{loaded.datastore} {what}" for what in wrong[:NAMED]]


def _rows(site: RedSite, loaded: Loaded) -> tuple[dict[Key, dict[str, Any]], list[str]]:
    schema, _, name = loaded.datastore.partition(".")
    columns = [
        column
        for (column,) in site.rows(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = ? AND table_name = ? "
            "ORDER BY ordinal_position",
            [schema, name],
        )
    ]
    found: dict[Key, dict[str, Any]] = {}
    wrong = []
    for values in site.rows(f"SELECT * FROM {loaded.datastore}"):
        row = dict(zip(columns, values, strict=True))
        key = plain_key(row[column] for column in loaded.key)
        if key in found:
            wrong.append(f"{key}: it stands there twice")
        found[key] = row
    return found, wrong


def _state(record: Any) -> str:
    """The state that a portal tells; elsewhere what is there is live."""
    return str(record["state"]) if isinstance(record, Mapping) and {"state", "into"} <= record.keys() else "live"


def _is_purged(site: RedSite, loaded: Loaded, key: Key) -> bool:
    """Two censuses a day apart must miss it before it counts as gone."""
    store = site.sandbox.sites["hubspot"].store  # type: ignore[attr-defined]
    return loaded.source == "hubspot" and key[0] in store.purged.get(loaded.stream, ())


def _ours(site: RedSite, loaded: Loaded, rows: Mapping[Key, Any], truth: Mapping[Key, Any]) -> list[str]:
    """Compare a table with the mapping's own columns."""
    if loaded.stream == "associations":
        return [
            f"{key}: its label is {row['label']!r}" for key, row in rows.items() if row["label"] != truth[key]["label"]
        ]
    rejected = set(site.rows('SELECT key, "column" FROM syncer.rejects WHERE mapping = ?', [loaded.mapping]))
    return [
        f"{key}: {name} is {row[name]!r:.40}, the portal has {text!r:.40}"
        for key, row in rows.items()
        for name, text in truth[key]["record"]["properties"].items()
        if name in row and not same(row[name], text) and (key[0], name) not in rejected
    ]


def _before(loaded: Loaded, rows: Mapping[Key, Any], api: Rows) -> list[str]:
    """Compare what each column of before has with what it had."""
    old = {plain_key(key): row for key, row in api.items()}
    untold = UNTOLD.get(loaded.mapping, set())
    wrong = []
    for source, name, word in loaded.before():
        for key in rows.keys() & old.keys():
            if source in untold:
                continue
            was, now = cast(old[key].get(source), word), rows[key][name]
            now = float(now) if isinstance(now, decimal.Decimal | int) and not isinstance(now, bool) else now
            now = now.replace(tzinfo=None) if isinstance(now, dt.datetime) else now
            if isinstance(was, dt.datetime) and source in SECONDS.get(loaded.mapping, ()):
                was = was.replace(microsecond=0)
            if source in ("response_attachments", "response_sources"):
                was, now = json.loads(was), json.loads(now)
            if isinstance(was, float) and isinstance(now, float) and abs(was - now) < 1e-9:
                continue
            if was != now:
                wrong.append(f"{key}: {name} was {was!r:.40}, and is {now!r:.40}")
    return wrong


def flattened_of(site: RedSite, loaded: Loaded) -> Rows:
    """Ask the sandbox as a script of before did."""
    sandbox, stream = site.sandbox, loaded.stream
    sites: Mapping[str, Any] = sandbox.sites

    def gitlab() -> Rows:
        api = Api(sandbox.url("gitlab") + "/api/v4", {"PRIVATE-TOKEN": sites["gitlab"].token})
        return flattened.gitlab(api, stream)

    def jira() -> Rows:
        api = Api(sandbox.url("jira") + "/rest/api/3", auth=(EMAIL, JIRA_TOKEN))
        return flattened.jira_issues(api) if stream == "issues" else flattened.jira_projects(api)

    def pulse() -> Rows:
        api = Api(sandbox.url("friday_pulse") + "/api/v1", {"Authorization": f"Bearer {PULSE_TOKEN}"})
        return flattened.pulse(api, stream, list(sites["friday_pulse"].groups), sites["friday_pulse"].dates)

    def chats() -> Rows:
        api = Api(sandbox.url("anythingllm") + "/api", {"Authorization": f"Bearer {sites['anythingllm'].token}"})
        return flattened.chats(api, [embed.uuid for embed in sites["anythingllm"].store.embeds.values()])

    asked: dict[str, Callable[[], Rows]] = {
        "gitlab": gitlab, "jira": jira, "friday_pulse": pulse, "anythingllm": chats
    }  # fmt: skip
    return asked[loaded.source]()
