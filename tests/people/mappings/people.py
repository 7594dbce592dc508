"""Mappings full of personal fields, for the tests of privacy and forgetting."""

from __future__ import annotations

from syncer.mapping import DROP, MASK, EntityMapping, Field, Inbound
from syncer.values import BIGINT, BOOLEAN, DATE, JSON

PEOPLE = EntityMapping(
    name="scripted.people",
    key=("id",),
    fields=(
        Field("id", type=BIGINT),
        Field("email", path=("properties", "email"), personal=True),
        Field("phone", path=("properties", "phone"), personal=True),
        Field("born_on", path=("properties", "born"), type=DATE, personal=True),
        Field("bsn", path=("properties", "bsn"), type=BIGINT, personal=True),
        Field("is_member", path=("properties", "member"), type=BOOLEAN, personal=True),
        Field("nickname", path=("properties", "nick"), personal=True, treatment=DROP),
        Field("author_name", path="author.name", personal=True, names_people=True),
        Field("author", type=JSON),
        Field("note", personal=True, treatment=MASK),
        Field("extra", type=JSON, personal=True),
        Field("city"),
        Field("raw", path=".", type=JSON),
    ),
    inbound=Inbound(stream="people"),
)
PLAIN = EntityMapping(
    name="scripted.plain",
    key=("id",),
    fields=(Field("id", type=BIGINT), Field("size")),
    inbound=Inbound(stream="plain"),
)
BY_MAIL = EntityMapping(
    name="scripted.by_mail",
    key=("email",),
    fields=(Field("email", personal=True), Field("city")),
    inbound=Inbound(stream="by_mail"),
)
FOUND = EntityMapping(
    name="scripted.found",
    key=("id",),
    fields=(Field("id", type=BIGINT), Field("raw", path=".", type=JSON)),
    inbound=Inbound(stream="found", discovers=True),
)
MAPPINGS = (PEOPLE, PLAIN, BY_MAIL, FOUND)
