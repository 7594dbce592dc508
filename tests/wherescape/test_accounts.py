"""Whose account a host script is of: its table's own rows go there, and what nobody can tell is refused."""

from __future__ import annotations

import pytest

from syncer.sandbox.hubspot import TOKEN
from tests.wherescape.red_site import RedSite

STAGE, OTHER, NOTES = "stage_company_voys", "stage_company_other", "stage_note_voys"
COLUMNS = (("id", "bigint"), ("name", "text"))
ADOPT = "".join(f'["hubspot.{kind}"]\nadopt = "ours"\n' for kind in ("notes", "companies"))


def toml(host: RedSite, text: str) -> None:
    (host.folder / "syncer.toml").write_text(text, encoding="utf-8")


def written(host: RedSite) -> list[tuple[str, str]]:
    """Return what went out that our tables say: the account of the run, and the value as the portal has it now."""
    if not host.rows("SELECT 1 FROM information_schema.tables WHERE table_schema = 'syncer'"):
        return []
    with host.sandbox.locked("hubspot") as portal:
        records = portal.store.records  # type: ignore[attr-defined]
        values = {
            str(record.properties.get(name))
            for kind, name in (("companies", "name"), ("notes", "hs_note_body"))
            for record in records[kind].values()
        }
    now = sorted(value for value in values if value.startswith("of "))
    accounts = [str(account) for (account,) in host.rows("SELECT DISTINCT environment FROM syncer.changes")]
    return list(zip(accounts, now, strict=True))


@pytest.fixture
def portal(host: RedSite) -> dict[str, str]:
    """Stage tables of one record each; the default account, voys and other lead to one portal, by their tokens."""
    host.red.rows("DELETE FROM dss_parameter WHERE dss_parameter_name LIKE 'hubspot%'")
    for word in ("", "_voys", "_other"):
        host.red.rows(f"INSERT INTO dss_parameter VALUES ('hubspot_access_token{word}', ?, NULL)", [TOKEN])
    host.rows("CREATE SCHEMA IF NOT EXISTS stage")
    for table, kind, column in (
        (STAGE, "companies", "name"),
        (OTHER, "companies", "name"),
        (NOTES, "notes", "hs_note_body"),
        ("stage_company_acme", "companies", "name"),
        ("stage_export", "companies", "name"),
        ("stage_company_contact", "companies", "name"),
    ):
        with host.sandbox.locked("hubspot") as store:
            first = min(store.store.records[kind])  # type: ignore[attr-defined]
        host.rows(f"CREATE TABLE stage.{table} AS SELECT '{first}' AS hs_object_id, 'of {table}' AS {column}")
    toml(host, ADOPT)
    url = host.sandbox.url("hubspot")
    return {"schema": "stage", **{f"SYNCER_HUBSPOT{word}_URL": url for word in ("", "__VOYS", "__OTHER")}}


# The relation.


def test_a_relation_of_another_table_is_not_sent_in_its_place(host: RedSite, portal: dict[str, str]) -> None:
    """The rows of voys went out to the account that the other table's name tells; the error names both tables."""
    toml(host, f'["hubspot.companies"]\nadopt = "ours"\nrelation = "stage.{STAGE}"\n')
    ended = host.run("wherescape.push()", OTHER, **portal)
    assert (ended.status, written(host)) == ("-2", []), ended
    assert f"stage.{STAGE}" in ended.out and f"stage.{OTHER}" in ended.out
    assert '["hubspot.companies".environments.other]' in ended.out
    for table, message in ((STAGE, "1 updated"), (STAGE.upper(), "1 unchanged")):
        its_own = host.run("wherescape.push()", table, **portal)
        assert its_own.status == "1" and message in its_own.message, its_own


def test_a_query_for_all_accounts_is_told_as_one(host: RedSite, portal: dict[str, str]) -> None:
    """To leave it out would send the whole table, without what the query leaves out."""
    toml(host, f'["hubspot.companies"]\nadopt = "ours"\nrelation = "SELECT * FROM stage.{STAGE} WHERE name IS NULL"\n')
    ended = host.run("wherescape.push()", STAGE, **portal)
    assert ended.status == "-2" and "has a query as its relation" in ended.message, ended
    said = " ".join(ended.out.split())
    assert 'relation in ["hubspot.companies".environments.voys]' in said and "leave it out" not in said
    assert written(host) == []


def test_a_relation_of_the_account_is_sent(host: RedSite, portal: dict[str, str]) -> None:
    """A site may have a view of its own for an account; what it set for all accounts does not count then."""
    host.rows(f"CREATE VIEW stage.good AS SELECT hs_object_id, 'of the view' AS name FROM stage.{OTHER}")
    toml(
        host,
        f'["hubspot.companies"]\nadopt = "ours"\nrelation = "stage.{STAGE}"\n'
        '["hubspot.companies".environments.other]\nrelation = "stage.good"\n',
    )
    ended = host.run("wherescape.push()", OTHER, **portal)
    assert (ended.status, written(host)) == ("1", [("other", "of the view")]), ended


# The account.


def test_only_what_goes_out_is_pushed(host: RedSite, portal: dict[str, str]) -> None:
    """Friday Pulse has notes, too, which only come in: `check` and a push read a stage table's name alike."""
    ended = host.run("wherescape.push()", NOTES, **portal)
    assert (ended.status, written(host)) == ("1", [("voys", f"of {NOTES}")]), ended


def test_the_name_tells_the_account_of_a_mapping_that_is_said(host: RedSite, portal: dict[str, str]) -> None:
    """A script that says what its rows are has not said whose; the base account would be another one."""
    ended = host.run('wherescape.push("hubspot.notes")', NOTES, **portal)
    assert (ended.status, written(host)) == ("1", [("voys", f"of {NOTES}")]), ended


