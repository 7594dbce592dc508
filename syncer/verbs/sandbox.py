"""`syncer sandbox`: the APIs on 127.0.0.1, to rehearse with. What they do: `sandbox/` and docs/sandbox.md."""

from __future__ import annotations

import contextlib
import datetime as dt
import enum
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

import attrs
import typer

from syncer.errors import SyncerError, UsageError
from syncer.reports import commands
from syncer.settings import load
from syncer.verbs import Session, warehouse_named

if TYPE_CHECKING:
    from syncer.sandbox import Sandbox
    from syncer.sandbox.clock import Clock
    from syncer.sandbox.messages import Site

WAREHOUSE = "SYNCER_WAREHOUSE"
UNIQUE = {  # what a push may find records by, of each kind that has such a property in the sandbox
    "companies": "client_id",
    "contacts": "person_id",
    "deals": "order_number",
    "tickets": "external_reference",
}
STAGE = (
    "create schema if not exists stage",
    "create table stage.companies as select client_id, name, phone from load.hubspot_companies "
    "where archived_at is null",
)
MAPPING = ('["hubspot.companies"]', 'relation = "stage.companies"', 'match_on = "client_id"', 'adopt = "ours"')
POLL_S = 0.5  # Windows tells of Ctrl-C only between two waits


class Size(enum.StrEnum):
    """How much there is."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


@attrs.frozen
class Amount:
    """How many projects and issues Jira and GitLab have; the rest, and what the others have, follows from them."""

    projects: int
    issues: int


AMOUNTS = {Size.SMALL: Amount(10, 300), Size.MEDIUM: Amount(50, 4_000), Size.LARGE: Amount(500, 20_000)}


@attrs.frozen(kw_only=True)
class Options:
    """What `sandbox` takes."""

    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Where it listens; 0: any free port.")] = 8700
    size: Annotated[Size, typer.Option("--size", help="How much there is.")] = Size.SMALL
    projects: Annotated[
        int | None, typer.Option("--projects", min=1, metavar="N", help="Projects, whatever the size.")
    ] = None
    issues: Annotated[
        int | None, typer.Option("--issues", min=0, metavar="N", help="Issues, whatever the size; the rest follows.")
    ] = None
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="The same seed makes the same records.")] = 1
    minutes: Annotated[
        float, typer.Option("--minutes", min=0.0, metavar="N", help="It ends by itself after so long.")
    ] = 60


def run(options: Options, session: Session) -> int:
    """Run HubSpot, Jira, GitLab, Friday Pulse and AnythingLLM here, with made-up records; Ctrl-C ends it."""
    amount = AMOUNTS[options.size]
    amount = Amount(
        amount.projects if options.projects is None else options.projects,
        amount.issues if options.issues is None else options.issues,
    )
    if not options.minutes > 0:
        raise UsageError(f"--minutes is {options.minutes:g}: it would end at once.", hint="Give more than 0.")
    if not session.is_json and not session.shared.quiet:
        session.note(f"Making {amount.issues:,} issues in {amount.projects:,} projects, and as many of the others ...")
    sandbox = built(amount, seed=options.seed, port=options.port)
    try:
        sandbox.start()
    except OSError as error:
        raise SyncerError(
            f"Port {options.port} of 127.0.0.1 cannot be used ({error.strerror}).",
            hint="Give another one with --port.",
        ) from error
    with sandbox:
        until = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=options.minutes)
        try:
            _tell(session, sandbox, options, until)
            _wait(options.minutes * 60)
        except KeyboardInterrupt:
            session.say()
        session.say("The sandbox has ended.")
    return 0


def built(amount: Amount, *, seed: int, port: int) -> Sandbox:
    """Make the sandbox, not started yet; its clock is right, so that nobody wonders about it."""
    from syncer.sandbox import Clock, Sandbox

    clock = Clock(dt.datetime.now(dt.UTC))
    return Sandbox(sites=_sites(amount, seed, clock), clock=clock, port=port)


def _sites(amount: Amount, seed: int, clock: Clock) -> list[Site]:
    from syncer.sandbox import AnythingLLMSite, FridayPulseSite, GitLabSite, HubSpotSite, JiraSite

    jira = JiraSite.generate(seed=seed, projects=min(amount.projects, 200), issues=amount.issues, clock=clock)
    gitlab = GitLabSite.generate(
        seed=seed,
        projects=amount.projects,
        issues=amount.issues,
        merge_requests=amount.issues // 2,
        pipelines=amount.issues,
        branches=amount.projects * 6,
        commits=max(amount.projects * 10, amount.issues * 2),
        tags=amount.projects * 2,
        clock=clock,
    )
    hubspot = HubSpotSite.generate(
        seed=seed,
        companies=amount.issues,
        contacts=amount.issues,
        deals=amount.issues // 2,
        tickets=amount.issues // 2,
        activities=amount.issues // 10,
        clock=clock,
    )
    groups = min(amount.projects, 60)
    pulse = FridayPulseSite.generate(seed=seed, dates=10, groups=groups, clock=clock, empty_status=200)
    chats = AnythingLLMSite.generate(
        seed=seed, embed_chats=amount.issues, workspaces=min(amount.projects, 20), chats=amount.issues, clock=clock
    )
    return [hubspot, jira, gitlab, pulse, chats]


def variables(sandbox: Sandbox) -> dict[str, str]:
    """Return what the environment must hold for syncer to read the sandbox."""
    from syncer.sandbox.anythingllm import TOKEN as ANYTHINGLLM_TOKEN
    from syncer.sandbox.friday_pulse import TOKEN as FRIDAY_PULSE_TOKEN
    from syncer.sandbox.gitlab import TOKEN as GITLAB_TOKEN
    from syncer.sandbox.hubspot import TOKEN as HUBSPOT_TOKEN
    from syncer.sandbox.jira import EMAIL
    from syncer.sandbox.jira import TOKEN as JIRA_TOKEN

    return {
        "SYNCER_HUBSPOT_URL": sandbox.url("hubspot"),
        "SYNCER_HUBSPOT_TOKEN": HUBSPOT_TOKEN,
        "SYNCER_JIRA_URL": sandbox.url("jira"),
        "SYNCER_JIRA_USER": EMAIL,
        "SYNCER_JIRA_TOKEN": JIRA_TOKEN,
        "SYNCER_GITLAB_URL": sandbox.url("gitlab"),
        "SYNCER_GITLAB_TOKEN": GITLAB_TOKEN,
        "SYNCER_FRIDAY_PULSE_URL": sandbox.url("friday_pulse"),
        "SYNCER_FRIDAY_PULSE_TOKEN": FRIDAY_PULSE_TOKEN,
        "SYNCER_ANYTHINGLLM_URL": sandbox.url("anythingllm"),
        "SYNCER_ANYTHINGLLM_TOKEN": ANYTHINGLLM_TOKEN,
    }


def _tell(session: Session, sandbox: Sandbox, options: Options, until: dt.datetime) -> None:
    """Say where it is and how to use it."""
    # A warehouse of its own: made-up records must never stand between true ones.
    needed = {WAREHOUSE: "duckdb:sandbox.duckdb", **variables(sandbox)}
    control = sandbox.url("_sandbox")
    if session.is_json:
        session.document.put("environment", needed)
        session.document.put("control", control)
        session.document.put("until", until)
        session.document.close()  # who reads it waits for its end, not for ours
        return
    minutes = f"{options.minutes:g} minutes"
    if session.shared.quiet:  # what differs from one start to the next
        for name in [name for name in needed if name.endswith("_URL")]:
            session.show(f"{name}={needed[name]}")
        return
    session.say(f"Five APIs answer on http://127.0.0.1:{sandbox.port} for {minutes}; Ctrl-C ends it.")
    for line in _how_to(needed, control, replaced=_replaced()):
        session.say(line)


def _replaced() -> str:
    """Tell where a warehouse is set already, and which; empty where none is, or `syncer.toml` cannot be read."""
    with contextlib.suppress(UsageError):
        settings = load()
        where = WAREHOUSE if settings.variables.get(WAREHOUSE) else settings.place_of_warehouse()
        return f"{where} names {warehouse_named(settings)}" if where else ""
    return ""


def _how_to(needed: Mapping[str, str], control: str, *, replaced: str) -> Iterator[str]:
    """Write what to type in another shell; *replaced* is what names a warehouse already."""
    yield "\nIn another shell (sh, bash, zsh):"
    yield from (f"  export {name}={value}" for name, value in needed.items())
    yield "In PowerShell:"
    yield from (f"  $env:{name} = '{value}'" for name, value in needed.items())
    if replaced:
        yield f"{replaced} already. With the first line, that shell fills {needed[WAREHOUSE]} instead, and no made-up"
        yield "record comes between true ones; leave that line out only where the other one is for rehearsals, too."
    yield "Then:"
    syncer = commands.program("syncer")
    yield f"  {syncer} check"
    yield f"  {syncer} pull 'hubspot.*' 'jira.*' 'gitlab.*'"
    yield "Change some records; put the clock on, since Jira's search sees an edit a minute later; let a request fail:"
    for route, wish in (
        ("edit", '{"site": "jira", "count": 10, "seed": 1}'),
        ("clock", '{"advance_s": 120}'),
        ("faults", '{"kind": "reset_after", "match": "/rest/api/3/search"}'),
    ):
        yield f"  curl -d '{wish}' {control}/{route}"
    yield from _how_to_push(needed, syncer)
    yield "docs/sandbox.md has the rest.\n"


def _how_to_push(needed: Mapping[str, str], syncer: str) -> Iterator[str]:
    """Write what makes a push of what was pulled, and an edit that a person makes in HubSpot meanwhile."""
    unique = ", ".join(f"{name} of {kind}" for kind, name in UNIQUE.items())
    yield f"Push to HubSpot. Unique, for match_on: {unique}. In the warehouse:"
    yield from (f"  {statement};" for statement in STAGE)
    yield "In syncer.toml:"
    yield from (f"  {line}" for line in MAPPING)
    yield "Then, after an update of stage.companies; and an edit by a person, of the company with client_id C000001:"
    yield f"  {syncer} push hubspot.companies --dry-run"
    yield (
        f"  curl -X PATCH -H 'Authorization: Bearer {needed['SYNCER_HUBSPOT_TOKEN']}' "
        "-H 'Content-Type: application/json' "
        """-d '{"properties": {"phone": "+31 20 2"}}' """
        f"'{needed['SYNCER_HUBSPOT_URL']}/crm/v3/objects/companies/C000001?idProperty={UNIQUE['companies']}'"
    )


def _wait(seconds: float) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(POLL_S, left))
