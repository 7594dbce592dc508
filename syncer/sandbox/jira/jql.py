"""
The part of JQL that the sandbox knows: restrictions on updated, created, project, id, key and issue type, with AND,
OR, NOT and parentheses, and ORDER BY. Everything else is a 400 that says so.

Dates: unquoted whole numbers are milliseconds since 1970; quoted literals are minutes in the caller's time zone;
"-30m" and the like are relative; now() and startOfDay() are known.
Source: Atlassian support, "JQL fields", "JQL functions"; §3 and §4 of the fact sheet.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

import attrs

from syncer.sandbox.jira.errors import JiraError
from syncer.sandbox.jira.model import EPOCH, Issue, to_datetime, to_ms
from syncer.sandbox.jira.records import JiraRecords

Predicate = Callable[[Issue], bool]

MAX_ORDER = 7
_TOKEN = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(>=|<=|!=|[=<>(),])|([^\s=<>!(),"']+))""")
_RELATIVE = re.compile(r"([+-]?\d+)([mhdw])")
_LITERAL = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?: (\d{1,2}):(\d{2}))?")
_UNITS = {"m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<": operator.lt,
    "<=": operator.le,
}
_FIELDS = {
    "updated": "updated",
    "updateddate": "updated",
    "created": "created",
    "createddate": "created",
    "project": "project",
    "id": "id",
    "issue": "id",
    "issuekey": "id",
    "key": "id",
    "issuetype": "type",
    "type": "type",
}
_ORDERS: dict[str, Callable[[Issue], Any]] = {
    "updated": lambda issue: issue.updated,
    "updateddate": lambda issue: issue.updated,
    "created": lambda issue: issue.created,
    "createddate": lambda issue: issue.created,
    "key": lambda issue: issue.sort_key,
    "issuekey": lambda issue: issue.sort_key,
    "id": lambda issue: issue.id,
    "project": lambda issue: issue.sort_key[0],
    "issuetype": lambda issue: issue.type,
    "priority": lambda issue: issue.priority,
    "status": lambda issue: issue.status,
}


@attrs.frozen(kw_only=True)
class Query:
    """A parsed query. `matches` None: no restriction."""

    matches: Predicate | None
    order: tuple[tuple[str, bool], ...]  # field, whether it descends
    is_relative: bool  # it means something else a moment later

    def sort(self, issues: list[Issue]) -> list[Issue]:
        """Put *issues* in order; those that are equal in an arbitrary order that stays the same."""
        issues.sort(key=lambda issue: issue.tie)
        for name, descends in reversed(self.order):
            issues.sort(key=_ORDERS[name], reverse=descends)
        return issues


@attrs.frozen(kw_only=True)
class _Token:
    text: str
    kind: str  # "text" (quoted), "sign", "word", "end"

    def is_word(self, *words: str) -> bool:
        return self.kind == "word" and self.text.lower() in words

    def is_sign(self, *signs: str) -> bool:
        return self.kind == "sign" and self.text in signs


def parse(jql: str, records: JiraRecords, *, now_ms: int, zone: tzinfo) -> Query:
    """Read *jql* for a caller in *zone*; JiraError 400 where it is wrong, or names what they cannot see."""
    return _Parser(_tokens(jql), records, now_ms, zone).query()


def _tokens(jql: str) -> list[_Token]:
    tokens, at = [], 0
    jql = jql.rstrip()
    while at < len(jql):
        match = _TOKEN.match(jql, at)
        if match is None:
            raise _error(f"'{jql[at : at + 10]}' cannot be read")
        double, single, sign, word = match.groups()
        if word is not None:
            tokens.append(_Token(text=word, kind="word"))
        elif sign is not None:
            tokens.append(_Token(text=sign, kind="sign"))
        else:
            quoted = double if double is not None else single
            tokens.append(_Token(text=re.sub(r"\\(.)", r"\1", quoted), kind="text"))
        at = match.end()
    return [*tokens, _Token(text="", kind="end")]


def _error(message: str) -> JiraError:
    return JiraError(400, f"Error in the JQL Query: {message}.")


