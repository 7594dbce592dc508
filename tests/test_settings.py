"""Settings: variables before the file, environments, and one readable line for each typo."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer import mappings, settings
from syncer.errors import UsageError


def load(folder: Path, toml: str = "", *, environment: str | None = None, **variables: str) -> settings.Settings:
    if toml:
        (folder / "syncer.toml").write_text(toml, encoding="utf-8")
    return settings.load(environment=environment, variables=variables, folder=folder)


def test_without_anything_the_warehouse_is_just_there(tmp_path: Path) -> None:
    """No set-up."""
    assert load(tmp_path).warehouse == "duckdb:warehouse.duckdb"


def test_variables_go_before_the_file(tmp_path: Path) -> None:
    """A secret need not stand in a file, and a scheduler can say where to write."""
    toml = (
        '[warehouse]\nurl = "duckdb:file.duckdb"\nwait_s = 5\n[jira]\nurl = "http://file"\nuser = "ada@example.com"\n'
    )
    found = load(
        tmp_path, toml, SYNCER_WAREHOUSE="duckdb:var.duckdb", SYNCER_JIRA_URL="http://var", SYNCER_JIRA_TOKEN="t"
    )
    account = found.account("jira")
    assert (found.warehouse, found.wait_s) == ("duckdb:var.duckdb", 5)
    assert (account.url, account.user, account.token) == ("http://var", "ada@example.com", "t")


def test_user_and_password_of_the_warehouse_come_from_the_file_or_a_variable(tmp_path: Path) -> None:
    """A connection string may be shared then; the variable goes before the file, and takes a password as it is."""
    toml = '[warehouse]\nurl = "odbc:DSN=warehouse"\nuser = "ada"\npassword = "p;a{s}"\n'
    found = load(tmp_path, toml)
    assert (found.warehouse, found.warehouse_user, found.warehouse_password) == ("odbc:DSN=warehouse", "ada", "p;a{s}")
    found = load(tmp_path, toml, SYNCER_WAREHOUSE_USER="eve", SYNCER_WAREHOUSE_PASSWORD=" {;} ")
    assert (found.warehouse_user, found.warehouse_password) == ("eve", " {;} ")
    assert load(tmp_path / "elsewhere").warehouse_password == ""


def test_an_environment_has_its_own_account(tmp_path: Path) -> None:
    """Two portals in one configuration; nothing of the one is ever used for the other."""
    toml = (
        '[gitlab]\nurl = "http://one"\ngroups = ["a"]\n'
        '[environments.voys]\nurl = "http://two"\n[environments.voys.gitlab]\ngroups = ["b"]\n'
    )
    variables = {"SYNCER_GITLAB_TOKEN": "one", "SYNCER_GITLAB__VOYS_TOKEN": "two"}
    one = load(tmp_path, toml, **variables).account("gitlab")
    two = load(tmp_path, toml, environment="voys", **variables).account("gitlab")
    assert (one.url, one.token, one.options["groups"]) == ("http://one", "one", ["a"])
    assert (two.url, two.token, two.options["groups"]) == ("http://two", "two", ["b"])
    assert two.variable("TOKEN") == "SYNCER_GITLAB__VOYS_TOKEN"
    assert load(tmp_path, environment="third", **variables).account("gitlab").token == ""


def test_a_mapping_has_keys_of_its_own_also_by_environment(tmp_path: Path) -> None:
    """Single keys of a mapping, for one environment."""
    toml = (
        '["jira.issues"]\nmax_gone_share = 0.1\nlookback_s = 60\n'
        '["jira.issues".environments.voys]\nmax_gone_share = "off"\n'
    )
    assert load(tmp_path, toml).for_mapping("jira.issues")["max_gone_share"] == 0.1
    found = load(tmp_path, toml, environment="voys").for_mapping("jira.issues")
    assert found == {"max_gone_share": "off", "lookback_s": 60}


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[warehouse]\n\nwait = 5\n", ["line 3", "'wait'", "wait_s"]),
        ('[warehouse]\nwait_s = "long"\n', ["line 2", "wait_s", "a text that does not fit", "seconds"]),
        ('["jira.issues"]\nmax_gone_shar = 1\n', ["line 2", "max_gone_shar", "max_gone_share"]),
        ('["jira.issues"]\n# max_gone_share = 3\nmax_gone_share = 3\n', ["line 3", "between 0 and 1"]),
        ('["jira.issues".environments.voys]\nstyle = "x"\n', ["line 2", "mirror", "delta"]),
        ("[warehouse\n", ["line 1"]),
        ("wait_s = 5\n", ["line 1", "outside a table"]),
        ('["Jira"]\nx = 1\n', ["line 1", "Jira"]),
        ('["jira.issues"]\nlookback_s = inf\n', ["line 2", "lookback_s", "inf", "from 0 to"]),
        ('["jira.issues"]\nlookback_s = 1e15\n', ["line 2", "lookback_s", "from 0 to"]),
        ('["jira.issues"]\nlookback_s = nan\n', ["line 2", "lookback_s", "from 0 to"]),
        ('["jira.issues"]\nreoffer_days = inf\n', ["line 2", "reoffer_days", "at most"]),
        ('["jira.issues"]\nreoffer_days = 1e7\n', ["line 2", "reoffer_days", "at most"]),
        ('["jira.issues"]\nenvironments = 5\n', ["line 2", "environments", "tables"]),
        ('["jira.issues".environments]\nvoys = 5\n', ["line 2", "voys", "a table"]),
        ('["jira.issues".environments.Voys]\nstyle = "mirror"\n', ["line 1", "Voys", "small letters"]),
        ("environments = 5\n", ["line 1", "outside a table"]),
        ("[warehouse]\nwait_s = inf\n", ["line 2", "wait_s", "from 0 to"]),
        ("[warehouse]\nuser = 5\n", ["line 2", "user in [warehouse] is 5", "a text"]),
        ("[warehouse]\npassword = 5\n", ["line 2", "password in [warehouse] is no such value", "a text"]),
        ('[warehouse]\nmemory_limit = "lots"\n', ["line 2", "memory_limit", "96MB"]),
        ("[jira]\nurl = 5\n", ["line 2", "url in [jira]", "text in quotes"]),
        ("[environments.voys.jira]\ntoken = 123456\n", ["line 2", "token in [environments.voys.jira]"]),
        ('["jira.issues"]\nstyle = "delta"\n["jira.boards"]\nstyle = "x"\n', ["line 4", 'style in ["jira.boards"]']),
        ("[warehouse]\nwait_s = 1" + "0" * 5000 + "\n", ["too large"]),
    ],
)
def test_a_typo_is_one_line_with_file_line_and_choices(tmp_path: Path, toml: str, words: list[str]) -> None:
    """Nothing was tried."""
    with pytest.raises(UsageError) as caught:
        load(tmp_path, toml)
    for word in ["syncer.toml", *words]:
        assert word in str(caught.value)


def test_a_table_that_names_nothing_known_is_told(tmp_path: Path) -> None:
    """`[jria]` would otherwise be silently ignored."""
    found = load(tmp_path, '[jria]\nurl = "x"\n')
    with pytest.raises(UsageError, match="line 1.*jria.*Did you mean jira"):
        found.check_names(sources=["jira", "gitlab"], mappings=["jira.issues"])
    found = load(tmp_path, '["jira.isues"]\nlookback_s = 1\n')
    with pytest.raises(UsageError, match="jira.isues.*Did you mean jira.issues"):
        found.check_names(sources=["jira"], mappings=["jira.issues"])


def test_a_config_that_is_named_must_be_there(tmp_path: Path) -> None:
    """A wrong path must not mean the defaults."""
    with pytest.raises(UsageError, match="does not exist"):
        load(tmp_path, SYNCER_CONFIG=str(tmp_path / "none.toml"))


def test_a_secret_is_in_no_repr(tmp_path: Path) -> None:
    """Settings end up in tracebacks and logs."""
    toml = '[jira]\ntoken = "file-secret"\n[warehouse]\nurl = "odbc:DSN=x;PWD=url-secret"\npassword = "file-secret"\n'
    found = load(tmp_path, toml, SYNCER_GITLAB_TOKEN="var-secret", SYNCER_WAREHOUSE_PASSWORD="var-secret")
    text = repr(found) + repr(found.account("gitlab")) + repr(found.account("jira")) + str(found)
    assert "-secret" not in text


@pytest.mark.parametrize(
    "toml",
    [
        '["jira.issues"]\nlookback_s = "SECRET"\n',
        '[warehouse]\nmemory_limit = "SECRET"\n',
        '[warehouse]\npasword = "SECRET"\n',
        "[warehouse]\npassword = SECRET\n",
        '[warehouse]\npassword = ["SECRET"]\n',
        "[syncer]\nhash_key = 1234567890123456\n",
    ],
)
def test_a_text_that_is_wrong_is_not_repeated(tmp_path: Path, toml: str) -> None:
    """A token in the wrong line must not end up in a log."""
    with pytest.raises(UsageError) as caught:
        load(tmp_path, toml)
    assert "SECRET" not in str(caught.value) and "123456" not in str(caught.value)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ('[warehous]\nurl = "x"\n', "line 1.*warehous.*Did you mean warehouse"),
        ('[jira]\nuser = "x"\n[environments.voys.jria]\nurl = "x"\n', "line 3.*jria.*Did you mean jira"),
        ('[jira]\nurl = "x"\n[jira.issues]\nstyle = "delta"\n', r'line 3.*\["jira.issues"\], a mapping, in quotes'),
    ],
)
def test_a_table_under_any_name_is_told_with_its_line(tmp_path: Path, toml: str, words: str) -> None:
    """Also one of an environment that is not in force."""
    with pytest.raises(UsageError, match=words):
        load(tmp_path, toml).check_names(sources=["jira", "gitlab"], mappings=["jira.issues"])


def test_an_empty_environment_is_not_the_default_one(tmp_path: Path) -> None:
    """`--environment "$ENV"` with ENV unset must not write the default account's records."""
    with pytest.raises(UsageError, match="environment is empty.*leave it out"):
        load(tmp_path, environment="")
    assert load(tmp_path, environment=None).environment == "default"


