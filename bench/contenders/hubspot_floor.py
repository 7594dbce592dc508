"""
The floor of HubSpot: the least that a program of one's own does to have a portal's companies, typed, in DuckDB.

A first load goes by the list, a page of 100 at a time, 10,000 rows a commit. Later: a search for the ids of what
changed since the mark, less ten minutes, then those by id, deleted and inserted. Who was archived or merged is not
looked for; no checks, retries, rejects, budget, second thread or lease.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from bench.contenders import DUCKDB, Job
from bench.hubspot import CHANGED, LAG_MS, LOOKBACK_MS, OBJECTS, PROPERTIES, TOKEN, names_of

if TYPE_CHECKING:
    import duckdb

IMPORTED = ("bench.arrow", "duckdb", "orjson", "requests")
ROWS = "companies"

_KINDS = {"number": "DECIMAL(38, 9)", "bool": "BOOLEAN", "date": "DATE", "datetime": "TIMESTAMPTZ"}
_OWN = {"id": "VARCHAR", "createdAt": "TIMESTAMPTZ", "updatedAt": "TIMESTAMPTZ"}
_PAGE, _SEARCH_PAGE, _BATCH = 100, 200, 100


class Portal:
    """The portal, over one plain session."""

    def __init__(self, url: str) -> None:
        import requests

        self._url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.headers["Authorization"] = f"Bearer {TOKEN}"
        answer = self._session.get(f"{url}{PROPERTIES}")
        self.now = parsedate_to_datetime(answer.headers["Date"])
        definitions = answer.json()["results"]
        self.names = names_of(definitions)
        self.types = {each["name"]: each["type"] for each in definitions}

    def listed(self) -> Iterator[list[dict[str, Any]]]:
        """Yield all live records, a page at a time."""
        query: dict[str, str] | None = {"limit": str(_PAGE), "properties": ",".join(self.names)}
        while query is not None:
            answer = self._call("GET", OBJECTS, params=query)
            yield answer["results"]
            following = answer.get("paging", {}).get("next")
            query = {**query, "after": following["after"]} if following else None

    def changed(self, floor_ms: int) -> Iterator[list[dict[str, Any]]]:
        """Yield what changed since then, a batch at a time."""
        last = "0"
        while True:
            filters = [
                {"propertyName": CHANGED, "operator": "GTE", "value": str(floor_ms)},
                {"propertyName": "hs_object_id", "operator": "GT", "value": last},
            ]
            body = {
                "filterGroups": [{"filters": filters}],
                "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
                "properties": ["hs_object_id"],
                "limit": _SEARCH_PAGE,
            }
            answer = self._call("POST", f"{OBJECTS}/search", body=body)
            ids = [each["id"] for each in answer["results"]]
            for at in range(0, len(ids), _BATCH):
                wanted = {"inputs": [{"id": id} for id in ids[at : at + _BATCH]], "properties": self.names}
                yield self._call("POST", f"{OBJECTS}/batch/read", body=wanted)["results"]
            if len(ids) >= answer["total"]:
                return
            last = ids[-1]

    def _call(self, method: str, path: str, *, params: Mapping[str, str] | None = None, body: Any = None) -> Any:
        import orjson

        data = None if body is None else orjson.dumps(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        answer = self._session.request(method, f"{self._url}{path}", params=params, data=data, headers=headers)
        answer.raise_for_status()
        return orjson.loads(answer.content)


def load(job: Job) -> int:
    """Load all companies, or what changed; return how many rows were written."""
    import duckdb

    from bench import arrow

    portal = Portal(job.url)
    connection = duckdb.connect(str(job.database), config=DUCKDB)
    connection.execute("SET TimeZone = 'UTC'")
    kinds = _OWN | {name: _KINDS.get(portal.types[name], "VARCHAR") for name in portal.names}
    mark = round(portal.now.timestamp() * 1000) - LAG_MS
    if job.is_again:
        [(before,)] = connection.execute("SELECT place FROM marks").fetchall()
        pages = portal.changed(before - LOOKBACK_MS)
    else:
        columns = ", ".join(f'"{name}" {kind}' for name, kind in kinds.items())
        connection.execute(f"CREATE TABLE companies ({columns}, PRIMARY KEY (id)); CREATE TABLE marks (place BIGINT)")
        pages = portal.listed()
    written = 0
    for batches in arrow.groups(pages, lambda records: _columns(records, portal.names)):
        written += _commit(connection, batches, kinds, is_again=job.is_again)
    connection.execute("DELETE FROM marks; INSERT INTO marks VALUES (?)", [mark])
    connection.close()
    return written


def _columns(records: Sequence[dict[str, Any]], names: Sequence[str]) -> Any:
    """Turn records into an Arrow batch of texts."""
    import pyarrow as pa

    own, values = itemgetter(*_OWN), itemgetter(*names)
    found = zip(*(own(each) + values(each["properties"]) for each in records), strict=True)
    return pa.record_batch([pa.array(column, pa.string()) for column in found], names=[*_OWN, *names])


def _commit(
    connection: duckdb.DuckDBPyConnection, batches: list[Any], kinds: Mapping[str, str], *, is_again: bool
) -> int:
    """Bring a group in; return how many rows were written."""
    import pyarrow as pa

    typed = (
        f'"{name}"' if kind == "VARCHAR" else f"CAST(NULLIF(\"{name}\", '') AS {kind})" for name, kind in kinds.items()
    )
    connection.register("arriving", pa.Table.from_batches(batches))
    connection.execute("BEGIN TRANSACTION")
    if is_again:
        connection.execute("DELETE FROM companies WHERE id IN (SELECT id FROM arriving)")
    [(written,)] = connection.execute(f"INSERT INTO companies SELECT {', '.join(typed)} FROM arriving").fetchall()
    connection.execute("COMMIT")
    connection.unregister("arriving")
    return int(written)
