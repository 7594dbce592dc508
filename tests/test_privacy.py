"""Personal fields are kept, dropped, hashed or masked before anything of them is stored, cached or logged."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from loguru import logger

from syncer import cli, privacy
from syncer.errors import MappingError, UsageError
from syncer.mapping import DROP, HASH, KEEP, MASK, EntityMapping, Field, Inbound
from syncer.masking import Mask, Names
from syncer.values import BIGINT, DATE, JSON, TEXT
from tests.conftest import Site
from tests.people import KEY, furnished, hits, left_in, needles, pages, person

HASHED = ["email", "phone", "born_on", "bsn", "is_member", "author_name", "extra"]


def hashed(text: str) -> str:
    return hmac.new(KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def compiled(*fields: Field, names: tuple[str, ...] = ()) -> privacy.Privacy:
    mapping = EntityMapping(name="some.things", key=("id",), fields=(Field("id", type=BIGINT), *fields))
    return privacy.Privacy(mapping=mapping, key=KEY.encode(), mask=Mask(names=Names.of(names)))


def treated(found: privacy.Privacy, **columns: Any) -> dict[str, Any]:
    made = {column: [value] for column, value in columns.items()}
    found.treat(made)
    return {column: values[0] for column, values in made.items()}


@pytest.fixture
def people(make_site: Callable[..., Site]) -> Callable[..., Site]:
    """Make a site of one person."""

    def make(toml: str = "", name: str = "site", *, key: str = KEY) -> Site:
        site = furnished(make_site(toml, name), key=key)
        site.script.read = lambda stream, places: pages(person())
        return site

    return make


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Everything that is logged, at the finest level."""
    lines: list[str] = []
    logger.enable("syncer")
    sink = logger.add(lambda message: lines.append(str(message)), level="TRACE", diagnose=True, backtrace=True)
    yield lines
    logger.remove(sink)
    logger.disable("syncer")


def row_of(site: Site) -> dict[str, Any]:
    (row,) = site.rows("SELECT * FROM load.scripted_people")
    return dict(zip(site.columns("scripted_people"), row, strict=True))


@pytest.mark.parametrize("treatment", [DROP, HASH, MASK, KEEP])
def test_no_byte_of_a_personal_field_is_left_anywhere(
    people: Callable[..., Site], log: list[str], capsys: pytest.CaptureFixture[str], treatment: str
) -> None:
    """Warehouse, write-ahead log, cache, leases, log and stderr; with `keep` the same search finds every column."""
    # A short form: what is no text is dropped where the others are masked, and a known name is masked whole.
    site = people(f'["scripted.people"]\npersonal = "{treatment}"\n')
    if treatment == MASK:
        # A secret in a list or a nickname is no finding: such a field is dropped or hashed.
        rules = dict.fromkeys(("email", "phone", "author_name", "note"), MASK)
        rules |= dict.fromkeys(("born_on", "bsn", "is_member", "nickname", "extra"), DROP)
        site.settings = attrs.evolve(site.settings, tables={"scripted.people": {"personal": rules}})
    with contextlib.closing(site.warehouse()) as warehouse, warehouse.transaction():
        pass  # so that the file stands in the way of nobody
    pulled = site.pull("scripted.people")
    assert (pulled.inserted, pulled.rejected) == (1, 0)
    said = capsys.readouterr()
    (site.folder / "said").write_text("".join([*log, said.out, said.err, repr(pulled), repr(site.settings)]))
    found = hits([site.folder.parent, *site.database.kept_in()], needles())
    if treatment == KEEP:
        assert set(needles()) - set(found) == {"born_on", "bsn"} - set(found)
        assert {"email", "phone", "nickname", "author_name", "note", "extra"} <= set(found)
        assert (row_of(site)["bsn"], str(row_of(site)["born_on"])) == (912345677, "1971-02-17")
    else:
        assert found == {}


