"""What every warehouse behind ODBC shares: connection strings, what an error means, a machine that lacks something."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncer import settings as settings_module
from syncer.errors import UsageError, WarehouseError
from syncer.odbc import connecting, faults, strings
from syncer.odbc.strings import ConnectionString, parse
from syncer.settings import Settings
from syncer.warehouses import find
from tests.conftest import OWN, MovableClock
from tests.servers.said import SECRET, error
from tests.servers.tds import WANTS_TLS, Door

DRIVER = "Driver={PostgreSQL Unicode};Server=127.0.0.1;Port=1"
KEYS = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}( [A-Za-z0-9]{1,4})?", fullmatch=True)


def parsed(text: str) -> dict[str, str]:
    return dict(parse(text).parts)


# Connection strings.


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("DSN=a", {"DSN": "a"}),
        (" DSN = a ; UID = b ;; ", {"DSN": "a", "UID": "b"}),
        ("PWD={a;b}}c}", {"PWD": "a;b}c"}),
        ("PWD={ a };UID=b", {"PWD": " a ", "UID": "b"}),
        ("PWD=a=b", {"PWD": "a=b"}),
        ("PWD=a{b}c", {"PWD": "a{b}c"}),
        ('PWD="it\'s"', {"PWD": '"it\'s"'}),
        ("PWD={}", {"PWD": ""}),
        ("PWD=;UID=", {"PWD": "", "UID": ""}),
        ("Initial Catalog=é😀", {"Initial Catalog": "é😀"}),
        ("PWD={}}}", {"PWD": "}"}),
        ("", {}),
    ],
)
def test_a_connection_string_is_taken_apart(text: str, parts: dict[str, str]) -> None:
    """As the driver manager does it."""
    assert parsed(text) == parts


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"DSN=a;{SECRET}", r"part 2 of the connection string \(after DSN\) is no KEY=value"),
        (SECRET, r"part 1 of the connection string \(at its beginning\) is no KEY=value"),
        (f"={SECRET}", "at its beginning"),
        (f"PWD=x;{SECRET}=y;{SECRET}", r"after a key that is not known here"),
        (f"DSN=a;PWD={{{SECRET}", "value of PWD begins with { and has no }"),
        (f"DSN=a;PWD={{{SECRET}}}}}", "value of PWD begins with { and has no }"),
        (f"DSN=a;PWD={{a}}{SECRET};UID=b", "value of PWD ends with } and goes on behind it"),
        (f"DSN=a;pwd={SECRET};PWD={SECRET}2", "PWD stands in the connection string twice"),
        (f"PWD=a;{SECRET}=1;{SECRET}=2", "a key that is not known here stands in the connection string twice"),
    ],
)
def test_a_wrong_connection_string_is_told_without_a_value_of_it(text: str, told: str) -> None:
    """A password with a `;` falls apart into what looks like keys: those are not repeated either."""
    with pytest.raises(UsageError, match=told) as caught:
        parse(text)
    assert SECRET not in str(caught.value) and caught.value.exit_code == 2


def test_a_string_that_names_neither_dsn_nor_driver_says_so() -> None:
    """The keys that it has are named, as far as they are known."""
    with pytest.raises(UsageError, match=r"neither DSN nor Driver \(it has Server, a key that is not known here\)"):
        connecting.link(f"Server=here;{SECRET}=1", Settings())
    with pytest.raises(UsageError, match=r"\(it has nothing\)"):
        connecting.link(" ; ", Settings())


@given(
    st.dictionaries(KEYS, st.text(), max_size=5).filter(
        lambda parts: len({key.lower() for key in parts}) == len(parts)
    )
)
def test_what_is_written_is_read_as_the_same(parts: dict[str, str]) -> None:
    """Whatever stands in a value."""
    assert parsed(ConnectionString(parts).text()) == parts


@given(st.sampled_from(sorted(strings.SECRET)), st.text(alphabet=" ;{}=+%4a'\"\\é", max_size=12))
def test_a_password_is_read_as_the_same(key: str, value: str) -> None:
    """With the letters that mean something."""
    text = ConnectionString({"DSN": "a", key: value, "UID": "b"}).text()
    assert parsed(text) == {"DSN": "a", key: value, "UID": "b"}


@pytest.mark.parametrize(
    ("key", "value", "written"),
    [
        ("PWD", "a+b", "{a+b}"),
        ("PWD", "100%41", "{100%41}"),
        ("Database", "a+b", "a+b"),
        ("Database", "a=b", "a=b"),
        ("UID", "a}b", "a}b"),
        ("UID", "{a", "{{a}"),
        ("PWD", "a=b", "a=b"),
        ("UID", "a;b", "{a;b}"),
    ],
)
def test_braces_stand_where_they_are_needed_and_nowhere_else(key: str, value: str, written: str) -> None:
    """psqlodbc unescapes a bare password, and takes the braces of a database for a part of its name."""
    assert ConnectionString({key: value}).text() == f"{key}={written};"


def test_keys_differ_not_by_capitals() -> None:
    """`uid` is `UID`; what a site says goes before a default."""
    given = parse("dsn=a;uid=b")
    assert given.get("UID") == "b" and given.has("Dsn")
    assert given.with_defaults({"UID": "c", "Port": "1", "PWD": ""}).text() == "dsn=a;uid=b;Port=1;"


def test_user_and_password_come_from_the_string_then_from_their_variables(tmp_path: Path) -> None:
    """The variables take a password as it is; `syncer.toml` comes last."""
    file = '[warehouse]\nurl = "odbc:DSN=a"\nuser = "from file"\npassword = "{;}"\n'
    (tmp_path / "syncer.toml").write_text(file)
    found = settings_module.load(variables={}, folder=tmp_path)
    assert connecting.link("DSN=a", found).string.text() == "DSN=a;UID=from file;PWD={{;}}};"
    named = {"SYNCER_WAREHOUSE_USER": "ada", "SYNCER_WAREHOUSE_PASSWORD": " a;}+% "}
    found = settings_module.load(variables=named, folder=tmp_path)
    assert connecting.link("DSN=a", found).string.get("PWD") == " a;}+% "
    assert connecting.link("DSN=a", found).user == "ada"
    assert connecting.link("DSN=a;User=eve;Password=x", found).string.text() == "DSN=a;User=eve;Password=x;"
    empty = connecting.link("DSN=a;UID=;username=;PWD={};Password=", found).string  # as a template leaves them
    assert empty.parts == {"DSN": "a", "UID": "ada", "PWD": " a;}+% "}
    assert connecting.link("DSN=a;UID=;Username=eve", found).user == "eve"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ("SSLmode=REQUIRE", "SSLmode is none of disable.*without TLS.*Write SSLmode=require"),
        ("sslmode=Verify-Full", "Write sslmode=verify-full"),
        ("CA=verify_ca", "Write CA=verify-ca"),
        ("SSLmode=", "SSLmode=require"),
        (f"SSLmode={SECRET}", "SSLmode=require"),
        ("User=x", r"does not read User=….*Write UID=…"),
        ("host=x", r"does not read host=….*Write Server=…"),
        ("Initial Catalog=x", r"Write Database=…"),
        ("Servr=x", "key of part 2 .* is it Server[?]"),
        ("Databse=x", "is it Database[?]"),
        ("SSL mode=require", "is it SSLmode[?]"),
        (f"PWD={SECRET};Passwort={SECRET}", "key of part 3 .* is it Password[?].*PWD={a;b}"),
    ],
)
@pytest.mark.parametrize("driver", ["PostgreSQL", "{PostgreSQL Unicode(x64)}", "/usr/lib/psqlodbcw.so"])
def test_what_psqlodbc_would_pass_over_without_a_word_is_refused(more: str, told: str, driver: str) -> None:
    """It would connect elsewhere, as somebody else, or without TLS; no value is repeated."""
    with pytest.raises(UsageError, match=told) as caught:
        connecting.dbms_of(connecting.link(f"Driver={driver};{more}", Settings()))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"])
def test_each_mode_of_tls_and_each_key_of_psqlodbc_is_let_by(mode: str) -> None:
    """Abbreviations, what older releases read, and what another one may read."""
    keys = (
        "Servername=h;PORT=1;Database=d;Username=u;Password=p;pqopt={a=b};BoolsAsChar=0;B6=1;D5={};KeepaliveTime=1;bi=2;"
        "Protocol=7.4-1;UseServerSidePrepare=1;MaxVarcharSize=9;Debug=0;CommLog=0;ConnSettings={};A0=1;NumericAs=1;"
        "IgnoreTimeout=0;XaOpt=1;Description=x;ReadOnly=1;CX=1b;AB=2;Frobnicate=1;WSID=x;APP=y"
    )
    link = connecting.link(f"Driver=PostgreSQL Unicode;{keys};SSLmode={mode}", Settings())
    assert connecting.dbms_of(link) == "PostgreSQL"


def test_another_makers_driver_has_keys_of_its_own() -> None:
    """Devart's reads `User ID`, and others `SSLmode` in other words."""
    link = connecting.link("Driver={Devart ODBC Driver for PostgreSQL};User ID=x;SSLmode=REQUIRE", Settings())
    assert connecting.dbms_of(link) == "PostgreSQL"


