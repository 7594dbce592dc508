"""
syncer inside WhereScape RED: what a host script of a few lines calls.

    from syncer import wherescape

    host = wherescape.host()  # from here on stdout is RED's: status, message, audit lines
    host.note(wherescape.Outcome(wherescape.Status.DONE, "4 rows loaded"))

Each name is imported when it is first used. Importing this does nothing to the process; `host()` does, and so does
every verb here, since it calls `host()` first. Inside RED alone, importing it puts functions that can be seen in the
place of `sys.exit`, `exit` and `quit`, and tells child processes where to tell what came of them: both may be at work
before there is a host, or without one.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from syncer.wherescape import mainscript as mainscript  # looks who imports this, as long as that can be seen

if TYPE_CHECKING:
    from syncer.wherescape.browsing import browse
    from syncer.wherescape.carried import confirm
    from syncer.wherescape.describing import create_metadata
    from syncer.wherescape.environment import Environment
    from syncer.wherescape.hosting import host
    from syncer.wherescape.inward import pull
    from syncer.wherescape.protocol import Outcome, Status
    from syncer.wherescape.sending import clear_archive, clear_job_logs, push, run
    from syncer.wherescape.sitting import connect, red_parameters

# No file may be called as a verb here is: importing it would put the module in the verb's place.
_HOMES = {
    "host": "hosting",
    "browse": "browsing",
    "pull": "inward",
    "confirm": "carried",
    "create_metadata": "describing",
    "connect": "sitting",
    "red_parameters": "sitting",
    "push": "sending",
    "run": "sending",
    "clear_job_logs": "sending",
    "clear_archive": "sending",
    "Environment": "environment",
    "Outcome": "protocol",
    "Status": "protocol",
}
__all__ = [
    "Environment",
    "Outcome",
    "Status",
    "browse",
    "clear_archive",
    "clear_job_logs",
    "confirm",
    "connect",
    "create_metadata",
    "host",
    "red_parameters",
    "pull",
    "push",
    "run",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'syncer.wherescape' has no attribute '{name}'")
    return getattr(importlib.import_module(f"syncer.wherescape.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def _prepare() -> None:
    if not any(name.endswith(("META_DSN", "TGT_DSN")) for name in os.environ):
        return  # not inside RED, which `environment` knows better, and costs more
    from syncer.wherescape import environment

    if environment.is_inside(os.environ):
        from syncer.wherescape import children, ending

        ending.watch()
        if children.prepare(os.environ):
            ending.others_first(_end)


def _end() -> None:
    """Tell what child processes told, where the script itself came to no verb."""
    from syncer.wherescape import children

    if children.have_told():
        from syncer.wherescape import hosting

        hosting.end()


_prepare()
