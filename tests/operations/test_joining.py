"""Texts of several records joined into one: each once, the oldest first, and never longer than a property takes."""

from __future__ import annotations

import datetime as dt
import re

import hypothesis
import pytest
from hypothesis import strategies

from syncer.joining import LONGEST, Part, is_within, joined

AT = dt.datetime(2026, 3, 1, 9, 14, tzinfo=dt.UTC)
CUT = "one t\n\n[… cut: all of it has more than 65,536 characters]"
# What stands in texts of a mailbox, with lines that look like ours.
PIECES = (
    "one",
    " one ",
    "two\nlines",
    "",
    "  ",
    "--- a rule ---",
    "--- ticket 9, then ---",
    "--- ticket 9, 2026-03-01 09:14 UTC ---",
    "--- ticket 2, 2026-03-01 09:14 UTC ---\none",
    "[… cut: some]",
    "é\r\nß",
    CUT,
)


def part(id: str, text: str, at: dt.datetime | str | None = AT) -> Part:
    return Part(noun="ticket", id=id, at=at, text=text)


def text_of(*parts: Part, longest: int = LONGEST) -> str:
    return joined(parts, longest=longest).text


def test_each_part_stands_under_a_line_with_its_record_and_date() -> None:
    """A person sees which ticket said what, and when."""
    found = text_of(part("512", "Broken."), part("600", "Still broken.", None))
    assert found == (
        "--- ticket 512, 2026-03-01 09:14 UTC ---\nBroken.\n\n--- ticket 600, date not known ---\nStill broken."
    )


def test_a_date_of_another_zone_is_told_in_utc() -> None:
    """Two servers' clocks must not make two dates of one."""
    zone = dt.timezone(dt.timedelta(hours=2))
    assert "2026-03-01 07:14 UTC" in text_of(part("1", "a", AT.replace(tzinfo=zone)), part("2", "b"))


def test_a_single_text_stays_as_it_is() -> None:
    """Blanks around it are its own, and no line is put above it."""
    assert text_of(part("1", " one\n"), part("2", ""), part("3", "  ")) == " one\n"


def test_no_text_at_all_is_a_blank() -> None:
    """Nothing to join is nothing."""
    assert text_of() == "" and text_of(part("1", " ")) == ""


def test_what_says_the_same_stands_there_once_however_it_is_laid_out() -> None:
    """Mail programs fold lines: blanks and line ends are no content."""
    assert text_of(part("1", "one two"), part("2", "one\r\n  two")) == "one two"


@pytest.mark.parametrize("texts", [("one", "two"), ("one", "two", "three"), ("one\n\n", " one", "two")])
def test_joined_again_it_is_the_same(texts: tuple[str, ...]) -> None:
    """A run that updated the survivor and was killed leaves it joined, and the others as they were."""
    parts = [part(str(number), text) for number, text in enumerate(texts, 1)]
    once = text_of(*parts)
    assert text_of(part("1", once), *parts[1:]) == once
    assert text_of(*parts, part("9", once)) == once


def test_a_joined_text_and_a_new_one_keep_what_each_part_was() -> None:
    """Chained merges do not nest lines in lines."""
    once = text_of(part("1", "one"), part("2", "two"))
    assert text_of(part("7", once), part("3", "three")) == text_of(
        part("1", "one"), part("2", "two"), part("3", "three")
    )


def test_what_a_person_wrote_above_a_joined_text_is_a_part_of_its_own() -> None:
    """It is under the record that holds it now."""
    once = text_of(part("1", "one"), part("2", "two"))
    found = text_of(part("7", f"Call them.\n\n{once}"), part("3", "three"))
    assert found.startswith("--- ticket 7, 2026-03-01 09:14 UTC ---\nCall them.\n\n--- ticket 1,")
    assert found.count("---") == 8


@pytest.mark.parametrize(
    "written",
    [
        "--- Invoice 1, May ---\npaid\n--- Invoice 2, June ---\npaid",  # another noun, no date of ours
        "--- Invoice 1, 2026-05-01 10:00 UTC ---\npaid\n--- Invoice 2, 2026-05-02 10:00 UTC ---\npaid",
        "Hello\n--- Jan 12345, Utrecht ---",
        "--- ticket 1, shipped ---",
        "--- ticket 8, 2026-05-01 10:00 UTC ---\n--- ticket 9, 2026-05-01 10:00 UTC ---",
    ],
)
def test_a_line_that_is_not_ours_for_certain_stays(written: str) -> None:
    """A person writes such lines as well: what stands below is not dropped for saying what something else says."""
    lines = written.splitlines()
    found = text_of(part("1", written), part("2", "two"))
    assert [line for line in found.splitlines() if line in lines] == lines
    assert text_of(part("1", found), part("2", "two")) == found


