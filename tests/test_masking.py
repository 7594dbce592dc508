"""Masking: what is found in the labelled set, at least so much; and what is missed stands in the docs."""

from __future__ import annotations

import re
from pathlib import Path

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer import masking
from syncer.masking import E_MAIL, IBAN, IP, KINDS, NAME, PHONE, Mask, Names
from tests.campaign import privacy
from tests.privacy_texts import HELD_OUT, PEOPLE, TEXTS, plain

PAGE = (Path(__file__).parents[1] / "docs" / "personal-data.md").read_text(encoding="utf-8")
FOUND = privacy.measured()
FOUND_LATER = privacy.measured(HELD_OUT)


def test_the_measurement_is_printed() -> None:
    """With `-s`: recall and precision of each kind, and what the library finds alone."""
    print("\n".join(privacy.lines()))
    assert len(TEXTS) >= 120 and sum(score.labelled for score in FOUND.values()) >= 120


@pytest.mark.parametrize("kind", [E_MAIL, PHONE, IBAN, IP])
def test_recall_is_at_least_95_percent(kind: str) -> None:
    """Whole: no letter or digit of what is labelled is left."""
    assert FOUND[kind].labelled >= 25
    assert FOUND[kind].recall >= privacy.WANTED[kind], FOUND[kind].missed


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_masked_is_nearly_always_personal(kind: str) -> None:
    """Order numbers, dates, versions and prices stay."""
    assert FOUND[kind].precision >= 0.9, FOUND[kind].wrong


def test_the_library_alone_is_worse() -> None:
    """Why there are patterns of our own beside it: the day it finds as much, they can go."""
    ways = privacy.compared()
    both = ways["both"]
    assert ways["phonenumbers, valid"].recall < both.recall > ways["own patterns"].recall
    assert ways["phonenumbers, possible"].precision < 0.8 < both.precision


def listed(heading: str) -> set[str]:
    """The texts in code below a heading of the page."""
    section = PAGE.partition(f"### {heading}\n")[2].partition("\n#")[0]
    return {found.replace("\\n", "\n") for found in re.findall(r"`([^`]+)`", section)}


def test_what_is_missed_stands_in_the_docs() -> None:
    """All of it, of both sets, and nothing that is found by now."""
    missed = {each for table in (FOUND, FOUND_LATER) for score in table.values() for each in score.missed}
    assert listed("What is missed") == missed


def test_what_is_masked_wrongly_stands_in_the_docs() -> None:
    """All of it, and nothing else."""
    assert listed("What is masked and should not be") == {
        each for table in (FOUND, FOUND_LATER) for score in table.values() for each in score.wrong
    }


def test_the_figures_of_the_docs_are_true() -> None:
    """As the page has them."""
    for table in (FOUND, FOUND_LATER):
        for kind, score in table.items():
            if score.labelled:
                assert f"| {kind} | {score.hit} of {score.labelled} | {score.right} of {score.findings} |" in PAGE, (
                    kind
                )


def test_each_finding_becomes_the_token_of_its_kind() -> None:
    """A reader sees what stood there."""
    mask = Mask(names=Names.of(["Ada Lovelace"]))
    text = "Ada Lovelace <ada@example.com> 020-1234567 NL91 ABNA 0417 1643 00 192.0.2.1"
    assert mask(text) == "[name] <[e-mail]> [phone] [iban] [ip]"
    assert [kind for kind, _, _ in mask.spans(text)] == [NAME, E_MAIL, PHONE, IBAN, IP]


def test_a_text_without_findings_is_the_same_object() -> None:
    """Most texts are; nothing is copied."""
    text = "De centrale werkt weer, met dank aan de monteur."
    assert Mask()(text) is text


@given(st.sampled_from(TEXTS), st.sampled_from(TEXTS))
def test_masking_a_masked_text_changes_nothing(one: str, other: str) -> None:
    """A row that is read again is the same row."""
    mask = Mask(names=Names.of(PEOPLE))
    masked = mask(plain(one) + "\n" + plain(other))
    assert mask(masked) == masked


