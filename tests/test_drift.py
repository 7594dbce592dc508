"""Definitions that change under a warehouse: the column stays, the run says so, `status` lists it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from syncer import status
from syncer.journal import Pulled
from syncer.mapping import Field
from syncer.reports import documents, standing
from syncer.sources import Page
from syncer.values import BIGINT, DECIMAL, TEXT, TIMESTAMP
from tests.conftest import Site, query_file
from tests.shop import Syncer
from tests.test_inbound import say

pytest_plugins = ["tests.shop.fixtures"]
NAME = "scripted.discovering"
FINDINGS = "SELECT kind, key, detail, times FROM syncer.findings ORDER BY kind, key"


def pulled(site: Site, fields: Sequence[Field], *records: dict[str, Any], **request: Any) -> Pulled:
    """Pull while the API defines *fields*."""
    site.script.describe = lambda stream: list(fields)
    say(site, Page(records=list(records)))
    done = site.pull(NAME, **request)
    assert (done.status, done.exit_code) == ("done", 0)
    return done


def told(site: Site) -> str:
    """What `syncer status` prints."""
    return "\n".join(standing.as_text(status.read(site.settings, clock=site.clock), io.StringIO()))


def comments(site: Site) -> dict[str, str | None]:
    return site.database.comments("scripted_discovering")


A, B = Field("a", comment="Label A"), Field("b", type=DECIMAL, comment="Label B")


def test_nothing_is_told_while_nothing_changes(site: Site) -> None:
    """A first run makes columns, which is no change."""
    assert pulled(site, [A, B]).notes == ()
    assert pulled(site, [A, B]).notes == ()
    assert site.rows(FINDINGS) == [] and "findings" not in told(site)


def test_new_columns_are_told_by_the_run_that_made_them(site: Site) -> None:
    """They are no finding: nobody has to look."""
    pulled(site, [A])
    assert pulled(site, [A, B]).notes == ("1 column new: b",)
    assert pulled(site, [A, B]).notes == ()
    assert site.rows(FINDINGS) == []


def test_a_column_that_nothing_fills_any_more_is_told_once_and_stands(site: Site) -> None:
    """Archived, deleted or hidden: the API does not say which; its values stay."""
    pulled(site, [A, B], {"id": 1, "a": "x", "b": "1"})
    gone = pulled(site, [A], {"id": 1, "a": "x"})
    assert gone.notes == ("1 column no longer filled (finding column_gone): b",) and gone.unchanged == 1
    assert pulled(site, [A]).notes == ()
    ((kind, key, detail, times),) = site.rows(FINDINGS)
    assert (kind, key, times) == ("column_gone", "b", 2) and "archived" in detail
    assert site.rows("SELECT b FROM load.scripted_discovering") == [(1,)]
    assert "column_gone" in told(site) and "hidden from the token" in told(site)


def test_a_column_that_is_filled_again_is_no_finding(site: Site) -> None:
    """A property was restored."""
    pulled(site, [A, B])
    pulled(site, [A])
    assert pulled(site, [A, B]).notes == ()
    assert site.rows(FINDINGS) == []


def test_a_column_that_a_person_dropped_is_forgotten(site: Site) -> None:
    """There is nothing left to look at; a property that comes back gets its column anew."""
    pulled(site, [A, B])
    pulled(site, [A])
    site.rows("ALTER TABLE load.scripted_discovering DROP COLUMN b")
    pulled(site, [A])
    assert site.rows(FINDINGS) == []
    assert pulled(site, [A, B]).notes == ("1 column new: b",)


def test_a_column_that_a_person_dropped_and_that_is_still_filled_is_not_new(site: Site) -> None:
    """It comes back empty, which nobody may take for what the API says; `--full` fills it."""
    pulled(site, [A, B], {"id": 1, "a": "x", "b": "1"})
    site.rows("ALTER TABLE load.scripted_discovering DROP COLUMN b")
    done = pulled(site, [A, B])
    assert done.notes == ("1 column that somebody had dropped, made anew (--full fills it): b",)
    assert pulled(site, [A, B], {"id": 1, "a": "x", "b": "1"}, mode="full").notes == ()
    assert site.rows("SELECT b FROM load.scripted_discovering") == [(1,)]


def test_a_column_that_a_person_dropped_is_put_back_with_the_open_offers(make_site: Any) -> None:
    """In the style delta a full run offers nothing that was offered: the offers have the values."""
    site = make_site(f'["{NAME}"]\nstyle = "delta"\n')
    pulled(site, [A, B], {"id": 1, "a": "x", "b": "1"})
    site.rows("ALTER TABLE load.scripted_discovering DROP COLUMN b")
    done = pulled(site, [A, B])
    assert done.notes == ("1 column that somebody had dropped, made anew (the open offers are whole): b",)
    assert site.rows("SELECT a, b FROM load.scripted_discovering") == [("x", 1)]
    site.rows("ALTER TABLE load.scripted_discovering ALTER a TYPE INTEGER USING 7")
    told = pulled(site, [A, B]).notes[0].lower()
    assert "altered, back to its type (the open offers are whole): a (was integer)" in told
    assert site.rows("SELECT a, b FROM load.scripted_discovering") == [("x", 1)]


def test_columns_of_a_persons_own_are_no_finding(site: Site) -> None:
    """Nothing ever filled them but the person."""
    pulled(site, [A])
    site.rows("ALTER TABLE load.scripted_discovering ADD COLUMN mine VARCHAR")
    site.rows("COMMENT ON COLUMN load.scripted_discovering.mine IS 'my own'")
    assert pulled(site, [A]).notes == ()
    assert site.rows(FINDINGS) == [] and comments(site)["mine"] == "my own"


@pytest.mark.parametrize(
    ("before", "after", "detail", "stands"),
    [
        (DECIMAL, TEXT, "is text; was decimal until now", False),
        (TEXT, DECIMAL, "is text, defined as decimal", True),
        (BIGINT, TIMESTAMP, "is text, defined as timestamp; was bigint until now", True),
    ],
)
def test_a_retyped_property_is_told(site: Site, before: Any, after: Any, detail: str, stands: bool) -> None:
    """For as long as the column has another type than the definition says, and once where it could follow."""
    pulled(site, [Field("a", type=before)])
    done = pulled(site, [Field("a", type=after)])
    assert done.notes == (f"1 column of another type (finding column_retyped): a ({detail})",)
    assert site.rows(FINDINGS) == [("column_retyped", "a", detail, 1)]
    assert detail in told(site)
    pulled(site, [Field("a", type=after)])
    pulled(site, [Field("a", type=after)])
    assert bool(site.rows(FINDINGS)) is stands


def test_room_that_values_got_is_told(site: Site) -> None:
    """The definition says bigint, and the column has decimals since."""
    site.script.describe = lambda stream: [Field("a", type=BIGINT)]
    say(site, Page(records=[{"id": 1, "a": "3.5"}]))
    site.pull(NAME)
    done = pulled(site, [Field("a", type=BIGINT)])
    assert "a (is decimal, defined as bigint; was bigint until now)" in done.notes[0]


def test_a_new_label_is_told_once_and_written_to_the_catalogue(site: Site) -> None:
    """People know a property by its label; the next run has nothing to add."""
    pulled(site, [A, B])
    renamed = Field("a", comment="It's {new} 😀")
    done = pulled(site, [renamed, B])
    detail = "'Label A' is \"It's {new} 😀\" now"
    assert done.notes == (f"1 column with another label (finding column_renamed): a ({detail})",)
    assert site.rows(FINDINGS) == [("column_renamed", "a", detail, 1)]
    assert comments(site)["a"] == "It's {new} 😀" and comments(site)["b"] == "Label B"
    assert pulled(site, [renamed, B]).notes == () and site.rows(FINDINGS) == []


def test_a_comment_that_a_person_wrote_stays(site: Site) -> None:
    """The new label is told all the same."""
    pulled(site, [A])
    site.rows("COMMENT ON COLUMN load.scripted_discovering.a IS 'ask Ada'")
    assert pulled(site, [A]).notes == ()
    assert len(pulled(site, [Field("a", comment="New")]).notes) == 1
    assert comments(site)["a"] == "ask Ada"


ODD = [
    ("cut \ud83d", "cut \ufffd"),
    ("\ude00 and \ud83d\ud83d", "\ufffd and \ufffd\ufffd"),
    ("\ud83d\ude00", "\U0001f600"),  # both halves, which some libraries leave apart
    ("nul\0", "nul\ufffd"),
    ("\x01 \x1e\x1f\u202e\uffff '\"{}\\", "\x01 \x1e\x1f\u202e\uffff '\"{}\\"),
    ("x" * 100_000, "x" * 100_000),
]


@pytest.mark.parametrize(("label", "held"), ODD)
def test_a_label_that_no_warehouse_holds_is_mended_as_values_are(site: Site, label: str, held: str) -> None:
    """In the catalogue, in the record of columns and in what is told; the next run finds nothing new in it."""
    odd = Field("a", comment=label)
    pulled(site, [odd, B], {"id": 1, "a": "x", "b": "1"})
    assert comments(site)["a"] == held
    assert site.rows('SELECT label FROM syncer."columns" WHERE "column" = \'a\'') == [(held,)]
    assert pulled(site, [odd, B], {"id": 1, "a": "x", "b": "1"}).notes == () and site.rows(FINDINGS) == []


def test_a_label_that_becomes_odd_is_told_mended(site: Site) -> None:
    """Also in an older table's new column, and where the column's comment is set anew."""
    pulled(site, [A])
    done = pulled(site, [Field("a", comment="cut \ud83d\0"), Field("c", comment="\ud83d\0")])
    assert "'Label A' is 'cut \ufffd\ufffd' now" in done.notes[1]
    assert comments(site)["a"] == "cut \ufffd\ufffd" and comments(site)["c"] == "\ufffd\ufffd"
    told(site).encode()


def test_a_label_that_was_not_known_before_is_no_change(site: Site) -> None:
    """And one that is not told any more leaves the one that was."""
    pulled(site, [Field("a")])
    assert pulled(site, [A]).notes == () and comments(site)["a"] == "Label A"
    assert pulled(site, [Field("a")]).notes == () and comments(site)["a"] == "Label A"
    assert pulled(site, [A]).notes == ()


def test_a_warehouse_without_a_record_of_its_columns_begins_one(site: Site) -> None:
    """It was made by an older version: the catalogue's comments are the labels that were."""
    pulled(site, [A, B])
    site.rows("DROP TABLE syncer.columns")
    assert [note.split(" (")[0] for note in pulled(site, [Field("a", comment="New"), B]).notes] == [
        "1 column with another label"
    ]
    pulled(site, [B])
    assert site.rows(FINDINGS)[0][:2] == ("column_gone", "a")


