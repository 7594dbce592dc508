"""
A portal's lists on 127.0.0.1 (definitions, groups, owners, pipelines), for tests of what stands on them.

Here each list is what a test puts there; the whole portal is the sandbox's. Source: the fact sheet of HubSpot's API.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from syncer import engine
from syncer.budget import Budget
from syncer.journal import Pulled
from syncer.sandbox import Clock, Sandbox
from syncer.sandbox.messages import Request, Response, json_response
from syncer.settings import Settings
from syncer.sources.hubspot import listed
from syncer.sources.hubspot.official import Official
from syncer.transport import Doors, Transport
from tests.conftest import OWN, MovableClock, own_module, query_file

MAPPINGS = '''"""HubSpot's listed streams, as mappings of the scripted source."""

import attrs

from syncer.mappings.hubspot import OWNERS, PIPELINE_STAGES, PIPELINES, PROPERTIES

MAPPINGS = tuple(
    attrs.evolve(each, name=f"scripted.{each.entity}") for each in (OWNERS, PIPELINES, PIPELINE_STAGES, PROPERTIES)
)
'''
STREAMS = ("owners", "pipelines", "pipeline_stages", "properties")
TOKEN = "a-token-of-the-lists"


@attrs.define
class Lists:
    """The portal: what each list has, and what is refused."""

    name: str = "hubspot"
    definitions: dict[str, list[dict[str, Any]]] = attrs.field(factory=dict)  # by type; archived ones among them
    groups: dict[str, list[dict[str, Any]]] = attrs.field(factory=dict)
    pipelines: dict[str, list[dict[str, Any]]] = attrs.field(factory=dict)
    owners: list[dict[str, Any]] = attrs.field(factory=list)  # archived ones among them
    scopes: dict[str, str] = attrs.field(factory=dict)  # the scope that is missing, by a part of the path and query
    said: dict[str, Response] = attrs.field(factory=dict)  # what is answered instead, by a part of the path and query
    token: str = TOKEN
    asked: list[Request] = attrs.field(factory=list)

    def answer(self, request: Request) -> Response:
        """Answer one request."""
        self.asked.append(request)
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return json_response({"status": "error", "category": "INVALID_AUTHENTICATION"}, status=401)
        for part, said in self.said.items():
            if part in request.sent:
                return said
        for part, scope in self.scopes.items():
            if part in request.sent:
                context = {"requiredGranularScopes": [scope]}
                errors = [{"message": "One or more of the following scopes are required.", "context": context}]
                return json_response({"status": "error", "category": "MISSING_SCOPES", "errors": errors}, status=403)
        return self._listed(request)

    def sent(self) -> list[str]:
        """Return what was asked since the last call."""
        sent = [request.sent for request in self.asked]
        self.asked.clear()
        return sent

    def _listed(self, request: Request) -> Response:
        steps = request.path.strip("/").split("/")[2:]
        is_archived = request.first("archived") == "true"
        if request.method == "POST":
            self.groups[steps[1]].append(_json(request))
            return json_response(_json(request), status=201)
        if steps[0] == "owners":
            return self._owners(request, is_archived=is_archived)
        of_all = {"pipelines": self.pipelines, "properties": self.definitions}
        found = self.groups if steps[2:] == ["groups"] else of_all[steps[0]]
        if steps[1] not in found:
            return json_response({"status": "error", "message": f"Unable to infer type from {steps[1]}"}, status=400)
        results = found[steps[1]]
        if found is self.definitions:
            wanted = request.first("dataSensitivity", "non_sensitive")
            results = [
                each
                for each in results
                if bool(each.get("archived")) == is_archived and each.get("dataSensitivity", "non_sensitive") == wanted
            ]
        return json_response({"results": results})

    def _owners(self, request: Request, *, is_archived: bool) -> Response:
        limit, after = int(request.first("limit") or 100), int(request.first("after") or 0)
        if limit > 500:
            return json_response({"status": "error", "message": "limit is at most 500"}, status=400)
        left = [
            each
            for each in sorted(self.owners, key=lambda each: int(each["id"]))
            if each["archived"] == is_archived and int(each["id"]) >= after
        ]
        answer: dict[str, Any] = {"results": left[:limit]}
        if len(left) > limit:
            answer["paging"] = {"next": {"after": left[limit]["id"], "link": "https://elsewhere.example"}}
        return json_response(answer)


def definition(name: str, **more: Any) -> dict[str, Any]:
    """Make a definition as the API shapes it."""
    return {
        "name": name,
        "label": name.title(),
        "type": "string",
        "fieldType": "text",
        "groupName": "information",
        "description": "",
        "options": [],
        "displayOrder": -1,
        "calculated": False,
        "externalOptions": False,
        "hasUniqueValue": False,
        "hidden": False,
        "hubspotDefined": False,
        "formField": True,
        "archived": False,
        "createdAt": "2024-03-01T08:00:00.123Z",
        "updatedAt": "2025-03-01T08:00:00Z",
        "modificationMetadata": {"archivable": True, "readOnlyDefinition": False, "readOnlyValue": False},
        **more,
    }


def owner(number: int, **more: Any) -> dict[str, Any]:
    """Make an owner as the API shapes it."""
    return {
        "id": str(number),
        "email": f"owner{number}@example.com",
        "type": "PERSON",
        "firstName": "Ada",
        "lastName": f"Nr {number}",
        "userId": number + 7,
        "userIdIncludingInactive": number + 7,
        "createdAt": "2024-03-01T08:00:00.123Z",
        "updatedAt": "2025-03-01T08:00:00Z",
        "archived": False,
        "teams": [{"id": "2", "name": "B", "primary": False}, {"id": "1", "name": "A", "primary": True}],
        **more,
    }


def pipeline(number: str, *stages: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Make a pipeline as the API shapes it."""
    return {
        "id": number,
        "label": f"Pipeline {number}",
        "displayOrder": 0,
        "archived": False,
        "createdAt": "2024-03-01T08:00:00.123Z",
        "updatedAt": "2025-03-01T08:00:00Z",
        "stages": list(stages),
        **more,
    }


def stage(number: str, order: int = 0, **metadata: str) -> dict[str, Any]:
    """Make a stage as the API shapes it; what its metadata holds are texts."""
    return {
        "id": number,
        "label": f"Stage {number}",
        "displayOrder": order,
        "metadata": metadata,
        "archived": False,
        "createdAt": "2024-03-01T08:00:00.123Z",
        "updatedAt": "2025-03-01T08:00:00Z",
    }


@attrs.define
class Bed:
    """The lists, a client that reads them over a socket, and a warehouse beside it."""

    lists: Lists
    sandbox: Sandbox
    transport: Transport
    official: Official
    settings: Settings
    doors: Doors
    types: Any = ("deals", "tickets")

    def stream(self, name: str) -> Any:
        """Make the reader of a stream, as each verb does."""
        pipelines = listed.Pipelines(self.official, self.types)
        made = {
            "owners": lambda: listed.Owners(self.official),
            "pipelines": lambda: pipelines,
            "pipeline_stages": lambda: listed.Stages(pipelines),
            "properties": lambda: listed.Properties(self.official, self.types),
        }
        return made[name]()

    def pull(self, stream: str, **request: Any) -> Pulled:
        """Pull one stream, however it ends."""
        name = f"scripted.{stream}"
        return engine.pull(name, settings=self.settings, request=engine.Request(**request), doors=self.doors)[0]

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse file."""
        return query_file(self.settings.base / "warehouse.duckdb", query)

    def states(self, stream: str, *key: str) -> dict[Any, str]:
        """Return the state of each row, by its key."""
        found = self.rows(f"SELECT {', '.join(key)}, dss_record_state FROM load.scripted_{stream}")
        return {row[0] if len(key) == 1 else row[:-1]: row[-1] for row in found}


@contextlib.contextmanager
def running(lists: Lists, folder: Path, **table: Any) -> Iterator[Bed]:
    """Run the portal; *table* are settings of each mapping."""
    with Sandbox(sites=[lists], clock=Clock(is_frozen=True)) as sandbox:
        clock = MovableClock()
        doors = Doors(clock=clock, budget=Budget(folder / "cache", clock=clock))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        transport = Transport(sandbox.url("hubspot"), owner="hubspot:x", doors=doors, headers=headers)
        official = Official(
            lambda method, path, params: transport.call(method, path, params=params),
            write=lambda method, path, params, body: transport.call(
                method, path, params=params, body=body, is_read=False
            ),
        )
        module = own_module("sources", "scripted")
        script = module.SCRIPTS[folder.name] = module.Script()
        (folder / "mine" / "mappings").mkdir(parents=True)
        (folder / "mine" / "mappings" / "lists.py").write_text(MAPPINGS, encoding="utf-8")
        settings = Settings(
            warehouse="duckdb:warehouse.duckdb",
            base=folder,
            folders=(OWN, folder / "mine"),
            variables={"SYNCER_SCRIPTED_URL": f"http://script/{folder.name}", "SYNCER_SCRIPTED_TOKEN": "not-a-secret"},
            tables={f"scripted.{stream}": table for stream in STREAMS} if table else {},
        )
        bed = Bed(lists, sandbox, transport, official, settings, doors)
        script.read = lambda stream, places: bed.stream(stream).read()
        script.keys = lambda stream, places: bed.stream(stream).keys()
        script.fetch = lambda stream, keys: bed.stream(stream).fetch(keys)
        yield bed
        transport.close()
        del module.SCRIPTS[folder.name]
        assert sandbox.errors == []


def _json(request: Request) -> Any:
    import orjson

    return orjson.loads(request.body)
