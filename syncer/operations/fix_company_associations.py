"""
`hubspot.fix_company_associations`: tickets whose company is a stand-in get the company that their number names.

A shared mailbox makes one company the owner of everyone's tickets. That company is found by its domain and city; each
of its tickets says in a property of its own whose it is, and the company with that number becomes the primary one. The
stand-in goes when that reads back, and not before: at no moment is a ticket without a company. A ticket whose number
names no company, or several, is left as it is, and told once as new.

Not here: what becomes of one ticket (`standins.py`), sending and reading back (`apply.py`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Iterator, Sequence

import attrs

from syncer import declared, plan, standins
from syncer.declared import flag, text
from syncer.errors import UsageError
from syncer.grounds import Ground
from syncer.operations import Context, Looked
from syncer.plans import PlanRow, Problem
from syncer.standins import COMPANIES, TICKETS, Company, Ticket
from syncer.target import EdgeType, Found, Shape
from syncer.toldonce import ToldOnce

NAME = "hubspot.fix_company_associations"
SUMMARY = "give tickets whose company is a stand-in the company that their number names"
KIND = TICKETS
READS = ("tickets", "companies", "associations")
SETTINGS = {
    "stand_in_domain": text(meaning="the domain of the company that stands in, such as example.com"),
    "stand_in_city": text(meaning="the city of the company that stands in"),
    "ticket_property": text("nerds_customer_id", meaning="a property of tickets, such as nerds_customer_id"),
    "company_property": text("client_id", meaning="a property of companies, such as client_id"),
    "customer_email": text(meaning="an e-mail address: only tickets that have it"),
    "email_property": text("nerds_customer_email", meaning="a property of tickets, such as nerds_customer_email"),
    "strip_leading_zeros": flag(),
}
DOMAIN, CITY = "domain", "city"
AT_ONCE = 1_000  # tickets that are read at once
WIDEST = 10  # characters of a number with zeros in front of it that is looked for
LONGEST = 100  # characters of what names a company: what is longer is a text
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def looked(context: Context) -> Iterator[Looked]:
    """Yield what becomes of each ticket of the stand-in. Raises UsageError: there is none, or a name is wrong."""
    yield from _Fixing.of(context).looked()


@attrs.define(kw_only=True)
class _Fixing:
    """
    Reads the tickets of the stand-in, some at a time, and plans each. blank: how many have no number; others: how many
    have another address.
    """

    context: Context
    tickets: Shape
    companies: Shape
    primary: EdgeType
    stand_in: Company
    left: ToldOnce
    blank: int = 0
    others: int = 0

    @classmethod
    def of(cls, context: Context) -> _Fixing:
        """Check the settings, and find the stand-in. Raises UsageError."""
        tickets, companies = context.api.shape(TICKETS), context.api.shape(COMPANIES)
        _check(context, tickets, companies)
        primary = next((each for each in context.api.edge_types(TICKETS, COMPANIES) if each.is_primary), None)
        if primary is None:
            raise UsageError("Tickets have no primary company in this portal: there is nothing to put right.")
        return cls(
            context=context,
            tickets=tickets,
            companies=companies,
            primary=primary,
            stand_in=_found(context, companies),
            left=ToldOnce.read(context.warehouse, NAME, environment=context.environment),
        )

    def looked(self) -> Iterator[Looked]:
        """Yield each ticket that names a company, with its changes, or why it is left."""
        linked = self.context.api.edges(COMPANIES, [self.stand_in.id], TICKETS).get(self.stand_in.id, ())
        ids = sorted((each.id for each in linked), key=lambda id: (len(id), id))
        del linked
        count = 0
        for at in range(0, len(ids), AT_ONCE):
            part = ids[at : at + AT_ONCE]
            rows = list(self._planned(part))
            yield from rows
            count += sum(each.row.outcome != plan.UNCHANGED for each in rows)
            self.context.passed(len(part) - len(rows))
            self.context.moved(at + len(part), len(ids))
        yield from (Looked(row) for row in self.left.taken_back())
        self._note(len(ids), has_rows=bool(count))

    # Reading.

    def _read(self, ids: Sequence[str]) -> list[Ticket]:
        """Return those tickets that are to be looked at: live, with the right address, and with a number."""
        ours, by = str(self.context.values["ticket_property"]), _title(self.tickets)
        names = [ours, *([by] if by else []), *([self._address_by] if self._address else [])]
        found = self.context.api.find(TICKETS, ids, by=None, properties=names)
        due = {id: found[id] for id in ids if id in found and self._is_due(found[id], id)}
        linked = self.context.api.edges(TICKETS, list(due), COMPANIES) if due else {}
        return [
            Ticket(
                id=id,
                title=each.properties.get(by) or "",
                wanted=self._named(each.properties.get(ours)),
                linked=linked.get(id, ()),
                grounds=_grounds(TICKETS, each, [ours, *([self._address_by] if self._address else [])]),
            )
            for id, each in due.items()
        ]

    def _is_due(self, found: Found, id: str) -> bool:
        address = (found.properties.get(self._address_by) or "").strip().casefold()
        if found.is_archived or found.id != id:
            return False
        if self._address and address != self._address:
            self.others += 1
            return False
        has_name = bool(self._named(found.properties.get(str(self.context.values["ticket_property"]))))
        self.blank += not has_name
        return has_name

    def _look_up(self, wanted: Iterable[str]) -> dict[str, list[Company]]:
        """
        Return the companies that names lead to, some hundred names in one request. A name that leads to none is
        looked for with a blank beside it as well: a look-up finds just what it is asked for.
        """
        names = {each for each in wanted if self._may_be(each)}
        found = self._look_for(names, self._spelt(names))
        if not self._is_number:
            missed = names - found.keys()
            found |= self._look_for(missed, {at for each in missed for at in (each, f"{each} ", f" {each}")})
        return {name: list(companies.values()) for name, companies in found.items()}

    def _spelt(self, names: Iterable[str]) -> set[str]:
        strips = self._strips_zeros
        return {each for name in names for each in standins.spellings(name, strips_zeros=strips, widest=WIDEST)}

    def _look_for(self, names: Container[str], asked: Collection[str]) -> dict[str, dict[str, Company]]:
        """Return the companies that have one of the values *asked*, by name and id."""
        found: dict[str, dict[str, Company]] = {}
        for each in self._with(sorted(asked)) if asked else ():
            name = self._named(each.properties.get(self._by))
            if name in names and not each.is_archived:
                found.setdefault(name, {})[each.id] = _company(each, self.companies, by=self._by)
        return found

    def _with(self, asked: Sequence[str]) -> Iterator[Found]:
        """Yield the companies with certain values; of a unique property without the index, which lags."""
        title = _title(self.companies)
        names = [self._by, *([title] if title else [])]
        if self.companies.properties[self._by].is_unique:
            yield from self.context.api.find(COMPANIES, asked, by=self._by, properties=names).values()
            return
        for page in self.context.api.matching(COMPANIES, self._by, asked, names):
            yield from page

    def _may_be(self, name: str) -> bool:
        """Tell whether a company can have this value: the API refuses a whole search for one that is no number."""
        return len(name) <= LONGEST and (not self._is_number or _NUMBER.fullmatch(name) is not None)

    @property
    def _is_number(self) -> bool:
        return self.companies.properties[self._by].type == "number"

    # Planning.

    def _planned(self, ids: Sequence[str]) -> Iterator[Looked]:
        tickets = self._read(ids)
        found = self._look_up({each.wanted for each in tickets})
        for ticket in tickets:
            decided = standins.decide(ticket, self.stand_in, found.get(ticket.wanted, ()), self.primary)
            if decided.why:
                yield Looked(self._left(ticket, decided.why), decided.changes)
            elif decided.changes:
                self.left.met(ticket.id)
                yield Looked(PlanRow(key=ticket.id, id=ticket.id), decided.changes)

    def _left(self, ticket: Ticket, why: str) -> PlanRow:
        """Return the row of a ticket that is left."""
        ours = str(self.context.values["ticket_property"])
        is_personal = self.tickets.properties[ours].is_personal
        what = f"the {self._by} that it names" if is_personal else f"{self._by} '{ticket.wanted[:LONGEST]}'"
        reason = f"Left with the stand-in: {why} with {what}."
        return self.left.row(ticket.id, Problem(kind=plan.REJECTED, field=ours, reason=reason, ours=ticket.wanted))

    def _note(self, count: int, *, has_rows: bool) -> None:
        note = self.context.note
        if has_rows:
            name = f" ({self.stand_in.name})" if self.stand_in.name else ""
            note(f"the stand-in is company {self.stand_in.id}{name}, of {_tickets(count)}")
        if again := len(self.left.again):
            is_left = "is left" if again == 1 else "are left"
            note(f"{_tickets(again)} {is_left} as an earlier run told: `syncer status` has what stands")
        if self.others and self.others == count:
            note(f"no ticket of the stand-in's {count:,} has the {self._address_by} that customer_email names")
        if self.blank:
            has = "has" if self.blank == 1 else "have"
            note(f"{_tickets(self.blank)} of the stand-in {has} no {self.context.values['ticket_property']}")

    # Settings.

    @property
    def _by(self) -> str:
        return str(self.context.values["company_property"])

    @property
    def _address_by(self) -> str:
        return str(self.context.values["email_property"])

    @property
    def _address(self) -> str:
        return str(self.context.values["customer_email"]).strip().casefold()

    @property
    def _strips_zeros(self) -> bool:
        return bool(self.context.values["strip_leading_zeros"])

    def _named(self, value: str | None) -> str:
        return standins.named(value, strips_zeros=self._strips_zeros)


def _check(context: Context, tickets: Shape, companies: Shape) -> None:
    """Raise UsageError where a setting is missing, or names a property that is not there."""
    values = context.values
    if not str(values["stand_in_domain"]).strip():
        raise UsageError(
            f'stand_in_domain in ["{NAME}"] is not set: which company stands in is not known.',
            hint="Set it to the domain of that company, and stand_in_city to its city.",
        )
    asked = [("ticket_property", tickets), ("company_property", companies)]
    if values["customer_email"]:
        asked.append(("email_property", tickets))
    for key, shape in asked:
        name = str(values[key])
        if name not in shape.properties:
            raise declared.refuse(NAME, key, name, noun=f"property of {shape.kind}", known=sorted(shape.properties))


def _found(context: Context, companies: Shape) -> Company:
    """Find the company that stands in. Raises UsageError: there is none, or there are several."""
    domain, city = (str(context.values[key]).strip() for key in ("stand_in_domain", "stand_in_city"))
    title = _title(companies)
    found = {
        each.id: each
        for page in context.api.matching(COMPANIES, DOMAIN, [domain], [CITY, *([title] if title else [])])
        for each in page
        if not city or (each.properties.get(CITY) or "").strip().casefold() == city.casefold()
    }
    what = f"domain {domain}{f' and city {city}' if city else ''}"
    if not found:
        raise UsageError(
            f"No company has {what}: nothing stands in, and no ticket was looked at.",
            hint=f'["{NAME}"] in syncer.toml says which one it is; one that was made a minute ago is not found yet.',
        )
    if len(found) > 1:
        ids = sorted(found, key=lambda id: (len(id), id))
        raise UsageError(
            f"{len(ids):,} companies have {what}: {', '.join(ids[: standins.NAMED])}. Which stands in is not known.",
            hint=f'["{NAME}"] in syncer.toml has to name one only; or merge them in HubSpot.',
        )
    [one] = found.values()
    return _company(one, companies)


def _tickets(count: int) -> str:
    return f"{count:,} {'ticket' if count == 1 else 'tickets'}"


def _title(shape: Shape) -> str:
    """Return the property that people call a record by; empty where it is for nobody to see, or there is none."""
    known = shape.properties.get(shape.title)
    return "" if known is None or known.is_personal else shape.title


def _company(found: Found, shape: Shape, *, by: str = "") -> Company:
    """Return a company; *by*: the property that it was found by, empty where it is only named."""
    name = (found.properties.get(_title(shape)) or "").strip()
    return Company(id=found.id, name=name, grounds=_grounds(shape.kind, found, [by] if by else []))


def _grounds(kind: str, found: Found, properties: Sequence[str]) -> list[Ground]:
    return [
        Ground(kind=kind, id=found.id, property=name, value=(found.properties.get(name) or "").strip())
        for name in properties
    ]
