"""
The warehouse of a demo, in a file and on a real PostgreSQL: nothing else is pulled into it, what is pushed out of it
is the demo's, and a setting that names none is told; what `syncer sandbox` says where a warehouse is set.

Not here: what a demo shows (`test_console.py`), what it leaves alone on a server (`test_demo_server.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer import engine, executing, operating, pushing, reverting, verifying
from syncer import settings as configuration
from syncer.errors import UsageError
from syncer.journal import DONE
from syncer.sandbox import Sandbox
from syncer.settings import Settings
from syncer.tally import Pushed
from syncer.verbs import demo, demo_warehouse
from syncer.verbs.sandbox import Amount, variables
from tests.conftest import query_file
from tests.contracts import third
from tests.servers import postgresql
from tests.shop import Syncer, one_line
from tests.test_demo_server import SMALL, always_alike

pytest_plugins = ["tests.shop.fixtures", "tests.servers.postgresql_fixtures"]
FEW = ("jira.*", "gitlab.projects", "hubspot.companies")
SANDBOX = ("sandbox", "--port=0", "--issues=2", "--projects=2", "--minutes=0.001")
DEMO_FILE = Path("demo.duckdb")
KEPT: dict[str, bytes | str] = {}
# Of a push: three companies, one of their fields changed.
RELATION = (
    "SELECT id, CONCAT(name, '!') AS name FROM load.hubspot_companies "
    "WHERE name IS NOT NULL AND dss_record_state = 'live' ORDER BY id LIMIT 3"
)


@attrs.frozen
class Filled:
    """A warehouse that a demo can fill, and how to ask it."""

    setting: str
    database: str = ""

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Ask it, or tell it something."""
        return postgresql.shared().query(self.database, query) if self.database else query_file(DEMO_FILE, query)

    def told(self, statement: str) -> None:
        """Tell it something."""
        if not self.database:
            query_file(DEMO_FILE, statement)
            return
        with postgresql.shared().connection(self.database) as connection:
            connection.execute(statement)

    def tables(self) -> list[tuple[Any, ...]]:
        """What stands in it."""
        return self.rows(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema IN "
            "('load', 'syncer') ORDER BY 1, 2"
        )


def elsewhere(amount: Amount, *, seed: int, port: int) -> Sandbox:
    """The sandbox of the demo, which may run beside another one."""
    return always_alike(amount, seed=seed, port=port or postgresql.free_port())


