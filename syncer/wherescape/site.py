"""
A site's settings inside RED: what `syncer.toml` and the environment say, and what RED hands over in their place.

The warehouse is the load table's target connection. The source's address, user and token are those of the load table's
source connection; what that leaves out is looked up in RED's parameters (HubSpot's tokens), then in `SYNCER_…` as
anywhere.

Not here: reading RED's variables (`environment.py`), and what a load table is for (`deducing.py`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from syncer import settings as settings_module
from syncer.errors import UsageError
from syncer.settings import DEFAULT_ENVIRONMENT, Account, Settings
from syncer.wherescape import connections

if TYPE_CHECKING:
    from syncer.wherescape.environment import Environment

HUBSPOT, FRIDAY_PULSE, ANYTHINGLLM = "hubspot", "friday_pulse", "anythingllm"
FIXED_URLS = {HUBSPOT: "https://api.hubapi.com", FRIDAY_PULSE: "https://app.fridaypulse.com"}  # where none is set
TOKEN_PARAMETER = "hubspot_access_token"  # a parameter of RED; a named environment stands behind it
OF_DEVELOPMENT = "_dev"
EMBED = "EMBED"  # of AnythingLLM: the embed whose chats are read, which is the connection's user
FIELDS = {"URL": "url", "TOKEN": "apikey", "USER": "user"}  # of an account, and of a connection in RED

ReadParameter = Callable[[str], str | None]


def settings_of(
    red: Environment,
    *,
    source: str,
    environment: str = DEFAULT_ENVIRONMENT,
    parameter: ReadParameter,
    has_target: bool = True,
) -> Settings:
    """
    Make the settings of a verb on *source* in one of its environments.

    parameter: reads a parameter of RED; asked only for what the connections leave out. has_target: False for a verb
    that needs no warehouse: a script that browses a connection has no load table.
    Raises: UsageError: RED named no target; there is no token for the environment.
    """
    variables = {**os.environ, **from_red(red, source=source, environment=environment, has_target=has_target)}
    if source == HUBSPOT:
        name = Account(source=source, environment=environment).variable("TOKEN")
        if not variables.get(name):
            variables[name] = _token(red, environment, parameter=parameter)
    return settings_module.load(environment=environment, variables=variables)


def from_red(red: Environment, *, source: str, environment: str, has_target: bool = True) -> dict[str, str]:
    """Return what RED hands over as the variables that syncer knows; nothing for what it leaves out."""
    found = {}
    if has_target:
        red.require("target_dsn")
        found["SYNCER_WAREHOUSE"] = f"odbc:{connections.warehouse_of(red.target).text()}"
    if not source:
        return found
    account = Account(source=source, environment=environment)
    for what, field in FIELDS.items():
        if value := red.srccfg.get(field, ""):
            found[account.variable(what)] = value
    url = account.variable("URL")
    if source in FIXED_URLS and url not in found and not os.environ.get(url):
        found[url] = FIXED_URLS[source]
    if source == ANYTHINGLLM and (embed := red.srccfg.get("user", "")):
        found.pop(account.variable("USER"), None)
        found[account.variable(EMBED)] = embed
    return found


def for_commands(red: Environment, *, source: str = "", environment: str = DEFAULT_ENVIRONMENT) -> dict[str, str]:
    """
    Return what RED hands over as the variables that a command line reads, the login of the warehouse apart from it.

    source: whose connection it is; empty: not known, and nothing of it is told.
    """
    found = from_red(red, source=source, environment=environment, has_target=False)
    if red.target.dsn:
        bare = attrs.evolve(red.target, user="", password="")
        found["SYNCER_WAREHOUSE"] = f"odbc:{connections.warehouse_of(bare).text()}"
        logins = {"SYNCER_WAREHOUSE_USER": red.target.user, "SYNCER_WAREHOUSE_PASSWORD": red.target.password}
        found |= {name: value for name, value in logins.items() if value}
    return found


def is_in_development(red: Environment) -> bool:
    """Tell whether the repository is one of development: `dev` stands in its DSN's name."""
    return "dev" in red.meta.dsn.lower()


def token_parameter(red: Environment, environment: str) -> str:
    """Name the parameter that holds HubSpot's token for an environment: in development, that of development."""
    name = TOKEN_PARAMETER if environment == DEFAULT_ENVIRONMENT else f"{TOKEN_PARAMETER}_{environment}"
    return f"{name}{OF_DEVELOPMENT}" if is_in_development(red) else name


def _token(red: Environment, environment: str, *, parameter: ReadParameter) -> str:
    """Read HubSpot's token for an environment. Raises UsageError: there is none."""
    name = token_parameter(red, environment)
    token = parameter(name)
    if not token:
        raise UsageError(
            f"There is no token for the environment {environment} of HubSpot: RED's parameter {name} is not set.",
            hint="Set it in RED (Tools, Parameters), or give the load table's connection the token.",
        )
    return token
