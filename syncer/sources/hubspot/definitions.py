"""
A portal's property definitions: what there is of a type, and the columns that it becomes.

A property's name is fixed for ever, its label is not: the column is named by the name, the label is its comment. Each
name is decided by itself, so that a new property never renames another one's column.

Not here: the stream of all definitions (`listed.py`), requests (`official.py`), personal names (`personal.py`).
Source: HubSpot CRM API v3, "Properties".
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

import attrs

from syncer import values
from syncer.errors import AnswerError, RequestError
from syncer.mapping import MAX_COLUMN_BYTES, Field
from syncer.sources import Record
from syncer.sources.hubspot.official import NON_SENSITIVE, Official
from syncer.sources.hubspot.personal import is_personal
from syncer.values import BOOLEAN, DATE, DECIMAL, DOUBLE, JSON, TEXT, TIMESTAMP, Type

# What the token may not see is not in a list: some portals leave it out, some refuse to be asked.
SENSITIVITIES: Sequence[str] = (NON_SENSITIVE, "sensitive", "highly_sensitive")
NONE_FOR_US = (400, 403)
TYPES: Mapping[str, Type] = {"number": DECIMAL, "bool": BOOLEAN, "date": DATE, "datetime": TIMESTAMP}
SEVERAL = "checkbox"  # the fieldType of an enumeration that holds several values, parted by ;
HISTORY = "_history"

_CALCULATION = "calculation_"
_ID = re.compile(r"(?:^|_)ids?$|companyid$")
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_KEPT_FOR_OTHERS = re.compile(r"dss_.*|.*_history|.*_x[0-9a-f]{8}")  # the warehouse's, histories, changed names


@attrs.frozen(kw_only=True)
class Option:
    """One choice of an enumeration: records hold its value, people see its label."""

    value: str
    label: str = ""
    description: str = ""
    display_order: int = -1
    hidden: bool = False


@attrs.frozen(kw_only=True)
class Definition:
    """
    One property of one object type, as the portal defines it.

    type: string, number, bool, enumeration, date, datetime, phone_number, object_coordinates, json.
    calculated: of HubSpot's own properties; of a portal's own it means nothing.
    external_options: the choices are owners, or others that stand elsewhere, and `options` is empty.
    read_only: no value may be written; read_only_definition, read_only_options: nor the definition, nor its choices.
    group_label: empty where the groups were not asked for.
    """

    object_type: str
    name: str
    label: str = ""
    type: str = ""
    field_type: str = ""
    group_name: str = ""
    group_label: str = ""
    description: str = ""
    display_order: int = -1
    options: tuple[Option, ...] = ()
    calculated: bool = False
    calculation_formula: str = ""
    external_options: bool = False
    referenced_object_type: str = ""
    has_unique_value: bool = False
    hidden: bool = False
    hubspot_defined: bool = False
    form_field: bool = False
    archived: bool = False
    archivable: bool = False
    read_only: bool = False
    read_only_definition: bool = False
    read_only_options: bool = False
    data_sensitivity: str = NON_SENSITIVE
    currency_property_name: str = ""
    show_currency_symbol: bool = False
    created_at: dt.datetime | None = None
    updated_at: dt.datetime | None = None
    archived_at: dt.datetime | None = None
    created_user_id: str = ""
    updated_user_id: str = ""

    @property
    def is_writable(self) -> bool:
        """Whether records take a value for it."""
        if self.read_only or self.archived:
            return False
        return not self.is_calculated

    @property
    def is_sensitive(self) -> bool:
        """Whether the portal marks its values as sensitive."""
        return self.data_sensitivity != NON_SENSITIVE

    @property
    def column_type(self) -> Type:
        """
        The type of its column: text for what holds texts, and for a type that nobody knew yet.

        What people enter is exact; what HubSpot calculates is floating point there, with more decimals than a decimal
        column has, but for ids, which it calls numbers, too.
        """
        if self.type == "number" and self.is_calculated and not self.referenced_object_type:
            return DECIMAL if _ID.search(self.name) else DOUBLE
        return TYPES.get(self.type, TEXT)

    @property
    def is_calculated(self) -> bool:
        """Whether HubSpot works its values out."""
        is_own = bool(self.calculation_formula) or self.field_type.startswith(_CALCULATION)
        return is_own or (self.hubspot_defined and self.calculated)


def of_type(
    official: Official,
    object_type: str,
    *,
    archived: bool = False,
    group_labels: Mapping[str, str] | None = None,
    sensitivities: Sequence[str] = SENSITIVITIES,
) -> list[Definition]:
    """
    Return the definitions of a type that the token may see, or, with *archived*, those that were archived.

    sensitivities: each is a request.
    group_labels: as `groups` returns them; without it the labels are empty, and one request less is sent.
    Raises: NotAllowed where the type's scope is missing; what else the transport raises.
    """
    found = records(official, object_type, archived=archived, sensitivities=sensitivities)
    return [read(record, object_type, group_labels=group_labels or {}) for record in found]


def records(
    official: Official, object_type: str, *, archived: bool = False, sensitivities: Sequence[str] = SENSITIVITIES
) -> list[Record]:
    """
    Return the same as the API shapes it: one a name, in the API's order; each says of which sensitivity it is.

    Sensitive ones are lists of their own; where the token may not see them there are none, and the last is not asked
    for. Raises: as `of_type`; AnswerError where one has no name.
    """
    found: dict[str, Record] = {}
    for sensitivity in sensitivities:
        try:
            listed = official.properties(object_type, archived=archived, sensitivity=sensitivity)
        except RequestError as error:
            if sensitivity == NON_SENSITIVE or error.status not in NONE_FOR_US:
                raise
            break
        for record in listed:
            name = record.get("name")
            if not isinstance(name, str) or not name:
                raise AnswerError(f"HubSpot listed a property of {object_type} without a name.")
            found.setdefault(name, {"dataSensitivity": sensitivity, **record})
    return list(found.values())


def groups(official: Official, object_type: str) -> dict[str, str]:
    """Return the labels of a type's groups, by name."""
    return {str(group.get("name")): _text(group.get("label")) for group in official.groups(object_type)}


