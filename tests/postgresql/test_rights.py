"""What a server allows, and what others did to our tables: healed, or one clear error whose remedy works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from syncer.errors import WarehouseError
from tests.conftest import Site
from tests.postgresql import PAIRS, Place, things, with_pairs, write

TABLE = "load.scripted_things"


@pytest.fixture
def as_role(site: Site) -> Any:
    """The site, as a role that is nobody; what it makes is taken away with it."""
    place = Place(folder=site.folder, database=site.database)  # type: ignore[arg-type]  # this server's own
    role = place.role()
    string = site.settings.warehouse.replace("UID=postgres", f"UID={role}")
    site.settings = attrs.evolve(site.settings, warehouse=string, wait_s=1)
    yield role
    place.rows(f"DROP OWNED BY {role} CASCADE")
    place.rows(f"DROP ROLE {role}")


def refused(site: Site, match: str) -> None:
    """A pull that cannot even be written down: the error is raised."""
    with pytest.raises(WarehouseError, match=match):
        site.pull()


def pulled(site: Site, *numbers: int, **values: Any) -> Any:
    """Pull these things; an error before a run could be written down is returned as it is."""
    site.script.read = lambda stream, places: things(*numbers, **values)
    try:
        return site.pull()
    except WarehouseError as error:
        return error


def failed(done: Any, *told: str) -> None:
    """A run that failed, or could not begin: its error in one line without a value."""
    error = str(done) if isinstance(done, WarehouseError) else done.error
    assert error and "\n" not in error
    assert all(each in error for each in told), error


# Rights.


def test_a_schema_that_may_not_be_made_is_told_with_the_statement(site: Site, as_role: str) -> None:
    """An administrator runs what the hint says, and the next pull works."""
    done = pulled(site, 1)
    failed(done, "may not make the schema syncer", "CREATE SCHEMA syncer AUTHORIZATION …")
    site.rows(f"CREATE SCHEMA syncer AUTHORIZATION {as_role}")
    done = pulled(site, 1)
    failed(done, "may not make the schema load", "CREATE SCHEMA load AUTHORIZATION …")
    site.rows(f"CREATE SCHEMA load AUTHORIZATION {as_role}")
    assert pulled(site, 1).inserted == 1
    assert site.rows("SELECT status FROM syncer.runs ORDER BY started_at")[-1] == ("done",)


def test_a_table_that_may_not_be_made_is_told_with_the_statement(site: Site, as_role: str) -> None:
    """The schema is another's."""
    site.rows("CREATE SCHEMA syncer")
    site.rows(f"GRANT USAGE ON SCHEMA syncer TO {as_role}")
    failed(pulled(site, 1), "permission denied for schema syncer", "CREATE on the schemas load and syncer")
    site.rows(f"GRANT CREATE ON SCHEMA syncer TO {as_role}")
    site.rows("CREATE SCHEMA load")
    site.rows(f"GRANT USAGE ON SCHEMA load TO {as_role}")
    failed(pulled(site, 1), "may not make tables in the schema load", "GRANT USAGE, CREATE ON SCHEMA load TO …")
    site.rows(f"GRANT CREATE ON SCHEMA load TO {as_role}")
    assert pulled(site, 1).inserted == 1


def test_tables_of_another_are_told(site: Site, as_role: str) -> None:
    """Rights on rows are not enough to shape a table: it must be ours."""
    before = site.settings
    site.settings = attrs.evolve(before, warehouse=before.warehouse.replace(f"UID={as_role}", "UID=postgres"))
    assert pulled(site, 1).inserted == 1
    site.settings = before
    failed(pulled(site, 1, 2), "a right is missing", "schema syncer", "make it own their tables")
    site.rows(f"GRANT USAGE, CREATE ON SCHEMA load, syncer TO {as_role}")
    failed(pulled(site, 1, 2), "a right is missing", "make it own their tables")
    for (table,) in site.rows(
        "SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname IN ('load','syncer')"
    ):
        site.rows(f"ALTER TABLE {table} OWNER TO {as_role}")
    assert pulled(site, 1, 2).inserted == 1


