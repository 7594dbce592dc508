"""
What happened in a portal whose tickets are merged: every merge that was asked for and every one that took effect, held
against the journal; what the requests were; and whether what follows a merge in the warehouse followed.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import attrs
import orjson

from syncer import plan
from syncer.plan import MERGE
from syncer.sandbox.hubspot import HubSpotSite
from syncer.sandbox.messages import Request, Response
from syncer.sandbox.traffic import Entry
from tests.campaign import push_beds, push_history
from tests.campaign.merges_model import Model
from tests.campaign.merges_portal import TICKETS
from tests.campaign.push_history import Asked, History
from tests.operations import OperationHome

MERGED_IDS = "hs_merged_object_ids"
LOCKED = 423
KINDS = (
    ("merges", r"/merge$"),
    ("searches", r"/search$"),
    ("associations read", r"/associations/.*/batch/read$"),
    ("associations written", r"/associations/.*/batch/(create|associate/default|archive|labels/archive)$"),
    ("records read", r"/objects/.*/batch/read$"),
    ("records written", r"/objects/.*/batch/(create|update|archive)$"),
    ("lists", r"/objects/(2026-09/)?tickets$"),
)
WRITES = r"(/merge|/batch/(create|update|archive|associate/default|labels/archive))$"


@attrs.frozen
class Took:
    """One merge that took effect, and when (seconds since 1970)."""

    at: float
    primary: str
    lost: str
    survivor: str


@attrs.define
class MergeHistory:
    """All that was asked for and done, in its order, since it was forgotten last. by_ids: searches by merged ids."""

    site: HubSpotSite
    history: History
    sent: list[Asked] = attrs.field(factory=list)
    refused: Counter[int] = attrs.field(factory=Counter)  # merges by status
    took: list[Took] = attrs.field(factory=list)
    by_ids: int = 0

    @classmethod
    def of(cls, home: OperationHome) -> MergeHistory:
        """Watch a portal from now on."""
        found = cls(home.site, History.of(home.site))
        found._watch()
        return found

    @property
    def asked(self) -> list[Asked]:
        """Every input of a request that wrote."""
        return sorted([*self.history.asked, *self.sent], key=lambda each: each.at)

    def forget(self) -> None:
        """Begin anew."""
        self.history.forget()
        self.sent.clear()
        self.took.clear()
        self.refused.clear()
        self.by_ids = 0

    def _watch(self) -> None:
        answer, merge = self.site.answer, self.site.store.merge

        def answered(request: Request) -> Response:
            is_merge = request.method == "POST" and request.path.endswith("/merge")
            if is_merge:
                body = orjson.loads(request.body)
                ends = str(body["objectIdToMerge"]), str(body["primaryObjectId"])
                self.sent.append(Asked(at=time.time(), signature=(MERGE, "tickets", *ends)))
            if request.path.endswith("/search") and MERGED_IDS.encode() in request.body:
                self.by_ids += 1
            response = answer(request)
            if is_merge and response.status >= 300:
                self.refused[response.status] += 1
            return response

        def merged(kind: str, primary_id: str, lost_id: str) -> Any:
            survivor = merge(kind, primary_id, lost_id)
            self.took.append(Took(time.time(), primary_id, lost_id, survivor.id))
            return survivor

        self.site.answer = answered  # type: ignore[method-assign]
        self.site.store.merge = merged  # type: ignore[method-assign]

    def wrong_with(self, home: OperationHome, model: Model, *, is_timed: bool = False) -> list[str]:
        """Say what was merged twice, sent without an intent, refused, or left open."""
        pairs = Counter(frozenset((each.primary, each.lost)) for each in self.took)
        found = [f"merged {count} times: {sorted(pair)}" for pair, count in pairs.items() if count > 1]
        if len(self.took) != model.merges:
            found.append(f"{len(self.took)} merges took effect, of {model.merges}")
        found += [f"{count} merges were refused with {status}" for status, count in self.refused.items()
                  if status != LOCKED and status < 500]  # fmt: skip
        found += self.unannounced(home, is_timed=is_timed)
        return [*found, *_states(home, self.history), *push_beds.left_open(home.home)]

    def unannounced(self, home: OperationHome, *, is_timed: bool) -> list[str]:
        """Say what arrived without an intent in the journal, or before it."""
        if not home.rows("SELECT 1 FROM information_schema.tables WHERE table_name = 'changes'"):
            return [f"arrived, and there is no journal: {each.signature}" for each in self.asked]
        first = {
            (MERGE, "tickets", lost, into): float(sent_at.timestamp())
            for lost, into, sent_at in home.rows(
                'SELECT id, COALESCE(sent_into, "into"), MIN(sent_at) FROM syncer.changes WHERE sent_at IS NOT NULL '
                "AND action = 'merge' GROUP BY id, COALESCE(sent_into, \"into\")"
            )
        }
        found = []
        for each in self.sent:
            at = first.get(each.signature)
            if at is None:
                found.append(f"arrived, and no plan shows it: {each.signature}")
            elif is_timed and each.at < at:
                found.append(f"arrived {at - each.at:.3f} s before its intent: {each.signature}")
        intents = push_history.journal(home.home)
        return found + push_history.unannounced(self.history.asked, intents, is_timed=is_timed)


def _states(home: OperationHome, history: History) -> list[str]:
    """Name what did not become what was planned; nobody else wrote, so nothing may have moved."""
    query = "SELECT plan, state, COUNT(*), MIN(reason) FROM syncer.changes GROUP BY plan, state"
    bad = (plan.FAILED, plan.MOVED, plan.REJECTED)
    return [f"{count} changes are {state}: {reason}" for name, state, count, reason in home.rows(query)
            if state in bad and name not in history.known]  # fmt: skip


def kinds_of(log: Iterable[Entry]) -> Counter[str]:
    """Count requests by what they ask for."""
    found: Counter[str] = Counter()
    for entry in log:
        path = entry.path.partition("?")[0]
        found[next((name for name, pattern in KINDS if re.search(pattern, path)), "other")] += 1
    return found


def wrong_in_warehouse(home: OperationHome, model: Model) -> list[str]:
    """Say where aliases and the load table do not know each group by the ticket that it is now."""
    lives = {id: each.id for each in home.live() for id in (each.id, *each.merged_ids)}
    aliases = dict(home.rows("SELECT old_id, new_id FROM syncer.aliases WHERE mapping = ?", [TICKETS]))
    query = "SELECT id, dss_record_state, dss_merged_into FROM load.hubspot_tickets"
    rows = {str(id): (state, into) for id, state, into in home.rows(query)}
    found = []
    for group in model.groups:
        now = lives.get(group.survivor, "")
        for id in group.members:
            if id != now and aliases.get(id) != now:
                found.append(f"{group.name}: the alias of {id} is {aliases.get(id)}, not {now}")
            wanted = ("live", None) if id == now else ("merged", now)
            if id in rows and id != now and rows[id] != wanted:
                found.append(f"{group.name}: the row of {id} is {rows[id]}, not {wanted}")
        if rows.get(now, ("", None))[0] != "live":
            found.append(f"{group.name}: the row of {now} is {rows.get(now)}")
    return found