def test_what_stands_under_a_line_of_another_record_is_not_dropped_and_brings_no_second() -> None:
    """Of records that were archived nothing tells that they were of the group."""
    known = text_of(part("8", "old"), part("1", "one"))
    found = text_of(part("1", known), part("2", "old"), part("3", "three"))
    assert found == text_of(part("8", "old"), part("1", "one"), part("3", "three"))
    twice = text_of(part("1", "one"), part("2", "--- ticket 8, 2026-05-01 10:00 UTC ---\none"))
    assert twice.count("one") == 2 and "ticket 8," in twice
    again = joined([part("1", "one"), part("2", "--- ticket 8, 2026-05-01 10:00 UTC ---\none")], ids=["8"])
    assert again.text == "one"


def test_a_text_is_within_another_as_a_whole_part_of_it() -> None:
    """`paid` is not within `not paid`, and a part that was cut is not the whole of it."""
    whole = text_of(part("1", "not paid"), part("2", "due\r\n now"))
    assert is_within("due now", whole) and is_within(whole, whole) and is_within(" ", whole)
    assert not is_within("paid", whole) and not is_within("due", whole) and not is_within("due now", "due now!")
    cut = text_of(part("1", "a" * 100), part("2", "b" * 200), longest=250)
    assert is_within("a" * 100, cut) and not is_within("b" * 200, cut)
    assert is_within(cut, text_of(part("1", "a" * 100), part("2", "b" * 200)))


NOTE = re.compile(r"\n\n\[… cut: all of it has more than [0-9,]+ characters\]$")


def test_what_is_too_long_is_cut_and_a_note_says_so() -> None:
    """All of it fits, the note too, and what is told of what is missing adds up."""
    parts = [part("1", "a" * 100), part("2", "b" * 100)]
    found = joined(parts, longest=250)
    assert len(found.text) == 250 and NOTE.search(found.text)
    kept = NOTE.sub("", found.text)
    assert text_of(*parts).startswith(kept) and len(kept) + found.left == len(text_of(*parts))


def test_what_just_fits_is_not_cut() -> None:
    """The limit itself is allowed."""
    parts = [part("1", "one" * 40), part("2", "two" * 40)]
    whole = text_of(*parts)
    assert text_of(*parts, longest=len(whole)) == whole
    assert joined(parts, longest=len(whole) - 1).left > 0


@pytest.mark.parametrize("size", [30_000, 60_000, 65_400, 65_440, 65_450, 65_460, 65_470, 65_490, 65_500, 65_536])
def test_a_text_that_was_cut_is_the_same_when_it_is_joined_again(size: int) -> None:
    """
    A run was killed when the survivor had it, and some of the others were gone: the next one writes nothing anew,
    wherever the cut was.
    """
    parts = [part("1", "a" * size), part("2", "b" * 40_000), part("3", "c" * 60_000)]
    once = joined(parts)
    assert (len(once.text) <= LONGEST, once.left > 0) == (True, True)
    for gone in ([], [1], [2], [1, 2]):
        left = [each for number, each in enumerate(parts) if number and number not in gone]
        assert text_of(part("1", once.text), *left) == once.text, gone


def test_a_text_that_was_cut_keeps_its_note_when_another_says_nothing() -> None:
    """What is missing is missing still."""
    once = text_of(part("1", "a" * 60_000), part("2", "b" * 60_000))
    assert text_of(part("1", once), part("3", " ")) == once


def test_the_whole_of_a_part_that_was_cut_takes_its_place() -> None:
    """Where there is room for it."""
    cut = text_of(part("1", "a" * 100), part("2", "b" * 100), longest=250)
    found = text_of(part("1", cut), part("2", "b" * 100))
    assert NOTE.sub("", found) == text_of(part("1", "a" * 100), part("2", "b" * 100))


def test_where_something_was_cut_before_the_note_stays_below_what_is_joined_to_it() -> None:
    """Also where all that is known fits now."""
    cut = text_of(part("1", "a" * 100), part("2", "b" * 100), longest=250)
    found = joined([part("1", cut), part("3", "three")])
    assert NOTE.search(found.text) and found.text.count("… cut") == 1 and found.left == 0
    assert "--- ticket 3," in found.text


@hypothesis.given(strategies.lists(strategies.sampled_from(PIECES), max_size=4))
def test_joining_never_changes_what_it_made(texts: list[str]) -> None:
    """Also where texts look like our own lines."""
    parts = [part(str(number), text) for number, text in enumerate(texts, 1)]
    once = text_of(*parts)
    assert text_of(part("1", once), *parts[1:]) == once


@hypothesis.given(strategies.lists(strategies.text(max_size=80), max_size=5), strategies.integers(100, 200))
def test_it_is_never_longer_than_it_may_be(texts: list[str], longest: int) -> None:
    """Whatever the texts are."""
    found = joined([part(str(number), text) for number, text in enumerate(texts, 1)], longest=longest)
    assert len(found.text) <= longest
