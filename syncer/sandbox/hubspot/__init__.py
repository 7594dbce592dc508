"""
The sandbox's HubSpot site: who may call, which route answers, how often, and the truth behind it.

    site = HubSpotSite.generate(seed=1, companies=200, clock=clock)
    Sandbox(sites=[site, HubSpotSite.generate(name="hubspot_b", portal_id=99, token="pat-b")], clock=clock)

One site is one portal. Not here: its data (`store`), the routes (`reads`, `writes`, `batches`, `search`,
`associations`, `settings_routes`), generated data (`generate`), what people do to it (`life`). What is chosen where
the documentation is silent: docs/sandbox.md.
"""

from __future__ import annotations

import random
import re
import uuid
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import attrs

from syncer.sandbox.clock import Clock
from syncer.sandbox.hubspot import routes
from syncer.sandbox.hubspot.call import ALL_SCOPES, Call, Token, parsed
from syncer.sandbox.hubspot.errors import HubSpotError, html, unauthorized
from syncer.sandbox.hubspot.index import Index
from syncer.sandbox.hubspot.limits import Limits, Meter
from syncer.sandbox.hubspot.lookups import Order, Values
from syncer.sandbox.hubspot.merge_routes import LateMerges
from syncer.sandbox.hubspot.paths import Found, NoMethod, Router
from syncer.sandbox.hubspot.store import NEW_ID, PRIMARY_ID, Store, iso
from syncer.sandbox.messages import Request, Response

__all__ = ["ALL_SCOPES", "NEW_ID", "PRIMARY_ID", "TOKEN", "HubSpotSite", "Limits", "Meter", "Store", "Token"]

TOKEN = "pat-sandbox-hubspot"
URL_MOST = 16_000  # a longer path and query get 414
_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]+")