def test_raw_json_and_json_above_hold_what_was_treated(people: Callable[..., Site]) -> None:
    """A person is in the raw record, too; what is not personal stays."""
    site = people('["scripted.people"]\npersonal = { email = "hash", phone = "drop", author_name = "mask" }\n')
    site.pull("scripted.people")
    row = row_of(site)
    raw, author = json.loads(row["raw"]), json.loads(row["author"])
    mail = hashed("zeldzaam7@voorbeeld.example")
    assert (row["email"], raw["properties"]["email"]) == (mail, mail)
    assert (row["phone"], raw["properties"]["phone"], raw["properties"]["nick"]) == (None, None, None)
    assert (row["author_name"], author, raw["author"]) == (
        "[name]",
        {"name": "[name]", "id": 5},
        {"name": "[name]", "id": 5},
    )
    assert row["note"] == raw["note"] == "Bel [name] op [phone], mail [e-mail]."
    assert (raw["city"], raw["id"], row["bsn"]) == ("Utrecht", 7, 912345677)


def test_a_source_s_own_record_is_left_alone(people: Callable[..., Site]) -> None:
    """Several streams may share one object."""
    site, record = people('["scripted.people"]\npersonal = "hash"\n'), person()
    site.script.read = lambda stream, places: pages(record)
    site.pull("scripted.people")
    assert record == person()


def test_a_second_pull_of_treated_rows_writes_nothing(people: Callable[..., Site]) -> None:
    """What is compared is what was treated."""
    site = people('["scripted.people"]\npersonal = "hash"\n')
    site.pull("scripted.people")
    pulled = site.pull("scripted.people", mode="full")
    assert (pulled.read, pulled.unchanged) == (1, 1)


def test_equal_people_are_equal_in_every_table(people: Callable[..., Site]) -> None:
    """Tables are joined by the hash: blanks around a text and capitals are no difference, and a number is its text."""
    found = compiled(
        Field("mail", personal=True, treatment=HASH), Field("j", type=JSON, personal=True, treatment=HASH)
    )
    one, two = treated(found, mail=" Ada@Example.com", j={"m": "ada@example.COM ", "n": [5, None, True]}).values()
    assert one == two["m"] == hashed("ada@example.com")
    assert two["n"] == [hashed("5"), None, hashed("true")]
    assert treated(found, mail="e\u0301", j=None)["mail"] == hashed("\u00e9")
    assert treated(found, mail="", j="  ") == {"mail": "", "j": "  "}


def test_what_is_hashed_becomes_text(people: Callable[..., Site]) -> None:
    """A hash is no number and no date."""
    site = people('["scripted.people"]\npersonal = "hash"\n')
    site.pull("scripted.people")
    row = row_of(site)
    assert (row["bsn"], row["born_on"], row["is_member"]) == (
        hashed("912345677"),
        hashed("1971-02-17"),
        hashed("true"),
    )
    assert json.loads(row["extra"]) == {"list": [hashed("geheimpje7")], "count": hashed("88123457")}


def test_a_table_that_was_there_takes_the_hash_with_the_next_full_pull(people: Callable[..., Site]) -> None:
    """The bigint column becomes text."""
    site = people()
    site.pull("scripted.people")
    site.settings = attrs.evolve(site.settings, tables={"scripted.people": {"personal": {"bsn": HASH}}})
    pulled = site.pull("scripted.people", mode="full")
    assert (pulled.updated, pulled.rejected, row_of(site)["bsn"]) == (1, 0, hashed("912345677"))


def test_a_column_that_a_site_names_becomes_personal(people: Callable[..., Site]) -> None:
    """A portal's own property is known to nobody else."""
    site = people('["scripted.people"]\npersonal = { city = "drop" }\n')
    site.pull("scripted.people")
    assert (row_of(site)["city"], json.loads(row_of(site)["raw"])["city"]) == (None, None)


