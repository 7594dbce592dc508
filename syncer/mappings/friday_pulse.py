"""
Friday Pulse: what its records are as rows. Data only; what each stream brings and does not bring is in
docs/friday_pulse.md.

`flow_date` is the date that was asked for, as a text and part of the key; `sample_date` is the same as a date. `raw`
is what the API gave, since little of it is documented. A score that is not shown is NULL, never 0.
"""

from __future__ import annotations

from datetime import timedelta

from syncer.mapping import EntityMapping, Field, Inbound
from syncer.values import BIGINT, DATE, DOUBLE, JSON, TIMESTAMP

LOOKBACK = timedelta(weeks=3)  # so long after a flow date answers still come; inclusive

FLOW_DATE = Field("flow_date", comment="YYYY-MM-DD, a day of the account's own time zone")
GROUP_ID = Field("group_id", type=BIGINT)
RAW = Field("raw", type=JSON, comment="the record as the API gave it")

TOPICS = EntityMapping(
    name="friday_pulse.topics",
    key=("code",),
    fields=(Field("code"), Field("name"), RAW),
    inbound=Inbound(stream="topics"),
)

GROUP_TYPES = EntityMapping(
    name="friday_pulse.group_types",
    key=("code",),
    fields=(Field("code"), Field("name"), RAW),
    inbound=Inbound(stream="group_types"),
)

GROUPS = EntityMapping(
    name="friday_pulse.groups",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("name", path="raw.name", personal=True),  # of a small group it may tell who is in it
        Field("group_type_code", comment="the first type that lists the group"),
        Field("group_type_codes", type=JSON, comment="all types that list it"),
        Field("raw", type=JSON, personal=True, comment="the record as the API gave it"),
    ),
    inbound=Inbound(stream="groups", slice_by=("group_type_code",)),
)

RESULT_DATES = EntityMapping(
    name="friday_pulse.result_dates",
    key=("flow_date",),
    fields=(
        FLOW_DATE,
        Field("sample_date", path="date", type=DATE),
        Field("question_count", type=BIGINT),
        RAW,
    ),
    inbound=Inbound(stream="result_dates"),
)

RESULT = (
    Field("sample_date", type=DATE),
    Field("score", type=DOUBLE, comment="NULL where too few answered for it to be shown"),
    Field("response_rate", type=DOUBLE),
    Field("response_count", type=BIGINT),
    Field("total_count", type=BIGINT),
    Field("question_count", type=BIGINT, comment="of the date, from result_dates"),
    Field("topic_name", path="topic.name"),
    RAW,
)
TOPIC_CODE = Field("topic_code", comment="overall: the row without a topic")

COMPANY_RESULTS = EntityMapping(
    name="friday_pulse.company_results",
    key=("flow_date", "topic_code"),
    fields=(FLOW_DATE, TOPIC_CODE, *RESULT),
    inbound=Inbound(stream="company_results", begins_at_start=True, lookback=LOOKBACK, slice_by=("flow_date",)),
)

GROUP_RESULTS = EntityMapping(
    name="friday_pulse.group_results",
    key=("flow_date", "group_id", "topic_code"),
    fields=(FLOW_DATE, GROUP_ID, TOPIC_CODE, *RESULT),
    inbound=Inbound(
        stream="group_results", begins_at_start=True, lookback=LOOKBACK, slice_by=("flow_date", "group_id")
    ),
)

NOTE = (
    Field("sample_date", path="flow_date", type=DATE),
    Field("text", personal=True, treatment="mask"),
    Field("action", comment="celebrate_success, thank_colleague, share_frustration or suggest_idea"),
    Field("author_name", path="author.name", personal=True, names_people=True),  # no author: an anonymous note
    Field("author_email", path="author.email", personal=True),
    Field("created_at", type=TIMESTAMP),
    Field(
        "recipients",
        type=JSON,
        personal=True,
        names_people=True,
        comment="name and email of each; of thank_colleague only",
    ),
    Field("external_recipients", type=JSON, personal=True, comment="e-mail addresses"),
    Field("raw", type=JSON, personal=True, treatment="mask", comment="what the API gave besides; NULL where nothing"),
)

NOTES = EntityMapping(
    name="friday_pulse.notes",
    key=("id",),
    fields=(Field("id", type=BIGINT), FLOW_DATE, *NOTE),
    inbound=Inbound(stream="notes", begins_at_start=True, lookback=LOOKBACK, slice_by=("flow_date",)),
)

# The same notes as in friday_pulse.notes, once for each group that they are of: never add the two up.
GROUP_NOTES = EntityMapping(
    name="friday_pulse.group_notes",
    key=("group_id", "id"),
    fields=(GROUP_ID, Field("id", type=BIGINT), FLOW_DATE, *NOTE),
    inbound=Inbound(stream="group_notes", begins_at_start=True, lookback=LOOKBACK, slice_by=("flow_date", "group_id")),
)

RISK_KEY = Field(
    "risk_key", comment="by [friday_pulse] risk_key, else id or topic.code; with ~ a digest of the record"
)
RISK = (
    Field("topic_code", path="topic.code"),
    Field("topic_name", path="topic.name"),
    Field("score", type=DOUBLE),
    Field("level", type=JSON),  # not documented: a word or a number
    Field("response_rate", type=DOUBLE),
    Field("response_count", type=BIGINT),
    Field("total_count", type=BIGINT),
    Field(
        "raw",
        type=JSON,
        personal=True,
        treatment="mask",
        comment="the record as the API gave it: its shape is not documented",
    ),
)

RISKS = EntityMapping(
    name="friday_pulse.risks",
    key=("flow_date", "risk_key"),
    fields=(FLOW_DATE, RISK_KEY, Field("sample_date", path="flow_date", type=DATE), *RISK),
    inbound=Inbound(stream="risks", begins_at_start=True, lookback=LOOKBACK, slice_by=("flow_date",)),
)

GROUP_RISKS = EntityMapping(
    name="friday_pulse.group_risks",
    key=("flow_date", "group_id", "risk_key"),
    fields=(FLOW_DATE, GROUP_ID, RISK_KEY, Field("sample_date", path="flow_date", type=DATE), *RISK),
    inbound=Inbound(stream="group_risks", begins_at_start=True, lookback=LOOKBACK, slice_by=("flow_date", "group_id")),
)

MAPPINGS = (
    TOPICS,
    GROUP_TYPES,
    GROUPS,
    RESULT_DATES,
    COMPANY_RESULTS,
    GROUP_RESULTS,
    NOTES,
    GROUP_NOTES,
    RISKS,
    GROUP_RISKS,
)
