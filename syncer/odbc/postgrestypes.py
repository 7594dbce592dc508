"""
What PostgreSQL calls our types, how it casts them, what we ask its catalogue, and what its refusals mean.
"""

from __future__ import annotations

import re

from syncer.sql import quoted
from syncer.values import DECIMAL_DIGITS, DECIMAL_SCALE, Type

TYPE_NAMES = {
    Type.TEXT: "text",
    Type.BIGINT: "bigint",
    Type.DECIMAL: f"numeric({DECIMAL_DIGITS},{DECIMAL_SCALE})",
    Type.DOUBLE: "double precision",
    Type.BOOLEAN: "boolean",
    Type.DATE: "date",
    Type.TIMESTAMP: "timestamp with time zone",
    Type.JSON: "jsonb",
}
BY_NAME = {name: kind for kind, name in TYPE_NAMES.items()} | {
    "integer": Type.BIGINT,
    "smallint": Type.BIGINT,
    "numeric": Type.DECIMAL,
    "real": Type.DOUBLE,
    "timestamp without time zone": Type.TIMESTAMP,
    "json": Type.JSON,
}
ROOMY = frozenset({*TYPE_NAMES.values(), "character varying", "numeric", "timestamp without time zone"})
# Our tables besides those of `syncer.tables`, by name: the columns, of which the first is the key.
KEPT = {
    "leases": {
        "name": "text",
        "lock_key": "bigint",
        "pid": "bigint",
        "host": "text",
        "since": "timestamp with time zone",
        "run": "text",
        "session": "bigint",
    },
    "commits": {"writer": "text", "number": "bigint", "at": "timestamp with time zone"},
}
# Whether the table of commits is there, and ours: asked of the catalogue, which everybody may read.
KEEPS_COMMITS = (
    "(SELECT (count(*) = 3)::int FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid "
    "JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'syncer' "
    "AND c.relname = 'commits' AND c.relkind = 'r' AND a.attname IN ('writer', 'number', 'at'))"
)
# Beginning of the state, words in the text, what is told, and what to do; the first that fits.
REFUSALS = (
    (
        "57014", "", "the server ended a statement: {shown}",
        "Set statement_timeout higher for this role: ALTER ROLE … SET statement_timeout = 0.",
    ),
    (
        "42501", "temporary tables", "this login may not make temporary tables, in which sets are passed",
        "Have an administrator run: GRANT TEMPORARY ON DATABASE … TO ….",
    ),
    (
        "42501", "", "a right is missing: {shown}",
        "Give the role USAGE and CREATE on the schemas load and syncer, and make it own their tables.",
    ),
    ("23502", "", "{shown}", "Is it a column of your own? Then give it a DEFAULT, or let it be NULL."),
    ("P0", "", "{shown}", "Drop the trigger on that table, or have it let our rows by."),
    (
        "25006", "", "the server, the database or this role may only be read",
        "Name the server that takes writes, not a standby; or: ALTER ROLE … SET default_transaction_read_only = off.",
    ),
    ("53100", "", "the server's disk is full", "Make room and run again; nothing of this group was kept."),
    ("58030", "", "the server's disk is full", "Make room and run again; nothing of this group was kept."),
    (
        "54000", "row is too big", "a row is larger than a page of PostgreSQL (8 kB, with long texts beside it)",
        "Leave out properties that nobody needs: a row holds about 450 texts beside numbers and dates.",
    ),
    (
        "54000", "index row", "a key is longer than an index of PostgreSQL takes (some 2,700 bytes)",
        "Is the mapping's key the record's id, and not a text of people?",
    ),
)  # fmt: skip
# What a hash is made of; {} is the value. A time without a zone is one in UTC, as our sessions are. A text counts by
# its letters, whatever its column's collation takes for the same.
AS_TEXT = 'CAST({} AS TEXT) COLLATE "C"'
HASHED = {
    Type.BIGINT: "int8send({})",
    Type.DATE: "date_send({})",
    Type.TIMESTAMP: "timestamptz_send({})",
}
NO_NUMBERS = frozenset({"oid", "xid", "cid"})  # the driver calls them whole numbers, and the server does not
# Tables in our schemas, and what hangs below them wherever it stands: partitions, and tables that inherit.
OURS = (
    "WITH RECURSIVE ours (oid) AS (SELECT c.oid FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "WHERE n.nspname IN ('load', 'syncer') "
    "UNION SELECT i.inhrelid FROM pg_inherits AS i JOIN ours AS o ON o.oid = i.inhparent) "
    "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname), pg_has_role(c.relowner, 'USAGE')::int "
    "FROM ours AS o JOIN pg_class AS c ON c.oid = o.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "WHERE c.relkind = 'r' ORDER BY 1"
)
OWNS_DATABASE = (
    "SELECT CASE WHEN pg_has_role(datdba, 'USAGE') THEN 1 ELSE 0 END FROM pg_database "
    "WHERE datname = current_database()"
)
# Who may see rows that are deleted: what a session does is hidden from a role that is nobody, its transaction is not.
WATCHING = (
    "SELECT p.virtualxid, 'Session ' || a.pid || ' of ' || a.usename FROM pg_locks AS p JOIN pg_stat_activity AS a "
    "ON a.pid = p.pid WHERE p.locktype = 'virtualxid' AND p.granted AND a.datname = current_database() "
    "AND a.usename IS NOT NULL AND a.pid <> pg_backend_pid() "
    "AND (a.state IS NULL OR a.backend_xid IS NOT NULL OR a.backend_xmin IS NOT NULL) "
    "UNION ALL SELECT gid, 'The prepared transaction ' || gid FROM pg_prepared_xacts "
    "WHERE database = current_database() "
    "UNION ALL SELECT slot_name::text, 'The replication slot ' || slot_name FROM pg_replication_slots "
    "WHERE xmin IS NOT NULL"
)
# A collation that takes different texts for equal ones: no type of ours, so that the column gets ours again.
ODD_COLLATION = " with a collation that is not exact"
TYPE_OF_COLUMN = (
    "format_type(a.atttypid, a.atttypmod) || CASE WHEN EXISTS (SELECT 1 FROM pg_collation AS o "
    f"WHERE o.oid = a.attcollation AND NOT o.collisdeterministic) THEN '{ODD_COLLATION}' ELSE '' END"
)
COLUMNS = (
    "FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "WHERE n.nspname = ? AND c.relname = ? AND a.attnum > 0 AND NOT a.attisdropped"
)
# An index that finds a row by its key.
INDEXES = (
    "SELECT 1 FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid JOIN pg_namespace AS n "
    "ON n.oid = c.relnamespace WHERE n.nspname = ? AND c.relname = ? AND i.indisvalid AND i.indpred IS NULL "
    'AND i.indnkeyatts = {count} AND (SELECT array_agg(a.attname::text ORDER BY a.attname::text COLLATE "C") '
    "FROM pg_attribute AS a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)) = ARRAY[{key}]"
)
# The columns of each index of a table of ours, in their order, a line each; NULL: it has no index.
INDEXED = (
    "SELECT (SELECT string_agg(a.attname::text, chr(10) ORDER BY k.place) FROM unnest(i.indkey::int2[]) WITH "
    "ORDINALITY AS k (number, place) JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number "
    "WHERE k.place <= i.indnkeyatts) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
    "LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL "
    "WHERE n.nspname = ? AND c.relname = ? AND c.relkind IN ('r', 'p') AND pg_has_role(c.relowner, 'USAGE')"
)
# Who holds the strongest lock is who was waited for: a reader is in the way of nobody but who alters a table.
STRONGEST = ", ".join(
    f"'{mode}Lock'"
    for mode in (
        "AccessExclusive", "Exclusive", "ShareRowExclusive", "Share",
        "ShareUpdateExclusive", "RowExclusive", "RowShare", "AccessShare",
    )
)  # fmt: skip
MOMENT = (
    r"^(?!0000)\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
    r"([ T]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d+)?)?(Z|[-+](0\d|1[0-5])(:?[0-5]\d)?)?)?$"
)
_LENGTH = re.compile(r"\(.*\)")


