"""A company's own mappings and sources: what is wrong with a file is told as an error of it, with the line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from syncer import mappings, sources, warehouses
from syncer.budget import Budget
from syncer.clock import SystemClock
from syncer.errors import MappingError, UsageError
from syncer.settings import Account, Settings
from syncer.transport import Doors

HEAD = "from syncer.mapping import *\nfrom syncer.values import *\n"
GOOD = "EntityMapping(name='my.things', key=('id',), fields=(Field('id', type=BIGINT),), inbound=Inbound(stream='s'))"


def own(folder: Path, kind: str, text: str) -> Path:
    """Write an own file; return the folder that syncer.toml names."""
    (folder / kind).mkdir(exist_ok=True)
    (folder / kind / "my.py").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"X = {GOOD}\nMAPPINGS = (X)\n", "my.py: MAPPINGS is an EntityMapping.*Put a comma behind it"),
        ("MAPPINGS = 5\n", "MAPPINGS is an int"),
        ("MAPPINGS = ('x',)\n", "MAPPINGS holds a str"),
        ("MAPPING = ()\n", "my.py: it has no MAPPINGS"),
        (f"MAPPINGS = ({GOOD}, {GOOD})\n", "my.things more than once"),
        ("\nMAPPINGS = ({}['x'],)\n", "my.py, line 4: KeyError: 'x'"),
        ("raise RuntimeError('oh')\n", "my.py, line 3: RuntimeError: oh.*Mend the file"),
        ("open('/nope')\n", "my.py, line 3: FileNotFoundError"),
        ("def f(:\n", "my.py, line 3: SyntaxError"),
        ("import nope\n", "my.py, line 3: ModuleNotFoundError"),
        ("import sys; sys.exit(3)\n", "my.py, line 3: SystemExit: 3"),
        ("x\n", "my.py, line 3: NameError"),
        ("MAPPINGS = (Type.BIGNT,)\n", "my.py, line 3: AttributeError"),
        ("MAPPINGS = (Field('id', typ=BIGINT),)\n", "my.py, line 3: TypeError"),
        ("MAPPINGS = (Field('id', type='bigint'),)\n", r"line 3: TypeError: 'type' must be [^\n]*str'>\)\. Mend"),
        (f"MAPPINGS = ({GOOD.replace('my.things', 'my things')},)\n", "my.py, line 3: Mapping 'my things'"),
        (
            f"MAPPINGS = ({GOOD},)\n".replace("('id',)", "('id')"),
            "line 3: Mapping my.things: key is 'id'; it is a tuple",
        ),
        (
            "EntityMapping(name='my.things', key=('id',), fields=(Field('id')))\n",
            "line 3: .*fields holds Field; .*tuple",
        ),
        ("\0", "my.py"),
    ],
)
def test_a_fault_in_an_own_mapping_is_told_with_its_file(tmp_path: Path, body: str, words: str) -> None:
    """Whoever wrote the file must not look for the fault in syncer."""
    with pytest.raises(MappingError, match=words) as caught:
        mappings.known(folders=[own(tmp_path, "mappings", HEAD + body)])
    assert str(tmp_path / "mappings" / "my.py") in str(caught.value)


def test_two_mappings_of_one_table_are_refused(tmp_path: Path) -> None:
    """Each would end the other's rows."""
    both = ", ".join(GOOD.replace("my.things", name) for name in ("a_b.c", "a.b_c"))
    with pytest.raises(MappingError, match=r"a_b\.c and a\.b_c both fill load\.a_b_c.*Rename"):
        mappings.known(folders=[own(tmp_path, "mappings", f"{HEAD}MAPPINGS = ({both})\n")])


NEEDS = (
    "from syncer.sources import *\nNEEDS = Needs(title='My', url='http://x', token='t', options={'workers': 'w'})\n"
)
SOURCE = (
    "class S:\n    name = 'my'\n    requests = 0\n    def check(self): ...\ndef connect(account, **_): return S()\n"
)
CHOOSY = """
from syncer.errors import UsageError
def connect(account, **_):
    raise UsageError(f"workers in [my] is {account.options['workers']!r}; it is a number.")
"""


