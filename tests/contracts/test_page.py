"""
`docs/add-a-source.md`, followed as it stands: its files in a folder, its commands, on a machine that has only syncer.

Not here: the Shelf under the suite of all sources (`test_source.py`).
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.shelf import PAGE, code, write_code

PAGE_TEXT = PAGE.read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A person's folder, with what the page says."""
    write_code(tmp_path / "mine")
    toml = re.search(r"```toml\n(.*?)```", PAGE_TEXT, re.DOTALL)
    assert toml is not None
    (tmp_path / "syncer.toml").write_text(toml[1], encoding="utf-8")
    return tmp_path


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Nothing of this machine's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SYNCER_", "PYTEST_"))}
    return {**kept, "SYNCER_CACHE": str(folder / "cache"), **more}


def ran(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a module in the folder, as a person does."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment(folder, **more),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
    )


def page_run(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the page's test file with plain pytest."""
    return ran(folder, "pytest", "mine/tests", "-p", "no:cacheprovider", "-x", "--tb=line")


def test_the_pages_test_passes_in_a_persons_own_folder(folder: Path) -> None:
    """Every test of the page runs, and none is left out."""
    done = page_run(folder)
    count = code()["tests/test_shelf.py"].count("\ndef test_")
    assert done.returncode == 0 and f"{count} passed" in done.stdout, done.stdout + done.stderr
    assert count >= 5


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('since = max(0, place["mark"]', 'since = max(0, 10**15 + place["mark"]'),  # what changed is not asked for
        ('"after": books[-1]["id"]}', '"after": books[-1]["id"] + 3}'),  # the first book of each page is left out
        ('if "after" not in place:', "if True:"),  # begins anew after a failure
    ],
)
def test_the_pages_test_notices_a_wrong_source(folder: Path, right: str, wrong: str) -> None:
    """A test that never failed is not trusted."""
    file = folder / "mine" / "sources" / "shelf.py"
    text = file.read_text(encoding="utf-8")
    assert text.count(right) == 1
    file.write_text(text.replace(right, wrong), encoding="utf-8")
    done = page_run(folder)
    assert done.returncode == 1 and " failed" in done.stdout, done.stdout + done.stderr


def test_the_command_line_finds_the_source(folder: Path) -> None:
    """Against the page's own Shelf, with the variables that it prints."""
    site = subprocess.Popen(
        [sys.executable, "mine/tests/test_shelf.py"],
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert site.stdout is not None
        variables = dict(re.findall(r"(SYNCER_\w+)=(\S+)", site.stdout.readline()))
        checked = ran(folder, "syncer", "check", "shelf", "--output", "json", **variables)
        assert "failed" not in {found["status"] for found in json.loads(checked.stdout)["checks"]}, checked.stdout
        assert [counts(ran(folder, "syncer", *verb, **variables)) for verb in verbs()] == [(230, 0), (0, 0)]
    finally:
        site.communicate("\n", timeout=60)
    assert site.returncode == 0


def verbs() -> list[list[str]]:
    """The pulls that the page shows."""
    return [line.split()[1:] for line in PAGE_TEXT.splitlines() if line.startswith("    syncer pull ")]


def counts(done: subprocess.CompletedProcess[str]) -> tuple[Any, Any]:
    """What a pull inserted and ended."""
    found = re.search(r"([\d,]+) inserted", done.stdout)
    assert done.returncode == 0 and found is not None, done.stdout + done.stderr
    return int(found[1]), done.stdout.count(" gone")


def test_the_page_names_each_of_its_files() -> None:
    """A heading, or the list of files, says where a block goes."""
    for name in code():
        assert f"`{name}`" in PAGE_TEXT and f"    {name}" in PAGE_TEXT
