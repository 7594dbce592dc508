"""
AnythingLLM: what its records are as rows. Data only; what each stream brings and does not bring is in
docs/anythingllm.md.

Rows are keyed by id, never by a name or slug that people change: an embed has no name at all, and two of one workspace
differ by nothing else. `raw` is the whole record, with the JSON inside its JSON parsed.
"""

from __future__ import annotations

from syncer.mapping import EntityMapping, Field, Inbound
from syncer.values import BIGINT, BOOLEAN, DOUBLE, JSON, TIMESTAMP

METRICS = (  # of an answer; which of them there are hangs on the provider and the version
    Field("prompt_tokens", path="response.metrics.prompt_tokens", type=BIGINT),
    Field("completion_tokens", path="response.metrics.completion_tokens", type=BIGINT),
    Field("total_tokens", path="response.metrics.total_tokens", type=BIGINT),
    Field("output_tps", path="response.metrics.outputTps", type=DOUBLE, comment="tokens a second"),
    Field("duration_s", path="response.metrics.duration", type=DOUBLE),
    Field("model", path="response.metrics.model"),
    Field("provider", path="response.metrics.provider"),
    Field("answered_at", path="response.metrics.timestamp", type=TIMESTAMP),
    Field("input_cost", path="response.metrics.inputCost", type=DOUBLE),
    Field("output_cost", path="response.metrics.outputCost", type=DOUBLE),
    Field("total_cost", path="response.metrics.totalCost", type=DOUBLE),
    Field("metrics_other", type=JSON, comment="metrics that have no column of their own"),
)

EMBEDS = EntityMapping(
    name="anythingllm.embeds",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("uuid"),
        Field("enabled", type=BOOLEAN),
        Field("chat_mode", comment="chat or query"),
        Field("created_at", path="createdAt", type=TIMESTAMP),
        Field("workspace_id", path="workspace.id", type=BIGINT),
        Field("workspace_name", path="workspace.name"),
        Field("chat_count", type=BIGINT),
        Field("raw", path=".", type=JSON),
    ),
    inbound=Inbound(stream="embeds"),
)

EMBED_CHATS = EntityMapping(
    name="anythingllm.embed_chats",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("embed_id", type=BIGINT),
        Field("session_id", personal=True),
        Field("prompt", personal=True, treatment="mask"),
        Field("response_text", path="response.text", personal=True, treatment="mask"),
        Field("response_type", path="response.type", comment="chat or query"),
        Field("sources", path="response.sources", type=JSON, personal=True, treatment="mask"),
        *METRICS,
        Field("response_unparsed", personal=True, treatment="mask", comment="the answer where it is no JSON object"),
        Field("include", type=BOOLEAN, comment="false: out of the model's history (a reset), not deleted"),
        Field("connection_host", path="connection_information.host", personal=True, comment="the visitor's Origin"),
        Field("connection_ip", path="connection_information.ip", personal=True, comment="a proxy's, behind one"),
        Field("connection_username", path="connection_information.username", personal=True, names_people=True),
        Field("connection_unparsed", path="connection_information_unparsed", personal=True, treatment="mask"),
        Field("user_id", path="usersId", type=BIGINT, personal=True),
        Field("created_at", path="createdAt", type=TIMESTAMP),
        Field("raw", path=".", type=JSON, personal=True, treatment="mask"),
    ),
    # No share: each row that is missing is accounted for by the embed's own chat_count.
    inbound=Inbound(stream="embed_chats", slice_by=("embed_id",), max_gone_share=None),
)

WORKSPACES = EntityMapping(
    name="anythingllm.workspaces",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("name"),
        Field("slug"),
        Field("vector_tag", path="vectorTag"),
        Field("created_at", path="createdAt", type=TIMESTAMP),
        Field("last_updated_at", path="lastUpdatedAt", type=TIMESTAMP, comment="an edit does not move it"),
        Field("open_ai_temp", path="openAiTemp", type=DOUBLE),
        Field("open_ai_history", path="openAiHistory", type=BIGINT),
        Field(
            "open_ai_prompt",
            path="openAiPrompt",
            personal=True,
            treatment="mask",
            comment="the system prompt; may hold secrets",
        ),
        Field("similarity_threshold", path="similarityThreshold", type=DOUBLE),
        Field("chat_provider", path="chatProvider"),
        Field("chat_model", path="chatModel"),
        Field("top_n", path="topN", type=BIGINT),
        Field("chat_mode", path="chatMode"),
        Field("pfp_filename", path="pfpFilename"),
        Field("agent_provider", path="agentProvider"),
        Field("agent_model", path="agentModel"),
        Field("query_refusal_response", path="queryRefusalResponse"),
        Field("vector_search_mode", path="vectorSearchMode"),
        Field("router_id"),
        Field(
            "raw",
            path=".",
            type=JSON,
            personal=True,
            treatment="mask",
            comment="its threads are in it, with their names",
        ),
    ),
    inbound=Inbound(stream="workspaces"),
)

THREADS = EntityMapping(
    name="anythingllm.threads",
    key=("slug",),
    fields=(
        Field("slug"),  # the API tells no id of a thread
        Field("workspace_id", type=BIGINT),
        Field("name", personal=True, treatment="mask", comment="made of the first prompt"),
        Field("user_id", type=BIGINT, personal=True),
        Field("raw", path=".", type=JSON, personal=True, treatment="mask"),
    ),
    inbound=Inbound(stream="threads"),
)

WORKSPACE_CHATS = EntityMapping(
    name="anythingllm.workspace_chats",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("workspace_id", path="workspaceId", type=BIGINT),
        Field("workspace_name", path="workspace.name", comment="'deleted workspace' where there is none"),
        Field("workspace_slug", path="workspace.slug"),
        Field("prompt", personal=True, treatment="mask"),
        Field("response_text", path="response.text", personal=True, treatment="mask"),
        Field("response_type", path="response.type"),
        Field("sources", path="response.sources", type=JSON, personal=True, treatment="mask"),
        Field(
            "attachments",
            path="response.attachments",
            type=JSON,
            personal=True,
            treatment="mask",
            comment="pictures, as base64",
        ),
        *METRICS,
        Field("response_unparsed", personal=True, treatment="mask", comment="the answer where it is no JSON object"),
        Field("include", type=BOOLEAN, comment="false: out of the model's history, not deleted"),
        Field("user_id", type=BIGINT, personal=True),
        Field(
            "user_username",
            path="user.username",
            personal=True,
            names_people=True,
            comment="'API' or 'unknown user' where none is",
        ),
        Field("thread_id", type=BIGINT, comment="empty: the default conversation; the API tells no slug with it"),
        Field("api_session_id", personal=True),
        Field("created_at", path="createdAt", type=TIMESTAMP),
        Field("last_updated_at", path="lastUpdatedAt", type=TIMESTAMP, comment="moves for agent runs only"),
        Field("feedback_score", path="feedbackScore", type=BOOLEAN, comment="true: thumbs up"),
        Field("memory_processed", path="memoryProcessed", type=BOOLEAN),
        Field("raw", path=".", type=JSON, personal=True, treatment="mask"),
    ),
    inbound=Inbound(stream="workspace_chats"),
)

MAPPINGS = (EMBEDS, EMBED_CHATS, WORKSPACES, THREADS, WORKSPACE_CHATS)