class HubSpotSite:
    """
    A portal. Settings, all of which may change while it runs:

    `tokens` (by secret), `limits` (None: none), `meter`, `index_lag_s`, `merge_mode` (NEW_ID, PRIMARY_ID),
    `search_body_most` (None: no limit), `store.account`. `events`: what `edit` did, in full.

    Of merges: `merge_late_s` (0: at once; else each takes place so much later, by the clock, at the first request from
    then on), `merge_late_status` (what its client gets: 0 a reset connection, else this status, in HTML), `late` (what
    is under way; how many were done, or dropped), `merge_lag_s` (so long reads do not show the edges that were moved),
    `answers_old_ids` (False: by an id that was merged away nothing is found).
    """

    def __init__(
        self,
        *,
        name: str = "hubspot",
        portal_id: int = 62515,
        token: str = TOKEN,
        clock: Clock | None = None,
        seed: int = 1,
        index_lag_s: float = 5.0,
    ) -> None:
        """Make an empty portal with one token that may do everything."""
        self.name = name
        self.clock = clock or Clock()
        self.store = Store(clock=self.clock, seed=seed, portal_id=portal_id)
        self.tokens: dict[str, Token] = {token: Token(secret=token)}
        self.limits: Limits | None = Limits()
        self.meter = Meter()
        self.index_lag_s = index_lag_s
        self.search_body_most: int | None = 3_000
        self.answers_old_ids = True
        self.merge_late_s = 0.0
        self.merge_late_status = 0
        self.late = LateMerges(self.store)
        self.events: list[Any] = []
        self.order, self.values, self.index = Order(self.store), Values(self.store), Index(self.store)
        self._router = Router(routes.all_routes())
        self._random = random.Random(seed)

    @classmethod
    def generate(
        cls,
        *,
        seed: int = 1,
        companies: int = 60,
        contacts: int = 80,
        deals: int = 40,
        tickets: int = 50,
        activities: int = 30,
        clock: Clock | None = None,
        portal_id: int = 62515,
        name: str = "hubspot",
        token: str = TOKEN,
        custom: bool = False,
        extra_properties: int = 0,
        index_lag_s: float = 5.0,
    ) -> HubSpotSite:
        """
        Make a portal with generated records: the same for the same arguments and time of the clock.

        activities: of each kind. custom: with a custom object. extra_properties: so many more on each company,
        filled on a few of them.
        """
        from syncer.sandbox.hubspot.generate import Sizes, generate

        site = cls(name=name, portal_id=portal_id, token=token, clock=clock, seed=seed, index_lag_s=index_lag_s)
        sizes = Sizes(
            companies=companies,
            contacts=contacts,
            deals=deals,
            tickets=tickets,
            activities=activities,
            extra_properties=extra_properties,
        )
        generate(site.store, seed=seed, sizes=sizes, custom=custom)
        site.reset()
        return site

    @property
    def merge_mode(self) -> str:
        """Which id a merge leaves: NEW_ID or PRIMARY_ID."""
        return self.store.merge_mode

    @merge_mode.setter
    def merge_mode(self, mode: str) -> None:
        self.store.merge_mode = mode

    @property
    def merge_lag_s(self) -> float:
        """So long after a merge reads do not show the edges that it moved."""
        return self.store.merge_lag_s

    @merge_lag_s.setter
    def merge_lag_s(self, seconds: float) -> None:
        self.store.merge_lag_s = seconds

    def edit(self, count: int, seed: int) -> list[str]:
        """Make *count* random edits; return a short description of each."""
        from syncer.sandbox.hubspot import life

        self.late.take_place()
        return life.edit(self, count, seed)

    def truth(self, stream: str) -> dict[tuple[Any, ...], Any]:
        """Return every record of *stream* that is there now, by key, in the API's own shape."""
        from syncer.sandbox.hubspot import truth

        self.late.take_place()
        return truth.of(self, stream)

    def reset(self) -> None:
        """Let pages, look-ups and search see records that were put into the store without telling."""
        self.order.reset()
        self.values.reset()
        self.index.reset()

    def add_token(self, secret: str, scopes: frozenset[str] = ALL_SCOPES) -> Token:
        """Let another token in."""
        self.tokens[secret] = Token(secret=secret, scopes=scopes)
        return self.tokens[secret]

    def revoke_token(self, secret: str = TOKEN) -> None:
        """Make a token worthless."""
        self.tokens[secret] = attrs.evolve(self.tokens[secret], is_valid=False)

    def restore_token(self, secret: str = TOKEN) -> None:
        """Make it good again."""
        self.tokens[secret] = attrs.evolve(self.tokens[secret], is_valid=True)

    def peak_requests(self, window_s: float, bucket: str = "general") -> int:
        """Return the most requests in any *window_s* seconds, of one bucket: general, search, associations."""
        return self.meter.peak(bucket, window_s)

    @property
    def refused_requests(self) -> int:
        """How many requests got a 429."""
        return self.meter.refused

    def now_text(self) -> str:
        """The time, as HubSpot writes it."""
        return iso(self.store.now_ms())

    def local_now(self) -> datetime:
        """The time in the portal's zone."""
        return self.clock.now().astimezone(ZoneInfo(self.store.account.time_zone))

    def daily_usage(self) -> tuple[int, int, datetime]:
        """Return the account's daily limit (0: none), what is used of it, and when it begins anew."""
        now = self.local_now()
        midnight = datetime.combine(now.date() + timedelta(days=1), time(), now.tzinfo)
        used = self.meter.used["general"] if self.meter.day == now.date().isoformat() else 0
        if self.limits is None:
            return 0, used, midnight
        return self.limits.daily, self.limits.daily_used + used, midnight

    def answer(self, request: Request) -> Response:
        """Answer *request*: the length of its URL, its route, its token, its limit, then what the route says."""
        self.late.take_place()
        if len(request.sent) > URL_MOST:
            return html(414, "URI Too Long")
        try:
            found = self._router.find(request.method, request.raw_path)
        except NoMethod as error:
            return html(405, "Method Not Allowed", headers={"Allow": ", ".join(error.args[0])})
        except KeyError:
            return html(404, "Not Found")
        return self._answer(request, found)

    def _answer(self, request: Request, found: Found) -> Response:
        correlation_id = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        scheme, _, secret = request.headers.get("authorization", "").partition(" ")
        secret = secret.strip() if scheme.lower() == "bearer" else ""
        if secret and not _TOKEN.fullmatch(secret):
            return html(530, "The origin has been unregistered")
        token = self.tokens.get(secret)
        if token is None or not token.is_valid:
            return unauthorized().response(correlation_id)
        day = self.local_now().date().isoformat()
        verdict = self.meter.ask(found.bucket, self.limits, token=secret, day=day)
        if verdict.policy is not None:
            return verdict.response(correlation_id)
        try:
            call = Call(
                site=self,
                store=self.store,
                request=request,
                family=found.family,
                token=token,
                data=parsed(request.body),
            )
            response = found.handler(call, *found.refs)
        except HubSpotError as error:
            response = error.response(correlation_id)
        return attrs.evolve(response, headers={**response.headers, **verdict.headers})
