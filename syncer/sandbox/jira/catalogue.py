"""
What every generated Jira site has: people, statuses, issue types, priorities, and the definitions of its fields.

The account's language is Dutch, so names are localised where real ones are; some statuses keep another language.
Source of the shapes: Jira Cloud REST API v3, "Get fields", "Get all statuses"; the ids are those of a usual site.
"""

from __future__ import annotations

import random
from typing import Any

from syncer.sandbox.jira.model import Category, FieldDefinition, IssueType, Named, Status, User
from syncer.sandbox.jira.records import Catalogue
from syncer.sandbox.jira.words import PEOPLE

CUSTOM = "com.atlassian.jira.plugin.system.customfieldtypes:"
CHARTING = "com.atlassian.jira.ext.charting:"
DEVELOPMENT = "com.atlassian.jira.plugins.jira-development-integration-plugin:"
GREENHOPPER = "com.pyxis.greenhopper.jira:"
CLASSIC_STATUSES = (1, 3, 10020, 10068, 6)
FIRST_EXTRA_FIELD = 10200
EPIC, STORY, BUG, TASK, SUBTASK = 10000, 10001, 10004, 10002, 10003

CATEGORIES = (
    Category(id=1, key="undefined", name="Geen categorie", color="medium-gray", search_name="TODO"),
    Category(id=2, key="new", name="Te doen", color="blue-gray", search_name="TODO"),
    Category(id=4, key="indeterminate", name="In behandeling", color="yellow", search_name="IN_PROGRESS"),
    Category(id=3, key="done", name="Gereed", color="green", search_name="DONE"),
)

STATUSES = (
    Status(id=1, name="Open", category=2, description="Nog niet begonnen.", untranslated="Open"),
    Status(id=3, name="In behandeling", category=4, description="Hier wordt aan gewerkt.", untranslated="In Progress"),
    Status(id=10020, name="代码评审", category=4),
    Status(id=10068, name="Op test {staging}", category=4),
    Status(id=6, name="Afgesloten", category=3, description="Klaar.", untranslated="Closed"),
)

TYPES = (
    IssueType(id=STORY, name="Verhaal", description="Wat een gebruiker wil.", level=0, avatar=10315),
    IssueType(id=EPIC, name="Epic", description="Een groter geheel.", level=1, avatar=10307),
    IssueType(id=BUG, name="Bug", description="Een fout.", level=0, avatar=10303),
    IssueType(id=TASK, name="Taak", description="", level=0, avatar=10318),
    IssueType(id=SUBTASK, name="子任务", description="Deel van een taak.", level=-1, avatar=10316),
)

PRIORITIES = tuple(
    Named(id=number, name=name) for number, name in enumerate(("Highest", "Hoog", "Medium", "Laag", "Lowest"), start=1)
)
RESOLUTIONS = (
    Named(id=10000, name="Gereed", description="Het werk is klaar."),
    Named(id=10001, name="Doen we niet", description=""),
    Named(id=10002, name="Dubbel", description="Er was er al een."),
)
COMPONENTS = tuple(Named(id=10000 + n, name=name) for n, name in enumerate(("API", "Web", "データ", "Billing {NL}")))
VERSIONS = tuple(Named(id=10026 + n, name=f"v2.{n}.0", description="" if n % 2 else "Kwartaal") for n in range(4))
LINK_TYPES = (
    Named(id=10000, name="Blocks", inward="is blocked by", outward="blocks"),
    Named(id=10003, name="Relates", inward="relates to", outward="relates to"),
)


def fill(catalogue: Catalogue, rng: random.Random, *, extra_fields: int) -> None:
    """Put everything in; *extra_fields* custom fields come on top that no issue ever fills."""
    catalogue.users = {user.account_id: user for user in _users(rng)}
    catalogue.categories = {category.id: category for category in CATEGORIES}
    catalogue.statuses = {status.id: status for status in STATUSES}
    catalogue.types = {kind.id: kind for kind in TYPES}
    catalogue.priorities = {named.id: named for named in PRIORITIES}
    catalogue.resolutions = {named.id: named for named in RESOLUTIONS}
    catalogue.components = {named.id: named for named in COMPONENTS}
    catalogue.versions = {named.id: named for named in VERSIONS}
    catalogue.link_types = {named.id: named for named in LINK_TYPES}
    extra = [custom(FIRST_EXTRA_FIELD + n, f"Spare {n}", "string", "textfield") for n in range(extra_fields)]
    catalogue.fields = {field.id: field for field in (*_system_fields(), *_custom_fields(), *extra)}


def custom(
    number: int,
    name: str,
    kind: str,
    plugin: str,
    *,
    options: tuple[str, ...] = (),
    project: int | None = None,
) -> FieldDefinition:
    """Define a custom field; *kind* is how issues store it, *plugin* the field type behind its schema."""
    types = {
        "adf": "string",
        "option": "option",
        "options": "array",
        "users": "array",
        "strings": "array",
        "sprints": "array",
        "raws": "array",
        "raw": "any",
    }
    items = {"options": "option", "users": "user", "strings": "string", "sprints": "json", "raws": "any"}
    schema: dict[str, Any] = {"type": types.get(kind, kind)}
    if kind in items:
        schema["items"] = items[kind]
    schema["custom"] = plugin if ":" in plugin else CUSTOM + plugin
    schema["customId"] = number
    return FieldDefinition(
        id=f"customfield_{number}", name=name, schema=schema, kind=kind, options=options, project=project
    )


