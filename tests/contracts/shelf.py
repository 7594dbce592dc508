"""The code of `docs/add-a-source.md`, and the site that stands there with what the contract wants besides."""

from __future__ import annotations

import random
import re
import types
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "add-a-source.md"
TEST = "tests/test_shelf.py"


def code() -> dict[str, str]:
    """The code of the page by file; blocks of one file stand below each other."""
    found: dict[str, str] = {}
    for name, block in re.findall(r"```python file=(\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        found[name] = f"{found[name]}\n\n{block}" if name in found else block
    return found


def write_code(folder: Path) -> list[str]:
    """Write the code of the page into *folder*, each block where it says; return the names."""
    for name, text in code().items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return list(code())


def _test_file() -> Any:
    """The page's test file as a module."""
    module = types.ModuleType("test_shelf_of_the_page")
    module.__file__ = str(PAGE.parent / TEST)
    exec(compile(code()[TEST], module.__file__, "exec"), module.__dict__)
    return module


_PAGE = _test_file()
TOKEN: str = _PAGE.TOKEN


class ShelfSite(_PAGE.ShelfSite):
    """The page's library, with edits and the truth."""

    def edit(self, count: int, seed: int) -> list[str]:
        """Change, add and remove books."""
        rng = random.Random(seed)
        for _ in range(count):
            kind, number = rng.choice(["change", "change", "add", "remove"]), rng.choice(sorted(self.books))
            if kind == "remove" and len(self.books) > 50:
                del self.books[number]
            else:
                self.put(max(self.books) + 1 if kind == "add" else number, f"Edited {rng.random()}")
                if kind == "add":
                    self.books[max(self.books)] |= {"author": None, "tags": []}
        return []

    def truth(self, stream: str) -> dict[tuple[Any, ...], Any]:
        """Every book, by key."""
        return {(number,): book for number, book in self.books.items()}