@pytest.fixture(params=["duckdb", "postgresql"])
def filled(request: pytest.FixtureRequest, syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> Filled:
    """What a small demo left; SYNCER_WAREHOUSE names it. One demo a process fills them: the others are copies."""
    monkeypatch.setattr(demo, "AMOUNT", SMALL)
    monkeypatch.setattr(demo, "NAMES", FEW)
    monkeypatch.setattr(demo, "built", elsewhere)
    monkeypatch.setattr(demo, "SAMPLES", {})
    found = Filled("duckdb:demo.duckdb")
    if request.param == "postgresql":
        database = request.getfixturevalue("database")
        found = Filled(f"odbc:{postgresql.shared().string(database)}", database)
    monkeypatch.setenv("SYNCER_WAREHOUSE", found.setting)
    if not copied(found):
        assert syncer("demo", "-q").code == 0
        KEPT[request.param] = copy_of(found)
    return found


def copied(filled: Filled) -> bool:
    """Fill a warehouse as the first demo of its kind did, if there was one."""
    kept = KEPT.get("postgresql" if filled.database else "duckdb")
    if isinstance(kept, bytes):
        DEMO_FILE.write_bytes(kept)
    elif kept is not None:
        with postgresql.shared().connection("postgres") as connection:
            connection.execute(f'DROP DATABASE "{filled.database}" WITH (FORCE)')
            connection.execute(f'CREATE DATABASE "{filled.database}" TEMPLATE "{kept}"')
    return kept is not None


def copy_of(filled: Filled) -> bytes | str:
    """Return the file, or the name of the database's copy."""
    if not filled.database:
        return DEMO_FILE.read_bytes()
    with postgresql.shared().connection("postgres") as connection:
        connection.execute(f'CREATE DATABASE "of_{filled.database}" TEMPLATE "{filled.database}"')
    return f"of_{filled.database}"


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """The APIs that the demo read, with the same accounts, and the environment that leads to them."""
    with elsewhere(SMALL, seed=demo.SEED, port=0) as found:
        found.sites["hubspot"].limits = None  # type: ignore[attr-defined]  # it has some
        for name, value in variables(found).items():
            monkeypatch.setenv(name, value)
        yield found


# Pulls


@pytest.mark.parametrize("names", [["jira.*"], ["jira.issues", "--full"], ["jira.issues", "--census"], ["shop.items"]])
def test_nothing_else_is_pulled_into_what_a_demo_filled(
    syncer: Syncer, filled: Filled, sandbox: Sandbox, names: list[str]
) -> None:
    """
    The account's id is the demo's, and so its places would be taken over: "0 read, done", and nothing was ever read.

    Nothing is written: the next demo makes it anew.
    """
    runs, tables = filled.rows("SELECT COUNT(*) FROM syncer.runs"), filled.tables()
    result = syncer("pull", *names)
    assert result.code == 2 and result.out == "" and one_line(result.err)
    assert "holds the made-up records of a demo: nothing else is pulled into it." in result.err
    clear = "drop the tables of its schemas load and syncer" if filled.database else "delete that file"
    assert f"Name another one in SYNCER_WAREHOUSE; or {clear}, where" in result.err
    assert (filled.rows("SELECT COUNT(*) FROM syncer.runs"), filled.tables()) == (runs, tables)
    assert syncer("demo", "-q").code == 0


def test_a_pull_that_fails_leaves_no_run_in_what_a_demo_filled(
    syncer: Syncer, filled: Filled, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that is refused is written down before anything else is, and would keep the next demo out."""
    monkeypatch.setenv("SYNCER_JIRA_TOKEN", "wrong")
    result = syncer("pull", "jira.issues", "--output", "json")
    assert result.code == 2 and set(result.json) == {"error"} and result.json["error"]["type"] == "UsageError"
    assert filled.rows("SELECT DISTINCT mode FROM syncer.runs WHERE mode <> 'plan'") == [("demo",)]


def test_what_reads_a_demo_still_does(
    syncer: Syncer, filled: Filled, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How things stand, whether it can be used, and who is erased; then the next demo is made."""
    monkeypatch.setenv("SYNCER_HASH_KEY", "sixteen letters or more")
    assert "jira.issues" in syncer("status").out
    assert syncer("check", "shop").code == 0
    ((issue,),) = filled.rows("SELECT id FROM load.jira_issues ORDER BY id LIMIT 1")
    assert syncer("forget", "jira.issues", str(issue)).code == 0
    assert ("syncer", "forgotten") in filled.tables()
    result = syncer("demo")
    assert result.code == 0 and "of an earlier demo; it is made anew" in result.out
    assert ("syncer", "forgotten") not in filled.tables()


def test_a_demo_is_looked_for_once_a_verb(syncer: Syncer, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many mappings and sources it pulls, also where one of them cannot log in."""
    asked: list[int] = []
    monkeypatch.setattr(engine, "_refuse_demo", lambda *_: asked.append(1))
    monkeypatch.setenv("SYNCER_GITLAB_TOKEN", "wrong")
    assert syncer("pull", "gitlab.projects", "jira.projects", "jira.issues", "shop.*").code == 1
    assert asked == [1]


def test_a_table_that_has_only_the_marks_name_is_no_demo(syncer: Syncer) -> None:
    """Somebody's own, with other columns."""
    query_file(Path("warehouse.duckdb"), "CREATE SCHEMA syncer")
    query_file(Path("warehouse.duckdb"), "CREATE TABLE syncer.demo (title VARCHAR)")
    assert syncer("pull", "shop.items").code == 0


def test_a_demo_that_an_option_names_is_refused_by_that_name(syncer: Syncer, filled: Filled) -> None:
    """What named the warehouse is blamed, and not a variable."""
    result = syncer("pull", "shop.items", "--warehouse", filled.setting)
    assert result.code == 2 and "Name another one in --warehouse;" in result.err


# Pushes


def pushed(filled: Filled, environment: str = "default") -> Pushed:
    """Push three companies of a demo into the portal that the environment's variables name."""
    words = {"relation": RELATION, "policy": "ours", "adopt": "ours", "max_update_share": "off"}
    found = attrs.evolve(
        configuration.load(environment=environment), tables={"hubspot.companies": words, "hubspot": {"limits": "off"}}
    )
    (done,) = pushing.push("hubspot.companies", settings=found, request=executing.Request())
    return done


def test_a_demo_that_pushed_is_made_anew(syncer: Syncer, filled: Filled, sandbox: Sandbox) -> None:
    """Plans, changes, snapshots and conflicts are of its records; so is what a killed plan leaves of its own."""
    assert pushed(filled).counts.updated == 3
    assert filled.rows("SELECT COUNT(*) FROM syncer.plans") == [(4,)]  # three of the demo itself
    own = {"copy_0123456789ab", "claims_0123456789ab", "copy_0123456789ab_sample", "copy_0123456789ab_marks"}
    for name in own:
        filled.told(f"CREATE TABLE syncer.{name} (id INT)")
    assert {name for _, name in filled.tables()} >= {
        "plans",
        "changes",
        "plan_rows",
        "snapshots",
        "agreed",
        "conflicts",
    }
    result = syncer("demo")
    assert result.code == 0 and "of an earlier demo; it is made anew" in result.out
    assert {name for _, name in filled.tables()}.isdisjoint(own)
    assert filled.rows("SELECT COUNT(*) FROM syncer.plans") == [(3,)]


@pytest.mark.parametrize("left", ["runs", "plans"])
def test_what_was_pushed_to_another_account_is_left_alone(
    syncer: Syncer, filled: Filled, sandbox: Sandbox, left: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In an environment with a name it may be anybody's portal: what was agreed on with it stands nowhere else."""
    for what in ("URL", "TOKEN"):
        monkeypatch.setenv(f"SYNCER_HUBSPOT__OTHER_{what}", variables(sandbox)[f"SYNCER_HUBSPOT_{what}"])
    assert pushed(filled, "other").status == DONE
    if left == "plans":  # as a dry run leaves it
        filled.told("DELETE FROM syncer.runs WHERE mode <> 'demo'")
    before = filled.tables()
    result = syncer("demo")
    assert result.code == 2 and "is left alone" in result.err
    assert filled.tables() == before
    assert not filled.database or f"1 {left} of others stand in it" in result.err


@pytest.mark.parametrize("environment", ["default", "live"])
@pytest.mark.parametrize("verb", ["push", "dry run", "verify", "revert", "run"])
def test_nothing_of_a_demo_goes_to_a_true_account(
    filled: Filled, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, verb: str, environment: str
) -> None:
    """In an environment of its own any account is let in; and in the default one a portal may have the same id."""
    _, (run,), *_ = filled.rows("SELECT run FROM syncer.runs WHERE mode = 'plan' ORDER BY started_at")  # it wrote
    words = {"relation": RELATION, "policy": "ours", "adopt": "ours", "max_update_share": "off"}
    named = "" if environment == "default" else "__LIVE"
    for what in ("URL", "TOKEN"):
        value = variables(sandbox)[f"SYNCER_HUBSPOT_{what}"].replace("127.0.0.1", "0.0.0.0")
        monkeypatch.setenv(f"SYNCER_HUBSPOT{named}_{what}", value)
    tables = {"hubspot.companies": words, "hubspot": {"limits": "off"}}
    settings = attrs.evolve(configuration.load(environment=environment), tables=tables)
    sandbox.log.clear()
    before = [(*table, filled.rows(f"SELECT COUNT(*) FROM {table[0]}.{table[1]}")) for table in filled.tables()]
    with pytest.raises(UsageError) as raised:
        if verb == "verify":
            verifying.verify("hubspot.companies", settings=settings)
        elif verb == "revert" and environment == "default":
            reverting.revert(run, settings=settings)
        elif verb == "run":
            operating.run("hubspot.create_properties", settings=settings)
        else:
            request = executing.Request(is_rehearsal=verb == "dry run")
            pushing.push("hubspot.companies", settings=settings, request=request)
    assert f"nothing of it goes to a true account, and SYNCER_HUBSPOT{named}_URL names one" in raised.value.message
    assert "Name that account's own warehouse in SYNCER_WAREHOUSE; or push to `syncer sandbox`" in raised.value.hint
    assert list(sandbox.log) == []  # it was not even asked who it is
    assert [
        (*table, filled.rows(f"SELECT COUNT(*) FROM {table[0]}.{table[1]}")) for table in filled.tables()
    ] == before


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("http://127.0.0.1:8080/hubspot", True),
        ("http://localhost:8080/hubspot", True),
        ("http://[::1]:8080", True),
        ("https://api.hubapi.com", False),
        ("https://localhost.example.com", False),
        ("https://127.0.0.1.example.com", False),
        ("https://10.0.0.1", False),
    ],
)
def test_a_sandbox_answers_on_this_machine(url: str, is_here: bool) -> None:
    """Whatever else a URL begins with."""
    assert pushing._is_on_this_machine(url) is is_here


@pytest.mark.parametrize("name", ["copy_of_mine", "claims_0123456789abc", "copy_"])
def test_a_copy_of_somebodys_is_none_of_a_plan(syncer: Syncer, filled: Filled, name: str) -> None:
    """A plan's has the plan's id behind it: 12 hexadecimal digits."""
    filled.told(f"CREATE TABLE syncer.{name} (id INT)")
    result = syncer("demo")
    assert result.code == 2 and ("syncer", name) in filled.tables()


def test_a_push_that_runs_is_not_taken_its_warehouse(syncer: Syncer, filled: Filled) -> None:
    """In a file as well: between two batches nobody holds that."""
    from syncer import warehouses
    from syncer.clock import SystemClock

    found = warehouses.find(Settings(warehouse=filled.setting), clock=SystemClock())
    lease = found.lease("write hubspot.companies@default", run="abcd12345678", wait_s=0)
    result = syncer("demo")
    lease.release()
    found.close()
    assert result.code == 2 and "write hubspot.companies@default is being run just now" in result.err
    assert ("load", "jira_issues") in filled.tables()


# What the variable may say


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("ODBC:Driver={PostgreSQL Unicode};Server=db;PWD=s3cret-word", "SYNCER_WAREHOUSE is 'ODBC:…'"),
        ("postgresql://ada:s3cret-word@db/dwh", "SYNCER_WAREHOUSE is 'postgresql:…'"),
        ("Driver={PostgreSQL Unicode};Server=db;PWD=s3cret-word", "SYNCER_WAREHOUSE is a text without one of them"),
        ("Duckdb:warehouse.duckdb", "SYNCER_WAREHOUSE is 'Duckdb:…'"),
        ("duckdb:", "SYNCER_WAREHOUSE is 'duckdb:…'"),
        ("odbc:", "SYNCER_WAREHOUSE is 'odbc:…'"),
        ("warehouse", "SYNCER_WAREHOUSE is 'warehouse:…'"),
    ],
)
def test_a_variable_that_names_no_warehouse_is_told(
    syncer: Syncer, monkeypatch: pytest.MonkeyPatch, setting: str, told: str
) -> None:
    """A person who means a server must not be shown a file; where one is typed, the variable is not looked at."""
    monkeypatch.setenv("SYNCER_WAREHOUSE", setting)
    result = syncer("demo")
    assert result.code == 2 and one_line(result.err) and "s3cret-word" not in result.err
    assert told in result.err and "known: duckdb:PATH, odbc:CONNECTION STRING" in result.err
    assert not DEMO_FILE.exists()
    assert demo_warehouse.chosen(Path()).file == DEMO_FILE