@given(st.text(max_size=300))
def test_any_text_can_be_masked(text: str) -> None:
    """Half a surrogate, control characters, marks of our own."""
    assert isinstance(Mask(names=Names.of(["Ada Lovelace"]))(text), str)


@pytest.mark.parametrize(
    "text",
    ["1234567890" * 5_000, ":" * 50_000, "a@" * 25_000, "1." * 25_000, "aGVsbG8" * 7_000 + "(at)", "NL91" * 10_000],
    ids=["digits", "colons", "ats", "dots", "base64", "ibans"],
)
def test_no_text_takes_long(text: str) -> None:
    """A pattern that tries everything would hold a pull up for hours on one hostile note."""
    assert privacy.seconds_of(Mask(), [text], rounds=1) < 2


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many characters the slow search was given, each time."""
    seen: list[int] = []
    matcher = phonenumbers.PhoneNumberMatcher

    def counted(window: str, region: str) -> phonenumbers.PhoneNumberMatcher:
        seen.append(len(window))
        return matcher(window, region)

    monkeypatch.setattr(phonenumbers, "PhoneNumberMatcher", counted)
    return seen


@pytest.mark.parametrize("text", ["1.2-3/4 ", "12.34-56/78 ", "1 2\n3 4 5 6 7 8 9 1 2 3 x", "9876543210987 x "])
def test_the_slow_search_looks_at_a_part_of_a_hostile_text(looked_at: list[int], text: str) -> None:
    """It takes 10 µs a character; a megabyte of what is nearly a number must not hold a pull up."""
    Mask()(text * (1_000_000 // len(text)))
    assert 0 < sum(looked_at) < 150_000  # with what stands around each run


def test_the_slow_search_goes_on_as_long_as_it_finds(looked_at: list[int]) -> None:
    """A long list of numbers is masked to its end, with what is no number between them."""
    number = "31612345678"  # without its +: only the library knows it
    text = "".join(f"{line}: {number} x\n" for line in range(12_000))
    assert Mask()(text).count("[phone]") == 12_000
    assert sum(looked_at) > 400_000


def test_a_number_at_the_cut_of_a_long_run_is_found_whole() -> None:
    """The pieces have the longest number in common."""
    for times in range(194, 202):
        text = "-1.2 " * times + "31612345678" + "  3/4" * 300
        assert "5678" not in Mask()(text), times


def test_many_names_with_one_beginning_are_one_look_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 people called Ada: each word of a text is looked up, not compared with 5,000 names."""
    names = Names.of(f"Ada Achter{number}" for number in range(5_000))
    lengths, whole = names.whole["ada"]
    assert (lengths, len(whole)) == ((2,), 5_000)
    compared: list[int] = []
    is_close = masking._is_close
    monkeypatch.setattr(masking, "_is_close", lambda between: is_close((compared.append(1), between)[1]))
    assert Mask(names=names)("Ada achter4999 " * 100 + "ada niemand " * 1_000).count("[name]") == 100
    assert len(compared) == 100


def test_a_number_of_another_region_is_found_where_it_is_set() -> None:
    """What is dialled without a country's code depends on where one is."""
    text = "Ring 8765 4321 after six"
    assert Mask()(text) == text
    assert Mask(regions=("NL", "SG", "NO"))(text) == "Ring [phone] after six" or Mask(regions=("SG",))(text) != text


def test_parts_of_names_that_are_words_need_a_capital() -> None:
    """Mark is a name, "mark as done" is not; "de" of De Wit is nothing."""
    mask = Mask(names=Names.of(["Mark de Wit", "Li Wu"]))
    assert mask("please mark this, de wit printer, li") == "please mark this, de wit printer, li"
    assert mask("MARK DE WIT, mark de wit, Wit, Li Wu") == "[name], [name], [name], [name]"
    assert mask("Mark\nde Wit") == "[name]\nde [name]"
