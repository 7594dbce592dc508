"""What tests on the shared PostgreSQL server begin with: a database, and a role that must give its password."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import postgresql
from tests.servers.roles import PASSWORD


@pytest.fixture
def database() -> Iterator[str]:
    """An empty database."""
    server = postgresql.shared()
    name = server.database()
    yield name
    server.drop(name)


@pytest.fixture
def guarded(database: str) -> Iterator[str]:
    """A role that the server lets in with its password only; it may make schemas in the database."""
    server = postgresql.shared()
    rules = server.folder / "data" / "pg_hba.conf"
    before, role = rules.read_text(), f"role_{database}"
    rules.write_text(f"host {database} {role} 127.0.0.1/32 scram-sha-256\n{before}")
    with server.connection("postgres") as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
        connection.execute(f'GRANT CREATE ON DATABASE "{database}" TO {role}')
        connection.execute("SELECT pg_reload_conf()")
    yield role
    rules.write_text(before)
    with server.connection(database) as connection:
        connection.execute(f"DROP OWNED BY {role} CASCADE")
        connection.execute(f"DROP ROLE {role}")
        connection.execute("SELECT pg_reload_conf()")