def test_no_repr_shows_a_password() -> None:
    """A traceback, a log or a debugger would."""
    settings = Settings(warehouse=f"odbc:{DRIVER};PWD={SECRET}", warehouse_password=SECRET)
    link = connecting.link(f"{DRIVER};PWD={SECRET}", settings)
    assert link.string.get("PWD") == SECRET
    for each in (settings, link, link.string, attrs.evolve(settings, wait_s=1)):
        assert SECRET not in repr(each) and SECRET not in str(each)
    assert link.name == "odbc:127.0.0.1"


# A machine that lacks something, through the command line.

WITHOUT = {
    "pyodbc": "No module named 'pyodbc'",
    "manager": "libodbc.so.2: cannot open shared object file: No such file or directory",
}
CALL = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("syncer_own_sources_scripted", sys.argv.pop(1))
scripted = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(scripted)
scripted.SCRIPTS["none"] = scripted.Script()
from syncer.cli import main
sys.exit(main(sys.argv[1:]))
"""
LACKING = """
import sys
class Without:
    def find_spec(self, name, path=None, target=None):
        if name == "pyodbc":
            raise ImportError(TOLD, name=name)
sys.meta_path.insert(0, Without())
"""


def called(folder: Path, *arguments: str, warehouse: str, before: str = "", **variables: str) -> tuple[int, str]:
    """Call the command line in a folder of its own; return its exit code and all that it said."""
    (folder / "syncer.toml").write_text(f"[syncer]\nfolders = ['{OWN.as_posix()}']\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", before + CALL, str(OWN / "sources" / "scripted.py"), *arguments],
        cwd=folder, capture_output=True, text=True, timeout=60,
        env={
            **os.environ, "PYTHONPATH": str(Path(__file__).parents[1]),
            "SYNCER_WAREHOUSE": warehouse, "SYNCER_CACHE": str(folder / "cache"),
            "SYNCER_SCRIPTED_URL": "http://script/none", "SYNCER_SCRIPTED_TOKEN": "t0ken", **variables,
        },
    )  # fmt: skip
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.mark.parametrize("verb", [["pull", "scripted.things"], ["check", "scripted"]])
@pytest.mark.parametrize(
    ("lacking", "told"),
    [
        ("pyodbc", ["pyodbc is not installed", "pip install pyodbc"]),
        ("manager", ["There is no ODBC manager here", "apt-get install unixodbc", "dnf install unixODBC", "brew"]),
    ],
)
def test_without_an_odbc_manager_it_is_said_what_to_install(
    tmp_path: Path, verb: list[str], lacking: str, told: list[str]
) -> None:
    """For each system; nothing was written anywhere."""
    before = LACKING.replace("TOLD", repr(WITHOUT[lacking]))
    code, said = called(tmp_path, *verb, warehouse=f"odbc:{DRIVER};PWD={SECRET}", before=before)
    assert code == 1 and all(each in said for each in told), said
    assert SECRET not in said and "Traceback" not in said


@pytest.mark.parametrize(
    ("string", "code", "told"),
    [
        ("Driver={Nope};Server=x", 1, ["no ODBC driver Nope here; installed: ", "PostgreSQL", "odbc-postgresql"]),
        ("Driver=/none/psqlodbcw.so;Server=x", 1, ["no ODBC driver /none/psqlodbcw.so here", "odbc-postgresql"]),
        ("DSN=nope", 1, ["There is no DSN nope here; known: ", "odbc.ini"]),
        ("DSN=nope;Driver=PostgreSQL Unicode", 1, ["There is no DSN nope here"]),
        ("FileDSN=/none/a.dsn", 1, ["There is no file /none/a.dsn here", "into the connection string"]),
        ("Server=x;Database=y", 2, ["neither DSN nor Driver (it has Server, Database, PWD)"]),
        (DRIVER, 1, ["odbc:127.0.0.1: the server does not take connections", "Is it running"]),
        ("Driver=PostgreSQL Unicode;Server=no.such.host.invalid", 1, ["that server's name is not known here"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_link_is_said(tmp_path: Path, string: str, code: int, told: list[str]) -> None:
    """One line with the next step, the exit code of the command line, and no password, not even with --debug."""
    found, said = called(tmp_path, "pull", "scripted.things", "--debug", warehouse=f"odbc:{string};PWD={SECRET}")
    assert found == code and all(each in said for each in told), said
    assert SECRET not in said and "pyodbc.Error:" not in said


@pytest.mark.parametrize(
    ("dsn", "told"),
    [
        ("odd", ["no ODBC driver Nope here, which the DSN odd names; installed: ", "odbc-postgresql"]),
        ("ODD", ["no ODBC driver Nope here, which the DSN ODD names"]),
        ("empty", ["The DSN empty names no driver; installed: ", "Driver = … in odbc.ini"]),
        ("file", ["no ODBC driver /none/x.so here"]),
        ("nope", ["There is no DSN nope here; known: odd, empty, file"]),
    ],
)
def test_a_dsn_without_its_driver_is_not_told_as_missing(tmp_path: Path, dsn: str, told: list[str]) -> None:
    """Whoever reads "there is no DSN" looks in the wrong file."""
    ini = tmp_path / "odbc.ini"
    ini.write_text("[odd]\nDriver=Nope\n[empty]\nServername=x\n[file]\nDriver=/none/x.so\n", encoding="utf-8")
    code, said = called(tmp_path, "status", warehouse=f"odbc:DSN={dsn}", ODBCINI=str(ini))
    assert code == 1 and all(each in said for each in told), said


MICROSOFT = "Driver={ODBC Driver 18 for SQL Server};Server=h"
AT = 'connection to server at "h" (127.0.0.1), port 5432 failed: '


@pytest.mark.parametrize(
    ("string", "state", "text", "told", "hint"),
    [
        (DRIVER, "08001", f"{AT}SSL error: certificate verify failed\n{AT}x", "cannot be checked", "sslrootcert"),
        (DRIVER, "08001", f'{AT}root certificate file "/r" does not exist', "there is no file", "sslrootcert"),
        (DRIVER, "08001", f'{AT}server certificate for "a" does not match host name "h"', "another name", "Server=…"),
        (DRIVER, "08001", f"{AT}FATAL:  connection requires a valid client certificate", "client certificate", ""),
        (DRIVER, "08001", f"{AT}FATAL:  odd things", "no connection: odd things [08001]", ""),
        (DRIVER, "08001", 'invalid sslmode value: "REQUIRE"', "invalid sslmode value: …", "verify-full, in small"),
        (DRIVER, "08001", f"{AT}timeout expired", "no answer within 30 s (timeout)", "firewall"),
        (MICROSOFT, "HYT00", "[Microsoft][ODBC Driver 18 for SQL Server]Login timeout expired", "timeout", "firewall"),
        (
            MICROSOFT, "08001",
            "[Microsoft][ODBC Driver 18 for SQL Server]SSL Provider: [error:0A000086:SSL routines::certificate verify "
            "failed:self-signed certificate]", "not trusted here", "TrustServerCertificate=yes",
        ),
        (
            MICROSOFT, "08001",
            "[Microsoft][ODBC Driver 18 for SQL Server]SSL Provider: The target principal name is incorrect.",
            "another name", "Server=…",
        ),
        (
            MICROSOFT, "08001",
            "[Microsoft][ODBC Driver 18 for SQL Server]TCP Provider: Error code 0x2749 (10057) (SQLDriverConnect); "
            "[08001] [Microsoft][ODBC Driver 18 for SQL Server]A network-related or instance-specific error has "
            "occurred while establishing a connection to h. (10057)", "does not take connections", "Is it running",
        ),
        (MICROSOFT, "28000", "[Microsoft][x][SQL Server]Login failed for user 'x'.", "was refused", "VALID UNTIL"),
        (
            MICROSOFT, "42000",
            "[Microsoft][x][SQL Server]Cannot open database \"d\" requested by the login. The login failed. (4060)",
            "no such database", "may enter",
        ),
    ],
)  # fmt: skip
def test_why_there_is_no_connection_is_told(string: str, state: str, text: str, told: str, hint: str) -> None:
    """The driver's own words stand behind an address in quotes, and all between quotes is left out elsewhere."""
    pyodbc = connecting.manager()
    found = connecting.refused(connecting.link(string, Settings()), pyodbc.OperationalError(*error(state, text).args))
    assert told in str(found) and hint in str(found), str(found)
    assert "connection to server" not in str(found)
    assert ("sslrootcert" in str(found)) == (hint == "sslrootcert")


