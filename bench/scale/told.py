"""A process that is told a word a line and answers each with a line of JSON; ended with the block that started it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench import environments, measure


@dataclasses.dataclass
class Told:
    """A process that listens; `said` is the line that it began with."""

    process: subprocess.Popen[str]
    said: str

    def ask(self, words: str) -> Any:
        """Tell it something; return what it answers. Raises Broken: it is gone."""
        self.begin(words)
        return self.end()

    tell = ask

    def begin(self, words: str) -> None:
        """Tell it something, and do not wait."""
        assert self.process.stdin is not None
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def end(self) -> Any:
        """Wait for its answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise measure.Broken(f"a process ended instead of answering (exit {self.process.wait(timeout=10)})")
        return json.loads(line)


@contextlib.contextmanager
def process(command: Sequence[str], variables: Mapping[str, str] | None = None) -> Iterator[Told]:
    """Start a process and wait for its first line; it ends with the block."""
    child = subprocess.Popen(
        list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=environments.ROOT,
        env=dict(variables) if variables is not None else None,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        line = child.stdout.readline().strip()
        if not line:
            raise measure.Broken(f"{' '.join(command[2:])} did not start (exit {child.wait(timeout=10)})")
        yield Told(child, line)
    finally:
        if child.stdin is not None:
            child.stdin.close()
        try:
            child.wait(timeout=10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()
