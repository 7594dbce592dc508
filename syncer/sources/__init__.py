"""
The port of a source: what each file here fulfils, what it yields, and how one is found by name. Nothing else.

A source knows one API. It yields *pages*; the engine (`inbound.py`) turns them into typed rows and commits rows, place
and run record together. Only the source understands its places.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import attrs

from syncer import catalog
from syncer.errors import SyncerError, UnknownName, UsageError
from syncer.mapping import Field

if TYPE_CHECKING:
    from syncer.settings import Account
    from syncer.transport import Doors

Place = dict[str, Any]  # JSON that a source wrote and only that source understands
Record = dict[str, Any]
Key = tuple[Any, ...]  # values of a mapping's key columns, in their order

LIVE, ARCHIVED, MERGED, DELETED, GONE = "live", "archived", "merged", "deleted", "gone"
STATES = (LIVE, ARCHIVED, MERGED, DELETED, GONE)
_PORT = ("name", "requests", "check", "describe", "read", "keys", "fetch", "close")
SHORTEST_CUT = 12  # so much of a text is not shown either, where a message cuts it
_SEE = "docs/add-a-source.md shows a whole one."
NOT_SET = "Set it in the environment or in syncer.toml; `syncer check` tries it."


@attrs.frozen(kw_only=True)
class State:
    """
    A record that is no longer live, by its key.

    Its record may stand in the same page (an archived project that can still be read): then the row is written with
    this state. `into` is the surviving record's id where it was merged.
    """

    key: Key
    state: str = attrs.field(validator=attrs.validators.in_(STATES))
    into: str | None = None


@attrs.frozen(kw_only=True)
class Whole:
    """
    What a page (or a walk of several) holds all of: rows of it that were not in it become `absent`.

    columns, values: the rows whose `columns` have one of `values`; no columns: every row of the mapping. Where the
    mapping has
        `slice_by`, the columns are a beginning of it.
    within: the scope that `max_gone_share` is measured in: a beginning of `columns`; empty: the whole mapping.
    absent: `deleted` where the API proves it, else `gone`.
    first, last: the walk begins, or ends, with this page. Absence is settled with the last page; the keys met before
    it are kept
        in the warehouse with the rows, so that a walk that was killed goes on from its place.
    """

    columns: tuple[str, ...] = ()
    values: Sequence[tuple[Any, ...]] = ((),)
    within: tuple[str, ...] = ()
    absent: str = attrs.field(default=GONE, validator=attrs.validators.in_((GONE, DELETED, ARCHIVED)))
    first: bool = True
    last: bool = True


@attrs.frozen(kw_only=True)
class Page:
    """
    Some records of a stream, and the place behind them.

    scope: the part of the stream that the place belongs to; "" where a stream has but one.
    place: stored with the rows; None leaves the stored one as it is.
    mark: the place in words, for people.
    error: this scope failed; the others go on, its place stays, none of its rows ends, a reject names it.
    """

    scope: str = ""
    place: Place | None = None
    mark: str | None = None
    records: Sequence[Record] = ()
    states: Sequence[State] = ()
    whole: Whole | None = None
    error: SyncerError | None = None


@attrs.frozen(kw_only=True)
class Identity:
    """
    Who the API says we are.

    account: what must stay the same for an environment (site, portal id, host and user).
    user: for people.
    clock_skew_s: the API's clock minus ours, in seconds.
    notes: what works but deserves a look (a token that ends in a week, a permission that is missing).
    """

    account: str
    user: str
    clock_skew_s: float
    notes: tuple[str, ...] = ()


class Source(Protocol):
    """
    One API, read. One object serves all mappings of a verb: an answer that several streams stand on is asked once.

    Every method may raise: Unavailable (no answer, or 429/5xx after the retries; safe to run again), NotAllowed (the
    token is no good at all), RequestError (any other 4xx), AnswerError (an answer that cannot be true).
    """

    name: str

    @property
    def requests(self) -> int:
        """How many requests were sent so far, repeated ones too."""

    def check(self) -> Identity:
        """
        Ask the API who we are; the first call of each run. Raises NotAllowed where the token is wrong, empty or
        expired.
        """

    def describe(self, stream: str) -> Sequence[Field]:
        """Return the columns that the API's own definitions add to the declared ones; empty where it has none."""

    def read(
        self, stream: str, *, places: Mapping[str, Place], lookback: timedelta, fields: Sequence[Field]
    ) -> Iterator[Page]:
        """
        Yield pages of *stream*, each scope from its place on (one without a place is new: everything); each carries
        the place behind it.

        Pages of at most a few hundred records, as the API shapes them and as the source settles them (ADF as text, a
        commit's project id). A record that changes while it is read may come twice.
        """

    def keys(self, stream: str, *, places: Mapping[str, Place]) -> Iterator[Page]:
        """
        Yield every key that the API has now, for a census: records that hold at least the key's fields, under a
        `Whole`.

        places: as `read` gets them. A census moves no place, but where what it ends or does not meet makes one untrue
        (a project that is out of sight), a page may carry that scope's new one; it is stored when the census is done.
        """

    def fetch(self, stream: str, keys: Sequence[Key]) -> Iterator[Page]:
        """
        Yield what the API has for just these *keys*: records, or states where it tells why one is no longer live.

        A key of which nothing comes back is absent. An answer that does not settle a key raises, never leaves it out.
        """

    def close(self) -> None:
        """Let go of connections and temporary files."""