FREETDS = "Driver=FreeTDS;Server=127.0.0.1;UID=ada;TDS_Version=7.4;ClientCharset=UTF-8"
WRONG = (18456, "Login failed for user 'ada'.")
NO_SERVER = "no connection, and FreeTDS does not say why"


@pytest.mark.parametrize(
    ("answers", "more", "told", "hint"),
    [
        ({"refusal": WRONG}, {}, "the login of ada was refused", "SYNCER_WAREHOUSE_PASSWORD"),
        (
            {"refusal": (18470, "Login failed for user 'ada'. Reason: The account is disabled.")}, {},
            "may not log in", "ENABLE",
        ),
        (
            {"refusal": (4060, 'Cannot open database "d" requested by the login. The login failed.')}, {},
            "there is no such database", "Database=…",
        ),
        (
            {"refusal": (17809, "Could not connect because the maximum number of '1' user connections has already "
                                "been reached.")},
            {}, "as many connections as it takes", "user connections",
        ),
        (
            {"refusal": (18401, "Login failed for user 'ada'. Reason: Server is in script upgrade mode. Only "
                                "administrator can connect at this time.")},
            {}, "the server does not take connections", "Is it running",
        ),
        ({"first": b"HTTP/1.1 400 Bad Request\r\n\r\n"}, {}, NO_SERVER, "TDS_Version=7.4"),
        ({"first": b"\0" * 64}, {}, NO_SERVER, "Port=…"),
        ({"first": b""}, {}, NO_SERVER, "Server=… and Port=…"),
        ({"encryption": WANTS_TLS}, {}, NO_SERVER, "Encryption=require"),
        ({"refusal": WRONG}, {"Encryption": "require"}, NO_SERVER, "Encryption=off"),
        ({"refusal": WRONG}, {"Encryption": "off"}, "the login of ada was refused", "SYNCER_WAREHOUSE_PASSWORD"),
        ({"refusal": WRONG}, {"TDS_Version": "5.0"}, NO_SERVER, "is TDS_Version=7.4"),
        (None, {}, "the server does not take connections", "Is it running, and are Server=… and Port=… right"),
        (None, {"TDS_Version": "9.9"}, "the server does not take connections", "Is it running"),
        (None, {"Port": "x"}, "the server does not take connections", "Port=…"),
        (None, {"ClientCharset": "NOPE"}, "does not know the ClientCharset", "ClientCharset=UTF-8"),
        (None, {"Server": "no.such.host.invalid"}, "that server's name is not known here", "Check Server=…"),
        (None, {"Server": ""}, "no server is named", "Add Server=…"),
        (None, {"Server": "", "Servername": "nope"}, NO_SERVER, "freetds.conf"),
    ],
)  # fmt: skip
def test_why_freetds_made_no_connection_is_told(
    answers: dict[str, Any] | None, more: dict[str, str], told: str, hint: str
) -> None:
    """It has few words, and the same ones for a wrong name, another kind of server and TLS: none is a next step."""
    with contextlib.nullcontext() if answers is None else Door(**answers) as door:
        port = {"Port": str(closed_port() if door is None else door.port)}
        given = {**parse(FREETDS).parts, **port, "PWD": SECRET, **more}
        link = connecting.Link(string=ConnectionString({key: value for key, value in given.items() if value}))
        with pytest.raises((WarehouseError, connecting.manager().Error)) as caught:
            connecting.connect(link, {})
    found = caught.value
    if not isinstance(found, WarehouseError):  # one that may be there in a moment: so it is told when that has passed
        assert faults.is_starting(found)
        found = connecting.refused(link, found)
    assert isinstance(found, WarehouseError) and told in found.message and hint in found.hint, str(found)
    assert SECRET not in str(found)


