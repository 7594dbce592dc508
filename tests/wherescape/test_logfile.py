"""The log file of all host scripts: many processes write it, it is rotated meanwhile, and no line is lost."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from syncer.wherescape.logfile import BEFORE_MIDNIGHT, KEPT, SATURDAY, LogFile, file_in

PROCESSES, SECONDS = 6, 4
WRITER = """
import sys, time
from pathlib import Path
from syncer.wherescape.logfile import LogFile

file, name, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
log = LogFile(file, lambda text: sys.exit(text), when="S", at=None)
end, number = time.monotonic() + seconds, 0
while time.monotonic() < end:
    log.write(f"{name} {number} " + "é" * 200 + " end")
    number += 1
    time.sleep(0.002)
log.close()
print(number)
"""


def test_no_line_is_lost_or_torn_where_six_processes_write_across_rotations(tmp_path: Path) -> None:
    """A RED night runs many scripts at once, also on Saturday at 23:59."""
    file = file_in(tmp_path)
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(file), str(number), str(SECONDS)],
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for number in range(PROCESSES)
    ]
    written = [int(writer.communicate(timeout=60)[0]) for writer in writers]
    files = list(file.parent.glob("wherescape.log*"))
    lines = [line.split(" ") for each in files for line in each.read_text(encoding="utf-8").splitlines()]
    assert len(files) >= 3 and min(written) > 20
    assert {(len(line), len(line[2]), line[3]) for line in lines} == {(4, 200, "end")}
    expected = [(str(name), str(number)) for name, count in enumerate(written) for number in range(count)]
    assert Counter((name, number) for name, number, *_ in lines) == Counter(expected)


def test_it_is_rotated_in_the_night_of_saturday_and_ten_are_kept(tmp_path: Path) -> None:
    """As the sites have it."""
    log = LogFile(tmp_path / "a.log", pytest.fail)
    log.write("a")
    assert log._handler is not None
    log.close()
    handler = log._open()
    wednesday = int(time.mktime((2026, 11, 25, 12, 0, 0, 0, 0, -1)))
    assert time.localtime(handler.computeRollover(wednesday))[:5] == (2026, 11, 28, 23, 59)
    assert (handler.when, handler.backupCount, KEPT) == (SATURDAY, 10, 10)
    assert (BEFORE_MIDNIGHT.hour, BEFORE_MIDNIGHT.minute) == (23, 59)
    handler.close()


def test_a_file_that_cannot_be_written_is_told_once(tmp_path: Path) -> None:
    """A load must not fail for its log."""
    (tmp_path / "python_logging").write_text("a file where the folder should be", encoding="utf-8")
    told: list[str] = []
    log = LogFile(file_in(tmp_path), told.append)
    log.write("a")
    log.write("b")
    assert len(told) == 1 and "cannot be written" in told[0]


def test_a_line_of_any_letters_is_written(tmp_path: Path) -> None:
    """UTF-8 whatever the console has; half a letter is replaced."""
    log = LogFile(tmp_path / "a.log", pytest.fail)
    log.write("één 日本 🐘 \ud800")
    log.close()
    assert (tmp_path / "a.log").read_text(encoding="utf-8") == "één 日本 🐘 ?\n"
