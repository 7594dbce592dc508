"""Further objects that a site names (`objects` in [hubspot]): what they may be called, and in which environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncer import mappings, settings
from syncer.errors import UsageError
from syncer.verbs import check_names
from tests.shop import Syncer, one_line

pytest_plugins = ["tests.shop.fixtures"]


def load(folder: Path, toml: str, **variables: str) -> settings.Settings:
    """Load settings from a `syncer.toml` with *toml* in it."""
    (folder / "syncer.toml").write_text(toml, encoding="utf-8")
    return settings.load(folder=folder, variables=variables)


@pytest.mark.parametrize(
    ("toml", "variables"),
    [
        ('[hubspot]\nobjects = ["companies_voys"]\n[environments.voys.hubspot]\nurl = "x"\n', {}),
        ('[hubspot]\nobjects = ["companies_voys"]\n', {"SYNCER_HUBSPOT__VOYS_TOKEN": "x"}),
        ('[hubspot]\nobjects = ["companies_voys"]\n["hubspot.companies".environments.voys]\nstyle = "delta"\n', {}),
    ],
)
def test_no_two_mappings_fill_one_table_in_any_environment(
    tmp_path: Path, toml: str, variables: dict[str, str]
) -> None:
    """Else one would end the rows of the other, and overwrite what has the same id."""
    found = load(tmp_path, toml, **variables)
    with pytest.raises(UsageError, match="hubspot.companies in the environment voys both fill .*companies_voys"):
        check_names(found)


def test_two_environments_may_meet_in_one_table_neither(tmp_path: Path) -> None:
    """`a` with the environment `b_c`, and `a_b` with the environment `c`."""
    toml = '[hubspot]\nobjects = ["owners_b"]\n[environments.b_c]\nuser = ""\n[environments.c]\nuser = ""\n'
    with pytest.raises(UsageError, match="hubspot_owners_b_c"):
        check_names(load(tmp_path, toml))


def test_a_table_of_an_object_of_another_environment_is_no_typo(tmp_path: Path) -> None:
    """Else the default environment could not be pulled any more; a real typo is still told."""
    toml = '[environments.voys.hubspot]\nobjects = ["subs"]\n["hubspot.subs"]\nstyle = "delta"\n'
    found = load(tmp_path, toml)
    check_names(found)
    assert "hubspot.subs" not in mappings.known(objects=found.objects())
    with pytest.raises(UsageError, match="hubspot.sbus"):
        check_names(load(tmp_path, toml.replace('["hubspot.subs"]', '["hubspot.sbus"]')))


@pytest.mark.parametrize("name", ["owners", "companies", "pipelines", "properties", "associations"])
def test_an_object_takes_no_declared_name(tmp_path: Path, name: str) -> None:
    """The stream of that name would be read by the mapping of another, and its rows end."""
    found = load(tmp_path, f'[hubspot]\nurl = "x"\nobjects = ["{name}"]\n')
    with pytest.raises(UsageError, match=rf"line 3, in \[hubspot\]: objects names {name}.*is there anyway"):
        mappings.known(objects=found.objects())


WRONG = ['"subs"', "5", "true", '["Machines!"]', '[""]', '["x.y"]', '["x\\n"]', '[["a"]]', "[5]", "{ a = 5 }"]


@pytest.mark.parametrize("option", WRONG)
def test_an_option_that_names_no_objects_is_told_with_its_line(tmp_path: Path, option: str) -> None:
    """Of the environment that is not in force as well."""
    for table in ("hubspot", "environments.voys.hubspot"):
        found = load(tmp_path, f'[syncer]\nfolders = []\n[{table}]\nurl = "x"\nobjects = {option}\n')
        with pytest.raises(UsageError, match=rf"syncer.toml, line 5, in \[{table}\]: objects is a list of names"):
            check_names(found)


@pytest.mark.parametrize("verb", [("pull", "shop.items"), ("list",), ("status",), ("check",)])
def test_every_verb_says_the_same_of_it(syncer: Syncer, verb: tuple[str, ...]) -> None:
    """One line, before anything is tried."""
    file = Path("syncer.toml")
    file.write_text(file.read_text(encoding="utf-8") + '[hubspot]\nobjects = ["Machines!"]\n', encoding="utf-8")
    result = syncer(*verb)
    told = result.out if verb == ("check",) else result.err
    assert result.code == (1 if verb == ("check",) else 2)
    assert "in [hubspot]: objects is a list of names" in " ".join(told.split())
    assert verb == ("check",) or one_line(result.err)