@pytest.mark.parametrize("what", ["ROLE", "DATABASE"])
def test_a_server_that_may_only_be_read_is_told(site: Site, as_role: str, what: str) -> None:
    """As a standby is, and a role for reports."""
    name = as_role if what == "ROLE" else f'"{site.database.name}"'  # type: ignore[attr-defined]
    site.rows(f'GRANT CREATE ON DATABASE "{site.database.name}" TO {as_role}')  # type: ignore[attr-defined]
    site.rows(f"ALTER {what} {name} SET default_transaction_read_only = on")
    try:
        failed(pulled(site, 1), "may only be read", "default_transaction_read_only = off")
    finally:
        site.database.is_used_again = False  # type: ignore[attr-defined]
        with_rights = f"ALTER {what} {name} RESET default_transaction_read_only"
        site.rows(f"BEGIN READ WRITE; {with_rights}; COMMIT")
    assert pulled(site, 1).inserted == 1


def test_a_policy_that_hides_rows_is_an_error(place: Place) -> None:
    """A row that is hidden would look like one that is not there, and be inserted again."""
    with_pairs(place.warehouse())
    role = place.role(may_create=True)
    place.rows(f"GRANT USAGE ON SCHEMA load TO {role}")
    place.rows(f"GRANT ALL ON load.pairs TO {role}")
    place.rows("INSERT INTO load.pairs VALUES (1, 'x')")
    place.rows("ALTER TABLE load.pairs ENABLE ROW LEVEL SECURITY")
    other = place.warehouse(UID=role)
    with pytest.raises(WarehouseError, match="row-level security"), other.transaction() as t:
        t.fetched("SELECT * FROM load.pairs")


# A disk that is full.


def test_a_full_disk_is_told(place: Place) -> None:
    """A function that raises the server's own state stands for it; nothing of the group is kept."""
    warehouse = with_pairs(place.warehouse())
    place.rows(
        "CREATE FUNCTION load.full() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'could not extend file \"base/1/2\": No space left on device' USING ERRCODE = '53100'; END $$"
    )
    place.rows(
        "CREATE TRIGGER theirs BEFORE INSERT ON load.pairs FOR EACH ROW WHEN (NEW.a = 2) EXECUTE FUNCTION load.full()"
    )
    with pytest.raises(WarehouseError, match="disk is full.*Make room"), warehouse.transaction() as t:
        write(t, 1)
        write(t, 2)
    with warehouse.transaction() as t:
        write(t, 3)
    assert place.rows("SELECT a FROM load.pairs") == [(3,)]


# What others did to a load table.


@pytest.fixture
def loaded(site: Site) -> Site:
    """Two things that were pulled."""
    assert pulled(site, 1, 2, name="a", size=1).inserted == 2
    return site


@pytest.mark.parametrize(
    ("statements", "told"),
    [
        (["ALTER TABLE {t} ALTER COLUMN name TYPE varchar(5)"], ""),
        (["ALTER TABLE {t} ALTER COLUMN size TYPE integer"], ""),
        (["ALTER TABLE {t} ALTER COLUMN size TYPE text USING size::text"], ""),
        (["ALTER TABLE {t} ALTER COLUMN name TYPE char(9)"], ""),
        (["ALTER TABLE {t} ALTER COLUMN updated TYPE date"], ""),
        (["ALTER TABLE {t} DROP COLUMN name"], ""),
        (["ALTER TABLE {t} ADD COLUMN remark text DEFAULT 'x'"], ""),
        (["ALTER TABLE {t} ADD COLUMN remark text NOT NULL DEFAULT 'x'"], ""),
    ],
)
def test_a_table_with_other_columns_is_healed(loaded: Site, statements: list[str], told: str) -> None:
    """Nothing is lost, and the next values fit."""
    for each in statements:
        loaded.rows(each.format(t=TABLE))
    done = pulled(loaded, 1, 2, 3, name="longer than five", size=2**40)
    assert (done.status, done.inserted, done.updated) == ("done", 1, 2)
    assert loaded.rows(f"SELECT id, name, size::bigint FROM {TABLE} ORDER BY id") == [
        (number, "longer than five", 2**40) for number in (1, 2, 3)
    ]


Break = Callable[[Site], Any]