def test_a_table_that_was_dropped_begins_anew(site: Site) -> None:
    """Columns that it had are nobody's any more."""
    pulled(site, [A, B])
    site.rows("DROP TABLE load.scripted_discovering")
    assert pulled(site, [A], mode="full").notes == ()
    assert site.rows(FINDINGS) == []


def test_a_note_names_some_columns_and_a_program_gets_them_all(site: Site) -> None:
    """A portal where somebody tidied up is no reason for a page of output."""
    many = [Field(f"p{number:02}") for number in range(30)]
    pulled(site, many)
    done = pulled(site, [])
    assert done.notes == ("30 columns no longer filled (finding column_gone): p00, p01, p02, p03, p04 and 25 more",)
    assert str(done).endswith(f"\n  {done.notes[0]}") and documents.run(done)["notes"] == done.notes
    assert len(status.read(site.settings, clock=site.clock).findings) == 30
    lines = told(site).splitlines()
    assert len([line for line in lines if "column_gone" in line]) == standing.FIRST_FINDINGS + 1
    assert any("10 more" in line and "json" in line for line in lines)


def test_environments_have_findings_of_their_own(site: Site) -> None:
    """Two portals define other properties."""
    pulled(site, [A, B])
    pulled(site, [A])
    ((mapping, environment),) = site.rows("SELECT DISTINCT mapping, environment FROM syncer.findings")
    assert (mapping, environment) == (NAME, "default")
    assert site.rows('SELECT DISTINCT mapping, environment FROM syncer."columns"') == [(NAME, "default")]


