"""
A second planner, naive on purpose: docs/decision-table.md row by row, one key after another, with normal forms of its
own. It shares no code with the product; what the two plan for one case must be equal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import attrs

# Letters by first appearance, of agreed, ours and theirs, which differ; n: never, -: blank.
CELLS = """
        skip      ours     theirs  fill   once
  n-A   blanks    blanks   blanks  leave  leave
  nA-   write     write    write   write  write
  nAB   adopt     adopt    adopt   leave  adopt
  --A   leave     leave    leave   leave  leave
  -A-   write     write    write   write  write
  -AB   conflict  write!   leave!  leave  leave
  A-A   write     write    write   leave  leave
  A-B   conflict  blanks!  leave!  leave  leave
  AA-   leave     leave    leave   leave  leave
  AAB   leave     leave    leave   leave  leave
  AB-   conflict  write!   leave!  leave  leave
  ABA   write     write    write   leave  leave
  ABC   conflict  write!   leave!  leave  leave
"""
_NAMES, *_LINES = [line.split() for line in CELLS.strip().splitlines()]
TABLE = {pattern: dict(zip(_NAMES, cells, strict=True)) for pattern, *cells in _LINES}
NEVER, UNFIT = "never", object()


@attrs.frozen(kw_only=True)
class Case:
    """One relation, snapshot and portal, and the mapping's words, as `syncer.toml` has them."""

    words: Mapping[str, Any]
    fields: Mapping[str, str]  # types, the key's among them
    rows: Sequence[Mapping[str, Any]]
    snapshot: Mapping[str, tuple[str, Mapping[str, str | None] | None, str]]  # id, agreed, state; by key
    portal: Mapping[str, tuple[bool, Mapping[str, str | None]]]  # whether archived, properties; by id
    merged: Mapping[str, str]  # the id that survives, by the one that does not
    newer: Mapping[tuple[str, str], bool | None]  # whether ours is, by key and field


def same(type: str, text: Any) -> Any:
    """Return what stands for all texts of one value; None is blank."""
    if text in (None, ""):
        return None
    if type == "number":
        return UNFIT if "," in text else Fraction(text.strip())
    if type == "date":
        return str(text) if "-" in str(text) else f"2026-03-0{1 + (int(text) - 1_772_323_200_000) // 86_400_000}"
    if type == "several":
        parts = frozenset(part.strip() for part in text.split(";") if part.strip())
        return UNFIT if parts - {"a", "b", "c"} else parts or None
    return str(text)


def plan(case: Case) -> dict[str, dict[str, Any]]:
    """Return, by key, `outcome`, `changes` and `problems`; all rows without a key are one, under an empty key."""
    keys = {row["client_id"] or "" for row in case.rows} | set(case.snapshot)
    return {key: _row(case, key, [row for row in case.rows if (row["client_id"] or "") == key]) for key in keys}


