"""The code of `docs/add-a-warehouse.md`: a third warehouse, SQLite through ODBC, as a person adds it."""

from __future__ import annotations

import re
from pathlib import Path

from syncer.settings import Settings

PAGE = Path(__file__).parents[2] / "docs" / "add-a-warehouse.md"
FILE = "warehouses/sqlite.py"
LINK = "odbc:Driver={SQLite3};Database=contract.sqlite"


def code() -> str:
    """The code of the page; its blocks stand below each other."""
    text = PAGE.read_text(encoding="utf-8")
    return "\n\n".join(re.findall(rf"```python file={re.escape(FILE)}\n(.*?)```", text, re.DOTALL))


def write_code(folder: Path, text: str | None = None) -> Path:
    """Write the page's code, or another *text*, into a person's folder below *folder*; return that folder."""
    file = folder / "mine" / FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(code() if text is None else text, encoding="utf-8")
    return folder / "mine"


def settings(folder: Path, *, wait_s: float = 20) -> Settings:
    """Name a warehouse that is not there yet, in *folder*."""
    return Settings(warehouse=LINK, base=folder, folders=(write_code(folder),), wait_s=wait_s)
