"""
The records of the sandbox's Friday Pulse account, made from a seed when they are first asked for, and their edits.

A slice is what one answer holds: a kind of record of one flow date, of one group or of the company. 150 dates of 60
groups are 27,000 of them, so none is made before somebody wants it. Not here: routes (the package), which edit is made
at random (`edits`).
"""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import attrs

from syncer.sandbox.clock import Clock

COMPANY = 0  # stands for the whole company where a group's id would
WEEK = dt.timedelta(days=7)

TOPICS = ("tinker", "belong", "grow", "balance", "purpose", "fair", "safe", "learn", "lead", "voice")
TYPES = ("team", "location", "tenure")
ACTIONS = ("celebrate_success", "thank_colleague", "share_frustration", "suggest_idea")
PEOPLE = ("Ada Lovelace", "Žofie Nováková", "李 雷", "Bas, van der Berg", "Noor {x}", "Iñaki O'Neill", "Émile Zola")
TEXTS = (
    "The move went well, thanks to all.",
    "Meetings, meetings, meetings…",
    "Could we have\ntwo screens each?",
    "Great week! 🎉",
    'She said "no", and that was right.',
)

Row = dict[str, Any]


@attrs.define
class Group:
    """A group as its type lists it, the types that list it, and how many people it has."""

    row: Row
    types: tuple[str, ...]
    members: int


@attrs.define
class Note:
    """A note as the API shows it, and the groups whose notes it is among."""

    row: Row
    groups: tuple[int, ...]