class _Parser:
    """Recursive descent over the tokens."""

    def __init__(self, tokens: Sequence[_Token], records: JiraRecords, now_ms: int, zone: tzinfo) -> None:
        self.tokens = tokens
        self.at = 0
        self.records = records
        self.now_ms = now_ms
        self.zone = zone
        self.is_relative = False

    def query(self) -> Query:
        matches = None
        if not self.peek.is_word("order") and self.peek.kind != "end":
            matches = self.either()
        order = self.order() if self.accept_word("order") else ()
        if self.peek.kind != "end":
            raise _error(f"'{self.peek.text}' was not expected")
        return Query(matches=matches, order=order, is_relative=self.is_relative)

    @property
    def peek(self) -> _Token:
        return self.tokens[self.at]

    def take(self) -> _Token:
        token = self.tokens[self.at]
        if token.kind == "end":
            raise _error("it ends too early")
        self.at += 1
        return token

    def accept_word(self, *words: str) -> bool:
        if not self.peek.is_word(*words):
            return False
        self.at += 1
        return True

    def accept_sign(self, *signs: str) -> bool:
        if not self.peek.is_sign(*signs):
            return False
        self.at += 1
        return True

    def expect_sign(self, sign: str) -> None:
        if not self.accept_sign(sign):
            raise _error(f"expected '{sign}' but got '{self.peek.text}'")

    def either(self) -> Predicate:
        parts = [self.both()]
        while self.accept_word("or"):
            parts.append(self.both())
        return parts[0] if len(parts) == 1 else lambda issue: any(part(issue) for part in parts)

    def both(self) -> Predicate:
        parts = [self.clause()]
        while self.accept_word("and"):
            parts.append(self.clause())
        return parts[0] if len(parts) == 1 else lambda issue: all(part(issue) for part in parts)

    def clause(self) -> Predicate:
        if self.accept_word("not"):
            inner = self.clause()
            return lambda issue: not inner(issue)
        if self.accept_sign("("):
            inner = self.either()
            self.expect_sign(")")
            return inner
        name = self.take()
        field = _FIELDS.get(name.text.lower())
        if field is None:
            raise _error(f"the sandbox does not know the field '{name.text}'")
        return self.date_clause(field) if field in ("updated", "created") else self.value_clause(field)

    def date_clause(self, field: str) -> Predicate:
        sign = self.take()
        compare = _COMPARE.get(sign.text) if sign.kind == "sign" else None
        if compare is None:
            raise _error(f"the operator '{sign.text}' is not supported for '{field}' here")
        bound, value = self.moment(), operator.attrgetter(field)
        return lambda issue: compare(value(issue), bound)

    def value_clause(self, field: str) -> Predicate:
        is_negated = self.accept_word("not")
        if self.accept_word("in"):
            self.expect_sign("(")
            wanted = {self.value(field)}
            while self.accept_sign(","):
                wanted.add(self.value(field))
            self.expect_sign(")")
        elif not is_negated and self.peek.is_sign("=", "!="):
            is_negated = self.take().text == "!="
            wanted = {self.value(field)}
        else:
            raise _error(f"the operator '{self.peek.text}' is not supported for '{field}' here")
        value = operator.attrgetter(field)
        if is_negated:
            return lambda issue: value(issue) not in wanted
        return lambda issue: value(issue) in wanted

    def value(self, field: str) -> int:
        """Return the id of what is named; what is not there, or hidden, is an error."""
        token = self.take()
        found = {"project": self._project, "id": self._issue, "type": self._type}[field](token.text)
        if token.kind == "sign" or found is None:
            raise _error(f"The value '{token.text}' does not exist for the field '{field}'")
        return found

    def _project(self, text: str) -> int | None:
        for project in self.records.projects.values():
            if project.is_hidden or project.state != "live":
                continue
            names = (project.key, *project.old_keys, str(project.id), project.name.upper())
            if text.upper() in names:
                return project.id
        return None

    def _issue(self, text: str) -> int | None:
        try:
            issue = self.records.issue(text)
        except KeyError:
            return None
        return issue.id if self.records.is_visible(issue) else None

    def _type(self, text: str) -> int | None:
        types = self.records.catalogue.types.values()
        return next((kind.id for kind in types if text.lower() in (str(kind.id), kind.name.lower())), None)

    def moment(self) -> int:
        """Return a date's milliseconds."""
        token = self.take()
        if token.kind == "word" and token.text.lower() in ("now", "startofday") and self.accept_sign("("):
            self.expect_sign(")")
            self.is_relative = True
            return self.now_ms if token.text.lower() == "now" else self.start_of_day()
        if relative := _RELATIVE.fullmatch(token.text):
            self.is_relative = True
            return self.now_ms + int(relative[1]) * _UNITS[relative[2]]
        if token.kind == "word" and re.fullmatch(r"-?\d+", token.text):
            return int(token.text)
        if literal := _LITERAL.fullmatch(token.text):
            return self.literal([int(part or 0) for part in literal.groups()])
        raise _error(f"Date value '{token.text}' is invalid. Valid formats include: 'yyyy/MM/dd HH:mm'")

    def literal(self, parts: list[int]) -> int:
        """Return a literal's milliseconds: it is in the caller's zone, to the minute."""
        try:
            local = datetime(parts[0], parts[1], parts[2], parts[3], parts[4], tzinfo=self.zone)
        except ValueError as error:
            raise _error(f"Date value is invalid: {error}") from error
        return int((local - EPOCH) / timedelta(milliseconds=1))

    def start_of_day(self) -> int:
        local = to_datetime(self.now_ms).astimezone(self.zone)
        return to_ms(local.replace(hour=0, minute=0, second=0, microsecond=0))

    def order(self) -> tuple[tuple[str, bool], ...]:
        if not self.accept_word("by"):
            raise _error("expected 'BY' after 'ORDER'")
        order = [self.order_field()]
        while self.accept_sign(","):
            order.append(self.order_field())
        if len(order) > MAX_ORDER:
            raise _error(f"ORDER BY takes at most {MAX_ORDER} fields")
        return tuple(order)

    def order_field(self) -> tuple[str, bool]:
        name = self.take().text.lower()
        if name not in _ORDERS:
            raise _error(f"the sandbox cannot sort by '{name}'")
        descends = self.accept_word("desc")
        if not descends:
            self.accept_word("asc")
        return name, descends