@attrs.frozen(kw_only=True)
class Needs:
    """
    What a source asks of a site; `syncer init` and `syncer check` show it.

    variables: the options that an environment variable may hold as well (`api`: `SYNCER_HUBSPOT_API`).
    """

    title: str
    url: str  # an example
    token: str  # where a token comes from, and the scopes it wants
    user: str = ""  # what the user is, empty where none is needed
    options: Mapping[str, str] = attrs.field(factory=dict)  # keys of its table in syncer.toml, and what each means
    variables: tuple[str, ...] = ()


class Connect(Protocol):
    """How a source is made: each file here has a function `connect` of this shape, and a value `NEEDS`."""

    def __call__(self, account: Account, *, doors: Doors, streams: Sequence[str]) -> Source:
        """
        Make the source for *account*; *streams* are all that this verb will read, so that it knows which answers to
        keep.
        """


def names(*, folders: Sequence[Path] = ()) -> list[str]:
    """Return the names of all sources that are known."""
    return sorted(catalog.modules("sources", folders=folders))


def module(name: str, *, folders: Sequence[Path] = ()) -> ModuleType:
    """
    Return the module of a source: it has `connect` and `NEEDS`.

    Raises: UnknownName; UsageError where the file cannot be loaded, or has none of these.
    """
    found = catalog.modules("sources", folders=folders)
    if name not in found:
        raise UnknownName("source", name, known=found)
    made = found[name]()
    missing = [
        what
        for what, is_there in (
            ("NEEDS, a syncer.sources.Needs", isinstance(getattr(made, "NEEDS", None), Needs)),
            ("connect, a function", getattr(made, "connect", connect) is not connect),  # `import *` brings ours
        )
        if not is_there
    ]
    if missing:
        file = getattr(made, "__file__", None) or f"The source {name}"
        raise UsageError(f"{file}: a source needs {' and '.join(missing)}.", hint=_SEE)
    return made


def connect(account: Account, *, doors: Doors, streams: Sequence[str], folders: Sequence[Path] = ()) -> Source:
    """
    Make the source of *account*. Raises UsageError where its URL, token or user is missing: one line names the
    variables.
    """
    made = module(account.source, folders=folders)
    needs: Needs = made.NEEDS
    unknown = sorted(set(account.options) - set(needs.options))
    if unknown:
        place = account.places.get(unknown[0], f"in [{account.source}] of syncer.toml")
        if isinstance(account.options[unknown[0]], Mapping):
            raise UsageError(
                f"{place}: {unknown[0]} is a table.",
                hint=f'Whose name has a point stands in quotes: ["{account.source}.{unknown[0]}"].',
            )
        raise UsageError(f"{place}: {UnknownName('key', unknown[0], known=[*needs.options, 'url', 'token', 'user'])}")
    wanted = {
        "URL": (account.url, needs.url),
        "TOKEN": (account.token, needs.token),
        "USER": (account.user, needs.user),
    }
    missing = [
        f"{account.variable(what)} ({example})" for what, (value, example) in wanted.items() if example and not value
    ]
    if missing:
        raise UsageError(
            f"{needs.title} needs {', '.join(missing)}.",
            hint=NOT_SET,
        )
    _check_url(account, needs)
    given = {key: account.variables[key] for key in needs.variables if account.variables.get(key)}
    account = attrs.evolve(account, options={**account.options, **given})
    source = _made(made, account, doors=doors, streams=streams)
    lacking = [name for name in _PORT if not hasattr(source, name)]
    if lacking:
        file = getattr(made, "__file__", None) or f"The source {account.source}"
        raise UsageError(f"{file}: what connect returns lacks {', '.join(lacking)}.", hint=_SEE)
    return source


def _made(made: ModuleType, account: Account, *, doors: Doors, streams: Sequence[str]) -> Source:
    """Call a source's `connect`; what it says about a wrong option does not repeat its texts: one may be a token."""
    try:
        source: Source = made.connect(account, doors=doors, streams=tuple(streams))
    except UsageError as error:
        message = str(error.message)
        for value in account.options.values():
            message = _without(value, message)
        if message == error.message:
            raise
        raise UsageError(message, hint=error.hint) from None
    return source


def _without(value: Any, message: str) -> str:
    """Take the texts that *value* is, or holds, out of what is said of it; a list or table is only called that."""
    if isinstance(value, str):
        message = message.replace(repr(value), "'…'")
        said = next((value[:end] for end in range(len(value), SHORTEST_CUT - 1, -1) if value[:end] in message), None)
        return message if said is None else message.replace(said, "…")
    if not isinstance(value, list | dict):
        return message
    message = message.replace(repr(value), "a list" if isinstance(value, list) else "a table")
    for each in [*value, *value.values()] if isinstance(value, dict) else value:
        message = _without(each, message)
    return message


def _check_url(account: Account, needs: Needs) -> None:
    """Refuse a URL that cannot be one, and one with a password, which would end up in messages and logs."""
    variable = account.variable("URL")
    if not account.url.startswith(("http://", "https://")):
        raise UsageError(f"{variable} must begin with http:// or https://, such as {needs.url}.")
    try:
        parts = urlsplit(account.url)
        is_whole = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        parts, is_whole = None, False
    if (parts is not None and "@" in parts.netloc) or (not is_whole and "@" in account.url):
        raise UsageError(
            f"{variable} has a user or password in it.",
            hint=f"Take them out: the token has a place of its own, {account.variable('TOKEN')}.",
        )
    if not is_whole:
        raise UsageError(f"{variable} is no URL; it is such as {needs.url}.")
