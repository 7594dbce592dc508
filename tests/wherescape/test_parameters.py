"""RED's parameters: an unknown one and an empty one are one answer, a failed write is an error, no value is shown."""

from __future__ import annotations

import pytest
from loguru import logger

from syncer.errors import UsageError, WarehouseError
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
