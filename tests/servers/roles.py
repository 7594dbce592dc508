"""A role of the shared PostgreSQL server that must give its password: how it is named in a connection string."""

from __future__ import annotations

from tests.servers import postgresql

PASSWORD = "p;a{s}s w+%41"  # each letter of it is in the way of somebody


def as_role(database: str, role: str) -> str:
    """Return the connection string of a role, without a password."""
    return postgresql.shared().string(database, UID=role)
