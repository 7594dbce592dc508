"""
`wherescape.browse`: what RED's source browser shows of a connection: the streams of its source, with their columns.

RED reads two lines: the status, and a tree as JSON without line feeds: schema, table, columns. Our schema is a source,
a table is a stream that can be pulled, and its name is what the load table should be called behind `load_`. A mapping
whose source defines further fields (HubSpot's properties, Jira's custom fields) is asked for them, so that browsing
also shows whether address and token are right. Rows are not counted.

Which source a connection is of is said, or told by its URL: `example.atlassian.net` is Jira's; of a server of one's
own, the source's name stands in host or path.

Not here: writing the columns that were chosen into RED's repository (`describing.py`).
Source: WhereScape RED user guide, "Browse Scripts"; WhereScape 3D user guide, "Browse Scripts" (an example).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from syncer import mappings, sources
from syncer import settings as settings_module
from syncer.errors import UnknownName, UsageError
from syncer.loading import LOAD_DATE, MERGED_INTO, RECORD_SOURCE, RECORD_STATE
from syncer.mapping import EntityMapping
from syncer.settings import DEFAULT_ENVIRONMENT, Settings
from syncer.wherescape import describing, metadata
from syncer.wherescape.binding import hosted
from syncer.wherescape.metadata import POSTGRESQL, MetadataColumn
from syncer.wherescape.sitting import sitting

Tree = dict[str, Any]

LAYOUT: Tree = {"treeViewLayout": "Tabular", "treeViewIcons": {"schema": "project.ico", "table": "File.ico"}}
HOSTS = {  # of a service that many companies use under one domain
    "atlassian.net": "jira",
    "hubapi.com": "hubspot",
    "fridaypulse.com": "friday_pulse",
}
PATHS = {"/rest/api/": "jira", "/api/v4": "gitlab"}  # of a server of one's own whose name does not tell
OWN = (RECORD_SOURCE, LOAD_DATE, RECORD_STATE, MERGED_INTO)  # RED adds them itself, or `create_metadata` does
_WORDS = re.compile(r"[^a-z0-9]+")


@hosted
def browse(source: str = "", *, environment: str = DEFAULT_ENVIRONMENT) -> Tree:
    """
    Show RED the streams of a connection's source, with their columns, as its browser wants them.

    source: left out, the connection's URL tells it. environment: the account whose token is taken where the
    connection has none.

    Raises: UsageError: no source is told, or there is none of that name; what the source raises.
    """
    with sitting() as here:
        here.host.body = ""  # whatever comes, RED reads a status and one line behind it
        known = settings_module.load()
        name = _source(source, here.red.srccfg.get("url", ""), sources.names(folders=known.folders))
        settings = here.settings(name, environment, has_target=False)
        found = tree(name, settings)
        here.host.body = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        here.ended(0, f"{name}: {len(found[name])} streams")
        return found


def tree(source: str, settings: Settings) -> Tree:
    """Make the tree of a source's streams. Raises UsageError: it has none; what the source raises."""
    known = mappings.known(folders=settings.folders, objects=settings.objects())
    found = [each for each in known.values() if each.source == source and each.inbound is not None]
    if not found:
        raise UsageError(f"Nothing of {source} can be pulled: no mapping of it comes in.")
    return {**LAYOUT, source: {each.entity: _table(each, settings) for each in found}}


def source_of(url: str, known: Sequence[str]) -> str | None:
    """Tell whose URL it is, of the sources that are known; None where it tells none, or several."""
    parts = urlsplit(url if "//" in url else f"//{url}")
    host = (parts.hostname or "").lower()
    for domain, name in HOSTS.items():
        if host == domain or host.endswith(f".{domain}"):
            return name if name in known else None
    said = f"_{_WORDS.sub('_', f'{host}/{parts.path}'.lower())}_"
    found = {name for name in known if f"_{name}_" in said or f"_{name.replace('_', '')}_" in said}
    if not found:
        found = {name for path, name in PATHS.items() if path in parts.path and name in known}
    return found.pop() if len(found) == 1 else None


def _source(given: str, url: str, known: Sequence[str]) -> str:
    if given:
        if given not in known:
            raise UnknownName("source", given, known=known)
        return given
    found = source_of(url, known)
    if found is None:
        raise UsageError(
            "The connection's URL does not tell which source it is of." if url else "WSL_SRCCFG_url is not set.",
            hint=f'Say it in the browse script: wherescape.browse("jira"). Sources: {", ".join(known)}.',
        )
    return found


def _table(mapping: EntityMapping, settings: Settings) -> Tree:
    assert mapping.inbound is not None
    if mapping.inbound.discovers:
        mapping = mapping.with_fields(describing.described(mapping, settings))
    return {
        "name": mapping.table(settings.environment),
        "description": f"{mapping.name}, found by {', '.join(mapping.key)}",
        "rowCount": None,
        "columns": [_column(each) for each in metadata.columns_of(mapping, target=POSTGRESQL) if each.name not in OWN],
    }


def _column(column: MetadataColumn) -> Tree:
    """Write a column; what its type has in brackets is the length."""
    kind, _, length = column.type_text.partition("(")
    return {
        "name": column.name,
        "dataType": kind.strip(),
        "dataTypeLength": int(length.rstrip(")")) if length.rstrip(")").isdigit() else None,
        "description": column.comment or column.display_name,
    }
