"""`syncer check`: who is told of runs that fail, and with `--notify` whether a test reaches them. No verb itself."""

from __future__ import annotations

import attrs

from syncer import notifying
from syncer.configfile import is_webhook
from syncer.settings import Notify, Settings
from syncer.transport import Doors
from syncer.verbs.found import FAILED, NOT_SET_UP, Found

ABOUT = "notify"


def looks(settings: Settings, doors: Doors, *, is_sent: bool) -> list[Found]:
    """Say who is told; where it is asked for, send each a document that says that it is a test."""
    notify = settings.notify()
    if not notify.is_set:
        hint = "Set webhook or command in [notify] of syncer.toml: docs/scheduling.md."
        status = FAILED if is_sent else NOT_SET_UP
        detail = "nobody is told when a run fails"
        return [Found(about=ABOUT, status=status, detail=detail, hint=hint if is_sent else "")]
    if notify.webhook and not is_webhook(notify.webhook):
        hint = "Look at SYNCER_NOTIFY_WEBHOOK: https:// or http://, a host, no user."
        return [Found(about=ABOUT, status=FAILED, detail="the webhook's URL is none", hint=hint)]
    if is_sent:
        return _sent(settings, notify, doors)
    named = " and ".join(f"{what} {name}" for what, name in notifying.receivers(notify))
    hint = "--notify sends a test."
    return [Found(about=ABOUT, detail=f"{named} hears of {', '.join(notify.on)}", hint=hint)]


def _sent(settings: Settings, notify: Notify, doors: Doors) -> list[Found]:
    document = {
        **notifying.head("check", settings.environment, doors),
        "causes": [],
        "exit_code": 0,
        "runs": [],
        "is_test": True,
    }
    found = []
    for sent in notifying.send(document, notify, doors=doors):
        each = Found(about=f"{ABOUT} {sent.to}", detail="a test arrived")
        if sent.trouble:
            each = attrs.evolve(each, status=FAILED, detail=sent.trouble)
        found.append(each)
    return found
