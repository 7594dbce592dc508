"""
Setting up: what `syncer init` writes, what is said of a `syncer.toml` that is wrong, what `syncer check` finds.

Not here: how settings are read (`test_settings.py`), the other verbs (`test_cli.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import configfile, operations, settings, sources
from syncer.clock import SystemClock
from syncer.engine import doors_of
from syncer.verbs import check_names, init
from tests.shop import Shop, Syncer, one_line

pytest_plugins = ["tests.shop.fixtures"]


def test_init_writes_a_file_that_loads_and_names_every_key(
    syncer: Syncer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is made from what the code knows; taken out of its comments, it is still right."""
    monkeypatch.chdir(tmp_path)
    assert syncer("init").code == 0
    text = Path("syncer.toml").read_text(encoding="utf-8")
    assert attrs.evolve(settings.load(folder=tmp_path, variables={}), tables={}, file=None) == settings.Settings()
    fixed = (configfile.WAREHOUSE_KEYS, configfile.SYNCER_KEYS, configfile.JOURNAL_KEYS, configfile.PUSH_KEYS)
    for keys in (*fixed, configfile.MAPPING_KEYS):
        assert all(f"\n# {key} = " in text for key in keys)
    assert "[jira]" in text and "SYNCER_GITLAB_TOKEN" in text
    assert "duckdb:" in text and "odbc:" in text and "SYNCER_WAREHOUSE_PASSWORD" in text


def test_every_line_of_init_works_when_its_sign_is_taken_away(tmp_path: Path) -> None:
    """Each alone, and all of them together; a source takes its options as they stand there."""
    lines = init.text().splitlines()
    commented = [at for at, line in enumerate(lines) if line.startswith("#")]
    assert len(commented) > 20
    for chosen in (*([at] for at in commented), commented):
        taken = [line[1:] if at in chosen else line for at, line in enumerate(lines)]
        (tmp_path / "syncer.toml").write_text("\n".join(taken), encoding="utf-8")
        (tmp_path / "own").mkdir(exist_ok=True)
        found = settings.load(folder=tmp_path, variables={})
        check_names(found)
    for name in sources.names():
        account = found.account(name)
        assert set(account.options) == set(sources.module(name).NEEDS.options)
        sources.connect(account, doors=doors_of(found, SystemClock()), streams=()).close()


def test_the_tables_of_operations_are_right_where_their_signs_are_taken_away(tmp_path: Path) -> None:
    """Each operation is there, with all that it can be told; none of the tables stands, since one may be a consent."""
    lines = init.text().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("## Operations")) + 2
    (tmp_path / "syncer.toml").write_text("\n".join(line.removeprefix("##") for line in lines[at:]), encoding="utf-8")
    found = settings.load(folder=tmp_path, variables={})
    check_names(found)
    for name, operation in operations.known().items():
        unset = [key for key in operations.declared_of(operation) if key not in found.tables[name]]
        assert unset == []
        assert ("max_merges" in found.tables[name]) is not operations.is_report(operation)
        assert f'\n["{name}"]' not in init.text()


def test_init_leaves_a_file_alone(syncer: Syncer) -> None:
    """It may hold a year's settings."""
    before = Path("syncer.toml").read_text(encoding="utf-8")
    assert syncer("init").code == 2
    assert Path("syncer.toml").read_text(encoding="utf-8") == before
    assert syncer("init", "--force").code == 0


@pytest.mark.parametrize(
    ("toml", "told"),
    [
        ("[warehouse]\nurll = 'x'", "line 4"),
        ("[shpo]\nurl = 'x'", "shop"),
        ("['shop.itmes']\nlookback_s = 4", "shop.items"),
        ("['shop.items']\nlookback_s = 'long'", "seconds"),
        ("[warehouse\nurl = 'x'", "line 3"),
        ("[shop]\naisle = # which", "line 4: aisle: Invalid value"),
        ("[shop]\ntoken = s3cret", "line 4: token: Invalid value"),
        ("[shop]\naisles = 4", "aisle"),
    ],
)
def test_typo_in_syncer_toml_names_file_line_and_choices(syncer: Syncer, toml: str, told: str) -> None:
    """A key that nobody reads would be ignored for ever."""
    file = Path("syncer.toml")
    file.write_text(file.read_text(encoding="utf-8") + toml, encoding="utf-8")
    result = syncer("pull", "shop.items")
    assert result.code == 2 and one_line(result.err)
    assert "syncer.toml" in result.err and told in result.err and "s3cret" not in result.err


