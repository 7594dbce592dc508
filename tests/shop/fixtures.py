"""What the tests of the command line begin with: a shop, a site's folder, and a way to call syncer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncer import cli
from tests.shop import TOKEN, Result, Shop, Syncer

OWN = Path(__file__).parent


@pytest.fixture
def shop() -> Iterator[Shop]:
    """An open shop."""
    made = Shop()
    made.fill("items", 120)
    made.fill("orders", 3)
    yield made
    made.close()


@pytest.fixture
def variables(tmp_path: Path, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A site's folder and environment; nothing of this machine's own."""
    for name in [name for name in os.environ if name.startswith("SYNCER_")]:
        monkeypatch.delenv(name)
    found = {"SYNCER_SHOP_URL": shop.url, "SYNCER_SHOP_TOKEN": TOKEN, "SYNCER_CACHE": str(tmp_path / "cache")}
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "syncer.toml").write_text(f"[syncer]\nfolders = ['{OWN.as_posix()}']\n", encoding="utf-8")
    return found


@pytest.fixture
def syncer(variables: dict[str, str], capfd: pytest.CaptureFixture[str]) -> Syncer:
    """Call the command line in this process."""

    def call(*arguments: str) -> Result:
        capfd.readouterr()
        code = cli.main(arguments)
        out, err = capfd.readouterr()
        return Result(code, out, err)

    return call
