"""
What is blank to a person: nothing, or only what nobody can see. Not here: what counts as blank where a value is
compared with one of the API (`Property.theirs`).
"""

from __future__ import annotations

import unicodedata

# Controls (tab, line end), formats (zero-width space and joiner, byte order mark), separators (no-break space).
_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
# Letters and marks that show nothing. Source: Unicode's DerivedCoreProperties.txt, Default_Ignorable_Code_Point
_FILLERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_VARIATIONS = range(0xFE00, 0xFE10)


def is_blank(text: str | None) -> bool:
    """Tell whether a text is nothing but blanks: white space and characters that cannot be seen."""
    return not text or all(map(_is_unseen, text))


def _is_unseen(char: str) -> bool:
    return unicodedata.category(char) in _UNSEEN or char in _FILLERS or ord(char) in _VARIATIONS