def test_check_tells_what_works(syncer: Syncer) -> None:
    """Nothing is written, and no warehouse is made."""
    result = syncer("check", "shop")
    assert (result.code, result.err) == (0, "")
    assert "as the baker (account the corner shop)" in result.out
    assert "can be read: shop.items, shop.orders" in result.out
    assert not Path("warehouse.duckdb").exists()


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda shop, env: shop.forbidden.add("orders"), "shop.orders cannot be read"),
        (lambda shop, env: shop.locked.add("orders"), "the cellar is locked"),
        (lambda shop, env: env.setenv("SYNCER_SHOP_TOKEN", "wrong"), "the one on the wall"),
        (lambda shop, env: env.setenv("SYNCER_SHOP_URL", "ftp://x"), "SYNCER_SHOP_URL"),
        (lambda shop, env: env.setenv("SYNCER_SHOP_TOKN", "x"), "Did you mean SYNCER_SHOP_TOKEN?"),
        (lambda shop, env: env.setenv("SYNCER_WAREHOUSE", "duckdb:not/there.duckdb"), "no folder"),
        (lambda shop, env: Path("warehouse.duckdb").write_text("a letter"), "not a DuckDB file"),
        (lambda shop, env: Path("syncer.toml").write_text("[wharehouse]"), "syncer.toml, line 1"),
    ],
)
def test_check_tells_what_does_not_work(
    syncer: Syncer, shop: Shop, monkeypatch: pytest.MonkeyPatch, break_it: Callable[..., Any], told: str
) -> None:
    """What is wrong, and what to do."""
    break_it(shop, monkeypatch)
    result = syncer("check", "--output", "json")
    bad = [check for check in result.json["checks"] if check["status"] in ("failed", "warning")]
    assert result.code == any(check["status"] == "failed" for check in bad)
    assert any(told in f"{check['about']} {check['detail']} {check['hint']}" for check in bad)


def test_source_that_is_not_set_up_is_an_error_only_when_it_is_named(
    syncer: Syncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Most sites have one or two of them."""
    monkeypatch.delenv("SYNCER_SHOP_URL")
    monkeypatch.delenv("SYNCER_SHOP_TOKEN")
    every = syncer("check")
    assert every.code == 0 and "shop: set SYNCER_SHOP_URL, SYNCER_SHOP_TOKEN" in every.out
    assert syncer("check", "shop").code == 1


def test_check_with_warnings_does_not_say_that_all_is_well(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning deserves a look, also of who reads the last line only."""
    assert syncer("check").out.splitlines()[-1] == "All is well."
    monkeypatch.setenv("SYNCER_SHOP_TOKN", "x")
    result = syncer("check")
    assert result.code == 0 and result.out.splitlines()[-1] == "Nothing failed; 1 warning deserves a look, see above."


def test_check_blames_the_option_that_was_given(syncer: Syncer) -> None:
    """Not the variable in whose place it stands."""
    result = syncer("check", "--warehouse", "duckdb:not/there.duckdb")
    assert result.code == 1 and "--warehouse names" in result.out and "SYNCER_WAREHOUSE" not in result.out


def test_variables_of_options_are_read(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of options of two words as well, and of named environments; a typo in one is still told."""
    options = ("SYNCER_HUBSPOT_PORTAL_ID", "SYNCER_HUBSPOT__VOYS_PORTAL_ID", "SYNCER_HUBSPOT__TWO_WORDS_API")
    for name in (*options, "SYNCER_WAREHOUSE_USER", "SYNCER_WAREHOUSE_PASSWORD"):
        monkeypatch.setenv(name, "1")
        assert name not in syncer("check", "shop").out
    monkeypatch.setenv("SYNCER_HUBSPOT__VOYS_PORTALID", "1")
    assert "variable SYNCER_HUBSPOT__VOYS_PORTALID" in syncer("check", "shop").out
