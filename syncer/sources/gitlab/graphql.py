"""
GitLab's GraphQL endpoint: whether it knows what we ask, queries, and answers that are errors with status 200.

It is used for pipelines and the commits of merge requests, of many projects in one request; where it is absent,
refused or too old, the streams ask by REST and bring the same rows.

Not here: what is asked (`pipelines.py`, `merge_request_commits.py`).
Source: GitLab docs, "GraphQL API" (complexity, limits, errors).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from loguru import logger

from syncer.errors import AnswerError, NotAllowed, RequestError, Unavailable
from syncer.sources.gitlab.api import Api

MAX_QUERY = 9_500  # characters; the limit is 10,000
SHARE = 0.9  # of the complexity that is allowed
NEEDED: Mapping[str, frozenset[str]] = {
    "Pipeline": frozenset({"id", "iid", "status", "source", "ref", "sha", "name", "createdAt", "updatedAt"}),
    "Commit": frozenset(
        {"sha", "shortId", "title", "message", "webUrl"}
        | {"authorName", "authorEmail", "authoredDate", "committerName", "committerEmail", "committedDate"}
    ),
    "MergeRequest": frozenset({"iid", "commits"}),
    "Project": frozenset({"id", "pipelines", "mergeRequests"}),
    "Query": frozenset({"project", "projects", "queryComplexity"}),
}
ARGUMENTS: Mapping[tuple[str, str], frozenset[str]] = {
    ("Project", "pipelines"): frozenset({"source", "updatedAfter", "first", "after"}),
    ("Project", "mergeRequests"): frozenset({"iids"}),
    ("Query", "projects"): frozenset({"ids"}),
}


class TooLargeError(Exception):
    """Inside this package: the query was refused or not finished; ask for less at once."""


@attrs.frozen(kw_only=True)
class Reply:
    """What came back: data, which may have holes where `errors` name a path, and what the query cost."""

    data: Mapping[str, Any]
    errors: Sequence[Mapping[str, Any]] = ()
    score: int = 0
    limit: int = 0


class GraphQL:
    """The endpoint of one GitLab; safe for threads."""

    def __init__(self, api: Api, *, is_wanted: bool) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._is_there: bool | None = None if is_wanted else False

    @property
    def is_there(self) -> bool:
        """Whether it can be used; asked once, by introspection."""
        with self._lock:
            if self._is_there is None:
                missing = self._missing()
                self._is_there = not missing
                if missing:
                    logger.info("GitLab's GraphQL is not used, REST is: {}", missing)
            return self._is_there

    def ask(self, query: str) -> Reply:
        """
        Send a query, with its cost asked for as well.

        Raises: TooLargeError: refused as a whole, for its complexity or for its time; AnswerError: no GraphQL answer;
            NotAllowed: the token is no good.
        """
        try:
            answer = self._api.query(f"{{ {query} queryComplexity {{ score limit }} }}")
        except (RequestError, Unavailable) as error:
            status = getattr(error, "status", 0)
            if status == 401:
                raise
            raise TooLargeError(f"status {status}" if status else error.message) from error
        body = answer.data
        if not isinstance(body, dict):
            raise AnswerError(f"{answer.where} answered with a {type(body).__name__}, not with a GraphQL answer.")
        data, errors = body.get("data"), body.get("errors") or []
        if not isinstance(data, dict):
            raise TooLargeError(f"{len(errors)} errors and no data")
        cost = data.get("queryComplexity") or {}
        return Reply(data=data, errors=errors, score=cost.get("score") or 0, limit=cost.get("limit") or 0)

    def _missing(self) -> str:
        """Say what is missing, in words; empty where nothing is."""
        fields = "fields(includeDeprecated: true) { name args { name } }"
        asked = " ".join(f'{name.lower()}: __type(name: "{name}") {{ {fields} }}' for name in NEEDED)
        try:
            reply = self.ask(asked)
        except (NotAllowed, TooLargeError) as error:
            return f"introspection was refused ({error})"
        except AnswerError as error:
            return error.message
        for name, needed in NEEDED.items():
            found = {field["name"]: field for field in (reply.data.get(name.lower()) or {}).get("fields") or ()}
            absent = sorted(needed - set(found))
            if absent:
                return f"{name} has no {', '.join(absent)}"
            for (owner, field), arguments in ARGUMENTS.items():
                lacking = arguments - {argument["name"] for argument in found[field]["args"]} if owner == name else ()
                if lacking:
                    return f"{name}.{field} takes no {', '.join(sorted(lacking))}"
        return ""


class Size:
    """How much to ask for at once: begins with a guess, halves when refused, and follows what queries cost."""

    def __init__(self, start: int, *, most: int) -> None:
        self.now = start
        self._most = most

    def halve(self, count: int) -> None:
        """*count* at once were too many."""
        self.now = max(1, min(self.now, count) // 2)

    def learn(self, reply: Reply, count: int) -> None:
        """*count* at once had this cost: ask for what the limit allows."""
        if reply.score > 0 and reply.limit > 0 and count >= self.now:
            fits = int(count * SHARE * reply.limit / reply.score)
            self.now = max(1, min(self._most, fits))


def quoted(text: str) -> str:
    """Write a text as GraphQL has it."""
    return json.dumps(text)


def last_segment(gid: str) -> int:
    """Read the number of a global id: gid://gitlab/Ci::Pipeline/47."""
    return int(gid.rpartition("/")[2])