def test_discovered_columns_are_treated(people: Callable[..., Site]) -> None:
    """They are known when the source has told them."""
    site = people('["scripted.found"]\npersonal = { bsn = "drop", mail = "hash" }\n')
    site.script.describe = lambda stream: (Field("bsn"), Field("mail", path="m", personal=True), Field("size"))
    site.script.read = lambda stream, places: pages({"id": 1, "bsn": "1", "m": "a@b.nl", "size": "9"})
    assert site.pull("scripted.found").inserted == 1
    bsn, mail, size, raw = site.rows("SELECT bsn, mail, size, raw FROM load.scripted_found")[0]
    assert (bsn, mail, size) == (None, hashed("a@b.nl"), "9")
    assert json.loads(raw) == {"id": 1, "bsn": None, "m": hashed("a@b.nl"), "size": "9"}
    site.script.describe = lambda stream: (Field("size"),)
    assert site.pull("scripted.found", mode="full").status == "done"  # the property was archived: a warning
    site.settings = attrs.evolve(site.settings, tables={"scripted.found": {"personal": {"bns": "drop"}}})
    pulled = site.pull("scripted.found")
    assert pulled.status == "failed" and "bns" in str(pulled.error)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('["scripted.people"]\n\npersonal = { emial = "drop" }\n', ["line 5", "emial", "Did you mean email"]),
        ('["scripted.people"]\npersonal = { email = "burn" }\n', ["line 4", "keep, drop, hash, mask"]),
        ('["scripted.people"]\npersonal = "burn"\n', ["line 4", "keep, drop, hash, mask"]),
        ('["scripted.people"]\npersonal = { id = "hash" }\n', ["line 4", "id", "only be kept"]),
        ('["scripted.people"]\npersonal = { bsn = "mask" }\n', ["line 4", "bsn is bigint", "drop or hash"]),
        ('["scripted.people"]\nerase_gone = 1\n', ["line 4", "true or false"]),
        ('hash_key = "short"\n', ["line 3", "16 characters"]),
        ('phone_regions = ["nl"]\n', ["line 3", "two capitals"]),
        ('known_names = "Ada"\n', ["line 3", "list of names"]),
    ],
)
def test_a_wrong_rule_is_one_line_before_anything_is_tried(
    people: Callable[..., Site], toml: str, words: list[str]
) -> None:
    """A field that was thought to be dropped and is not would be found too late."""
    with pytest.raises(UsageError) as caught:
        people(toml).pull("scripted.people")
    for word in words:
        assert word in str(caught.value)
    assert "short" not in str(caught.value).replace("shorter", "")


@pytest.mark.parametrize(("key", "words"), [("", "SYNCER_HASH_KEY, or hash_key"), ("too short", "fewer than 16")])
def test_a_hash_without_a_good_key_is_refused(people: Callable[..., Site], key: str, words: str) -> None:
    """Without one, whoever has a list of addresses has the addresses."""
    pulled = people('["scripted.people"]\npersonal = { email = "hash" }\n', key=key).pull("scripted.people")
    assert pulled.status == "failed" and words in str(pulled.error)


def test_the_hash_key_is_in_no_repr(people: Callable[..., Site]) -> None:
    """It is a secret like a token."""
    site = people('hash_key = "another key of many"\n["scripted.people"]\npersonal = "hash"\n')
    found = site.settings.privacy_of(site.settings.treated(compiled(Field("a")).mapping))
    assert KEY not in repr(site.settings) + repr(found) and "another key" not in repr(site.settings)
    assert found.key == KEY.encode()  # the variable goes before the file


def test_a_mapping_checks_its_treatments() -> None:
    """A treatment on a field that is not personal would never be told to anybody."""
    with pytest.raises(MappingError, match="choices: keep, drop"):
        Field("a", personal=True, treatment="burn")
    with pytest.raises(MappingError, match="personal=True"):
        Field("a", treatment=DROP)
    with pytest.raises(MappingError, match="drop or hash"):
        Field("a", type=DATE, personal=True, treatment=MASK)


def test_a_declared_key_or_slice_is_kept(people: Callable[..., Site]) -> None:
    """A hash in place of a key finds no record of the API any more."""
    mapping = EntityMapping(
        name="some.things",
        key=("id",),
        fields=(Field("id"), Field("of", personal=True, treatment=DROP)),
        inbound=Inbound(stream="s", slice_by=("of",)),
    )
    with pytest.raises(UsageError, match="column of of some.things can only be kept"):
        privacy.applied_to(mapping, {}, where=str)
    assert privacy.applied_to(attrs.evolve(mapping, inbound=None), "hash", where=str).field("of").treatment == HASH


