"""The invented API of `docs/add-a-source.md`, as a site of the sandbox; source and mapping stand in that page."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import attrs

from syncer.sandbox import Clock
from syncer.sandbox.messages import Request, Response, json_response

PAGE = Path(__file__).parents[2] / "docs" / "add-a-source.md"
TOKEN = "reader-token"


def write_code(folder: Path) -> list[str]:
    """Write the code of the page into *folder*, each block where it says; return the names."""
    written = []
    for name, code in re.findall(r"```python file=(\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(code, encoding="utf-8")
        written.append(name)
    return written


@attrs.define
class ShelfSite:
    """A library with books."""

    clock: Clock = attrs.field(factory=lambda: Clock(is_frozen=True))
    name: str = "shelf"
    token: str = TOKEN
    library: str = "ulm"
    books: dict[int, dict[str, Any]] = attrs.field(factory=dict)

    @classmethod
    def generate(cls, *, seed: int, books: int) -> ShelfSite:
        site = cls()
        rng = random.Random(seed)
        for number in range(1, books + 1):
            author = {"id": rng.randrange(1, 9), "name": rng.choice(["Ada", "Žofie", "李"])}
            site.books[number * 3] = {
                "id": number * 3,
                "title": f"Book {number} {{x}}",
                "author": author,
                "tags": ["a"],
                "changed": site.now(),
            }
        site.clock.advance(3600)
        return site

    def now(self) -> int:
        return int(self.clock.now().timestamp() * 1000)

    def answer(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {self.token}":
            return json_response({"error": "who are you"}, status=401)
        if request.path == "/v1/me":
            return json_response({"library": self.library, "reader": "ada"})
        if request.path == "/v1/books":
            after, since = int(request.first("after", "0") or 0), int(request.first("changed_since", "0") or 0)
            hits = [book for number, book in sorted(self.books.items()) if number > after and book["changed"] >= since]
            return json_response({"books": hits[: int(request.first("limit", "20") or 20)], "left": len(hits)})
        number = int(request.path.rpartition("/")[2])
        return json_response(self.books[number]) if number in self.books else json_response({}, status=404)

    def edit(self, count: int, seed: int) -> list[str]:
        """Change, add and remove books."""
        rng = random.Random(seed)
        for _ in range(count):
            kind, number = rng.choice(["change", "change", "add", "remove"]), rng.choice(sorted(self.books))
            if kind == "remove" and len(self.books) > 50:
                del self.books[number]
            else:
                number = max(self.books) + 1 if kind == "add" else number
                old = self.books.get(number, {"id": number, "author": None, "tags": []})
                self.books[number] = {**old, "title": f"Edited {rng.random()}", "changed": self.now()}
        return []

    def truth(self, stream: str) -> dict[tuple[Any, ...], Any]:
        return {(number,): book for number, book in self.books.items()}