def test_a_server_that_only_a_sites_backend_serves_is_told(
    syncer: Syncer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The demo reads no syncer.toml, and nothing is made; `syncer sandbox` is the way into such a one."""
    folder = third.write_code(tmp_path)
    Path("syncer.toml").write_text(f"[syncer]\nfolders = ['{folder.as_posix()}']\n", encoding="utf-8")
    monkeypatch.setenv("SYNCER_WAREHOUSE", "odbc:Driver={SQLite3};Database=mine.sqlite")
    result = syncer("demo")
    assert result.code == 2 and one_line(result.err)
    assert "odbc:mine.sqlite is SQLite. The demo reads no syncer.toml" in result.err
    assert "Leave SYNCER_WAREHOUSE out, or give --folder" in result.err and "sandbox` and pull from it" in result.err
    assert [path.name for path in Path().iterdir()] == ["syncer.toml"]


# What the sandbox says


def test_the_sandbox_says_whose_place_its_warehouse_takes(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who set a server and pastes the lines would wonder where the records went; no password is in what is said."""
    assert "already" not in syncer(*SANDBOX).out
    given = "odbc:Driver={PostgreSQL Unicode};Server=db;Database=dwh;PWD=s3cret-word"
    monkeypatch.setenv("SYNCER_WAREHOUSE", given)
    found = syncer(*SANDBOX).out
    assert "SYNCER_WAREHOUSE names odbc:db/dwh already. With the first line, that shell fills duckdb:sandbox" in found
    assert "export SYNCER_WAREHOUSE=duckdb:sandbox.duckdb" in found and "s3cret-word" not in found
    monkeypatch.delenv("SYNCER_WAREHOUSE")
    toml = Path("syncer.toml")
    toml.write_text(toml.read_text() + f"[warehouse]\nurl = '{given}'\n", encoding="utf-8")
    found = syncer(*SANDBOX).out
    assert "syncer.toml, line 4, url in [warehouse] names odbc:db/dwh already." in found and "s3cret" not in found


def test_the_sandbox_needs_no_settings(syncer: Syncer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A syncer.toml that cannot be read, and a warehouse that is none, are for the verbs that use them."""
    monkeypatch.setenv("SYNCER_WAREHOUSE", "postgresql://ada:s3cret-word@db/dwh")
    result = syncer(*SANDBOX)
    assert result.code == 0 and "SYNCER_WAREHOUSE names the warehouse already." in result.out
    assert "s3cret" not in result.out
    Path("syncer.toml").write_text("not toml", encoding="utf-8")
    assert syncer(*SANDBOX).code == 0
