"""
What every verb of a host script begins and ends with: the host, what RED says, its connections and parameters.

A verb's failure is counted by the host before the error goes on: a script that catches it has failed all the same.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterator, Sequence

import attrs

from syncer import mappings
from syncer import settings as settings_module
from syncer.api import kind_of
from syncer.errors import SyncerError, UsageError
from syncer.mapping import EntityMapping
from syncer.settings import DEFAULT_ENVIRONMENT, Settings
from syncer.wherescape import deducing, hosting, protocol, site, tasklog
from syncer.wherescape.binding import hosted
from syncer.wherescape.connections import Connections
from syncer.wherescape.environment import Environment
from syncer.wherescape.hosting import Host
from syncer.wherescape.inred import InRed
from syncer.wherescape.parameters import Parameters
from syncer.wherescape.procedures import Caller, Procedures
from syncer.wherescape.protocol import Outcome, Status
from syncer.wherescape.tasklog import Counts

_COUNTED: weakref.WeakKeyDictionary[Host, Counts] = weakref.WeakKeyDictionary()  # by the verbs of a script so far


@attrs.frozen
class Sitting:
    """One verb of a host script, under way."""

    host: Host
    red: Environment
    connections: Connections
    _asked: list[tuple[str, str]] = attrs.field(factory=list, init=False)  # sources, and the environment of each

    @property
    def procedures(self) -> Procedures:
        """The procedures of the repository. Raises UsageError: RED named none."""
        return Procedures(self.connections.meta, self.red.meta_schema, Caller.of(self.red))

    @property
    def parameters(self) -> Parameters:
        """RED's parameters. Raises UsageError: RED named no repository."""
        return Parameters(self.procedures)

    @property
    def carrier(self) -> str:
        """This execution of the job, by which `confirm` finds what it loaded; empty outside a job."""
        return f"{self.red.job_key}/{self.red.sequence}" if self.red.sequence else ""

    def secret(self, name: str) -> str | None:
        """Read a parameter that holds a secret: nothing that is told from now on has it."""
        found = self.parameters.read(name)
        if found is not None:
            self.host.conceal(found)
        return found

    def settings(self, source: str, environment: str, *, has_target: bool = True) -> Settings:
        """Return the settings of a verb on a source in one of its environments. Raises UsageError."""
        self._asked.append((source, environment))
        return site.settings_of(
            self.red, source=source, environment=environment, parameter=self.secret, has_target=has_target
        )

    @property
    def words(self) -> InRed:
        """What RED calls that which the settings of this verb hold."""
        return InRed.of(self.red, self._asked)

    def ended(
        self,
        code: int,
        message: str,
        *,
        details: tuple[str, ...] = (),
        plan: tuple[str, ...] = (),
        counts: Counts | None = None,
    ) -> None:
        """
        Count what came of the verb, by the exit code that the command line would have, and tell RED the counts: those
        of all verbs of the script so far, since RED keeps what it was told last.

        plan: lines that show a plan, in a host script's words already: its values stay as they are.
        """
        words = self.words
        shown = (*map(words.said, details), *map(words.named, plan))
        self.host.note(protocol.of_exit_code(code, words.said(message), details=shown))
        if counts is not None:
            self.count(counts)

    def count(self, counts: Counts) -> None:
        """Tell RED the counts of the script so far; where that fails, it is a warning."""
        counts = _COUNTED[self.host] = _COUNTED.get(self.host, Counts()) + counts
        warning = tasklog.tell(counts, environment=self.red, procedures=lambda: self.procedures)
        if warning:
            self.host.note(Outcome(Status.WARNED, warning))


@contextlib.contextmanager
def sitting() -> Iterator[Sitting]:
    """
    Begin a verb: the host takes over, where it has not yet; an error is counted, and goes on, in RED's words.
    """
    host = hosting.host()
    here: Sitting | None = None
    try:
        red = host.environment
        with Connections(red) as connections:
            here = Sitting(host, red, connections)
            yield here
    except BaseException as error:
        if here is not None and isinstance(error, SyncerError):
            here.words.retell(error)
        host.failed(error)
        raise