def test_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Editors of Windows write one; what is not UTF-8 at all is told."""
    (tmp_path / "syncer.toml").write_text('[jira]\nuser = "é"\n', encoding="utf-8-sig")
    found = load(tmp_path)
    found.check_names(sources=["jira"], mappings=[])
    assert found.account("jira").user == "é"
    (tmp_path / "syncer.toml").write_text("[jira]\n", encoding="utf-16")
    with pytest.raises(UsageError, match="not UTF-8"):
        load(tmp_path)


def test_an_option_knows_where_it_stands(tmp_path: Path) -> None:
    """A source that does not know it says so with file, line and table."""
    toml = "[gitlab]\nworkers = 1\n[environments.voys]\ngroups = []\n[environments.voys.gitlab]\nworkers = 2\n"
    places = load(tmp_path, toml, environment="voys").account("gitlab").places
    assert places["workers"].endswith("syncer.toml, line 6, in [environments.voys.gitlab]")
    assert places["groups"].endswith("syncer.toml, line 4, in [environments.voys]")
    assert load(tmp_path).account("gitlab").places["workers"].endswith("line 2, in [gitlab]")


def test_the_place_of_the_warehouse_is_told_where_it_stands_in_the_file(tmp_path: Path) -> None:
    """Else a person looks for a variable that nobody has set."""
    toml = "[jira]\nuser = 'ada'\n[warehouse]\nurl = 'odbc:DSN=warehouse'\n"
    assert load(tmp_path, toml).place_of_warehouse() == f"{tmp_path / 'syncer.toml'}, line 4, url in [warehouse]"
    assert load(tmp_path, toml, SYNCER_WAREHOUSE="odbc:DSN=another").place_of_warehouse() == ""
    assert load(tmp_path, "[warehouse]\nwait_s = 1\n").place_of_warehouse() == ""


def test_words_of_a_push_are_refused_for_what_only_comes_in(tmp_path: Path) -> None:
    """They would be ignored silently."""
    (tmp_path / "syncer.toml").write_text('["jira.issues"]\nrelation = "stage.issues"\n', encoding="utf-8")
    found = settings.load(folder=tmp_path, variables={})
    [mapping] = mappings.choose(["jira.issues"])
    with pytest.raises(UsageError, match=r"line 2, .*jira\.issues only comes in, and relation"):
        found.applied_to(mapping)
