"""RED's parameters: an unknown one and an empty one are one answer, a failed write is an error, no value is shown."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from loguru import logger

from syncer.errors import UsageError, WarehouseError
from syncer.wherescape import parameters as red_parameters
from syncer.wherescape.parameters import Parameters
from tests.wherescape.stand_in import Red

TOKEN = "hubspot_access_token_voys"


@pytest.fixture
def parameters(red: Red) -> Parameters:
    """The parameters of the stand-in."""
    return Parameters(red.procedures())


@pytest.mark.parametrize(
    ("name", "value"),
    [("jira_high_water_mark", "2024-05-01 10:00"), ("gitlab_high_water_mark", None), ("nobody_knows_it", None)],
)
def test_unknown_and_empty_are_none(parameters: Parameters, name: str, value: str | None) -> None:
    """One answer, so that no caller treats them as two."""
    assert parameters.read(name) == value


def test_blanks_are_nothing(parameters: Parameters, red: Red) -> None:
    """They compare lower than any mark, and nobody sees them."""
    red.rows("UPDATE dss_parameter SET dss_parameter_value = '  '")
    assert parameters.read("jira_high_water_mark") is None


def test_a_comment_is_there_for_who_asks(parameters: Parameters) -> None:
    """None where there is none."""
    assert parameters.comment(TOKEN) == "portal voys"
    assert parameters.comment("jira_high_water_mark") is parameters.comment("nobody_knows_it") is None


def test_a_name_that_red_has_no_room_for_is_nobodys(parameters: Parameters, red: Red) -> None:
    """The server would cut it, and answer with another parameter's value."""
    name = f"hubspot_access_token_{'x' * 43}"
    parameters.write(name, "production's")
    assert len(name) == 64 and parameters.read(name) == "production's"
    longer = f"{name}_dev"
    assert parameters.read(longer) is parameters.comment(longer) is parameters.procedures.parameter(longer) is None
    with pytest.raises(UsageError, match="Its name has 68 letters; RED's have at most 64"):
        parameters.required(longer)
    with pytest.raises(UsageError, match="The value of a parameter is a text, and not NoneType"):
        parameters.write(name, None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Jira_High_Water_Mark", "There is jira_high_water_mark: names differ by capitals."),
        ("jira_high_watermark", "Did you mean jira_high_water_mark"),
        ("gitlab_high_water_mark", "It is there and holds nothing"),
        ("zzz", "Set it in RED"),
    ],
)
def test_a_required_parameter_that_is_missing_is_named(parameters: Parameters, name: str, hint: str) -> None:
    """With the one that may be meant."""
    with pytest.raises(UsageError, match=f"RED has no parameter {name}, or it is empty. {hint}"):
        parameters.required(name)


def test_a_required_parameter_is_its_value(parameters: Parameters) -> None:
    """As it stands there."""
    assert parameters.required(TOKEN) == "not-a-token"


def test_a_write_says_what_it_did(parameters: Parameters, red: Red) -> None:
    """A comment stays where none is given."""
    assert parameters.write("mark", "1", "by hand") == "added"
    assert parameters.write("mark", "") == "updated"
    assert red.rows("SELECT * FROM dss_parameter WHERE dss_parameter_name = 'mark'") == [("mark", "", "by hand")]


def test_a_write_that_failed_is_an_error(parameters: Parameters, red: Red) -> None:
    """The library of before took RED's -3 for success."""
    red.switch(fail=1)
    with pytest.raises(WarehouseError, match="WsParameterWrite answered -3") as told:
        parameters.write("mark", "hush")
    assert "hush" not in str(told.value)


@pytest.mark.parametrize("noisy", [0, 2])
def test_2_000_letters_fit_and_one_more_is_refused(parameters: Parameters, red: Red, noisy: int) -> None:
    """Before the call: the procedure would cut it without a word."""
    red.switch(noisy=noisy)
    parameters.write("mark", "x" * 2_000)
    with pytest.raises(UsageError, match=r"value of parameter mark has 2,001 letters; RED takes 2,000"):
        parameters.write("mark", "y" * 2_001)
    with pytest.raises(UsageError, match="name of parameter n+ has 65 letters; RED takes 64"):
        parameters.write("n" * 65, "y")
    assert parameters.read("mark") == "x" * 2_000 and len([c for c in red.calls() if c[0] == "WsParameterWrite"]) == 1


def test_no_value_is_in_a_log_or_a_repr(parameters: Parameters) -> None:
    """It may be a token."""
    lines: list[str] = []
    logger.enable("syncer")
    sink = logger.add(lines.append, level=0)
    parameters.required(TOKEN)
    parameters.write(TOKEN, "another-token")
    logger.remove(sink)
    logger.disable("syncer")
    assert "token" not in "".join(lines).replace(TOKEN, "") + repr(parameters)


READ = "from syncer import wherescape\nread = wherescape.red_parameters().read"
EARLY = """import os
from syncer import wherescape
from syncer.wherescape.connections import Connections
from syncer.wherescape.environment import read as environment
from syncer.wherescape.parameters import Parameters
from syncer.wherescape.procedures import Procedures
read = Parameters(Procedures.of(Connections(environment(os.environ)))).read"""


def told_with(beginning: str, name: str, red: Red, folder: Path) -> str:
    """Run a host script that reads a parameter and tells its value everywhere; return all that it told."""
    script = folder / "script.py"
    lines = (
        beginning,
        f"value = read({name!r})",
        "host = wherescape.host()",
        "print('printed', value)",
        "host.note(wherescape.Outcome(wherescape.Status.DONE, 'noted ' + value, ('detail ' + value,)))",
        "host.message = 'said ' + value",
        "raise KeyError('raised ' + value)",
    )
    script.write_text("\n".join(lines), encoding="utf-8")
    inside = {"WSL_SEQUENCE": "1", "WSL_LOAD_TABLE": "load_x", "WSL_WORKDIR": str(folder)}
    variables = {**os.environ, **red.variables, **inside}
    done = subprocess.run([sys.executable, str(script)], env=variables, capture_output=True, timeout=60, check=False)
    log = (folder / "python_logging" / "wherescape.log").read_text(encoding="utf-8")
    return f"{done.stdout.decode()}{done.stderr.decode()}{log}"


@pytest.mark.parametrize("beginning", [READ, EARLY], ids=["with the host", "before there is one"])
def test_a_secret_that_a_script_reads_is_told_nowhere(beginning: str, red: Red, tmp_path: Path) -> None:
    """Not on stdout, not on stderr, not in the log file, which is kept for weeks."""
    told = told_with(beginning, TOKEN, red, tmp_path)
    assert "not-a-token" not in told
    for each in ("said ***", "printed ***", "noted ***", "detail ***", "raised ***"):
        assert each in told, each


def test_a_parameter_that_is_no_secret_is_told(red: Red, tmp_path: Path) -> None:
    """A mark is what people look for."""
    assert "said 2024-05-01 10:00" in told_with(READ, "jira_high_water_mark", red, tmp_path)


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        (TOKEN, True),
        ("JIRA_APIKEY", True),
        ("api-key of x", True),
        ("ftp_Password", True),
        ("ftp_pwd", True),
        ("client_secret", True),
        ("jira_high_water_mark", False),
        ("jira_user", False),
        ("gitlab_base_url", False),
    ],
)
def test_a_parameter_is_a_secret_by_its_name(name: str, is_secret: bool) -> None:
    """RED has no mark for them."""
    assert red_parameters.is_secret(name) is is_secret
