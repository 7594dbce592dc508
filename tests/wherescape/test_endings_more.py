"""
Ends that look like a success and are none, and secrets in what a host script tells: each a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from syncer.wherescape import concealing
from syncer.wherescape.hosting import Host
from syncer.wherescape.protocol import Outcome, Status
from tests.wherescape.endings import HOST, LOADED, OUTSIDE, Ending
from tests.wherescape.test_protocol import RED, check, run, variables_of

INTERRUPTED = "interrupted; what was committed stands, and it is safe to run again."
UNFINISHED = "load was not done when the script ended; what was committed stands, and it is safe to run again."
UNFINISHED_CHILD = UNFINISHED.replace("load was", "load in a child process was")
UNSEEN = (
    "the script ended itself before the host was there, so that its exit code is not known: call wherescape.host() "
    "first."
)
NO_VERB = "No mapping named 'no.such'."
SLOW = """
import signal, time
from syncer.wherescape.binding import hosted
@hosted
def load():
    time.sleep(15)
"""
LATE = """
from syncer import wherescape
import sys, threading, time
def late():
    time.sleep(.7)
    wherescape.host().note(wherescape.Outcome(wherescape.Status.DONE, 'ok'))
threading.Thread(target=late).start()
"""
LATER = LATE.replace("from syncer import wherescape\n", "").replace(
    "    time", "    from syncer import wherescape\n    time"
)
INTERRUPT = "def stop():\n    time.sleep(1)\n    os.kill(os.getpid(), signal.SIGINT)\n"
INTERRUPT += "threading.Thread(target=stop).start()\n"
BROKEN = "class E(UsageError):\n    def __str__(self): raise ValueError\n"
CHILD = "import multiprocessing\ndef go(name):\n    wherescape.pull(name)\n"
CHILD += (
    "if __name__ == '__main__':\n    p = multiprocessing.get_context('{}').Process(target=go, args=('no.such',))\n"
)
CHILD += "    p.start()\n    p.join()\n    note(0, str(p.exitcode))"
PASSWORD = "os.environ['WSL_TGT_PWD']"
SECRET = {"WSL_TGT_PWD": "ab  cd\\12'x"}
LEAKS = ("ab  cd", "ab cd", "cd\\\\12")

ENDINGS: dict[str, Ending] = {
    "Ctrl-C while Python waits for a verb's thread": Ending(
        script=SLOW + "threading.Thread(target=load).start()\n" + INTERRUPT,
        first="-3",
        second=f"{INTERRUPTED}; {UNFINISHED}",
    ),
    "Ctrl-C while Python waits for any thread": Ending(
        script=SLOW + LOADED + "threading.Thread(target=time.sleep, args=(15,)).start()\n" + INTERRUPT,
        first="-3",
        second=INTERRUPTED,
    ),
    "a verb in a daemon thread that is not done": Ending(
        script=SLOW + "threading.Thread(target=load, daemon=True).start()\ntime.sleep(.5)",
        first="-3",
        second=UNFINISHED,
    ),
    "a verb in a daemon thread that is done": Ending(
        script=SLOW.replace("15", ".1")
        + LOADED
        + "t = threading.Thread(target=load, daemon=True)\nt.start()\nt.join()"
    ),
    "sys.exit(3), host first made in a thread": Ending(
        script=LATE + "sys.exit(3)", is_with_host=False, first="-3", second=UNSEEN
    ),
    "exception, host first made in a thread": Ending(
        script=LATE + "{}[1]",
        is_with_host=False,
        first="-3",
        second=f"unexpected KeyError in script.py, line {LATE.count(chr(10)) + 1}; its traceback is on stderr.",
    ),
    "end, host first made in a thread": Ending(script=LATE, is_with_host=False, second="ok"),
    "exception, imported first in a thread": Ending(
        script=LATER + "{}[1]",
        is_with_host=False,
        first="-3",
        second=f"unexpected KeyError in script.py, line {LATER.count(chr(10)) + 1}; its traceback is on stderr.",
    ),
    "a verb fails in a forked child": Ending(
        script=LOADED + "pid = os.fork()\nif pid == 0:\n    wherescape.pull('no.such')\nos.waitpid(pid, 0)",
        first="-2",
        second=None,
    ),
    "a verb ends well in a forked child": Ending(
        script="pid = os.fork()\nif pid == 0:\n    note(0, '7 rows')\n    os._exit(0)\nos.waitpid(pid, 0)",
        second="7 rows",
    ),
    "a verb in a forked child that is killed": Ending(
        script=SLOW + "pid = os.fork()\nif pid == 0:\n    load()\n"
        "time.sleep(.7)\nos.kill(pid, signal.SIGKILL)\nos.waitpid(pid, 0)",
        first="-3",
        second=UNFINISHED_CHILD,
    ),
    **{
        f"a verb fails in a child that was made by {way}": Ending(
            script=CHILD.format(way), first="-2", second=None, stdout=("\n1\n",), not_stdout=("done",)
        )
        for way in ("fork", "spawn", "forkserver")
    },
    "SyncerError that cannot be written": Ending(
        script=BROKEN + "raise E('a')",
        first="-3",
        second=f"unexpected E in script.py, line {HOST.count(chr(10)) + 3}; its traceback is on stderr.",
        stderr=("Traceback",),
    ),
    "SyncerError that cannot be written, in a thread": Ending(
        script=BROKEN + "def go(): raise E('a')\nthreading.Thread(target=go).start()", first="-3", second=None
    ),
    "a message that is a number": Ending(script=LOADED + "host.message = 5", second="5"),
    "a message of None": Ending(script=LOADED + "host.message = None"),
    "a message that cannot be written": Ending(
        script=LOADED + BROKEN + "host.message = E('a')",
        first="-3",
        second=f"unexpected ValueError in script.py, line {HOST.count(chr(10)) + 3}; its traceback is on stderr.",
    ),
    "a body that is a dict": Ending(script=LOADED + "host.body = {'a': 1}", second="{'a': 1}"),
    "an outcome of a number and of None": Ending(
        script="host.note(Outcome(-2, None, 'one'))", first="-2", second=None
    ),
    "an outcome without a status": Ending(
        script=LOADED + "host.note(Outcome(7, 'x'))",
        first="-3",
        second=f"unexpected ValueError in script.py, line {HOST.count(chr(10)) + 2}; its traceback is on stderr.",
    ),
    "a result that cannot be made": Ending(
        script=LOADED + "def wrong(*_): {}[1]\nprotocol.worst = wrong",
        first="-3",
        second=f"syncer could not say what came of this run: unexpected KeyError in script.py, line "
        f"{HOST.count(chr(10)) + 2}; its traceback is on stderr.",
        stderr=("Traceback",),
    ),
    "outside RED, a result that cannot be made": Ending(
        script="def wrong(*_): {}[1]\nprotocol.worst = wrong",
        first="",
        second=None,
        code=1,
        stderr=("KeyError",),
        variables=OUTSIDE,
    ),
    "an error of stderr itself": Ending(
        script="os.dup2(os.open('/dev/full', os.O_WRONLY), 2)\nprint('x')",
        first="-3",
        second=f"unexpected OSError in script.py, line {HOST.count(chr(10)) + 2}; its traceback is on stderr.",
    ),
    "another file in the place of the kept stdout": Ending(
        script=LOADED + "os.closerange(3, 500)\nkept = [os.open('new.txt', os.O_CREAT | os.O_RDWR) for _ in range(9)]",
        first="",
        second=None,
        stderr=("its stdout was closed",),
    ),
    "a secret, printed": Ending(
        script=f"print({PASSWORD}, 'shown')", second=None, stderr=("*** shown",), not_stderr=LEAKS, variables=SECRET
    ),
    "a secret, printed to the first streams": Ending(
        script=f"for each in (sys.__stdout__, sys.__stderr__):\n    print({PASSWORD}, 'shown', file=each)",
        second=None,
        stderr=("*** shown\n*** shown",),
        not_stderr=LEAKS,
        variables=SECRET,
    ),
    "a secret, logged by a logger of before": Ending(
        script="import logging\nlogging.basicConfig()\n" + HOST + f"logging.warning({PASSWORD})",
        is_with_host=False,
        second=None,
        stderr=("WARNING:root:***",),
        not_stderr=LEAKS,
        variables=SECRET,
    ),
    "a secret, warned of": Ending(
        script=f"import warnings\nwarnings.warn({PASSWORD})",
        second=None,
        stderr=("UserWarning: ***",),
        not_stderr=LEAKS,
        variables=SECRET,
    ),
    "a secret in sys.exit": Ending(
        script=f"sys.exit('login with ' + {PASSWORD})",
        first="-3",
        second="the script ended itself: login with ***",
        stderr=("login with ***",),
        not_stderr=LEAKS,
        variables=SECRET,
    ),
    "a secret in the text of a KeyError": Ending(
        script=f"raise KeyError({PASSWORD})",
        first="-3",
        second=None,
        stderr=("***",),
        not_stderr=LEAKS,
        variables=SECRET,
    ),
    "a secret in an error that nobody can raise": Ending(
        script=f"class A:\n    def __del__(self): raise ValueError({PASSWORD})\nA()",
        second=None,
        stderr=("ValueError: ***",),
        not_stderr=LEAKS,
        variables=SECRET,
    ),
    "a secret in the body": Ending(
        script=f"import json\nhost.body = json.dumps({{'a': {PASSWORD}}})",
        second='{"a": "***"}',
        not_stdout=LEAKS,
        variables=SECRET,
    ),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_what_is_no_success_is_told_as_none_and_no_secret_is_shown(name: str, tmp_path: Path) -> None:
    """RED decides by the first line; what it keeps for weeks, many may read."""
    ending = ENDINGS[name]
    check(ending, run(ending, tmp_path / "a"))


@pytest.mark.parametrize("way", ["cProfile", "profile", "runpy"])
def test_a_script_that_another_program_runs_is_seen_to_end_itself(way: str, tmp_path: Path) -> None:
    """A profiler catches `SystemExit`, and goes on as if nothing had been."""
    script = tmp_path / "script.py"
    script.write_text(HOST + "sys.exit(3)\n", encoding="utf-8")
    how = ["-c", "import runpy; runpy.run_path('script.py', run_name='__main__')"]
    command = [sys.executable, *(how if way == "runpy" else ["-m", way, "script.py"])]
    variables = variables_of(Ending(script=""), tmp_path)
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, timeout=25, check=False)
    assert done.stdout == b"-3\nthe script ended itself with exit code 3\n"


def test_a_file_that_took_the_place_of_stdout_stays_as_it_is(tmp_path: Path) -> None:
    """The result must not stand in the middle of somebody's data."""
    run(ENDINGS["another file in the place of the kept stdout"], tmp_path / "a")
    assert (tmp_path / "a" / "new.txt").read_bytes() == b""