def read(record: Record, object_type: str, *, group_labels: Mapping[str, str]) -> Definition:
    """Read one definition; what the API leaves out, or gives in another shape, is as if it were not set."""
    rules = record.get("modificationMetadata")
    rules = rules if isinstance(rules, dict) else {}
    group = _text(record.get("groupName"))
    return Definition(
        object_type=object_type,
        name=_text(record.get("name")),
        label=_text(record.get("label")),
        type=_text(record.get("type")),
        field_type=_text(record.get("fieldType")),
        group_name=group,
        group_label=group_labels.get(group, ""),
        description=_text(record.get("description")),
        display_order=_whole(record.get("displayOrder")),
        options=tuple(_options(record.get("options"))),
        calculated=record.get("calculated") is True,
        calculation_formula=_text(record.get("calculationFormula")),
        external_options=record.get("externalOptions") is True,
        referenced_object_type=_text(record.get("referencedObjectType")),
        has_unique_value=record.get("hasUniqueValue") is True,
        hidden=record.get("hidden") is True,
        hubspot_defined=record.get("hubspotDefined") is True,
        form_field=record.get("formField") is True,
        archived=record.get("archived") is True,
        archivable=rules.get("archivable") is True,
        read_only=rules.get("readOnlyValue") is True,
        read_only_definition=rules.get("readOnlyDefinition") is True,
        read_only_options=rules.get("readOnlyOptions") is True,
        data_sensitivity=_text(record.get("dataSensitivity")) or NON_SENSITIVE,
        currency_property_name=_text(record.get("currencyPropertyName")),
        show_currency_symbol=record.get("showCurrencySymbol") is True,
        created_at=_moment(record.get("createdAt")),
        updated_at=_moment(record.get("updatedAt")),
        archived_at=_moment(record.get("archivedAt")),
        created_user_id=_text(record.get("createdUserId")),
        updated_user_id=_text(record.get("updatedUserId")),
    )


