"""Bad input of a push: told by its name, with the next step, before anything is written; nothing is lost by it."""

from __future__ import annotations

import os
import socket
from typing import Any

import attrs
import pytest

from syncer import executing, settings
from syncer.errors import SyncerError, UsageError
from syncer.sandbox.hubspot import TOKEN
from syncer.sandbox.hubspot.call import ALL_SCOPES
from tests.outbound import KEY, PushHome


@pytest.fixture
def ready(home: PushHome) -> PushHome:
    """Two rows that could be pushed."""
    home.relation([{KEY: "1", "name": "One"}, {KEY: "2", "name": "Two"}])
    return home


def words_of(home: PushHome, line: str) -> settings.Settings:
    """Load a `syncer.toml` whose mapping has one more line."""
    text = (
        f'[hubspot]\nlimits = "off"\n["hubspot.companies"]\nrelation = "stage.companies"\nmatch_on = "{KEY}"\n{line}\n'
    )
    (home.settings.base / "syncer.toml").write_text(text, encoding="utf-8")
    return settings.load(variables=home.settings.variables, folder=home.settings.base)


def failed(home: PushHome, **words: Any) -> str:
    """Push with other words; return what it said, where nothing was asked of the portal that writes."""
    home.sent()
    try:
        done = home.with_words(**words).push()
    except SyncerError as error:
        said = f"{error} {error.hint}"
    else:
        assert (done.status, done.exit_code) == ("failed", 1)
        said = str(done.error)
    assert (home.writes(), home.live()) == ([], [])
    return said


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('policy = "our"', 'policy in ["hubspot.companies"]'),
        ('policies = { name = "our" }', 'policies in ["hubspot.companies"]'),
        ('adopt = "mine"', 'adopt in ["hubspot.companies"]'),
        ('blanks = "yes"', 'blanks in ["hubspot.companies"]'),
        ('on_missing = "delete"', 'on_missing in ["hubspot.companies"]'),
        ("max_update = 5", "max_updates"),
        ('max_updates = "many"', 'max_updates in ["hubspot.companies"]'),
        ("max_update_share = 30", "a share between 0 and 1"),
        ("max_creates = -1", 'max_creates in ["hubspot.companies"]'),
        ('relation = ""', "relation"),
        ("match_on = 5", "relation"),
    ],
)
def test_a_word_that_nobody_knows_is_told_with_its_line(ready: PushHome, line: str, told: str) -> None:
    """A limit that was misspelt would hold nothing back."""
    with pytest.raises(UsageError) as raised:
        words_of(ready, line)
    said = f"{raised.value} {raised.value.hint}"
    assert "syncer.toml" in said and (told in said or "syncer.toml, line" in said)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"policy": "newest"}, "changed_at"),
        ({"policy": "newest", "changed_at": "nowhere"}, "no column nowhere"),
        ({"relation": "stage.nothing"}, "stage.nothing"),
        ({"relation": "select client_id, name frm stage.companies"}, "cannot be read"),
        ({"relation": "select client_id, name from stage.companies; drop table stage.companies"}, "cannot be read"),
        ({"relation": "stage.companies; drop table stage.companies"}, "neither a name nor a query"),
        ({"match_on": "nowhere"}, "create_properties --dry-run"),
        ({"match_on": "phone"}, "fixed when a property is made: name another, or make one; unique here: client_id."),
        ({"edges": {"name": "compani"}}, "companies"),
        ({"policies": {"phnoe": "ours"}}, "policies names phnoe"),
        ({"policies": {"Phone": "ours"}}, "Did you mean phone"),
        ({"blanks_by_field": {"nothing_like_it": "clear"}}, "blanks_by_field names nothing_like_it"),
    ],
)
def test_what_a_mapping_names_and_is_not_there_is_told(ready: PushHome, words: dict[str, Any], told: str) -> None:
    """And the rows are still there afterwards."""
    assert told in failed(ready, **words)
    assert ready.rows("SELECT COUNT(*) FROM stage.companies") == [(2,)]


def test_a_relation_without_the_key_is_told_with_its_columns(home: PushHome) -> None:
    home.relation([{"name": "One", "phone": "1"}])
    said = failed(home)
    assert KEY in said and "It has: name, phone" in said


def test_a_token_that_may_only_read_is_told_before_the_first_write(ready: PushHome) -> None:
    """With the scope that it lacks."""
    ready.site.add_token(TOKEN, ALL_SCOPES - {"crm.objects.companies.write"})
    assert "crm.objects.companies.write" in failed(ready)


def test_a_portal_where_people_work_must_be_allowed(ready: PushHome) -> None:
    """A dry run is let through; a push once the site says so."""
    ready.site.store.account = attrs.evolve(ready.site.store.account, type="STANDARD")
    assert "allow_production = true" in failed(ready)
    assert ready.push(is_rehearsal=True).counts.created == 2
    tables = {**ready.settings.tables, "hubspot": {**ready.settings.tables["hubspot"], "allow_production": True}}
    allowed = attrs.evolve(ready, settings=attrs.evolve(ready.settings, tables=tables))
    assert (allowed.push().counts.created, len(ready.live())) == (2, 2)


def test_two_never_write_one_kind_of_records_at_once(ready: PushHome) -> None:
    """Whoever comes second is told who does, and writes nothing; when it is free, it goes on."""
    other = ready.warehouse()
    lease = other.lease(executing.lease_name("hubspot.companies", "default"), run="abc123", wait_s=0)
    try:
        said = failed(ready)
        assert f"process {os.getpid()} on {socket.gethostname()} writes hubspot.companies@default since 20" in said
    finally:
        lease.release()
        other.close()
    assert ready.push().counts.created == 2


def test_a_value_that_cannot_fit_rejects_its_row_alone(home: PushHome) -> None:
    """With a reason that somebody understands who does not program."""
    home.relation([{KEY: "1", "name": "One", "size": "many"}, {KEY: "2", "name": "Two", "size": "12"}])
    done = home.push()
    assert (done.counts.created, done.counts.rejected, done.exit_code) == (1, 1, 3)
    [(field, reason)] = home.rows("SELECT \"column\", reason FROM syncer.rejects WHERE scope = 'push'")
    assert field == "size" and "no number" in reason


def test_keys_that_are_doubled_or_blank_are_all_named_and_none_is_written(home: PushHome) -> None:
    """NULL and the empty text alike."""
    names = [("1", "a"), ("1", "b"), (None, "c"), ("", "d"), ("2", "e")]
    home.relation([{KEY: key, "name": name} for key, name in names])
    done = home.push()
    assert (done.counts.created, done.counts.rejected, done.counts.read) == (1, 4, 5)
    found = dict(home.rows("SELECT key, reason FROM syncer.rejects WHERE scope = 'push'"))
    assert found == {
        "": "client_id is blank in 2 rows: nothing tells which records they are.",
        "1": "The key stands in 2 rows; none of them is written.",
    }
    assert list(home.values("name")) == ["2"]
