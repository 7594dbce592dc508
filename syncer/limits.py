"""
Limits: how large a plan may be before a person has to look at it. On by default; each word may be switched "off".

Shares are of the rows whose record was found when the plan was made, and hold from ten of them on, for pushes only;
numbers hold from the first run on. Not here: forcing (`pushing.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

FROM_ROWS = 10  # below, a share says nothing
OFF = "off"
MISSING = "max_missing_share"
DEFAULTS: Mapping[str, float | str] = {
    "max_update_share": 0.3,
    "max_create_share": 0.3,
    MISSING: 0.3,
    "max_updates": OFF,
    "max_creates": 1_000,
    "max_disassociations": 1_000,
    "max_archives": 0,
    "max_merges": 0,
}


@attrs.frozen(kw_only=True)
class Size:
    """How large a plan is: rows by what happens to them, edges, and what shares are of."""

    updates: int = 0
    creates: int = 0
    archives: int = 0
    merges: int = 0
    disassociations: int = 0
    missing: int = 0
    found: int = 0
    known: int = 0


def trips(size: Size, limits: Mapping[str, float | str], *, has_shares: bool = True) -> list[str]:
    """
    Return which limits a plan exceeds, with the numbers; empty where it may be applied.

    limits: by name; what is not there has its default.
    """
    words = {**DEFAULTS, **limits}
    found = [
        _of_share("max_update_share", size.updates, size.found, words, "updates", "rows whose record was found"),
        _of_share("max_create_share", size.creates, size.found, words, "creates", "rows whose record was found"),
        _of_share(MISSING, size.missing, size.known, words, "rows gone", "rows of the last run"),
    ]
    if not has_shares:
        found = []
    numbers = {
        "max_updates": (size.updates, "update", "updates"),
        "max_creates": (size.creates, "create", "creates"),
        "max_archives": (size.archives, "archive", "archives"),
        "max_merges": (size.merges, "merge", "merges"),
        "max_disassociations": (size.disassociations, "association to remove", "associations to remove"),
    }
    for name, (count, one, many) in numbers.items():
        most = words[name]
        if most != OFF and count > float(most):
            what = one if count == 1 else many
            found.append(f"{name}: {count:,} {what}, and at most {float(most):,g} are let through")
    return [each for each in found if each]


def kept(made: Sequence[str], trips: Sequence[str], limits: Mapping[str, float | str]) -> list[str]:
    """
    Return what of the limits that a plan exceeded when it was made still refuses it, beside the *trips* of now: the
    share of rows that are gone, unless it is off by now. What it was judged by, such as an empty relation, was seen
    only then.
    """
    if {**DEFAULTS, **limits}[MISSING] == OFF:
        return []
    return [each for each in made if each.partition(":")[0] == MISSING and each not in trips]


def _of_share(name: str, count: int, of: int, words: Mapping[str, float | str], what: str, of_what: str) -> str:
    most = words[name]
    if most == OFF or of < FROM_ROWS or count <= float(most) * of:
        return ""
    return (
        f"{name}: {count:,} {what} are {count / of:.0%} of {of:,} {of_what}, and at most {float(most):.0%} are let "
        "through"
    )