@hosted
def connect() -> Connections:
    """
    Return the connections of this host script, for SQL of its own: `meta`, `target`, `source`, each made when it is
    first used. `with` closes them. Raises UsageError: RED says something that cannot be.
    """
    return Connections(hosting.host().environment)


@hosted
def red_parameters() -> Parameters:
    """Return RED's parameters, for a host script to read and write. Raises UsageError: RED named no repository."""
    red = hosting.host().environment
    return Parameters(Procedures(Connections(red).meta, red.meta_schema, Caller.of(red)))


@attrs.frozen(kw_only=True)
class Meant:
    """What a load or stage table is for: a mapping in an environment, and the settings of a verb on it."""

    mapping: EntityMapping
    environment: str
    settings: Settings


def meant_by(here: Sitting, name: str, environment: str, *, verb: str = deducing.PULL) -> Meant:
    """
    Find out what a host script is for: as it says, else as the name of its load table does.

    verb: PUSH looks among the mappings that go out, and at all words of the name.
    Raises: UsageError: no such mapping; a name that fits several or none; one of which nobody knows the account.
    """
    check_texts(name=name, environment=environment)
    site_settings = settings_module.load()
    known = list(mappings.known(folders=site_settings.folders, objects=site_settings.objects(is_every=True)).values())
    if name:
        found = mapping_named(name, site_settings)
        account = environment or _account_of(here, site_settings, found, known, verb)
    else:
        here.red.require("load_table")
        meant = known if verb == deducing.PULL else [each for each in known if each.outbound is not None]
        given = ([environment], dict[str, str]())
        environments, absent = given if environment else _environments(here, site_settings, meant)
        found, account = deducing.deduce(here.red.load_table, meant, environments, absent=absent, verb=verb)
        account = environment or account
    settings = here.settings(found.source, account)
    return Meant(mapping=settings.applied_to(found), environment=account, settings=settings)


def check_texts(**given: object) -> None:
    """Raise UsageError where an argument is no text, and was not left out: a script's variable may hold anything."""
    for name, value in given.items():
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{name} is {kind_of(value)}.", hint="Give its name as a text, or leave it out.")


def _account_of(
    here: Sitting, settings: Settings, found: EntityMapping, known: Sequence[EntityMapping], verb: str
) -> str:
    """
    Return the environment of a mapping that a script said without one: as the words in the name of its table tell it.

    Where a pull's connection has a token, that says the account: the table may be called anything, as ever.
    """
    if not here.red.load_table or (verb == deducing.PULL and here.red.srccfg.get(site.FIELDS["TOKEN"])):
        return DEFAULT_ENVIRONMENT
    environments, absent = _environments(here, settings, known, said=found)
    return deducing.environment_of(here.red.load_table, found, known, environments, absent=absent, verb=verb)


def _environments(
    here: Sitting, settings: Settings, known: Sequence[EntityMapping], *, said: EntityMapping | None = None
) -> tuple[list[str], dict[str, str]]:
    """
    Return the environments that may stand in a table's name, the site's and those of HubSpot with a token in RED; and
    the parameters that were looked for in vain, by the words of the name.
    """
    found = settings.environments()
    absent: dict[str, str] = {}
    if here.red.meta.dsn:
        spare = deducing.spare_words(here.red.load_table, known, source=site.HUBSPOT, said=said)
        for words in sorted(spare - set(found)):
            name = site.token_parameter(here.red, words)
            if here.secret(name) is not None:
                found.append(words)
            else:
                absent[words] = name
    return found, absent


def mapping_named(name: str, settings: Settings) -> EntityMapping:
    """Return the mapping of a name, as the site has it. Raises UnknownName; UsageError: it names several."""
    found = mappings.choose([name], folders=settings.folders, objects=settings.objects())
    if len(found) != 1:
        raise UsageError(f"'{name}' names {len(found)} mappings.", hint="A host script of RED fills one load table.")
    return found[0]