def test_a_declared_field_that_went_away_is_told_too(make_site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version of a mapping may have other fields than the one that made the table."""
    site = make_site()
    site.pull("scripted.careful")
    site.rows("ALTER TABLE load.scripted_careful ADD COLUMN old VARCHAR")
    site.rows(
        "INSERT INTO syncer.\"columns\" VALUES ('scripted.careful', 'default', 'old', '', now())",
    )
    assert site.pull("scripted.careful").notes == ("1 column no longer filled (finding column_gone): old",)


def test_the_command_line_tells_people_and_programs(syncer: Syncer) -> None:
    """Below the run's line, and in its entry; the exit code stays 0."""
    syncer("pull", "shop.items")
    query_file(Path("warehouse.duckdb"), "ALTER TABLE load.shop_items ADD COLUMN old VARCHAR")
    query_file(
        Path("warehouse.duckdb"),
        "INSERT INTO syncer.\"columns\" VALUES ('shop.items', 'default', 'old', 'Old', now())",
    )
    note = "1 column no longer filled (finding column_gone): old"
    people = syncer("pull", "shop.items")
    assert people.code == 0 and people.out.splitlines()[1:] == [f"  {note}"]
    query_file(Path("warehouse.duckdb"), "DELETE FROM syncer.findings")
    programs = syncer("pull", "shop.items", "--output", "json")
    assert programs.code == 0 and programs.json["runs"][0]["notes"] == [note]
    status = syncer("status")
    assert status.code == 0 and "column_gone" in status.out
    assert [each["key"] for each in syncer("status", "--output", "json").json["findings"]] == ["old"]
