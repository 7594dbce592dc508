"""
`syncer init`: write a commented `syncer.toml`, made from what the settings and the sources say they know.

Any `#` at the beginning of a line may be taken away, and the file is still right: tables stand there already, and what
is said to people has two of them, and so have the tables of operations.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import attrs
import typer

from syncer import declared, limits, mappings, operations, sources, words
from syncer.configfile import (
    JOURNAL_KEYS,
    MAPPING_KEYS,
    NOTIFY_KEYS,
    PUSH_KEYS,
    SYNCER_KEYS,
    WAREHOUSE_KEYS,
    WHERESCAPE_KEYS,
)
from syncer.errors import UsageError
from syncer.settings import Account, Settings
from syncer.verbs import Session

# What each key is when nobody sets it, or an example; its meaning is the settings' or the source's own.
EXAMPLES = {
    "url": '"duckdb:warehouse.duckdb"',
    "user": '"syncer"',
    "password": '"..."',
    "wait_s": "60",
    "memory_limit": '"96MB"',
    "folders": '["own"]',
    "max_gone_share": "0.3",
    "lookback_s": "600",
    "style": '"mirror"',
    "reoffer_days": "7",
    "groups": '["company", "company/tools"]',
    "graphql": '"auto"',
    "requests_per_minute": "2000",
    "workers": "4",
    "account": '"user"',
    "limits": '"on"',
    "auth": '"basic"',
    "ids_a_page": "5000",
    "api": '"2026-09"',
    "portal_id": "62515",
    "objects": '["subscriptions"]',
    "histories": '["deals.dealstage"]',
    "daily_reserve": "5000",
    "max_failed_share": "0.2",
    "risk_key": '"id"',
    "start": '"2026-01-31"',
    "embed": '"b1f5c0de-0000-4000-8000-000000000000"',
    "full_every": "24",
    "empty_lists": '"refuse"',
    "hash_key": '"sixteen letters or more"',
    "phone_regions": '["NL"]',
    "known_names": '["Ada Lovelace"]',
    "personal": '"keep"',
    "erase_gone": "false",
    "allow_production": "false",
    "keep_days": "90",
    "keep_runs_days": "400",
    "fresh_s": "60",
    "settle_s": "60",
    "webhook": '"https://hooks.example.com/services/..."',
    "command": '["/opt/tell/tell", "--quietly"]',
    "on": '["failed", "refused"]',
    "timeout_s": "10",
    "token": '"..."',
    "exit_code": '"zero"',
    "relation": '"stage.hubspot_companies"',
    "match_on": '"client_id"',
    "policy": '"skip"',
    "policies": '{ phone = "theirs" }',
    "creates": "true",
    "adopt": '"skip"',
    "blanks": '"leave"',
    "blanks_by_field": '{ phone = "clear" }',
    "on_archived": '"report"',
    "on_missing": '"leave"',
    "changed_at": '"updated_at"',
    "edges": '{ owner_company = "companies" }',
    **{key: f'"{limit}"' if isinstance(limit, str) else str(limit) for key, limit in limits.DEFAULTS.items()},
}
OF_OPERATIONS = {  # an example of each setting of an operation that is nothing where nobody sets it
    "objects": '["companies"]',
    "ignore": '["companies.old_*"]',
    "dimensions": '{ "dw.dim_customer" = ["customer_code"] }',
    "joins": '{ "dw.fact_ticket" = ["dim_customer_key"] }',
    "joins_from": '"meta.joins"',
    "tables": '["dw.fact_*", "dw.dim_*"]',
    "enumerations": '["companies.segment"]',
    "group": '"companyinformation"',
    "stand_in_domain": '"example.com"',
    "stand_in_city": '"Utrecht"',
    "customer_email": '"anonymous@example.com"',
    "keep": '{ notes = "concatenate" }',
}
ELSE = '"..."'
WHAT_FOR = {
    "url": "where records are loaded, a file or a server; SYNCER_WAREHOUSE goes before it",
    "user": "who logs in on a server, where the connection string has no UID; or SYNCER_WAREHOUSE_USER",
    "password": "the same for PWD; better SYNCER_WAREHOUSE_PASSWORD",
    "wait_s": "how long to wait for a file that another process holds, or for a server's locks",
    "memory_limit": "what DuckDB may use; a server's memory is its own",
    "folders": "a company's own FOLDER/sources/NAME.py and FOLDER/mappings/NAME.py",
    "max_gone_share": "a census that would end more of its rows ends none",
    "lookback_s": "how far before its mark a pull starts again",
    "style": 'how the load table is filled; "delta" is for WhereScape RED',
    "reoffer_days": "how long a delta row that nobody confirmed is offered",
    "hash_key": "what personal data are hashed with; better SYNCER_HASH_KEY",
    "phone_regions": "where telephone numbers are dialled without a country's code",
    "known_names": "names that are masked in free text",
    "personal": "what becomes of personal fields; docs/personal-data.md",
    "erase_gone": "erase people whose rows a census ends",
    "keep_days": "how long the journal keeps what pushes wrote, before and after",
    "keep_runs_days": "how long runs stand in syncer.runs; at least as long",
    "fresh_s": "a record that was read longer ago is read again just before it is written",
    "settle_s": "a merge whose answer was lost, and what a removal stands on, is read again for so long",
    "webhook": "is sent a JSON document where a run fails: docs/scheduling.md; better SYNCER_NOTIFY_WEBHOOK",
    "command": "gets the same document on its stdin; no shell",
    "on": "of what",
    "timeout_s": "how long each of them may take",
    "token": "is sent to the webhook as Bearer; better SYNCER_NOTIFY_TOKEN",
    "exit_code": 'what a host script leaves with inside RED; "status" for the scheduler of RED 10',
    "relation": "what a push reads",
    "match_on": "finds a row's record",
    "policy": "of a field that both sides changed",
    "policies": "the same by field",
    "creates": "whether a row without a record makes one",
    "adopt": "of a field that differs and was never agreed on",
    "blanks": "ours is blank, and was never agreed on",
    "on_archived": "of a record that they archived",
    "on_missing": "of a row that left the relation",
    "edges": "columns that name a record at the other end of an association",
}
HEAD = """\
## syncer.toml: what this site sets. Every key is commented out; take its # away where you want another value.
## Environment variables go before it. Tokens are better there: this file is likely to be shared.
## `syncer check` says what works and what does not.
"""


@attrs.frozen(kw_only=True)
class Options:
    """What `init` takes."""

    force: Annotated[bool, typer.Option("--force", help="Write over a file that is there.")] = False


def run(options: Options, session: Session) -> int:
    """Write a commented syncer.toml to begin with: every key that is known, all commented out."""
    file = Path(os.environ.get("SYNCER_CONFIG") or "syncer.toml")
    if file.exists() and not options.force:
        raise UsageError(f"{file} is there already; it is left as it is.", hint="--force writes over it.")
    try:
        file.write_text(text(), encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{file} cannot be written ({error.strerror}).") from error
    if session.is_json:
        session.document.put("file", str(file))
        return 0
    session.say(f"Wrote {file}. Set a source's URL and token in the environment or there, then run `syncer check`.")
    return 0


def text() -> str:
    """Write the whole file."""
    return "\n".join([HEAD, *_fixed(), *_sources(), *_mappings(), *_operations()]) + "\n"


def _fixed() -> Iterator[str]:
    yield from _table("[warehouse]", WAREHOUSE_KEYS)
    yield from _table("[syncer]", SYNCER_KEYS)
    yield from _table("[journal]", JOURNAL_KEYS)
    yield from _table("[push]", PUSH_KEYS)
    yield from _table("[notify]", NOTIFY_KEYS)
    yield from _table("[wherescape]", WHERESCAPE_KEYS)


def _sources() -> Iterator[str]:
    for name in sources.names():
        needs: sources.Needs = sources.module(name).NEEDS
        account = Account(source=name)
        yield f"## {needs.title}"
        yield f"[{name}]"
        # An example may be followed by words, such as what else is possible.
        yield f'# url = "{re.split("[; ]", needs.url)[0]}"  # or {account.variable("URL")}: {needs.url}'
        if needs.user:
            yield f'# user = "..."  # or {account.variable("USER")}: {needs.user}'
        yield f'# token = "..."  # or {account.variable("TOKEN")}: {needs.token}'
        for option, meaning in needs.options.items():
            yield f"# {option} = {EXAMPLES.get(option, ELSE)}  # {meaning}"
        yield ""
    yield "## Another account of a source, chosen with --environment NAME (here: other): a table for each source."
    yield f"[environments.other.{sources.names()[0]}]"
    yield '# url = "https://other.example.com"'
    yield ""


def _mappings() -> Iterator[str]:
    known = list(mappings.known(folders=Settings().folders))
    yield "## One mapping. The names that are known: " + ", ".join(known)
    inbound = {key: choices for key, choices in MAPPING_KEYS.items() if key not in words.KEYS}
    yield from _table(f'["{known[0] if known else "source.entity"}"]', inbound)
    yield "## What goes out, and who wins: docs/push.md."
    yield from _table('["hubspot.companies"]', words.KEYS)


def _operations() -> Iterator[str]:
    """
    Write a table for each operation: its settings, and the limits of one that makes a plan. They are said to people: a
    table that stands there may be a consent, as that of the merges is.
    """
    yield "## Operations (docs/operations.md), a table each, for those that you run: what it has where nobody sets it,"
    yield "## or an example. `syncer list` names them."
    for name, operation in operations.known().items():
        yield "##"
        yield f'## ["{name}"]  # {operation.SUMMARY}'
        for key, setting in operations.declared_of(operation).items():
            yield f"## {_written(key, setting.default)}  # {setting.meaning}"
        if not operations.is_report(operation):
            yield from (f"## {key} = {EXAMPLES[key]}  # {words.KEYS[key][0]}" for key in words.NUMBERS)
        yield f"## {declared.MAX_AGE} = 180000  # how long `syncer status --max-age` lets it be"


def _written(key: str, default: Any) -> str:
    """Write what a setting is unset, or an example where that is nothing; without one, its name as a comment."""
    if key in OF_OPERATIONS:
        return f"{key} = {OF_OPERATIONS[key]}"
    if isinstance(default, bool | int | float) or (isinstance(default, str | list | tuple) and default):
        return f"{key} = {json.dumps(default)}"
    return f"# {key}"


def _table(header: str, keys: Mapping[str, tuple[str, Any]]) -> Iterator[str]:
    yield header
    for key, (choices, _) in keys.items():
        purpose = f"{WHAT_FOR[key]}: " if key in WHAT_FOR else ""
        yield f"# {key} = {EXAMPLES.get(key, ELSE)}  # {purpose}{choices}"
    yield ""