@pytest.mark.parametrize(
    ("breaking", "told", "remedy"),
    [
        (
            [f"ALTER TABLE {TABLE} ADD COLUMN remark text", f"UPDATE {TABLE} SET remark = 'x'",
             f"ALTER TABLE {TABLE} ALTER COLUMN remark SET NOT NULL"],
            ['null value in column "remark"', "give it a DEFAULT"],
            f"ALTER TABLE {TABLE} ALTER COLUMN remark SET DEFAULT ''",
        ),
        (
            [f"UPDATE {TABLE} SET name = id::text", f"CREATE UNIQUE INDEX theirs ON {TABLE} (name)"],
            ['"theirs"', "drop it"],
            "DROP INDEX load.theirs",
        ),
        ([f"ALTER TABLE {TABLE} ADD CONSTRAINT theirs CHECK (size < 5)"], ['"theirs"', "drop it"],
         f"ALTER TABLE {TABLE} DROP CONSTRAINT theirs"),
        (
            [f"ALTER TABLE {TABLE} ALTER COLUMN name TYPE varchar(5)",
             f"CREATE VIEW load.theirs AS SELECT name FROM {TABLE}"],
            ["Column name of load.scripted_things must become text", "Drop the view"],
            "DROP VIEW load.theirs",
        ),
        (
            ["CREATE TABLE load.theirs (a bigint PRIMARY KEY)", "INSERT INTO load.theirs VALUES (1)",
             f"ALTER TABLE {TABLE} ADD CONSTRAINT points FOREIGN KEY (size) REFERENCES load.theirs"],
            ['"points"', "drop it"],
            f"ALTER TABLE {TABLE} DROP CONSTRAINT points",
        ),
        (
            ["CREATE FUNCTION load.no() RETURNS trigger LANGUAGE plpgsql AS "
             "$$ BEGIN RAISE EXCEPTION 'not this one: %', NEW.name; END $$",
             f"CREATE TRIGGER theirs BEFORE INSERT OR UPDATE ON {TABLE} FOR EACH ROW EXECUTE FUNCTION load.no()"],
            ["a trigger that somebody made", "Drop the trigger"],
            f"DROP TRIGGER theirs ON {TABLE}",
        ),
    ],
    ids=["not null", "unique", "check", "view", "foreign key", "trigger"],
)  # fmt: skip
def test_what_a_person_added_is_one_clear_error_until_it_is_gone(
    loaded: Site, breaking: list[str], told: list[str], remedy: str
) -> None:
    """Nothing is lost or half written, no value is told, and the remedy of the hint works."""
    for each in breaking:
        loaded.rows(each)
    before = loaded.rows(f"SELECT * FROM {TABLE} ORDER BY id")
    failed(done := pulled(loaded, 1, 2, 3, name="Geheim und lang", size=7), *told)
    assert "Geheim" not in done.error
    assert loaded.rows(f"SELECT * FROM {TABLE} ORDER BY id") == before
    assert loaded.rows("SELECT status, inserted FROM syncer.runs ORDER BY started_at DESC LIMIT 1") == [("failed", 0)]
    loaded.rows(remedy)
    done = pulled(loaded, 1, 2, 3, name="Geheim und lang", size=7)
    assert (done.status, done.inserted, done.updated) == ("done", 1, 2)


@pytest.mark.parametrize(
    ("column", "kind", "using", "told"),
    [
        ("name", "bytea", "name::bytea", []),
        ("name", "uuid", "NULL", []),
        ("size", "money", "size::money", []),
        ("size", "point", "point(size, 0)", ["somebody made column size point", "--full"]),
    ],
)
def test_a_column_of_a_type_that_holds_other_things_is_healed_or_told(
    loaded: Site, column: str, kind: str, using: str, told: list[str]
) -> None:
    """What can be cast there and back is; the remedy of the hint works for the rest."""
    loaded.rows(f"ALTER TABLE {TABLE} ALTER COLUMN {column} TYPE {kind} USING {using}")
    done = pulled(loaded, 1, 2, name="b", size=3)
    if done.status == "failed":
        failed(done, *told)
        loaded.rows(f"ALTER TABLE {TABLE} DROP COLUMN {column}")
        loaded.script.read = lambda stream, places: things(1, 2, name="b", size=3)
        done = loaded.pull(mode="full")
    else:
        assert not told
    assert done.status == "done"
    assert loaded.rows(f"SELECT name, size::bigint FROM {TABLE}") == [("b", 3), ("b", 3)]


