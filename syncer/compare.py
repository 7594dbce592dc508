"""
The three-way decision about one field: what both sides agreed on, what ours is, what theirs is. Pure; no I/O.

Values are in normal form, so that equal means equal: None is blank, and `NEVER` an agreed value that never was. The
table of docs/decision-table.md is this module in words, and its cells are what the test reads.
"""

from __future__ import annotations

import enum
from typing import Final

import attrs

SKIP, OURS, THEIRS, NEWEST, FILL, ONCE = "skip", "ours", "theirs", "newest", "fill", "once"
POLICIES = (SKIP, OURS, THEIRS, NEWEST)
FIELD_POLICIES = (*POLICIES, FILL, ONCE)
ADOPTS = (SKIP, OURS, THEIRS)
LEAVE, CLEAR = "leave", "clear"
BLANKS = (LEAVE, CLEAR)


class Never(enum.Enum):
    """The agreed value of a field that the two sides never agreed on."""

    NEVER = "never"

    def __repr__(self) -> str:
        return "NEVER"


NEVER: Final = Never.NEVER
Value = str | None


class Verdict(enum.Enum):
    """What is done about a field."""

    SAME = "same"  # nothing to do, and the value is agreed
    WRITE = "write"  # ours is written, and agreed when it was
    LEAVE = "leave"  # theirs stays, the agreed value does not move, nobody has to decide
    CONFLICT = "conflict"  # theirs stays until a person decides


@attrs.frozen
class Decision:
    """
    A verdict, and the word of the mapping that led to it where the two sides alone did not: `policy = "ours"`.

    settles: both sides had moved, and the word settles it; both values are shown with it.
    """

    verdict: Verdict
    setting: str = ""
    settles: bool = False


@attrs.frozen(kw_only=True)
class Rule:
    """The mapping's words for one field."""

    policy: str = attrs.field(default=SKIP, validator=attrs.validators.in_(FIELD_POLICIES))
    adopt: str = attrs.field(default=SKIP, validator=attrs.validators.in_(ADOPTS))
    blanks: str = attrs.field(default=LEAVE, validator=attrs.validators.in_(BLANKS))


SAME, WRITE, LEFT = Decision(Verdict.SAME), Decision(Verdict.WRITE), Decision(Verdict.LEAVE)


def decide(
    agreed: Value | Never, ours: Value, theirs: Value, rule: Rule, *, is_ours_newer: bool | None = None
) -> Decision:
    """
    Decide about one field.

    is_ours_newer: under `newest`, whether our row is later than their last change; None: equal, or not known.
    """
    if ours == theirs:
        return SAME
    if rule.policy == FILL:
        may_write = ours is not None and theirs is None and agreed in (NEVER, None)
        return Decision(Verdict.WRITE) if may_write else Decision(Verdict.LEAVE, _policy(FILL))
    if rule.policy == ONCE and not (ours is not None and (agreed is NEVER or (agreed is None and theirs is None))):
        return Decision(Verdict.LEAVE, _policy(ONCE))
    if agreed is NEVER:
        return _never_agreed(ours, theirs, rule)
    if agreed == theirs:
        return WRITE
    if agreed == ours:
        return LEFT
    return _both_moved(ours, rule, is_ours_newer=is_ours_newer)


def needs_times(agreed: Value | Never, ours: Value, theirs: Value, rule: Rule) -> bool:
    """Tell whether the decision waits for when each side last changed."""
    return rule.policy == NEWEST and agreed is not NEVER and len({agreed, ours, theirs}) == 3


def _never_agreed(ours: Value, theirs: Value, rule: Rule) -> Decision:
    if ours is None:
        setting = f'blanks = "{rule.blanks}"'
        return Decision(Verdict.WRITE if rule.blanks == CLEAR else Verdict.LEAVE, setting)
    if theirs is None:
        return WRITE
    verdict = {SKIP: Verdict.CONFLICT, OURS: Verdict.WRITE, THEIRS: Verdict.LEAVE}[rule.adopt]
    return Decision(verdict, f'adopt = "{rule.adopt}"', settles=rule.adopt != SKIP)


def _both_moved(ours: Value, rule: Rule, *, is_ours_newer: bool | None) -> Decision:
    setting = _policy(rule.policy)
    is_ours = rule.policy == OURS or (rule.policy == NEWEST and is_ours_newer is True)
    if is_ours and ours is None and rule.blanks != CLEAR:
        return Decision(Verdict.LEAVE, f'blanks = "{rule.blanks}"')
    if is_ours:
        return Decision(Verdict.WRITE, setting, settles=True)
    if rule.policy == THEIRS or (rule.policy == NEWEST and is_ours_newer is False):
        return Decision(Verdict.LEAVE, setting, settles=True)
    return Decision(Verdict.CONFLICT, setting)


def _policy(word: str) -> str:
    return f'policy = "{word}"'