def _row(case: Case, key: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    words = case.words
    known, agreed, state = case.snapshot.get(key, (None, None, None))
    if not key:
        return _came_to("rejected", problems={("rejected", "client_id")})
    if rows:
        bad = {("rejected", name) for name, type in case.fields.items() if same(type, rows[0][name]) is UNFIT}
        bad |= {("rejected", "client_id")} if len(rows) > 1 else set()
        if bad:
            return _came_to("rejected", problems=bad)
    given = rows[0].get("hs_object_id") if rows else None
    id = given or known
    if id is None:
        live = [each for each, (gone, has) in case.portal.items() if not gone and has.get("client_id") == key]
        id = live[0] if live else None
    id = case.merged.get(id or "", id)
    gone, has = case.portal.get(id or "", (None, {}))
    if given and gone is None and given != known:
        return _came_to("rejected", problems={("rejected", "")})
    other = _other(case, key, id) if rows and (given or known) and state != "declined" else None
    if other and (gone is False or (gone and given)):
        return _came_to("rejected", problems={("rejected", "client_id")})
    if given and known and case.merged.get(known, known) not in {id} & set(case.portal):
        agreed = {}  # it was agreed on with another record
    if state == "declined":
        return _came_to("skipped")
    if not rows:
        return _missing(case, key, id, gone, has, agreed or {})
    if gone is False:
        return _fields(case, key, id, rows[0], has, agreed or {})
    if (given or known) and (words["on_archived"] == "report" or (given and known not in (None, given))):
        return _came_to("conflict", problems={("conflict", "", None, None, None, "")})
    if other:
        return _fields(case, key, other, rows[0], case.portal[other][1], {})
    if not words["creates"]:
        return _came_to("skipped")
    has = {name: same(type, rows[0][name]) for name, type in case.fields.items()}
    if has["name"] is None:
        return _came_to("rejected", problems={("rejected", "name or domain")})
    return _came_to("", [("create", None, {name: (None, v) for name, v in has.items() if v is not None})])


def _other(case: Case, key: str, id: str | None) -> str | None:
    """Find the live record, not the one with this id, that a key leads to."""
    if (case.portal.get(id or "") or (True, {}))[1].get("client_id") == key and not case.portal[id or ""][0]:
        return None
    live = [each for each, (gone, has) in case.portal.items() if not gone and has.get("client_id") == key]
    return next((each for each in live if each != id), None)


def _missing(case: Case, key: str, id: Any, gone: Any, has: Any, agreed: Any) -> dict[str, Any]:
    if case.words["on_missing"] == "leave" or gone is not False:
        return _came_to("unchanged")
    if case.words["on_missing"] == "archive":
        return _came_to("", [("archive", id, {})])
    return _fields(case, key, id, dict.fromkeys(n for n, v in agreed.items() if v and n != "client_id"), has, agreed)


def _fields(case: Case, key: str, id: Any, row: Any, has: Any, agreed: Any) -> dict[str, Any]:
    edits, problems = {}, set()
    for name in [each for each in row if each in case.fields]:
        type = case.fields[name]
        before = same(type, agreed[name]) if name in agreed else NEVER
        ours, theirs = same(type, row[name]), same(type, has.get(name))
        word = case.words["policies"].get(name, case.words["policy"])
        newer = case.newer.get((key, name)) if row.get("client_id") else None
        column = {True: "ours", False: "theirs", None: "skip"}[newer] if word == "newest" else word
        if ours == theirs:
            continue
        cell = TABLE[pattern(before, ours, theirs)][column]
        setting = f'policy = "{word}"'
        if cell == "adopt":
            setting = f'adopt = "{case.words["adopt"]}"'
            cell = {"skip": "conflict", "ours": "write!", "theirs": "leave!"}[case.words["adopt"]]
        if cell.startswith("blanks"):
            is_clear = case.words["blanks_by_field"].get(name, case.words["blanks"]) == "clear"
            cell = cell.replace("blanks", "write") if is_clear else "leave"
        if cell.startswith("write"):
            edits[name] = (has.get(name) or None, ours)
        if cell == "conflict" or cell.endswith("!"):
            problems.add(
                (cell if cell == "conflict" else "settled", name, before, ours, has.get(name) or None, setting)
            )
    outcome = "conflict" if "conflict" in {kind for kind, *_ in problems} else "" if edits else "unchanged"
    return _came_to(outcome, [("update", id, edits)] if edits else [], problems)


def pattern(*three: Any) -> str:
    """Write agreed, ours and theirs in letters."""
    letters: dict[Any, str] = {NEVER: "n", None: "-"}
    for each in three:
        letters.setdefault(each, "ABC"[len(letters) - 2])
    return "".join(letters[each] for each in three)


def _came_to(outcome: str, changes: Any = (), problems: Any = frozenset()) -> dict[str, Any]:
    return {"outcome": outcome, "changes": list(changes), "problems": set(problems)}
