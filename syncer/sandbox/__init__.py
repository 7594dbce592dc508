"""
The APIs on 127.0.0.1, for the demo, the tests and rehearsals.

    from syncer.sandbox import JiraSite, Sandbox

    with Sandbox(sites=[JiraSite.generate(seed=1, clock=clock)], clock=clock) as sandbox:
        print(sandbox.url("jira"))

Here: the names that others use, each imported when it is first asked for. The server is `server`, what a site
must be is `messages`, the way to it from another process `control`, the sites are `jira`, `gitlab`, `hubspot`,
`friday_pulse` and `anythingllm`.
Nothing here imports the rest of syncer. What each site does, and what it does where an API's documentation
is silent, is written in docs/sandbox.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syncer.sandbox.anythingllm import AnythingLLMSite as AnythingLLMSite
    from syncer.sandbox.clock import Clock as Clock
    from syncer.sandbox.faults import Fault as Fault
    from syncer.sandbox.faults import Faults as Faults
    from syncer.sandbox.friday_pulse import FridayPulseSite as FridayPulseSite
    from syncer.sandbox.gitlab import GitLabSite as GitLabSite
    from syncer.sandbox.hubspot import HubSpotSite as HubSpotSite
    from syncer.sandbox.jira import JiraSite as JiraSite
    from syncer.sandbox.server import Sandbox as Sandbox

_HOMES = {
    "AnythingLLMSite": "anythingllm",
    "Clock": "clock",
    "Fault": "faults",
    "Faults": "faults",
    "FridayPulseSite": "friday_pulse",
    "GitLabSite": "gitlab",
    "HubSpotSite": "hubspot",
    "JiraSite": "jira",
    "Sandbox": "server",
}

__all__ = [
    "AnythingLLMSite",
    "Clock",
    "Fault",
    "Faults",
    "FridayPulseSite",
    "GitLabSite",
    "HubSpotSite",
    "JiraSite",
    "Sandbox",
]


def __getattr__(name: str) -> Any:
    """Import *name* from its module: `import syncer.sandbox` alone loads no site and no server."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