def askable(definitions: Iterable[Definition]) -> list[Definition]:
    """Leave out what no request can name: half a surrogate pair in a property's name is no text that can be sent."""
    return [each for each in definitions if each.name.encode("utf-8", "ignore").decode() == each.name]


def columns(
    definitions: Iterable[Definition],
    *,
    declared: Collection[str],
    histories: Collection[str] = (),
    personal: Collection[str] = (),
) -> tuple[Field, ...]:
    """
    Return a column for each property, and one more for its history where that is wanted.

    declared: columns that the mapping has already.
    histories: properties whose history is read too.
    personal: properties that hold personal data, beside the known ones (`personal.py`) and the sensitive ones.
    """
    found = []
    for definition in definitions:
        name = definition.name
        is_private = name in personal or definition.is_sensitive or is_personal(definition.object_type, name)
        found.append(
            Field(
                column_of(name, declared=declared),
                path=("properties", name),
                type=definition.column_type,
                personal=is_private,
                comment=_comment(definition),
                blank_is_null=definition.column_type is not TEXT,  # HubSpot writes "" where a value was cleared
            )
        )
        if name in histories:
            comment = f"{_comment(definition)}: all values that it had".removeprefix(": ")
            found.append(
                Field(
                    history_column_of(name, declared=declared),
                    path=("propertiesWithHistory", name),
                    type=JSON,
                    personal=is_private,
                    comment=comment,
                    follows=column_of(name, declared=declared),
                )
            )
    return tuple(found)


def column_of(name: str, *, declared: Collection[str]) -> str:
    """
    Name the column of a property, by that name alone.

    A name that cannot be a column, or that another column may need (a declared one, `…_history`), is changed into one
    that ends with a digest of it, so that no two names share a column.
    """
    is_kept = (
        _PLAIN.fullmatch(name) is not None
        and len(name) <= MAX_COLUMN_BYTES
        and name not in declared
        and _KEPT_FOR_OTHERS.fullmatch(name) is None
    )
    return name if is_kept else _changed(name, "")


def history_column_of(name: str, *, declared: Collection[str]) -> str:
    """Name the column of a property's history: its own column's name and `_history`, as far as that fits."""
    column = f"{column_of(name, declared=declared)}{HISTORY}"
    is_kept = len(column) <= MAX_COLUMN_BYTES and column not in declared
    return column if is_kept else _changed(name, HISTORY)


def _changed(name: str, ending: str) -> str:
    digest = hashlib.blake2s(name.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    clean = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    if not clean or clean[0].isdigit() or clean.startswith("dss_"):
        clean = f"property_{clean}".rstrip("_")
    tail = f"_x{digest}{ending}"
    return f"{clean[: MAX_COLUMN_BYTES - len(tail)]}{tail}"


def _comment(definition: Definition) -> str:
    """The label, and how several values stand in one text."""
    if definition.type == "enumeration" and definition.field_type == SEVERAL:
        return f"{definition.label} (several values, parted by ;)".strip()
    return definition.label


def _options(found: object) -> Iterator[Option]:
    for option in found if isinstance(found, list) else ():
        if isinstance(option, dict):
            yield Option(
                value=_text(option.get("value")),
                label=_text(option.get("label")),
                description=_text(option.get("description")),
                display_order=_whole(option.get("displayOrder")),
                hidden=option.get("hidden") is True,
            )


def _text(value: object) -> str:
    return value if isinstance(value, str) else "" if value is None else str(value)


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else -1


def _moment(value: object) -> dt.datetime | None:
    try:
        return values.timestamp(value) if value is not None else None
    except ValueError:
        return None