class PulseRecords:
    """Topics, types, groups, flow dates and what hangs on them. The methods are what tests edit with."""

    def __init__(self, *, clock: Clock, seed: int) -> None:
        """Make none."""
        self.clock = clock
        self.seed = seed
        self.min_responders = 3
        self.topics: dict[str, Row] = {}
        self.types: dict[str, Row] = {}
        self.groups: dict[int, Group] = {}
        self.dates: dict[str, int] = {}  # question counts by flow date, oldest first
        self._results: dict[tuple[str, int], list[Row]] = {}
        self._risks: dict[tuple[str, int], list[Row]] = {}
        self._notes: dict[str, dict[int, Note]] = {}
        self._next_note = 1
        self._next_group = 11

    def populate(self, *, dates: int, groups: int) -> None:
        """Fill an empty account."""
        for number, code in enumerate(TOPICS):
            self.topics[code] = {"code": code, "name": code.title(), "position": number}
        for code in TYPES:
            self.types[code] = {"code": code, "name": code.title()}
        last = self.clock.now().date() - dt.timedelta(days=1)
        for week in range(dates - 1, -1, -1):
            self.dates[(last - week * WEEK).isoformat()] = 10
        for _ in range(groups):
            self.add_group()

    # What is there

    def date_rows(self) -> list[Row]:
        """Return the flow dates as the API lists them, newest first."""
        return [{"date": date, "question_count": count} for date, count in sorted(self.dates.items(), reverse=True)]

    def results(self, date: str, group: int) -> list[Row]:
        """Return the result rows of a slice; scores of too few responders are not shown."""
        if (date, group) not in self._results:
            self._results[date, group] = self._made_results(date, group)
        rows = self._results[date, group]
        if not rows or group == COMPANY or rows[0]["response_count"] >= self.min_responders:
            return [_public(row) for row in rows]
        if group % 2:
            return []  # some small groups are not answered at all, others without a score
        return [{**_public(row), "score": None} for row in rows]

    def notes_of(self, date: str, group: int) -> list[Row]:
        """Return the notes of a slice."""
        notes = self._notes_on(date).values()
        return [note.row for note in notes if group == COMPANY or group in note.groups]

    def risks(self, date: str, group: int) -> list[Row]:
        """Return the risks of a slice."""
        if (date, group) not in self._risks:
            rng = self._random("risks", date, group)
            codes = rng.sample(sorted(self.topics), 1 + rng.randrange(3))
            self._risks[date, group] = [self._made_risk(rng, code) for code in codes]
        return self._risks[date, group]

    # Edits

    def add_date(self) -> str:
        """Let a week pass: a new flow date with answers."""
        newest = dt.date.fromisoformat(max(self.dates)) + WEEK
        self.dates[newest.isoformat()] = 9 + len(self.dates) % 3
        return newest.isoformat()

    def add_topic(self, code: str, name: str) -> None:
        """Ask a new question; it stands in no result yet."""
        self.topics[code] = {"code": code, "name": name, "position": len(self.topics)}

    def add_group(self, *, members: int | None = None, types: tuple[str, ...] | None = None) -> int:
        """Make a group; it has results of all flow dates at once."""
        number = self._next_group
        self._next_group += 1
        rng = self._random("group", "", number)
        kind = types or ((TYPES[number % 3], TYPES[(number + 1) % 3]) if number % 9 == 0 else (TYPES[number % 3],))
        row = {"id": number, "name": f"{rng.choice(('North', 'Support', 'R, D & Co', 'Größe'))} {number}"}
        count = members if members is not None else (4 if number % 12 in (5, 8) else rng.randrange(12, 60))
        self.groups[number] = Group({**row, "member_count": count}, kind, count)
        for notes in self._notes.values():  # its people wrote some of the notes that there are
            for note in list(notes.values())[:1]:
                note.groups = (*note.groups, number)
        return number

    def rename_group(self, number: int, name: str) -> None:
        """Give a group another name."""
        self.groups[number].row = {**self.groups[number].row, "name": name}

    def vanish_group(self, number: int) -> Group:
        """Take a group away: it is not listed, and its routes answer 404."""
        return self.groups.pop(number)

    def answer_late(self, date: str, group: int, *, answers: int = 1) -> None:
        """Let people of a group answer after the flow date: its rows change, and the company's with them."""
        for number in (group, COMPANY):
            self.results(date, number)
            rng = self._random(f"late {self._counts(date, number)}", date, number)
            for row in self._results[date, number]:
                row["response_count"] += answers
                row["total_count"] = max(row["total_count"], row["response_count"])
                row["response_rate"] = round(100 * row["response_count"] / row["total_count"])
                row["score"] = min(100, max(0, row["score"] + rng.choice((-3, -2, -1, 1, 2, 3))))

    def drop_topic(self, date: str, group: int, code: str) -> bool:
        """Take a topic out of a slice; tell whether it was there."""
        self.results(date, group)
        kept = [row for row in self._results[date, group] if row["topic"] is None or row["topic"]["code"] != code]
        was_there = len(kept) < len(self._results[date, group])
        self._results[date, group] = kept
        return was_there

    def clear_slice(self, kind: str, date: str, group: int) -> None:
        """Leave a slice without any row: results, risk, or notes."""
        if kind == "notes":
            self._notes[date] = {
                number: note for number, note in self._notes_on(date).items() if group not in (COMPANY, *note.groups)
            }
        else:
            (self._results if kind == "results" else self._risks)[date, group] = []

    def add_note(self, date: str, groups: tuple[int, ...], *, text: str | None = None) -> int:
        """Write a note."""
        notes = self._notes_on(date)
        note = self._made_note(self._random("note", date, self._next_note), date, groups)
        if text is not None:
            note.row["text"] = text
        notes[note.row["id"]] = note
        return int(note.row["id"])

    def change_note(self, date: str, number: int, text: str) -> None:
        """Write a note anew."""
        note = self._notes_on(date)[number]
        note.row = {**note.row, "text": text}

    def remove_note(self, date: str, number: int) -> None:
        """Take a note away."""
        del self._notes_on(date)[number]

    def change_risk(self, date: str, group: int) -> None:
        """Let the first risk of a slice rise or fall."""
        rows = self.risks(date, group)
        if rows:
            rows[0] = {**rows[0], "share": (rows[0]["share"] + 7) % 100}

    def notes_on(self, date: str) -> dict[int, Note]:
        """Return the notes of a flow date by id."""
        return self._notes_on(date)

    # How it is made

    def _random(self, what: str, date: str, number: int) -> random.Random:
        return random.Random(f"{self.seed} {what} {date} {number}")

    def _counts(self, date: str, group: int) -> int:
        rows = self._results[date, group]
        return int(rows[0]["response_count"]) if rows else 0

    def _made_results(self, date: str, group: int) -> list[Row]:
        rng = self._random("results", date, group)
        members = self.groups[group].members if group else sum(each.members for each in self.groups.values())
        count = rng.randrange(1, 5) if 0 < members < 5 else rng.randrange(members // 2, members + 1)
        rows: list[Row] = []
        for code in (*self.topics, None):
            topic = {"code": code, "name": self.topics[code]["name"]} if code is not None else None
            rows.append(
                {
                    "sample_date": date,
                    "score": rng.randrange(40, 100) if rng.random() < 0.9 else round(rng.uniform(40, 100), 1),
                    "response_rate": round(100 * count / members),
                    "response_count": count,
                    "total_count": members,
                    "topic": topic,
                }
            )
        return rows

    def _notes_on(self, date: str) -> dict[int, Note]:
        if date not in self._notes:
            self._notes[date] = {}
            rng = self._random("notes", date, 0)
            for group in list(self.groups):
                for _ in range(rng.choice((1, 1, 1, 2))):
                    others = [each for each in self.groups if each != group]
                    also = (rng.choice(others),) if others and rng.random() < 0.3 else ()
                    note = self._made_note(rng, date, (group, *also))
                    self._notes[date][note.row["id"]] = note
        return self._notes[date]

    def _made_note(self, rng: random.Random, date: str, groups: tuple[int, ...]) -> Note:
        number = self._next_note
        self._next_note += 1
        action = rng.choice(ACTIONS)
        row: Row = {"id": number, "text": f"{rng.choice(TEXTS)} ({number})", "action": action}
        anonymous = rng.random()
        if anonymous < 0.8:
            row["author"] = _person(rng)
        elif anonymous < 0.9:
            row["author"] = None  # else the key is not there at all
        row |= {"flow_date": date, "created_at": f"{date}T{rng.randrange(7, 19):02}:30:00Z"}
        if action == "thank_colleague":
            row["recipients"] = [_person(rng) for _ in range(1 + rng.randrange(2))]
            if rng.random() < 0.3:
                row["external_recipients"] = ["guest@partner.example"]
        return Note(row, groups)

    def _made_risk(self, rng: random.Random, code: str) -> Row:
        topic = {"code": code, "name": self.topics[code]["name"]}
        return {"topic": topic, "level": rng.choice(("low", "medium", "high")), "share": rng.randrange(100)}


def _person(rng: random.Random) -> Row:
    name = rng.choice(PEOPLE)
    return {"name": name, "email": f"person{PEOPLE.index(name)}@example.com"}


def _public(row: Row) -> Row:
    return dict(row)