@pytest.mark.parametrize(("table", "words"), [("stage_company_acme", "acme"), ("stage_export", "export")])
def test_words_of_which_nobody_knows_the_account_are_refused(
    host: RedSite, portal: dict[str, str], table: str, words: str
) -> None:
    """What the script says in so many words is done."""
    ended = host.run('wherescape.push("hubspot.companies")', table, **portal)
    assert (ended.status, written(host)) == ("-2", []), ended
    assert f"'{words}' in its name is no environment" in ended.message
    line = 'wherescape.push("hubspot.companies", environment="default")'
    assert line in ended.out
    assert "1 updated" in host.run(line, table, **portal).message
    assert written(host) == [("default", f"of {table}")]


def test_a_word_of_another_entity_is_no_account(host: RedSite, portal: dict[str, str]) -> None:
    """The name fits two mappings, and the error says how to say which: that line works as it stands."""
    ended = host.run("wherescape.push()", "stage_company_contact", **portal)
    line = 'wherescape.push("hubspot.companies")'
    assert ended.status == "-2" and line in ended.out, ended
    assert "1 updated" in host.run(line, "stage_company_contact", **portal).message
    assert written(host) == [("default", "of stage_company_contact")]
    host.rows("CREATE TABLE stage.stage_company_owner AS SELECT * FROM stage.stage_company_contact")
    ended = host.run('wherescape.push("hubspot.companies", dry_run=True)', "stage_company_owner", **portal)
    assert ended.status == "1", ended.out + "; owners only come in, and are an entity all the same"


def pulled(host: RedSite, script: str, table: str, where: dict[str, str]) -> tuple[str, str]:
    """Pull into a load table; return the status, and the account that it was then filled of, or the whole result."""
    host.make(table, COLUMNS)
    ended = host.run(script, table, **{**where, "schema": "load"})
    if ended.status == "-2":
        return ended.status, ended.out
    (found,) = host.rows("SELECT environment FROM syncer.landings WHERE load_table = ?", [f"load.{table}"])
    return ended.status, str(found[0])


@pytest.mark.parametrize(
    ("table", "account"),
    [
        ("load_hubspot_voys_companies", "voys"),
        ("load_hubspot_companies", "default"),
        ("load_customers", "default"),
        ("load_deal_company", "default"),
    ],
)
def test_a_pull_that_says_its_mapping_reads_the_account_of_its_table(
    host: RedSite, portal: dict[str, str], table: str, account: str
) -> None:
    """A load table may be called anything; where its name tells an account, it is that one."""
    status, found = pulled(host, 'wherescape.pull("hubspot.companies")', table, portal)
    assert status in ("1", "-1") and found == account


@pytest.mark.parametrize(
    "table", ["load_hubspot_acme_companies", "load_companies_hubspot_acme", "load_voys_customers"]
)
def test_a_pull_of_which_nobody_knows_the_account_is_refused(
    host: RedSite, portal: dict[str, str], table: str
) -> None:
    """Words beside the entity whose parameter RED lacks, and an account's word in a name that tells nothing else."""
    status, out = pulled(host, 'wherescape.pull("hubspot.companies")', table, portal)
    assert status == "-2" and 'environment="default")' in out, out
    told = (
        "hubspot_access_token_acme" if "acme" in table else 'wherescape.pull("hubspot.companies", environment="voys")'
    )
    assert told in out


def test_a_pull_whose_connection_has_the_token_is_as_ever(host: RedSite, portal: dict[str, str]) -> None:
    """RED says which account it is, as for the tables of before: no word of a name is in doubt."""
    where = {**portal, "WSL_SRCCFG_apikey": TOKEN}
    for table in ("load_hubspot_acme_companies", "load_voys_jira_issue"):
        name = "jira.issues" if "jira" in table else "hubspot.companies"
        source = {"source": "jira"} if "jira" in table else where
        status, found = pulled(host, f'wherescape.pull("{name}")', table, source)
        assert status in ("1", "-1") and found == "default", found


# The operation.


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ('run("hubspot.nonsense")', "No operation named 'hubspot.nonsense'"),
        ('run("merge_tickets")', "No operation named 'merge_tickets'"),
        ('run("hubspot.check_columns", force=True)', "force=True"),
        ('run("hubspot.merge_tickets", first=0)', "first=0"),
        ('push("hubspot.companies", force=True)', "force=True"),
        ("run(None)", "operation is None"),
        ('run("hubspot.check_columns", environment=7)', "environment is of type int"),
        ('push("hubspot.companies", environment=7)', "environment is of type int"),
        ("pull(7)", "name is of type int"),
    ],
)
def test_the_mistake_itself_is_told_and_not_a_missing_token(host: RedSite, script: str, said: str) -> None:
    """Whoever sets the token would have made the same mistake with it."""
    host.red.rows("DELETE FROM dss_parameter WHERE dss_parameter_name LIKE 'hubspot%'")
    ended = host.run(f"wherescape.{script}", "load_hubspot_companies")
    assert ended.status == "-2" and said in ended.message, ended
    assert "token" not in ended.out and "Traceback" not in ended.err


def test_an_operation_without_an_environment_is_of_the_default_one(host: RedSite, portal: dict[str, str]) -> None:
    """None is what a script has that left it open."""
    ended = host.run('wherescape.run("hubspot.check_columns", environment=None, dry_run=True)', **portal)
    assert ended.status == "-1" and "environment default" in ended.out, ended