def test_the_strictest_treatment_of_one_value_holds() -> None:
    """Two columns of one value, and an object where a text should stand, and the other way round."""
    same = compiled(Field("a", path="x", personal=True, treatment=DROP), Field("b", path="x"))
    assert treated(same, a="1", b="1") == {"a": None, "b": None}
    above = compiled(Field("a", path="x.y", personal=True, treatment=DROP), Field("x", type=JSON))
    assert treated(above, a=None, x="a text")["x"] is None
    assert treated(above, a=None, x=[{"y": 1, "z": 2}])["x"] == [{"y": None, "z": 2}]
    inner = compiled(
        Field("x", type=JSON, personal=True, treatment=MASK), Field("y", path="x.y", personal=True, treatment=DROP)
    )
    assert treated(inner, x={"y": "q", "m": "a@b.nl", "n": 31612345678, "k": 5}, y="q")["x"] == {
        "y": None,
        "m": "[e-mail]",
        "n": "[phone]",
        "k": 5,
    }


def test_a_name_of_a_json_member_that_is_an_address_is_treated() -> None:
    """Some APIs write {"ada@example.com": …}."""
    masked = compiled(Field("x", type=JSON, personal=True, treatment=MASK))
    assert treated(masked, x={"a@b.nl": 1, "plain": 2})["x"] == {"[e-mail]": 1, "plain": 2}
    digest = compiled(Field("x", type=JSON, personal=True, treatment=HASH))
    assert set(treated(digest, x={"a@b.nl": None})["x"]) == {hashed("a@b.nl")}


def nested(levels: int, leaf: str = "Geheimpje7") -> Any:
    value: Any = leaf
    for level in range(levels):
        value = {"x": value} if level % 2 else [value]
    return value


@pytest.mark.parametrize("treatment", [KEEP, HASH, MASK, DROP])
def test_json_that_is_nested_too_deep_is_null_and_a_reject(people: Callable[..., Site], treatment: str) -> None:
    """One value, which is named: not the whole pull, and not in silence."""
    site = people(f'["scripted.people"]\npersonal = {{ extra = "{treatment}", email = "{treatment}" }}\n')
    odd = person(8, extra=nested(3_000), author={"name": nested(3_000)})
    odd["properties"]["email"] = nested(3_000)
    site.script.read = lambda stream, places: pages(person(7), odd)
    pulled = site.pull("scripted.people")
    told = dict(site.rows("SELECT \"column\", reason FROM syncer.rejects WHERE key = '8'"))
    assert (pulled.status, pulled.inserted) == ("done", 2)
    assert {"author_name"} <= set(told)
    assert treatment == DROP or ({"extra", "email"} <= set(told) and "nested too deeply" in told["extra"])
    assert site.rows("SELECT extra, email FROM load.scripted_people WHERE id = 8") == [(None, None)]
    assert site.rows("SELECT extra IS NULL FROM load.scripted_people WHERE id = 7") == [(treatment == DROP,)]
    assert left_in(site, {"extra": [b"Geheimpje8"]}) == {}


@pytest.mark.parametrize("treatment", [DROP, HASH, MASK])
def test_a_history_is_treated_as_its_column_is(people: Callable[..., Site], treatment: str) -> None:
    """Its old values are the person's, too; a rule of its own goes before."""
    site = people(f'["scripted.found"]\npersonal = {{ bsn = "{treatment}" }}\n')
    site.script.describe = lambda stream: (
        Field("bsn"),
        Field("bsn_history", path=("old", "bsn"), type=JSON, follows="bsn"),
        Field("size_history", path=("old", "size"), type=JSON, follows="size"),
    )
    old = {"bsn": [{"value": "oud@geheim.nl"}], "size": [{"value": "oud@bestel.nl"}]}
    site.script.read = lambda stream, places: pages({"id": 1, "bsn": "nieuw@geheim.nl", "old": old})
    site.pull("scripted.found")
    assert left_in(site, {"bsn": [b"@geheim.nl"]}) == {} and left_in(site, {"size": [b"@bestel.nl"]})
    ((history,),) = site.rows("SELECT bsn_history FROM load.scripted_found")
    wanted = {DROP: None, HASH: hashed("oud@geheim.nl"), MASK: "[e-mail]"}[treatment]
    assert (json.loads(history)[0]["value"] if history else None) == wanted
    own = {"personal": {"bsn": treatment, "bsn_history": KEEP}}
    site.settings = attrs.evolve(site.settings, tables={"scripted.found": own})
    site.pull("scripted.found", mode="full")
    assert left_in(site, {"bsn": [b"oud@geheim.nl"]})


