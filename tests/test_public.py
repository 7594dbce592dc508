"""What a program sees that imports syncer: names, and silence."""

from __future__ import annotations

import subprocess
import sys

import pytest

LINE_OF_OURS = """
exec("from loguru import logger; logger.info('one line')", {"__name__": "syncer.engine"})
"""


@pytest.mark.parametrize(
    ("program", "is_told"),
    [
        ("import syncer; syncer.pull", False),
        ("from loguru import logger; import syncer; syncer.pull", False),
        ("from loguru import logger; import syncer; logger.enable('syncer'); syncer.pull", True),
        ("import syncer; from loguru import logger; logger.enable('syncer'); syncer.pull", True),
    ],
)
def test_a_host_hears_the_log_only_where_it_asks_for_it(program: str, is_told: bool) -> None:
    """Quiet when nothing happened: a library does not write to its host's stderr unasked."""
    command = [sys.executable, "-c", program + LINE_OF_OURS]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "one line" in done.stderr) == (0, is_told), done.stderr
