"""
Text for people: aligned columns, ages, numbers, and colour where it is wanted.

Columns are written here and not with rich: rich wraps a table at 80 columns where its output is piped, and importing
it costs a third of the time that `syncer list` may take. A line that is piped is never wrapped or cut, so that it can
be searched. What an API sent (a key, a reason) may hold control characters: they are shown, never carried out.
Not here: JSON (`documents.py`), a pull under way (`progress.py`).
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Sequence
from typing import TextIO

_COLOURS = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}
_UNITS = (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
GAP = "  "
NARROWEST = 20  # a column that has less is not wrapped


def is_terminal(stream: TextIO) -> bool:
    """Tell whether a person sees *stream* as it is written."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def has_colour(stream: TextIO) -> bool:
    """
    Tell whether *stream* shows colour: a terminal, without `NO_COLOR` (https://no-color.org).

    Windows' old console would print the codes; its new one, and the shells that come with Git, name themselves.
    """
    if not is_terminal(stream) or os.environ.get("NO_COLOR"):
        return False
    return sys.platform != "win32" or any(name in os.environ for name in ("WT_SESSION", "TERM", "ANSICON"))


def painted(text: str, colour: str, stream: TextIO) -> str:
    """Colour *text* where *stream* shows it."""
    return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if has_colour(stream) else text


def width_of(stream: TextIO) -> int | None:
    """Return how many columns *stream* has; None where nobody counts them."""
    return shutil.get_terminal_size((100, 24)).columns if is_terminal(stream) else None


def clean(text: object) -> str:
    """Write *text* so that it prints as one line: what a terminal would obey is shown as its code."""
    shown = str(text)
    if shown.isascii() and shown.isprintable():
        return shown
    return "".join(letter if letter.isprintable() or letter == "\u200d" else _code(letter) for letter in shown)


def _code(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")


def cells(text: str) -> int:
    """Count the columns that *text* takes in a terminal: two for a wide letter, none for a combining one."""
    return len(text) if text.isascii() else sum(map(_cells_of, text))


def _cells_of(letter: str) -> int:
    if unicodedata.combining(letter) or letter == "\u200d":
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def fitted(text: str, width: int) -> str:
    """Cut *text* to *width* columns."""
    if cells(text) <= width:
        return text
    kept = ""
    for letter in text:
        if cells(kept + letter) > width - 3:
            break
        kept += letter
    return kept + "..."


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], stream: TextIO, *, indent: str = "") -> list[str]:
    """
    Align *rows* under *headers*; numbers stand right. In a terminal, the last column is wrapped; elsewhere nothing is.

    Returns lines without an end.
    """
    texts = [[_cell(value) for value in row] for row in rows]
    is_number = [all(isinstance(row[at], int | None) for row in rows) for at in range(len(headers))]
    widths = [max(cells(line[at]) for line in [list(headers), *texts]) for at in range(len(headers))]
    room = width_of(stream)
    left = sum(widths[:-1]) + len(GAP) * (len(widths) - 1) + len(indent)
    lines = [painted(indent + _line(headers, widths, is_number), "bold", stream)]
    for line in texts:
        parts = [line[-1]] if room is None or is_number[-1] else wrapped(line[-1], room - left)
        lines.append(indent + _line([*line[:-1], parts[0]], widths, is_number))
        lines += [" " * left + part for part in parts[1:]]
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """Break *text* between words to lines of *width* columns; a word that is longer is left whole, to be copied."""
    if width < NARROWEST:
        return [text]
    return textwrap.wrap(text, width - 1, break_long_words=False, break_on_hyphens=False) or [""]


def hanging(head: str, text: str, stream: TextIO) -> str:
    """Write *text* behind *head*; in a terminal, wrapped so that it stands beside it."""
    room = width_of(stream)
    parts = [text] if room is None else wrapped(text, room - cells(head))
    return ("\n" + " " * cells(head)).join([head + parts[0], *parts[1:]])


def _line(texts: Sequence[str], widths: Sequence[int], is_number: Sequence[bool]) -> str:
    padded = [
        " " * (width - cells(text)) + text if right else text + " " * (width - cells(text))
        for text, width, right in zip(texts, widths, is_number, strict=True)
    ]
    return GAP.join(padded).rstrip()


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else clean(value)


def counted(count: int, noun: str, plural: str = "") -> str:
    """Write a count and its noun: `1 mapping`, `1,200 mappings`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def duration(seconds: float, *, units: int = 2) -> str:
    """Write a duration with its largest *units*: `2 d 3 h`, `40 s`; a float below ten seconds with a tenth."""
    if seconds < 10 and isinstance(seconds, float):
        return f"{max(0.0, seconds):.1f} s"
    left = int(seconds)
    parts: list[str] = []
    for unit, size in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(part for part in parts[:units] if not part.startswith("0 ")) or "0 s"


def age(moment: dt.datetime | None, now: dt.datetime, *, units: int = 1) -> str:
    """Write how long ago *moment* was; one ahead of us (another machine's clock) is `just now`."""
    if moment is None:
        return "never"
    seconds = (now - moment).total_seconds()
    return f"{duration(int(seconds), units=units)} ago" if seconds >= 1 else "just now"


def moment(value: dt.datetime | None) -> str:
    """Write a time as people read it, in UTC."""
    return value.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ") if value is not None else "-"
