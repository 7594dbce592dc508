"""
The sandbox's Friday Pulse site: who may call, which route answers, and the truth behind it.

    site = FridayPulseSite.generate(seed=1, dates=8, groups=12, clock=clock)
    # Authorization: Bearer friday-pulse-token, GET {url}/api/v1/...

Every list is a bare JSON array, without pages. Without `date` a route answers for the latest flow date only. Where
there is nothing for a date (and group) it answers 500, as the real one is said to do: `empty_status` changes that.
Not here: the records (`records`), random edits (`edits`). What is chosen where the documentation is silent:
docs/friday_pulse.md.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from syncer.sandbox.clock import Clock
from syncer.sandbox.friday_pulse.edits import Editor
from syncer.sandbox.friday_pulse.records import COMPANY, PulseRecords
from syncer.sandbox.messages import Request, Response, json_response

TOKEN = "friday-pulse-token"

_BASE = "/api/v1"
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_OF_A_GROUP = re.compile(r"/groups/([^/]+)/(results|notes|risk)")
_OF_A_TYPE = re.compile(r"/group-types/([^/]+)/groups")

Rows = list[dict[str, Any]]


class FridayPulseSite(PulseRecords):
    """
    A Friday Pulse account. Settings, all of which may change while it runs:

    `tokens` (those that are let in), `empty_status` (500, 404 or 200: what an empty slice is answered with),
    `min_responders` (fewer, and a group's scores are not shown), `answers` (an answer of one's own by path and query).
    """

    name = "friday_pulse"

    def __init__(self, *, clock: Clock | None = None, seed: int = 1, empty_status: int = 500) -> None:
        """Make an empty account."""
        super().__init__(clock=clock or Clock(), seed=seed)
        self.tokens = {TOKEN}
        self.empty_status = empty_status
        self.answers: dict[str, Response] = {}

    @classmethod
    def generate(
        cls,
        *,
        seed: int = 1,
        dates: int = 8,
        groups: int = 12,
        clock: Clock | None = None,
        empty_status: int = 500,
    ) -> FridayPulseSite:
        """
        Make an account with *dates* weekly flow dates, the last one before the clock's day, and *groups* groups: the
        same for the same arguments and time of the clock. Records are made when they are first asked for.
        """
        site = cls(clock=clock, seed=seed, empty_status=empty_status)
        site.populate(dates=dates, groups=groups)
        return site

    def revoke_token(self) -> None:
        """Let nobody in any more."""
        self.tokens.clear()

    def edit(self, count: int, seed: int) -> list[str]:
        """
        Make *count* random edits; return a short description of each.

        They touch flow dates of the last three weeks only, as late answers do, and let no group vanish: what the
        warehouse has of it then is history that the API no more tells (`vanish_group`).
        """
        return Editor(self, seed, may_empty=self.empty_status == 200).make(count)

    def truth(self, stream: str) -> dict[tuple[Any, ...], Any]:
        """
        Return what the token may see now, by key, as the API shows it, with what its place in the API tells besides:
        `flow_date`, `group_id`, `question_count`, `topic_code`, `risk_key`, `group_type_code`, `group_type_codes`, and
        (but for notes) the record itself as `raw`.
        """
        truths: dict[str, Callable[[], dict[tuple[Any, ...], Any]]] = {
            "topics": lambda: {(row["code"],): {**row, "raw": row} for row in self.topics.values()},
            "group_types": lambda: {(row["code"],): {**row, "raw": row} for row in self.types.values()},
            "groups": self._true_groups,
            "result_dates": lambda: {
                (row["date"],): {**row, "flow_date": row["date"], "raw": row} for row in self.date_rows()
            },
            "company_results": lambda: self._true_results([COMPANY]),
            "group_results": lambda: self._true_results(list(self.groups)),
            "notes": lambda: self._true_notes([COMPANY]),
            "group_notes": lambda: self._true_notes(list(self.groups)),
            "risks": lambda: self._true_risks([COMPANY]),
            "group_risks": lambda: self._true_risks(list(self.groups)),
        }
        if stream not in truths:
            raise KeyError(f"known: {', '.join(sorted(truths))}")
        return truths[stream]()

    def answer(self, request: Request) -> Response:
        """Answer *request*: who is calling first, then the route."""
        if not request.path.startswith(f"{_BASE}/"):
            return _page(404, "Not Found")
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or token not in self.tokens:
            return _page(401, "Unauthorized")
        if request.method != "GET":
            return json_response({"message": "Method Not Allowed"}, status=405)
        path = request.path.removeprefix(_BASE)
        if request.sent.removeprefix(_BASE) in self.answers:
            return self.answers[request.sent.removeprefix(_BASE)]
        listed = self._listed(path)
        if listed is not None:
            return json_response(listed)
        return self._dated(path, request.first("date"))

    def _listed(self, path: str) -> Rows | None:
        """Return the list of a route without a date; None where *path* is none, or names a type that is not there."""
        if path == "/topics":
            return list(self.topics.values())
        if path == "/group-types":
            return list(self.types.values())
        if path == "/info/results-dates":
            return self.date_rows()
        found = _OF_A_TYPE.fullmatch(path)
        if found is None or found[1] not in self.types:
            return None
        return [group.row for group in self.groups.values() if found[1] in group.types]

    def _dated(self, path: str, date: str | None) -> Response:
        kind, number = path.removeprefix("/"), COMPANY
        found = _OF_A_GROUP.fullmatch(path)
        if found is not None:
            kind = found[2]
            number = int(found[1]) if found[1].isdigit() else -1
            if number not in self.groups:
                return json_response({"error": "Group not found"}, status=404)
        if kind not in ("results", "notes", "risk"):
            return json_response({"error": "Not found"}, status=404)
        if date is not None and not _DATE.fullmatch(date):
            return json_response({"error": "date must be YYYY-MM-DD"}, status=400)
        if date is None and self.dates:
            date = max(self.dates)  # the latest only
        if date is None or date not in self.dates:
            return json_response({"error": "No such flow date"}, status=404)
        rows = self.slice_of(kind, date, number)
        if rows or self.empty_status == 200:
            return json_response(rows)
        return _page(self.empty_status, "Internal Server Error")

    def slice_of(self, kind: str, date: str, group: int) -> Rows:
        """Return the rows of one slice as they are now."""
        if kind == "results":
            return self.results(date, group)
        return self.notes_of(date, group) if kind == "notes" else self.risks(date, group)

    def _true_groups(self) -> dict[tuple[Any, ...], Any]:
        return {
            (number,): {
                **group.row,
                "group_type_code": group.types[0],
                "group_type_codes": list(group.types),
                "raw": group.row,
            }
            for number, group in self.groups.items()
        }

    def _true_results(self, groups: list[int]) -> dict[tuple[Any, ...], Any]:
        found: dict[tuple[Any, ...], Any] = {}
        for date, count in self.dates.items():
            for group in groups:
                for row in self.results(date, group):
                    code = row["topic"]["code"] if row["topic"] else "overall"
                    told = {**row, "flow_date": date, "question_count": count, "topic_code": code, "raw": row}
                    key = (date, code) if group == COMPANY else (date, group, code)
                    found[key] = told if group == COMPANY else {**told, "group_id": group}
        return found

    def _true_notes(self, groups: list[int]) -> dict[tuple[Any, ...], Any]:
        found: dict[tuple[Any, ...], Any] = {}
        for date in self.dates:
            for group in groups:
                for row in self.notes_of(date, group):
                    if group == COMPANY:
                        found[row["id"],] = row
                    else:
                        found[group, row["id"]] = {**row, "group_id": group}
        return found

    def _true_risks(self, groups: list[int]) -> dict[tuple[Any, ...], Any]:
        found: dict[tuple[Any, ...], Any] = {}
        for date in self.dates:
            for group in groups:
                for row in self.risks(date, group):
                    code = row["topic"]["code"]
                    told = {**row, "flow_date": date, "risk_key": code, "raw": row}
                    key = (date, code) if group == COMPANY else (date, group, code)
                    found[key] = told if group == COMPANY else {**told, "group_id": group}
        return found


def _page(status: int, text: str) -> Response:
    """Return an error as a web server writes it, not as JSON."""
    body = f"<!DOCTYPE html><html><head><title>{text}</title></head><body><h1>{text}</h1></body></html>"
    return Response(status=status, headers={"Content-Type": "text/html;charset=UTF-8"}, body=body.encode())
