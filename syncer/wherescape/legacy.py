"""
The load tables that exist: which columns they have, in order, and where their values stand in our records. Data only.

A site's tables were made by an earlier library, and go on working: by their names (also those with the place behind
them), types and meaning. Times hold what the API wrote, its offset dropped; what was masked is. Two things are filled
that never were: Jira's `resolution`, and GitLab's `default`.

Not here: the words that this is written in (`legacycolumns.py`), GitLab's tables (`legacy_gitlab.py`), which columns a
table has by now (`repository.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from syncer.mapping import MASK
from syncer.values import JSON
from syncer.wherescape import legacy_gitlab
from syncer.wherescape.legacycolumns import (
    BIG,
    BOOL,
    INT,
    MASKED,
    LegacyColumn,
    LegacyStream,
    comma_text,
    comma_text_of,
    flag,
    flat,
    length_of,
    list_or_empty,
    number,
    real,
    text,
    text_of,
    time,
)

CHATS = LegacyStream(
    name="chats",
    mapping="anythingllm.embed_chats",
    columns=tuple(
        attrs.evolve(column, display=display, source=display)
        for column, display in (
            (LegacyColumn("id", BIG), "ID"),
            (text("prompt", constant=MASKED), "[GDPR_HIGH] Prompt"),
            (text("session_id", personal=True), "Session ID"),
            (LegacyColumn("include", BOOL), "Include"),
            (LegacyColumn("embed_id", INT), "Embed ID"),
            (LegacyColumn("user_id", INT, "usersId", personal=True), "[GDPR_MEDIUM] User ID"),
            (time("created_at", "createdAt"), "Created At"),
            (text("connection_host", "connection_information.host", personal=True), "Connection Host"),
            (text("connection_ip", constant=MASKED), "[GDPR_HIGH] Connection IP"),
            (
                text("connection_username", "connection_information.username", personal=True, names_people=True),
                "[GDPR_MEDIUM] Connection Username",
            ),
            (text("response_text", constant=MASKED), "[GDPR_HIGH] Response Text"),
            (text("response_type", "response", convert=text_of("type")), "Response Type"),
            (
                text(
                    "response_attachments",
                    "response.attachments",
                    kind=JSON,
                    convert=list_or_empty,
                    personal=True,
                    treatment=MASK,
                ),
                "Response Attachments",
            ),
            (
                text(
                    "response_sources",
                    "response.sources",
                    kind=JSON,
                    convert=list_or_empty,
                    personal=True,
                    treatment=MASK,
                    follows="sources",
                ),
                "Response Sources",
            ),
            (
                LegacyColumn("response_sources_count", INT, "response", convert=length_of("sources")),
                "Response Sources Count",
            ),
            (
                LegacyColumn("metrics_completion_tokens", INT, "response.metrics.completion_tokens"),
                "Metrics Completion Tokens",
            ),
            (LegacyColumn("metrics_prompt_tokens", INT, "response.metrics.prompt_tokens"), "Metrics Prompt Tokens"),
            (LegacyColumn("metrics_total_tokens", INT, "response.metrics.total_tokens"), "Metrics Total Tokens"),
            (real("metrics_output_tps", "response.metrics.outputTps"), "Metrics Output TPS"),
            (real("metrics_duration", "response.metrics.duration"), "Metrics Duration"),
        )
    ),
    record_source="AnythingLLM api - chats",
    source_table="AnythingLLM embed",
)


def _pulse(name: str, mapping: str, *columns: LegacyColumn, others: LegacyColumn | None = None) -> LegacyStream:
    label = f"Friday Pulse API - {name}"
    return LegacyStream(
        name=name,
        mapping=f"friday_pulse.{mapping}",
        columns=tuple(attrs.evolve(column, source=column.display) for column in columns),
        record_source=label,
        source_table=label,
        others=others,
    )


PLAIN = text("other", convert=flat)
PERSONAL = text("other", convert=flat, personal=True, follows="raw")
WITHIN_RAW = text("other", convert=flat, personal=True, treatment=MASK, follows="raw")
GROUP_ID = LegacyColumn("group_id", INT)
SCORES = (
    time("sample_date"),
    real("score"),
    real("response_rate"),
    LegacyColumn("response_count", INT),
    LegacyColumn("total_count", INT),
)
TOPIC = (text("topic_code", "topic.code"), text("topic_name", "topic.name"))
NOTE = (
    LegacyColumn("id", INT),
    text("text", personal=True, treatment=MASK),
    text("action"),
    text("author_name", "author.name", personal=True, names_people=True),
    text("author_email", "author.email", personal=True),
    time("flow_date"),
    time("created_at"),
    text("recipients_email", "recipients", convert=comma_text_of("email"), personal=True, follows="recipients"),
    text(
        "recipients_name",
        "recipients",
        convert=comma_text_of("name"),
        personal=True,
        follows="recipients",
    ),
    text("external_recipients", convert=comma_text, personal=True),
)
RISK = (
    time("sample_date", "flow_date"),
    time("flow_date"),
    *TOPIC,
    text("level"),
    real("score"),
    real("response_rate"),
    LegacyColumn("response_count", INT),
    LegacyColumn("total_count", INT),
)

FRIDAY_PULSE = (
    _pulse("general_results", "company_results", *SCORES, LegacyColumn("question_count", INT), *TOPIC, others=PLAIN),
    _pulse("group_results", "group_results", *SCORES, *TOPIC, GROUP_ID, others=PLAIN),
    _pulse("general_notes", "notes", *NOTE, others=WITHIN_RAW),
    _pulse("group_notes", "group_notes", *NOTE, GROUP_ID, others=WITHIN_RAW),
    _pulse("general_risks", "risks", *RISK, others=WITHIN_RAW),
    _pulse("group_risks", "group_risks", *RISK, GROUP_ID, others=WITHIN_RAW),
    _pulse("topics", "topics", text("code"), text("name"), others=PLAIN),
    _pulse("group_types", "group_types", text("code"), text("name"), others=PLAIN),
    _pulse(
        "groups",
        "groups",
        LegacyColumn("id", INT),
        text("name", personal=True),
        text("group_type_code"),
        others=PERSONAL,
    ),
)

JIRA = (
    LegacyStream(
        name="issues",
        mapping="jira.issues",
        columns=(
            number("id"),
            text("key"),
            number("issuetype_id", "fields.issuetype.id"),
            text("issuetype_description", "fields.issuetype.description"),
            text("issuetype_name", "fields.issuetype.name"),
            number("project_id", "fields.project.id"),
            text("project_name", "fields.project.name"),
            number("timespent", "fields.timespent"),
            time("resolutiondate", "fields.resolutiondate"),
            time("created", "fields.created"),
            text("priority_name", "fields.priority.name"),
            number("priority_id", "fields.priority.id"),
            time("updated", "fields.updated"),
            text("status_name", "fields.status.name"),
            number("status_id", "fields.status.id"),
            number("status_statuscategory_id", "fields.status.statusCategory.id", source="status_statusCategory_id"),
            text("status_statuscategory_key", "fields.status.statusCategory.key", source="status_statusCategory_key"),
            text(
                "status_statuscategory_name", "fields.status.statusCategory.name", source="status_statusCategory_name"
            ),
            number("timeoriginalestimate", "fields.timeoriginalestimate"),
            time("duedate", "fields.duedate"),
            text("resolution", "fields.resolution.name"),  # was NULL in every row
            time("status_in_progress_date", "named_in_progress"),
        ),
        record_source="Jira api - issue",
        source_table="Jira api - issues",
        is_numbered=True,
    ),
    LegacyStream(
        name="projects",
        mapping="jira.projects",
        columns=(
            text("self"),
            number("id"),
            text("key"),
            text("name"),
            text("projecttypekey", "projectTypeKey", source="projectTypeKey"),
            flag("simplified"),
            text("style"),
            flag("isprivate", "isPrivate", source="isPrivate"),
            text("entityid", "entityId", source="entityId"),
            text("uuid"),
        ),
        record_source="Jira api - project",
        source_table="Jira api - projects",
        is_numbered=True,
    ),
)

STREAMS: Sequence[LegacyStream] = (CHATS, *FRIDAY_PULSE, *legacy_gitlab.STREAMS, *JIRA)
_BY_MAPPING = {stream.mapping: stream for stream in STREAMS}


def stream_of(mapping: str) -> LegacyStream | None:
    """Return the table that *mapping* fills, as it was; None where there was none."""
    return _BY_MAPPING.get(mapping)
