"""Settings: variables before the file, environments, and one readable line for each typo."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer import settings
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
        ('[warehouse]\nwait_s = "long"\n', ["line 2", "wait_s", "'long'", "seconds"]),
        ('["jira.issues"]\nmax_gone_shar = 1\n', ["line 2", "max_gone_shar", "max_gone_share"]),
        ('["jira.issues"]\n# max_gone_share = 3\nmax_gone_share = 3\n', ["line 3", "between 0 and 1"]),
        ('["jira.issues".environments.voys]\nstyle = "x"\n', ["line 2", "mirror", "delta"]),
        ("[warehouse\n", ["line 1"]),
        ("wait_s = 5\n", ["line 1", "outside a table"]),
        ('["Jira"]\nx = 1\n', ["line 1", "Jira"]),
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
    found = load(tmp_path, '[jira]\ntoken = "file-secret"\n', SYNCER_GITLAB_TOKEN="var-secret")
    text = repr(found) + repr(found.account("gitlab")) + repr(found.account("jira")) + str(found)
    assert "var-secret" not in text and "file-secret" not in text
