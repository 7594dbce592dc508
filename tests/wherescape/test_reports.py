"""Reports of operations on a RED site: what could not be looked at is never told as well."""

from __future__ import annotations

import csv
import datetime as dt
import zoneinfo

from syncer.sandbox.hubspot import TOKEN
from tests.wherescape.red_site import RedSite

FACTS = 'wherescape.run("warehouse.check_fact_dimensions")'
LOST = "UPDATE ws_obj_object SET oo_target_key = NULL WHERE oo_name = 'fact_call'"


def star(host: RedSite) -> None:
    """Make the facts that the repository knows; one key of one row is NULL, which is a finding."""
    host.rows("CREATE SCHEMA star")
    host.rows("CREATE TABLE star.fact_call (dim_client_key bigint, dim_date_key bigint)")
    host.rows("CREATE TABLE star.fact_without_dimension (amount numeric)")
    host.rows("INSERT INTO star.fact_call VALUES (NULL, 1)")


def table(host: RedSite) -> list[list[str]]:
    """Return the rows of the one CSV."""
    (file,) = host.folder.glob("9999_fact_dimension_check_result_*.csv")
    return list(csv.reader(file.open(encoding="utf-8-sig")))[1:]


def open_findings(host: RedSite) -> set[str]:
    return {str(key) for (key,) in host.rows("SELECT key FROM syncer.findings")}


def test_a_fact_that_cannot_be_counted_is_not_looked_at(host: RedSite) -> None:
    """It is told, its line of the CSV has no counts, and what was wrong with it is not gone."""
    star(host)
    assert "1 finding" in host.run(FACTS).message
    before = open_findings(host)
    host.red.rows(LOST)
    ended = host.run(FACTS)
    assert ended.status == "-1" and "not looked at: fact_call" in ended.message, ended
    assert "fact_call: RED has no target schema for this fact table" in ended.out + ended.err
    assert "gone" not in ended.message and before < open_findings(host)
    assert [row[1:] for row in table(host)] == [
        ["star.fact_without_dimension", "", "0", ""],
        ["fact_call", "", "", ""],
    ]


def test_a_fact_that_red_has_in_other_capitals_is_the_same(host: RedSite) -> None:
    """What was found of it stands while nobody can look, and the first thing told is RED's reason."""
    star(host)
    for table, column in (("ws_fact_tab", "ft_table_name"), ("ws_obj_object", "oo_name")):
        host.red.rows(f"UPDATE {table} SET {column} = 'FACT_CALL' WHERE {column} = 'fact_call'")
    assert "1 finding" in host.run(FACTS).message
    before = open_findings(host)
    host.red.rows(LOST.replace("fact_call", "FACT_CALL"))
    ended = host.run(FACTS)
    assert ended.status == "-1" and "gone" not in ended.message and before < open_findings(host), ended
    assert "(the first: FACT_CALL: RED has no target schema" in ended.message, ended
    host.rows("DROP TABLE star.fact_without_dimension")
    ended = host.run(FACTS)
    assert "(the first: star.fact_without_dimension" in ended.message, "what is new, and not what was told before"


def test_facts_none_of_which_can_be_counted_are_told_with_their_reason(host: RedSite) -> None:
    """The remedy is in RED; `syncer.toml` is no place that it was missed in."""
    star(host)
    host.red.rows("UPDATE ws_obj_object SET oo_target_key = NULL WHERE oo_name LIKE 'fact%'")
    ended = host.run(FACTS)
    assert ended.status == "-2" and "none of 2 fact tables can be counted" in ended.message, ended
    assert "fact_call: RED has no target schema" in ended.out and "Give them a target in RED" in ended.out
    assert list(host.folder.glob("*.csv")) == []


def test_a_repository_without_facts_is_told(host: RedSite) -> None:
    """Nothing was counted, and no file is written."""
    host.red.rows("DELETE FROM ws_fact_tab")
    ended = host.run(FACTS)
    assert ended.status == "-2" and "RED's repository knows no fact table" in ended.message, ended
    assert list(host.folder.glob("*.csv")) == []


def test_the_day_of_the_csv_is_that_of_its_name(host: RedSite) -> None:
    """One of two zones that are 26 hours apart has another day than UTC."""
    star(host)
    utc = dt.datetime.now(dt.UTC)
    zone = next(
        name
        for name in ("Pacific/Kiritimati", "Etc/GMT+12")
        if utc.astimezone(zoneinfo.ZoneInfo(name)).date() != utc.date()
    )
    ended = host.run(FACTS, TZ=zone)
    (file,) = host.folder.glob("*.csv")
    days = {row[0] for row in table(host)}
    assert days == {dt.datetime.now(zoneinfo.ZoneInfo(zone)).date().isoformat()}, ended
    assert file.stem.endswith(f"_{dt.date.fromisoformat(days.pop()):%y%m%d}")


def test_a_portal_of_which_nothing_was_looked_at_is_told(host: RedSite) -> None:
    """The load tables of a RED site are RED's: none of them is looked at, and `nothing found` would not be so."""
    host.red.rows("DELETE FROM dss_parameter WHERE dss_parameter_name LIKE 'hubspot%'")
    host.red.rows("INSERT INTO dss_parameter VALUES ('hubspot_access_token', ?, NULL)", [TOKEN])
    host.make("load_hubspot_companies", (("id", "bigint"), ("nonsense", "text")))
    where = {"SYNCER_HUBSPOT_URL": host.sandbox.url("hubspot")}
    host.run("wherescape.pull()", "load_hubspot_companies", **where)
    ended = host.run('wherescape.run("hubspot.check_columns")', **where)
    assert ended.status == "-1" and "Nothing was looked at" in ended.out, ended
    assert "not looked at: any object" in ended.message