def closed_port() -> int:
    """A port of this machine at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        return int(made.getsockname()[1])


def test_a_server_that_freetds_does_not_reach_is_not_waited_for_the_first_time(tmp_path: Path) -> None:
    """Another name or port: it is said at once; one that was there is waited for."""
    clock = MovableClock()
    settings = Settings(warehouse=f"odbc:{FREETDS};Port={closed_port()}", base=tmp_path, wait_s=30)
    warehouse = find(settings, clock=clock)
    with pytest.raises(WarehouseError, match="does not take connections.*Is it running"):
        warehouse.exists()
    assert clock.slept == []
    warehouse._was_connected = True  # type: ignore[attr-defined]  # as after a restart of the server
    with pytest.raises(WarehouseError, match="does not take connections"):
        warehouse.exists()
    assert sum(clock.slept) > 29


@pytest.mark.parametrize("verb", [["check", "scripted"], ["status", "--output", "json"]])
def test_every_verb_says_it(tmp_path: Path, verb: list[str]) -> None:
    """What is wrong with the link is no fault of syncer."""
    code, said = called(tmp_path, *verb, "--debug", warehouse=f"odbc:Driver={{Nope}};Server=x;PWD={SECRET}")
    assert code == 1 and "There is no ODBC driver Nope here" in said
    assert SECRET not in said and "pyodbc.Error:" not in said


@pytest.mark.parametrize("given", [f"{DRIVER};PWD={SECRET}", f"Driver=x;PWD=a:{SECRET}", f"odbc;PWD={SECRET}:x"])
def test_a_string_without_its_kind_is_not_repeated(tmp_path: Path, given: str) -> None:
    """Whoever forgets `odbc:` would find the password in the log."""
    for arguments in (["pull", "scripted.things"], ["pull", "scripted.things", "--warehouse", given]):
        code, said = called(tmp_path, *arguments, warehouse=given)
        assert code == 2 and SECRET not in said and "odbc:" in said


def test_a_driver_that_nobody_knows_is_told_of_a_server_that_is_not_there() -> None:
    """Which backend serves it can only be asked of the server."""
    link = connecting.link(f"{DRIVER};", Settings())
    by_path = Path("/usr/lib/x86_64-linux-gnu/odbc/psqlodbcw.so")
    assert connecting.dbms_of(link) == "PostgreSQL"
    hidden = connecting.Link(string=link.string.having("Driver", str(by_path)))
    assert connecting.dbms_of(hidden) == "PostgreSQL"


def test_a_server_behind_an_unknown_driver_is_asked_what_it_is(tmp_path: Path) -> None:
    """The SQLite driver is no backend's: its server says its name; one that is not there is an error of ours."""
    link = connecting.link(f"Driver=SQLite3;Database={tmp_path / 'a.db'}", Settings())
    assert connecting.dbms_of(link) == "SQLite"


def test_a_server_that_is_down_behind_an_unknown_driver_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """It must not be an error of the driver's own kind."""
    monkeypatch.setattr(connecting, "_KNOWN", {})
    with pytest.raises(WarehouseError, match="does not take connections"):
        connecting.dbms_of(connecting.link(DRIVER, Settings()))
