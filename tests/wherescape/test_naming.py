"""Column names are those that RED's tables have: the documented examples, and random names against the rules."""

from __future__ import annotations

import random
import re
import sys
import unicodedata
from types import SimpleNamespace

import pytest
import text_unidecode

from syncer.wherescape.naming import display_name, legacy_slugs, slugs

LONG = "Very long display name that goes on and on until it must be cut somewhere here"
CUT = "very_long_display_name_that_goes_on_and_on_until_it_must_be"
SAME = "x" * 59
LETTERS = "abcXYZ ÄößéØłçñ日本語привет €£½²ﬁ…–—'’`\"&;#,._-/()[]+%😀🎉🇳🇱\u200d\u0301\t\n0123456789"


@pytest.mark.parametrize(
    ("name", "current"),
    [
        ("Client ID", "client_id"), ("Prijs (€)", "prijs_eur"), ("Überweisung & Größe", "uberweisung_grosse"),
        ("2024 omzet", "2024_omzet"), ("日本", "ri_ben"), ("!!!", "column_001"), ("", "column_001"),
        ("status_statusCategory_id", "status_statuscategory_id"), ("don't", "don_t"), ("don’t", "dont"),
        ("first.last/name", "first_last_name"), ("C++ / C#", "c_c"), ("100%", "100"), ("1,000 euro", "1000_euro"),
        ("[GDPR_HIGH] Prompt", "gdpr_high_prompt"), ("emoji 😀 ok", "emoji_ok"), (LONG, CUT), ("default", "default"),
        ("x &amp; &#228; y", "x_a_y"),
    ],
)  # fmt: skip
def test_a_name_becomes_what_it_always_became(name: str, current: str) -> None:
    """Tables that exist have these names."""
    assert slugs([name]) == [current]
    assert legacy_slugs([name]) == [current if current == "column_001" else f"{current}_001"]


@pytest.mark.parametrize(
    ("names", "current"),
    [
        (["Name", "name", "NAME", "", "", "Name 002"],
         ["name", "name_002", "name_003", "column_004", "column_005", "name_002_006"]),
        (["Name 002", "Name", "x", "Name"], ["name_002", "name", "x", "name_004"]),
        (["a", "a_003", "a"], ["a", "a_003", "a_003_003"]),
        (["column 002", "!!!"], ["column_002", "column_002_002"]),
        ([SAME + "1", SAME + "2"], [SAME, SAME + "_002"]),
        ([SAME, SAME[:55] + "_003", SAME], [SAME, SAME[:55] + "_003", SAME + "_003"]),
    ],
)  # fmt: skip
def test_later_ones_of_equal_names_get_their_place(names: list[str], current: list[str]) -> None:
    """Order decides, and no name is given twice."""
    assert slugs(names) == current


def test_another_library_that_happens_to_be_there_changes_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slugify prefers Unidecode where somebody installed it, which writes other letters."""
    slugs(["x"])
    other = SimpleNamespace(unidecode=lambda text: text.encode("ascii", "ignore").decode())
    monkeypatch.setattr(sys.modules["slugify.slugify"], "unidecode", other)
    assert slugs(["日本", "Größe"]) == ["ri_ben", "grosse"]


def test_a_name_with_its_place_behind_it_has_room() -> None:
    """A longer one would be cut by PostgreSQL, without a word, to one that another column may have."""
    many = [SAME] * 1_200
    for found in (slugs(many), legacy_slugs(many)):
        assert len(set(found)) == 1_200 and max(map(len, found)) == 63
    assert legacy_slugs(many)[999] == "x" * 58 + "_1000"
    assert legacy_slugs([*many[:999], "x" * 57 + " y"])[999] == "x" * 57 + "_1000"


@pytest.mark.parametrize(
    ("column", "shown"), [("ID_number", "Id number"), ("dss_load_date", "Dss load date"), ("", "")]
)
def test_a_column_has_a_name_for_people(column: str, shown: str) -> None:
    """Blanks for underscores, one capital."""
    assert display_name(column) == shown


def by_the_rules(names: list[str], *, is_legacy: bool) -> list[str]:
    """The rules once more, letter by letter."""
    taken: list[str] = []
    for number, name in enumerate(names, start=1):
        text = text_unidecode.unidecode(unicodedata.normalize("NFKD", name.replace("'", " "))).lower()
        for entity, letter in (("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"')):
            text = text.replace(entity, letter)
        text = re.sub(r"(\d),(?=\d)", r"\1", text.replace("'", ""))
        words = "".join(letter if letter in "abcdefghijklmnopqrstuvwxyz0123456789" else " " for letter in text).split()
        plain = "_".join(words)[:59].strip("_")
        suffix = f"_{number:03d}"
        if is_legacy or not plain:
            plain = (plain or "column") + suffix
        unique, times = plain, 0
        while unique in taken:
            times += 1
            unique = plain[: 63 - times * len(suffix)].rstrip("_") + suffix * times
        taken.append(unique)
    return taken


@pytest.mark.parametrize("is_legacy", [False, True])
def test_random_names_follow_the_rules(is_legacy: bool) -> None:
    """Of both kinds: 200 names of odd letters, some long, some empty, some twice, in lists of 20."""
    dice = random.Random(15)
    for _ in range(10):
        names = ["".join(dice.choices(LETTERS, k=dice.choice([0, 1, 3, 9, 30, 90]))) for _ in range(14)]
        names += dice.choices(names, k=4) + [str(dice.randrange(10**6)), names[0].upper()]
        found = legacy_slugs(names) if is_legacy else slugs(names)
        assert found == by_the_rules(names, is_legacy=is_legacy)
        assert len(set(found)) == 20 and all(re.fullmatch(r"[a-z0-9_]{1,63}", name) for name in found)