def test_nothing_of_a_child_process_stays_behind(tmp_path: Path) -> None:
    """What it told is in files, which go with the result."""
    ending = ENDINGS["a verb fails in a forked child"]
    (tmp_path / "temp").mkdir()
    run(Ending(script=ending.script, variables={"TMPDIR": str(tmp_path / "temp")}), tmp_path / "a")
    assert list((tmp_path / "temp").iterdir()) == []


@pytest.mark.parametrize(
    "text",
    ["a  b\\c'd\"e", "a b\\c'd\"e", "a  b\\\\c\\'d\"e", "a  b\\\\c'd\\\"e", "a  b\\\\c'd\"e", "a%20%20b%5Cc%27d%22e"],
)
def test_a_secret_is_hidden_however_it_is_written(text: str) -> None:
    """Raw, in one line, as Python and JSON write it, in a URL."""
    assert concealing.Secrets(["a  b\\c'd\"e"]).hidden(f"with {text}, says it") == "with ***, says it"


def test_a_secret_with_two_blanks_is_in_no_line_of_the_result() -> None:
    """A message is written in one line, where two blanks are one."""
    host = Host(RED | {"WSL_TGT_PWD": "ab  cd12"})
    host.message = "said ab  cd12"
    host.note(Outcome(Status.FAILED, "login with ab  cd12"))
    assert "cd12" not in str(host.result())
