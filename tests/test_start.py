"""
`start.py`: what the tests need of the system is installed for them, and for them only.

With a script in the place of apt-get, which notes how it was called and what stood in the two files then. Not here:
how start.py ends, and what it hands on (`test_console.py`).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
import start  # noqa: E402  # it is no package's

APT = """#!/bin/sh
echo "$@ | $DEBIAN_FRONTEND" >> "{folder}/called"
cat "{folder}/policy" "{folder}/clusters" >> "{folder}/seen" 2>/dev/null
case "$*" in *postgresql-common) echo "#create_main_cluster = true" > "{folder}/clusters";; esac
case "$*" in *{fails}*) echo "no room on the disk"; exit 100;; *odbc-postgresql*) touch "{folder}/here";; esac
"""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no Debian")


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A Debian that lacks PostgreSQL and its driver, as root; *fails* is what its apt-get cannot install."""

    def make(fails: str) -> Path:
        apt = tmp_path / "bin" / "apt-get"
        apt.parent.mkdir()
        apt.write_text(APT.format(folder=tmp_path, fails=fails))
        apt.chmod(0o755)
        monkeypatch.setenv("PATH", f"{apt.parent}:/usr/bin:/bin")
        monkeypatch.setattr("os.geteuid", lambda: 0)
        monkeypatch.setattr(start, "POLICY", tmp_path / "policy")
        monkeypatch.setattr(start, "CLUSTERS", tmp_path / "clusters")
        is_there = (tmp_path / "here").exists
        needed = [(name, f"what {name} is", is_there) for name in ("postgresql", "odbc-postgresql")]
        monkeypatch.setattr(start, "NEEDED", [*needed, ("unixodbc", "unixODBC", lambda: True)])
        return tmp_path

    return make


def test_what_is_missing_is_installed_and_nothing_is_started(machine: Callable[[str], Path]) -> None:
    """No service, no cluster; both files are as they were afterwards, and a second start asks for nothing."""
    folder = machine("nothing")
    start.install_servers()
    options = "install --yes --no-install-recommends"
    assert (folder / "called").read_text().splitlines() == [
        "update | noninteractive",
        f"{options} postgresql-common | noninteractive",
        f"{options} postgresql odbc-postgresql | noninteractive",
    ]
    assert (
        (folder / "seen")
        .read_text()
        .endswith("exit 101\n#create_main_cluster = true\n\ncreate_main_cluster = false\n")
    )
    assert not (folder / "policy").exists()
    assert (folder / "clusters").read_text() == "#create_main_cluster = true\n"
    (folder / "called").unlink()
    start.install_servers()
    assert not (folder / "called").exists()


def test_a_policy_of_the_system_is_left_as_it_is(machine: Callable[[str], Path]) -> None:
    """Images of containers have one."""
    folder = machine("nothing")
    (folder / "policy").write_text("theirs")
    start.install_servers()
    assert (folder / "policy").read_text() == "theirs"


def test_an_install_that_fails_says_why_and_what_is_missing(
    machine: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    """A test that is left out proves nothing; the two files are put back all the same."""
    folder = machine("odbc-postgresql")
    with pytest.raises(SystemExit) as ended:
        start.install_servers()
    told = capfd.readouterr().err
    assert ended.value.code == 1 and "no room on the disk" in told
    assert "  what postgresql is\n  what odbc-postgresql is\n" in told
    assert "apt-get install postgresql odbc-postgresql" in told
    assert not (folder / "policy").exists()
    assert (folder / "clusters").read_text() == "#create_main_cluster = true\n"


@pytest.mark.parametrize("reason", ["no root", "no apt-get"])
def test_where_nothing_may_be_installed_it_says_what_to_install_and_stops(
    machine: Callable[[str], Path], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    """Another system, or not root: nothing is tried."""
    folder = machine("nothing")
    if reason == "no root":
        monkeypatch.setattr("os.geteuid", lambda: 1000)
    else:
        (folder / "bin" / "apt-get").unlink()
        monkeypatch.setenv("PATH", str(folder / "bin"))
    with pytest.raises(SystemExit) as ended:
        start.install_servers()
    assert ended.value.code == 1 and not (folder / "called").exists()
    assert "what postgresql is" in capfd.readouterr().err


def test_only_the_tests_ask_for_servers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A person who tries the demo gets no database server."""
    asked: list[str] = []
    monkeypatch.setattr(start, "install_servers", lambda: asked.append("servers"))
    monkeypatch.setattr(start, "installed", lambda requirements: Path(requirements.name))
    monkeypatch.setattr(start, "handed_over", lambda command, folder=None: asked.append(command[0]))
    start.main(["demo"])
    start.main(["test", "tests/test_sql.py"])
    assert asked == ["runtime.txt", "servers", "tests.txt"]


def test_this_machine_has_what_the_tests_need() -> None:
    """Whoever runs them has it; a wrong look would install for ever, or never."""
    assert start.lacking() == []
    assert not start.has_driver("No Such Driver") and not start.has_program("no-such-program", "/usr/lib/*/bin")


def test_it_names_no_host_and_is_understood_by_an_old_python() -> None:
    """It tells an old Python that it is too old; packages come from where the machine is set up for."""
    text = (ROOT / "start.py").read_text(encoding="utf-8")
    assert "://" not in text
    code = "import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 6))"
    assert subprocess.run([sys.executable, "-c", code], input=text, text=True, check=False).returncode == 0
