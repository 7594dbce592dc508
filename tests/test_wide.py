"""Tables as wide as a portal: a thousand discovered columns, and values as odd as people make them."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
import sqlglot

from syncer import rows, sql
from syncer.mapping import Field
from syncer.sources import Page
from syncer.values import BIGINT, BOOLEAN, DATE, DECIMAL, JSON, TEXT, TIMESTAMP
from tests.conftest import Site, own_module
from tests.test_inbound import say

NAME, TABLE = "scripted.discovering", "load.scripted_discovering"
WIDTH = 1_000
DELTA = f'["{NAME}"]\nstyle = "delta"\n'
KINDS = {
    TEXT: ("Plain", "", "65,536 letters"),
    DECIMAL: ("17.50", "", "0.12345678901234567890"),
    BOOLEAN: ("true", "", "yes"),
    DATE: ("2026-01-31", "", "soon"),
    TIMESTAMP: ("2026-01-31T10:11:12.123Z", "", "soon"),
}
FIELDS = [
    Field(
        f"p{number:04}", path=("properties", f"p{number:04}"), type=kind, comment=f"Label {number}", blank_is_null=True
    )
    for number, kind in enumerate(list(KINDS) * (WIDTH // len(KINDS)))
]


def record(number: int, *, odd: bool = False) -> dict[str, Any]:
    """A record whose every tenth property has a value, or a blank; an odd one has one value that fits nothing."""
    properties: dict[str, Any] = dict.fromkeys(field.column for field in FIELDS)
    chosen = random.Random(number)
    for field in chosen.sample(FIELDS, WIDTH // 10):
        properties[field.column] = KINDS[field.type][chosen.random() < 0.2]
    if odd:
        properties["p0001"] = KINDS[DECIMAL][2]
    return {"id": number, "properties": properties}


def wide(site: Site, *records: dict[str, Any]) -> Any:
    site.script.describe = lambda stream: FIELDS
    say(site, *(Page(records=list(records[at : at + 100])) for at in range(0, len(records), 100)))
    return site.pull(NAME)


def test_a_thousand_columns_are_made_filled_and_left_alone(site: Site) -> None:
    """HubSpot portals have so many; what did not change is not written, and one odd value costs one value."""
    records = [record(number, odd=number == 7) for number in range(250)]
    done = wide(site, *records)
    assert (done.inserted, done.rejected, done.notes) == (250, 1, ())
    assert site.rows('SELECT key, "column" FROM syncer.rejects') == [("7", "p0001")]
    again = wide(site, *records)
    assert (again.unchanged, again.updated, again.notes) == (250, 0, ())
    records[3]["properties"]["p0004"] = "2026-02-01T00:00:00Z"
    changed = wide(site, *records)
    assert (changed.unchanged, changed.updated) == (249, 1)
    filled = sum(value not in (None, "") for each in records for value in each["properties"].values()) - 1
    texts = sum(each["properties"][field.column] == "" for each in records for field in FIELDS if field.type is TEXT)
    (counts,) = site.rows(f"SELECT {', '.join(f'count({field.column})' for field in FIELDS)} FROM {TABLE}")
    assert sum(counts) == filled + texts


def test_a_run_over_a_thousand_columns_costs_little_by_itself(site: Site) -> None:
    """The catalogue, the record of the columns and the statements: some 0.2 s of CPU, three allowed here."""
    wide(site)
    began = time.process_time()
    wide(site, record(1))
    assert time.process_time() - began < 3


@pytest.mark.parametrize(("style", "width"), [("", WIDTH), (DELTA, WIDTH // 4)])
def test_columns_come_go_and_change_in_a_wide_table(make_site: Any, style: str, width: int) -> None:
    """All at once, in both load styles; what stands beside them is untouched."""
    site = make_site(style)
    site.script.describe = lambda stream: FIELDS[:width]
    say(site, Page(records=[record(1)]))
    site.pull(NAME)
    retyped = [Field(each.column, path=each.path, comment=each.comment) for each in FIELDS[1:101]]
    relabelled = [Field("p0000", path=("properties", "p0000"), comment="It's new")]
    new = [Field(f"q{number:02}", path=("properties", f"q{number:02}"), type=DECIMAL) for number in range(50)]
    site.script.describe = lambda stream: [*relabelled, *retyped, *FIELDS[101 : width - 100], *new]
    changed = record(1)
    changed["properties"] |= {"q01": "5"}
    say(site, Page(records=[changed]))
    done = site.pull(NAME)
    assert (done.updated, done.exit_code) == (1, 0)
    assert [note.partition(" column")[0] for note in done.notes] == ["50", "100", "80", "1"]
    assert site.rows(f"SELECT q01, p0004 FROM {TABLE}")[0][0] == 5
    say(site, Page(records=[changed]))
    quiet = site.pull(NAME)
    assert (quiet.unchanged, quiet.notes) == (1, ())
    assert dict(site.rows("SELECT kind, count(*) FROM syncer.findings GROUP BY kind")) == {"column_gone": 100}


@pytest.mark.parametrize("dialect", ["postgres", "tsql"])
def test_statements_over_a_thousand_columns_are_rendered_once(dialect: str) -> None:
    """A backend of another dialect parses each statement: the same text is not parsed again in a run."""
    columns = [field.column for field in FIELDS]
    text = f"UPDATE load.t AS b SET x = 1 FROM batch AS s WHERE b.id = s.id AND ({sql.differs('b', 's', columns)})"
    one, other = sql.statement(text), sql.statement(str(text))
    rendered = one.sql(dialect)
    assert other.sql(dialect) is rendered
    assert sqlglot.parse_one(rendered, read=dialect)


ODD_TEXTS = (
    "a\0b",
    "\0",
    "{braces} {0} {} }{ {{x}}",
    "%s ? $1 :name",
    "😀 Zoë 東京 e\u0301",
    "\u202egnp.exe",
    "x" * 65_536,
    "é" * 65_536,
    "line\r\nline\tend ",
    "' OR 1=1 --",
    "\ufffe\uffff\ufeff",
)


@pytest.mark.parametrize("style", ["", DELTA])
def test_odd_texts_pass_letter_by_letter(make_site: Any, style: str) -> None:
    """Typing, staging, comparing, storing: in a text, inside JSON, and compared anew they are the same."""
    site = make_site(style)
    site.script.describe = lambda stream: [Field("words"), Field("all", path=".", type=JSON)]
    records = [{"id": number, "words": text} for number, text in enumerate(ODD_TEXTS)]
    for wanted in ((len(ODD_TEXTS), 0), (0, len(ODD_TEXTS))):
        say(site, Page(records=records))
        done = site.pull(NAME)
        told = 0 if site.database.nul == "\0" else 2 * sum("\0" in text for text in ODD_TEXTS)
        assert (done.inserted, done.unchanged, done.rejected) == (*wanted, told)
    found = site.rows(f"SELECT words, \"all\"->>'words' FROM {TABLE} ORDER BY id")
    assert found == [(text.replace("\0", site.database.nul),) * 2 for text in ODD_TEXTS]


def test_odd_texts_in_a_key_name_the_same_record(site: Site) -> None:
    """Names are keys in some APIs; a NUL in one is no reason to mix two of them up."""
    names = [text for text in ODD_TEXTS if len(text) < 100]
    told = [{"thing_id": 1, "name": name, "text": "x"} for name in names]
    if site.database.nul != "\0":  # there a key with NUL is no key
        names = [name for name in names if "\0" not in name]
    for wanted in ((len(names), 0), (0, len(names))):
        say(site, Page(records=told))
        done = site.pull("scripted.notes")
        assert (done.inserted, done.unchanged) == wanted
    keys = [rows.key_text((1, name)) for name in names]
    in_file = site.rows(
        "SELECT thing_id || '/' || replace(replace(name, '~', '~0'), '/', '~1') FROM load.scripted_notes"
    )
    assert sorted(key for (key,) in in_file) == sorted(keys)


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_an_odd_text_that_fits_no_type_is_a_reject_without_it(site: Site, text: str) -> None:
    """The value stands nowhere: not in the reject, not in what the run says."""
    kinds = (BIGINT, DECIMAL, BOOLEAN, DATE, TIMESTAMP)
    site.script.describe = lambda stream: [Field(f"a_{kind.value}", type=kind) for kind in kinds]
    say(site, Page(records=[{"id": 1} | {f"a_{kind.value}": text for kind in kinds}]))
    done = site.pull(NAME)
    assert (done.inserted, done.rejected) == (1, len(kinds))
    for row in site.rows("SELECT * FROM syncer.rejects"):
        assert text not in row and not any(isinstance(each, str) and text in each for each in row)


def test_an_odd_key_is_named_in_a_reject_as_it_is(site: Site) -> None:
    """A person finds the record by it."""
    mapping = own_module("mappings", "scripted").NOTES
    for name in ODD_TEXTS[:6]:
        say(site, Page(records=[{"thing_id": 1, "name": name, "text": {"no": "text"}}]))
        assert site.pull(mapping.name).rejected == 1
    found = {key for (key,) in site.rows("SELECT key FROM syncer.rejects")}
    named = {name for name in ODD_TEXTS[:6] if site.database.nul == "\0" or "\0" not in name}
    assert {key for key in found if not key.startswith("~")} == {rows.key_text((1, name)) for name in named}
    assert len(found) == 6