def test_a_key_of_another_type_is_refused(loaded: Site) -> None:
    """It is never changed: others may point to it."""
    loaded.rows(f"ALTER TABLE {TABLE} ALTER COLUMN id TYPE text USING id::text")
    done = pulled(loaded, 1, 2, 3)
    assert done.status == "done" or "key column id" in done.error
    if done.status == "done":
        assert loaded.rows(f"SELECT id FROM {TABLE} ORDER BY id") == [("1",), ("2",), ("3",)]


def test_a_view_in_place_of_the_table_is_told(site: Site) -> None:
    """A name that somebody took."""
    site.rows("CREATE SCHEMA load")
    site.rows(f"CREATE VIEW {TABLE} AS SELECT 1::bigint AS id")
    failed(pulled(site, 1), "scripted_things")
    site.rows(f"DROP VIEW {TABLE}")
    assert pulled(site, 1).inserted == 1


def test_a_table_without_its_key_is_not_filled_twice(loaded: Site) -> None:
    """The statements look for the key, not the index."""
    loaded.rows(f"ALTER TABLE {TABLE} DROP CONSTRAINT scripted_things_pkey")
    assert pulled(loaded, 1, 2, 3).inserted == 1
    assert pulled(loaded, 1, 2, 3).inserted == 0
    assert loaded.rows(f"SELECT COUNT(*) FROM {TABLE}") == [(3,)]


def test_pairs_are_what_is_declared(place: Place) -> None:
    """A numeric without a length, a timestamp without a zone and a json hold what is ours; they stay as they are."""
    place.rows("CREATE SCHEMA load")
    place.rows("CREATE TABLE load.pairs (a bigint PRIMARY KEY, b varchar)")
    with place.warehouse().transaction() as t:
        assert t.columns(PAIRS) == PAIRS.types() and t.foreign(PAIRS) == {}
        write(t, 1, "x" * 100_000)


@pytest.mark.parametrize(
    "how", ["PARTITION OF load.pairs DEFAULT", "(LIKE load.pairs) INHERITS (load.pairs)"], ids=["partition", "child"]
)
def test_what_hangs_below_a_table_is_written_anew_wherever_it_stands(place: Place, how: str) -> None:
    """What was erased from our table stands in the partition's file until that is written anew."""
    place.rows("CREATE SCHEMA load")
    place.rows("CREATE SCHEMA parts")
    by = "PARTITION BY RANGE (a)" if "PARTITION" in how else ""
    place.rows(f"CREATE TABLE load.pairs (a bigint, b text) {by}")
    place.rows(f"CREATE TABLE parts.below {how.replace('(LIKE load.pairs)', '()')}")
    place.rows("CREATE TABLE parts.other (a bigint)")
    into = "load.pairs" if by else "parts.below"
    place.rows(f"INSERT INTO {into} SELECT n, 'SECRET' FROM generate_series(1, 9) AS s (n)")
    files = "SELECT pg_relation_filenode('parts.below'), pg_relation_filenode('parts.other')"
    place.rows("DELETE FROM load.pairs WHERE a > 1")
    ((below, other),) = place.rows(files)
    left = place.warehouse().rewrite().left
    ((anew, same),) = place.rows(files)
    assert anew != below and same == other
    assert not [each for each in left if "below" in each]


@pytest.mark.parametrize("name", ["commits", "leases"])
@pytest.mark.parametrize("made", ["TABLE {} (sha text, message text)", "VIEW {} AS SELECT 1 AS number"])
def test_a_name_of_ours_that_is_taken_is_told(place: Place, name: str, made: str) -> None:
    """A table of a person's own in our schema is not ours to fill, and needs another name."""
    place.rows("CREATE SCHEMA syncer")
    place.rows(f"CREATE {made.format(f'syncer.{name}')}")
    with_pairs(place.warehouse())
    with pytest.raises(WarehouseError, match=rf"the name syncer\.{name} is taken.*RENAME TO"):
        place.warehouse().lease("x@default", run="r", wait_s=0)