def team_fields(project: int, number: int) -> tuple[FieldDefinition, ...]:
    """Return the fields that a team-managed project has for itself; names repeat those of the site."""
    return (
        custom(number, "Story points", "number", "float", project=project),
        custom(number + 1, "Notitie", "string", "textfield", project=project),
    )


def team_statuses(project: int, number: int) -> tuple[Status, ...]:
    """Return the statuses that a team-managed project has for itself, with ids from *number* on."""
    names = (("To Do", 2), ("In Progress", 4), ("進行中", 4), ("Done", 3))
    return tuple(
        Status(id=number + n, name=name, category=category, project=project)
        for n, (name, category) in enumerate(names)
    )


def _users(rng: random.Random) -> list[User]:
    users = []
    for n, name in enumerate(PEOPLE):
        account = f"{rng.getrandbits(96):024x}" if n % 2 else f"712020:{rng.getrandbits(128):032x}"
        users.append(
            User(
                account_id=account,
                name=name,
                email=f"person{n}@example.com" if n % 4 == 0 else None,
                is_active=name != "Former user",
                zone=("Europe/Amsterdam", "Asia/Shanghai", "America/New_York")[n % 3],
            )
        )
    users.append(User(account_id="557058:automation", name="Automation for Jira", email=None, kind="app"))
    return users


def _system_fields() -> list[FieldDefinition]:
    """Return the system fields: id, name, schema type, items; those with "-" in front are not navigable."""
    lines = """
    issuekey,Key,- | statuscategorychangedate,Statuscategorie gewijzigd,datetime | parent,Parent,-
    summary,Samenvatting,string
    fixVersions,Oplossingsversies,array:version | resolution,Resolutie,resolution | lastViewed,Laatst bekeken,datetime
    priority,Prioriteit,priority | labels,Labels,array:string | timeestimate,Resterende tijd,number
    aggregatetimeoriginalestimate,Σ Oorspronkelijke schatting,number | versions,Betreft versies,array:version
    issuelinks,Gekoppelde issues,array:issuelinks | assignee,Toegewezen aan,user | status,Status,status
    components,Componenten,array:component | aggregatetimeestimate,Σ Resterende tijd,number | creator,Maker,user
    subtasks,Subtaken,array:issuelinks | reporter,Melder,user | aggregateprogress,Σ Voortgang,progress
    progress,Voortgang,progress | votes,Stemmen,votes | -worklog,Werklog,array:worklog | issuetype,Issuetype,issuetype
    timespent,Bestede tijd,number | project,Project,project | aggregatetimespent,Σ Bestede tijd,number
    resolutiondate,Opgelost,datetime | workratio,Werkratio,number | watches,Volgers,watches
    -issuerestriction,Beperken tot,issuerestriction | created,Aangemaakt,datetime | updated,Bijgewerkt,datetime
    timeoriginalestimate,Oorspronkelijke schatting,number | description,Beschrijving,string
    -timetracking,Tijdregistratie,timetracking | security,Beveiligingsniveau,securitylevel
    -attachment,Bijlage,array:attachment | environment,Omgeving,string | duedate,Einddatum,date
    -comment,Opmerking,comments-page
    """
    fields = []
    for entry in " | ".join(line.strip() for line in lines.strip().splitlines()).split(" | "):
        name, label, kind = entry.split(",")
        plain, kind_name = name.lstrip("-"), kind.partition(":")
        schema: dict[str, Any] | None = None
        if kind != "-":
            schema = {"type": kind_name[0], "system": plain}
            if kind_name[2]:
                schema = {"type": kind_name[0], "items": kind_name[2], "system": plain}
        fields.append(FieldDefinition(id=plain, name=label, schema=schema, is_navigable=not name.startswith("-")))
    return fields


def _custom_fields() -> list[FieldDefinition]:
    """Return the custom fields of the site; "Klant" is there twice, with two types."""
    return [
        custom(10000, "Development", "raw", DEVELOPMENT + "devsummarycf"),
        custom(10014, "Epic Link", "raw", GREENHOPPER + "gh-epic-link"),
        custom(10015, "Start date", "date", "datepicker"),
        custom(10016, "Story point estimate", "number", "com.pyxis.greenhopper.jira:jsw-story-points"),
        custom(10017, "Issue color", "string", GREENHOPPER + "jsw-issue-color"),
        custom(10018, "Parent Link", "raw", "com.atlassian.jpo:jpo-custom-field-parent"),
        custom(10019, "Rank", "raw", GREENHOPPER + "gh-lexo-rank"),
        custom(10020, "Sprint", "sprints", GREENHOPPER + "gh-sprint"),
        custom(10021, "Flagged", "options", "multicheckboxes", options=("Impediment",)),
        custom(10023, "[CHART] Time in Status", "raw", CHARTING + "timeinstatus"),
        custom(10024, "[CHART] Date of First Response", "datetime", CHARTING + "firstresponsedate"),
        custom(10028, "Story points", "number", "float"),
        custom(10030, "Klant", "string", "textfield"),
        custom(10031, "Oorzaak", "adf", "textarea"),
        custom(10032, "Ernst", "option", "select", options=("Laag", "Midden", "Hoog", "致命")),
        custom(10033, "Omgevingen", "options", "multiselect", options=("test", "acceptatie", "productie")),
        custom(10034, "Reviewer", "user", "userpicker"),
        custom(10035, "Goedkeurders", "users", "multiuserpicker"),
        custom(10036, "Livegang", "datetime", "datetime"),
        custom(10037, "Klant", "number", "float"),
        custom(10038, "Tags", "strings", "labels"),
        custom(10039, "Link", "string", "url"),
        custom(10073, "Organizations", "raws", "com.atlassian.servicedesk:sd-customer-organizations"),
    ]
