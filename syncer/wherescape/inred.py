"""
Messages in the words of a host script of RED's: `WSL_SRCCFG_apikey`, not `SYNCER_JIRA_TOKEN`, and `wait_s=…`, not
`--wait`.

A variable has RED's name where RED handed its value over, or would where nobody sets it. One that the site itself set,
in the environment or in `syncer.toml`, keeps its own: that is where somebody must look. An option of the command line
is the argument that a verb has for it; one that no verb has stays, and so does a whole command in backquotes, which is
for a shell: but that of a pull, which would fill a table of our own.

Not here: what is taken from RED (`site.py`).
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import attrs

from syncer import settings as settings_module
from syncer.errors import SyncerError
from syncer.settings import Account
from syncer.wherescape import site

if TYPE_CHECKING:
    from syncer.wherescape.environment import Environment

LOGIN = ("SYNCER_WAREHOUSE_USER", "SYNCER_WAREHOUSE_PASSWORD")
WAREHOUSE = {"SYNCER_WAREHOUSE": "WSL_TGT_DSN", LOGIN[0]: "WSL_TGT_USER", LOGIN[1]: "WSL_TGT_PWD"}
FLAGS = {
    "full": "full",
    "census": "census",
    "force": "force",
    "dry-run": "dry_run",
    "require-clean": "require_clean",
}
VALUES = {"wait": "wait_s", "environment": "environment", "plan": "plan", "first": "first"}
PULLS = ("full", "census")  # options of a pull alone, told as its call
_FLAG = rf"(?<![\w-])--(?:{'|'.join(FLAGS)})(?![\w-])"
_VALUE = rf"(?<![\w-])--(?:{'|'.join(VALUES)})(?![\w-])(?: (?:[A-Z]+|[0-9a-f]{{12}}|\d+)\b)?"
_OPTION = re.compile(rf"{_FLAG}|{_VALUE}")
_WORDS = re.compile(
    r"`syncer pull [^`]* --(?:full|census)\b[^`]*`"
    r"|(?P<command>`syncer [^`]*`)"
    r"|(?P<said>[a-z_]+=[^\s()]*) \(--[^()]*\)"  # in the words of Python, and behind them in those of the command line
    rf"|(?P<how>\bwith )?(?:{_OPTION.pattern})(?: (?:{_OPTION.pattern}))*"
)
_VARIABLE = re.compile(r"(^|[.!?] )?\b(SYNCER_[A-Z0-9_]+)")


@attrs.frozen
class InRed:
    """What RED calls variables of syncer's; one that is not there keeps its name."""

    names: Mapping[str, str] = attrs.field(factory=dict)

    @classmethod
    def of(cls, red: Environment, accounts: Iterable[tuple[str, str]]) -> InRed:
        """Make it for a verb; accounts: the sources that it asked for, each with its environment."""
        found = dict(WAREHOUSE)
        for variable, value in zip(LOGIN, (red.target.user, red.target.password), strict=True):
            if os.environ.get(variable) and not value:
                del found[variable]
        for source, environment in accounts:
            if source:
                found |= _of_account(red, source, environment)
        return cls(found)

    def said(self, text: str) -> str:
        """Say *text* in the words of RED and of its host scripts."""
        return self.named(_WORDS.sub(_in_a_script, text))

    def named(self, text: str) -> str:
        """Name variables in *text* as RED does, and leave all else: it shows what records have."""
        return _VARIABLE.sub(self._told, text)

    def retell(self, error: SyncerError) -> None:
        """Put an error into RED's words; a hint that leads to what RED does not use becomes one that leads to RED."""
        from syncer.sources import NOT_SET

        message = self.said(error.message)
        if error.hint == NOT_SET and message != error.message:
            error.hint = "Fill in what is missing at the source connection of the load table, in RED."
        elif any(name in self.names and name in error.hint for name in LOGIN):
            error.hint = "Check WSL_TGT_USER and WSL_TGT_PWD: user and password of RED's target connection."
        error.message, error.hint = message, self.said(error.hint)
        error.args = (message, *error.args[1:])

    def _told(self, found: re.Match[str]) -> str:
        before, variable = found[1] or "", found[2]
        name = self.names.get(variable, variable)
        begins_sentence = found[1] is not None
        return f"{before}{name[:1].upper()}{name[1:]}" if begins_sentence else f"{before}{name}"


def _in_a_script(found: re.Match[str]) -> str:
    """Write options of the command line as a verb's arguments; a pull's as its call, where nothing else names it."""
    if found["command"] or found["said"]:
        return found["command"] or found["said"]
    given = [each.removeprefix("--").partition(" ") for each in _OPTION.findall(found[0])]
    if found[0].startswith("`"):  # what it pulls the script knows
        return f"`pull({', '.join(_argument(name) for name, _, _ in given if name in FLAGS)})`"
    told = ", ".join(_argument(name, value) for name, _, value in given)
    if found["how"]:
        return f"{found['how']}{told}"
    return f"pull({told})" if any(name in PULLS for name, _, _ in given) else told


def _argument(name: str, value: str = "") -> str:
    if name in FLAGS:
        return f"{FLAGS[name]}=True"
    shown = f'"{value}"' if value and name in ("environment", "plan") else value or "…"
    return f"{VALUES[name]}={shown}"


def _of_account(red: Environment, source: str, environment: str) -> dict[str, str]:
    """Return RED's names of a source's address, user and token."""
    account = Account(source=source, environment=environment)
    of_the_file = account
    with contextlib.suppress(SyncerError):  # a broken syncer.toml has been told by then
        where = {"SYNCER_CONFIG": os.environ.get("SYNCER_CONFIG", "")}
        of_the_file = settings_module.load(environment=environment, variables=where).account(source)
    found = {}
    for what, field in site.FIELDS.items():
        variable = account.variable(site.EMBED if source == site.ANYTHINGLLM and what == "USER" else what)
        is_set = bool(os.environ.get(variable) or getattr(of_the_file, what.lower()))
        if source == site.HUBSPOT and what == "TOKEN" and not red.srccfg.get(field):
            if not os.environ.get(variable):
                found[variable] = f"RED's parameter {site.token_parameter(red, environment)}"
        elif red.srccfg.get(field) or not is_set:
            found[variable] = f"the field {field} (WSL_SRCCFG_{field}) of the source connection"
    return found