def connect(folder: Path, **account: Any) -> None:
    given = {"source": "my", "url": "http://x", "token": "t", **account}
    doors = Doors(clock=SystemClock(), budget=Budget(folder / "cache", clock=SystemClock()))
    sources.connect(Account(**given), doors=doors, streams=(), folders=[folder])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\n", "my.py: a source needs NEEDS, .*Needs and connect, a function.*add-a-source"),
        (NEEDS, "my.py: a source needs connect, a function"),
        ("NEEDS = 5\ndef connect(): ...\n", "a source needs NEEDS"),
        (NEEDS + "{}['x']\n", "my.py, line 3: KeyError"),
        (NEEDS + SOURCE, "my.py: what connect returns lacks describe, read, keys, fetch, close"),
    ],
)
def test_what_an_own_source_lacks_is_named(tmp_path: Path, text: str, words: str) -> None:
    """The port has names, and each one is needed."""
    with pytest.raises(UsageError, match=words):
        connect(own(tmp_path, "sources", text))


@pytest.mark.parametrize("url", ["http://ada:pass@host", "https://ada@host/x", "http://ada:pa/ss@host", "http://u:1@"])
def test_a_password_in_a_url_is_refused_and_not_repeated(tmp_path: Path, url: str) -> None:
    """URLs stand in messages and logs."""
    with pytest.raises(UsageError, match="SYNCER_MY_URL has a user or password in it.*SYNCER_MY_TOKEN") as caught:
        connect(own(tmp_path, "sources", NEEDS + SOURCE), url=url)
    assert "ada" not in str(caught.value) and "pa" not in str(caught.value).replace("password", "")


@pytest.mark.parametrize("url", ["http://", "http://[::1", "http://host:port"])
def test_what_is_no_url_is_told(tmp_path: Path, url: str) -> None:
    """Before anything is sent."""
    with pytest.raises(UsageError, match="SYNCER_MY_URL is no URL; it is such as http://x"):
        connect(own(tmp_path, "sources", NEEDS + SOURCE), url=url)


def test_a_key_that_a_source_does_not_know_is_told_with_its_place(tmp_path: Path) -> None:
    """Also where the typo is the reason why the URL is missing."""
    places = {"urll": "syncer.toml, line 7, in [my]"}
    with pytest.raises(UsageError, match=r"syncer.toml, line 7, in \[my\]: No key named 'urll'. Did you mean url"):
        connect(own(tmp_path, "sources", NEEDS + SOURCE), url="", options={"urll": "x"}, places=places)


def test_a_table_whose_name_has_no_quotes_is_told_with_them(tmp_path: Path) -> None:
    """TOML takes `[my.items]` for a key of `[my]`."""
    with pytest.raises(UsageError, match=r'items is a table\. .* stands in quotes: \["my\.items"\]'):
        connect(own(tmp_path, "sources", NEEDS + SOURCE), url="", options={"items": {"policy": "ours"}})


def test_a_wrong_option_is_told_without_its_text(tmp_path: Path) -> None:
    """It may be a token that stands in the wrong line."""
    with pytest.raises(UsageError, match="workers in .* is '…'; it is a number") as caught:
        connect(own(tmp_path, "sources", NEEDS + CHOOSY), options={"workers": "SECRET"})
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "value", [["SECRET"], {"a": "SECRET"}, [{"SECRET": ["SECRET"]}], "SECRET" * 20, "a SECRET 'in' \"quotes\""]
)
def test_no_text_in_a_wrong_option_is_repeated(tmp_path: Path, value: Any) -> None:
    """A list or a table may hold a token as well, and a long one may be cut."""
    for body in (CHOOSY, CHOOSY.replace("['workers']!r", "['workers']!r:.60")):
        with pytest.raises(UsageError, match="it is a number") as caught:
            connect(own(tmp_path, "sources", NEEDS + body), options={"workers": value})
        assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def connect(link, **_): pass\n", "connect returns None; it must return a warehouse"),
        (
            "def connect(link, **_): return 'x'\n",
            "connect returns str, which lacks dialect, .*, close; it must return",
        ),
        (
            "class W:\n    dialect, name, takes_nul, longest_name = 'x', 'x', False, None\n    def lease(self): ...\n"
            "def connect(link, **_): return W()\n",
            "connect returns W, which lacks exists, transaction, rest, grow, leases, rewrite, close; it must return",
        ),
    ],
)
def test_what_an_own_backend_returns_is_looked_at(tmp_path: Path, body: str, words: str) -> None:
    """Else the first step on it ends in a traceback that names neither the file nor what is missing."""
    folder = own(tmp_path, "warehouses", f"DBMS = ('SQLite',)\n{body}")
    settings = Settings(warehouse="odbc:Driver={SQLite3};Database=x.sqlite", base=tmp_path, folders=(folder,))
    with pytest.raises(UsageError, match=f"my.py: {words}.*add-a-warehouse") as caught:
        warehouses.find(settings, clock=SystemClock())
    assert str(folder / "warehouses" / "my.py") in str(caught.value)
