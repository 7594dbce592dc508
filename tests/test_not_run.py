"""The suite's own guard against skips."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
TESTS = """
import pytest
def test_one(): pass
{mark}
def test_two(): pytest.skip("no server")
"""


@pytest.mark.parametrize(
    ("mark", "code", "said"),
    [
        ("", 1, "a skip would hide what is missing"),
        ("@pytest.mark.sqlserver", 0, "test_two (no SQL Server here)"),
        ("@pytest.mark.xfail", 1, "a skip would hide what is missing"),
    ],
)
@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_skip_fails_the_session(tmp_path: Path, mark: str, code: int, said: str, workers: str) -> None:
    """A part that is missing must not look like one that passed."""
    (tmp_path / "conftest.py").write_text("from tests.not_run import pytest_sessionfinish\n")
    (tmp_path / "test_it.py").write_text(TESTS.format(mark=mark))
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = sqlserver: a server\n")
    command = [sys.executable, "-m", "pytest", "-n", workers, "-p", "no:cacheprovider", str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, said in done.stdout) == (code, True), done.stdout
