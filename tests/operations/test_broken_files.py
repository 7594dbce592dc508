"""A file of a company's own operation that is broken: only what uses it fails, and says so with the file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shop import Syncer, one_line

pytest_plugins = ["tests.shop.fixtures"]
SHOP = Path(__file__).parents[1] / "shop"
BROKEN = "import nothing_of_that_name\n"
NO_NAME = 'SUMMARY, COLUMNS = "look", ("n",)\n\n\ndef lines(context):\n    yield from ()\n'
GOOD = f'NAME = "warehouse.good"\n{NO_NAME}'


NO_SETTINGS = f'NAME, SETTINGS = "warehouse.broken", ["x"]\n{NO_NAME}'


@pytest.fixture(params=[BROKEN, NO_NAME, NO_SETTINGS], ids=["not loaded", "no name", "settings that are none"])
def site(request: pytest.FixtureRequest, syncer: Syncer) -> Path:
    """A site with a broken operation, and a table of it in syncer.toml; and a good one."""
    folder = Path("mine/operations")
    folder.mkdir(parents=True)
    (folder / "broken.py").write_text(request.param)
    (folder / "good.py").write_text(GOOD)
    Path("syncer.toml").write_text(
        f'[syncer]\nfolders = ["{SHOP.as_posix()}", "mine"]\n["warehouse.broken"]\nmax_updates = 2\n'
    )
    return folder / "broken.py"


def test_a_pull_runs_with_one_warning(site: Path, syncer: Syncer) -> None:
    """The sync of the night is not to stop for a job that somebody tries out."""
    result = syncer("pull", "shop.items")
    assert (result.code, "120 inserted" in result.out) == (0, True)
    assert one_line(result.err) and "WARNING" in result.err
    assert "broken.py" in result.err and "Only what uses it fails" in result.err


def test_another_operation_runs(site: Path, syncer: Syncer) -> None:
    """And has the same warning."""
    syncer("pull", "shop.items")
    result = syncer("run", "warehouse.good")
    assert result.code == 0 and one_line(result.err) and "WARNING" in result.err and "broken.py" in result.err


def test_its_own_run_fails_with_the_file_and_no_warning(site: Path, syncer: Syncer) -> None:
    """Told once."""
    result = syncer("run", "warehouse.broken")
    assert result.code == 2 and one_line(result.err)
    assert "broken.py" in result.err and "WARNING" not in result.err


@pytest.mark.parametrize("has_table", [True, False])
def test_check_names_it_and_goes_on(site: Path, syncer: Syncer, has_table: bool) -> None:
    """What it says of the sources is wanted all the more."""
    if not has_table:
        Path("syncer.toml").write_text(f'[syncer]\nfolders = ["{SHOP.as_posix()}", "mine"]\n')
    result = syncer("check", "shop")
    assert result.code == 1 and result.err == ""
    assert "failed" in result.out and "operation broken" in result.out and "can be read: shop.items" in result.out


def test_list_has_the_others(site: Path, syncer: Syncer) -> None:
    """With one warning."""
    result = syncer("list", "warehouse.*")
    assert result.code == 0 and "warehouse.good" in result.out and "warehouse.broken" not in result.out
    assert one_line(result.err) and "broken.py" in result.err


def test_a_misspelt_operation_is_told_as_such(site: Path, syncer: Syncer) -> None:
    """And not as the file that happens to be broken."""
    result = syncer("run", "warehouse.goood")
    assert result.code == 2 and "Did you mean warehouse.good" in result.err.splitlines()[-1]


def test_a_table_that_is_nearly_its_name_is_told_with_the_name(site: Path, syncer: Syncer) -> None:
    """A typo is one, whatever its file is."""
    file = Path("syncer.toml")
    file.write_text(file.read_text().replace('"warehouse.broken"', '"warehouse.brokn"'))
    result = syncer("pull", "shop.items")
    assert result.code == 2 and "Did you mean warehouse.broken" in result.err


def test_run_takes_one_name(syncer: Syncer) -> None:
    """A pattern is none, and `list` takes it."""
    result = syncer("run", "warehouse.*")
    assert result.code == 2 and "takes the name of one operation" in result.err and "syncer list" in result.err


@pytest.mark.parametrize("verb", ["push", "pull", "verify"])
def test_a_verb_of_mappings_says_which_one_takes_an_operation(syncer: Syncer, verb: str) -> None:
    """The nearest mapping is not what was meant."""
    result = syncer(verb, "hubspot.merge_tickets")
    assert result.code == 2 and one_line(result.err)
    assert "is an operation, and no mapping. Run it with `syncer run hubspot.merge_tickets`" in result.err


def test_a_run_of_a_mapping_says_which_verbs_take_it(syncer: Syncer) -> None:
    """The other way round."""
    result = syncer("run", "shop.items")
    assert result.code == 2 and "is a mapping, and no operation" in result.err and "syncer pull" in result.err