def test_forget_blanks_the_history_of_a_personal_column(people: Callable[..., Site]) -> None:
    """Also where it is a site that called the column personal."""
    mapping = EntityMapping(
        name="some.things",
        key=("id",),
        fields=(
            Field("id"),
            Field("bsn"),
            Field("bsn_history", type=JSON, follows="bsn"),
            Field("size_history", type=JSON, follows="size"),
        ),
    )
    found = privacy.applied_to(mapping, {"bsn": KEEP}, where=str)
    assert privacy.personal_columns(found) == ("bsn", "bsn_history")


def test_names_come_from_the_record_the_source_and_the_site(people: Callable[..., Site]) -> None:
    """A name is masked where somebody knows that it is one; a record's own, whatever was read before it."""
    site = people('known_names = ["Bernadet Zonderland"]\n')
    note = "Quirijn belde Bernadet over Ottoline Prins; wonderling genoeg niet over Xavier."
    site.script.read = lambda stream, places: pages(
        person(note=note, author={"name": "Quirijn Wonderling"}), person(8, note=note, author=None)
    )
    module = sys.modules["syncer_own_sources_scripted"]
    module.Scripted.people = lambda self: ["Ottoline Prins"]  # type: ignore[attr-defined]
    try:
        site.pull("scripted.people")
    finally:
        del module.Scripted.people  # type: ignore[attr-defined]
    notes = [row[0] for row in site.rows("SELECT note FROM load.scripted_people ORDER BY id")]
    assert notes == [
        "[name] belde [name] over [name]; wonderling genoeg niet over Xavier.",
        "Quirijn belde [name] over [name]; wonderling genoeg niet over Xavier.",
    ]


def test_rejects_and_errors_hold_no_value(people: Callable[..., Site], log: list[str]) -> None:
    """A value that does not fit, a record without a key, an object in the wrong place."""
    site = people('["scripted.people"]\npersonal = { email = "hash", phone = "drop", author_name = "hash" }\n')
    odd = person(author="Quirijn Wonderling7", city={"x": "Zeldzaam7"}, extra=None)
    odd["properties"] |= {"bsn": "Geheimpje7", "born": "Bijnaampje7"}
    site.script.read = lambda stream, places: pages(odd, person(id=None))
    pulled = site.pull("scripted.people")
    assert pulled.rejected >= 4
    said = "".join([*log, *(str(row) for row in site.rows("SELECT * FROM syncer.rejects")), repr(pulled)])
    assert not [each for needle in needles().values() for each in needle if each.decode() in said]


def test_a_page_s_treatment_keeps_the_order_of_records() -> None:
    """Column by column, each value stays in its row."""
    found = compiled(Field("a", personal=True, treatment=MASK), Field("b", personal=True, names_people=True))
    columns: dict[str, Any] = {"id": [1, 2, 3], "a": ["Ada zei", None, "Bob zei, Ada"], "b": ["Ada", "Bob", "Bob"]}
    found.treat(columns)
    assert columns["a"] == ["[name] zei", None, "[name] zei, Ada"]


def test_text_fields_of_other_types_than_text_are_no_masks() -> None:
    """`personal = "mask"` for all drops what is no text."""
    mapping = EntityMapping(
        name="some.things",
        key=("id",),
        fields=(Field("id", personal=True), Field("d", type=DATE, personal=True), Field("t", personal=True)),
    )
    found = privacy.applied_to(mapping, MASK, where=str)
    assert [field.treatment for field in found.fields] == [KEEP, DROP, MASK]
    assert [field.type for field in found.fields] == [TEXT, DATE, TEXT]


def test_a_typo_in_the_file_is_exit_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As every other one."""
    (tmp_path / "syncer.toml").write_text('["jira.issues"]\npersonal = { sumary = "drop" }\n')
    monkeypatch.chdir(tmp_path)
    assert cli.main(["pull", "jira.issues"]) == 2
