"""
A chat as a record: the JSON that stands as text inside its JSON is put in its place.

What holds no object stays a text, beside it; nothing here can fail on a row, and none is dropped.
Source: `models/embedChats.js`, `models/workspaceChats.js`; `utils/helpers/chat/LLMPerformanceMonitor.js`.
"""

from __future__ import annotations

from typing import Any

from syncer import values
from syncer.sources import Record

INNER = ("response", "connection_information")
METRICS = frozenset({
    "prompt_tokens", "completion_tokens", "total_tokens", "outputTps", "duration", "model", "provider", "timestamp",
    "inputCost", "outputCost", "totalCost",
})  # fmt: skip


def settled(row: Record) -> Record:
    """
    Return *row* with its inner JSON parsed.

    `…_unparsed` is the text that is no JSON object; `metrics_other` are the metrics that have no column of their own.
    """
    record = dict(row)
    for name in INNER:
        value = row.get(name)
        if value is None or isinstance(value, dict):
            continue
        found = _object_in(value)
        record[name] = found
        if found is None:
            record[f"{name}_unparsed"] = value if isinstance(value, str) else values.dumps(value)
    response = record.get("response")
    metrics = response.get("metrics") if isinstance(response, dict) else None
    if isinstance(metrics, dict):
        other = {name: value for name, value in metrics.items() if name not in METRICS}
        if other:
            record["metrics_other"] = other
    return record


def _object_in(text: Any) -> dict[str, Any] | None:
    if not isinstance(text, str):
        return None
    try:
        found = values.parse(text.encode("utf-8", "surrogatepass"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