def type_of(name: str) -> Type:
    name = name.removesuffix(ODD_COLLATION)
    return BY_NAME.get(name) or BY_NAME.get(_LENGTH.sub("", name), Type.TEXT)


def as_type(column: str, now: Type, to: Type) -> str:
    """Write the cast of a column of type *now*; a text reads as an API writes the value."""
    name = quoted(column)
    if to is not Type.TEXT:
        return f"CAST({name} AS {TYPE_NAMES[to]})"
    if now is Type.DECIMAL:
        return f"CAST(trim_scale({name}) AS TEXT)"
    if now is Type.TIMESTAMP:
        moment = f"(CAST({name} AS {TYPE_NAMES[now]}) AT TIME ZONE 'UTC')"
        micro = f"(EXTRACT(MICROSECONDS FROM {moment})::bigint % 1000000)"
        decimals = (
            f"CASE WHEN {micro} = 0 THEN 'Z' WHEN {micro} % 1000 = 0 THEN to_char({moment}, '.MS\"Z\"') "
            f"ELSE to_char({moment}, '.US\"Z\"') END"
        )
        return f"to_char({moment}, 'YYYY-MM-DD\"T\"HH24:MI:SS') || {decimals}"
    if now is Type.JSON:  # a JSON text that is one string is that string
        return f"CASE WHEN jsonb_typeof({name}::jsonb) = 'string' THEN {name} #>> '{{}}' ELSE CAST({name} AS TEXT) END"
    return f"CAST({name} AS TEXT)"
