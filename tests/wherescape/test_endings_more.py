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
MAIN = """
import sys
from syncer import wherescape
def main():
    wherescape.host().note(wherescape.Outcome(wherescape.Status.DONE, '4 rows'))
    return {}
if __name__ == '__main__':
    sys.exit(main())
"""
OK = "wherescape.host().note(wherescape.Outcome(wherescape.Status.DONE, '4 rows'))\n"
HELPER = (
    "import pathlib\npathlib.Path('helper.py').write_text('from sys import exit as leave\\ndef done(): leave({})')\n"
)
PART = "import pathlib, runpy, sys\npathlib.Path('part.py').write_text({!r})\n"
RUN_PART = "runpy.run_path('part.py', run_name='__main__')\n"
BEFORE = """
import multiprocessing, os, sys
from syncer import wherescape
def go():
    {}
if __name__ == '__main__':
    child = multiprocessing.get_context('{}').Process(target=go)
    child.start()
    child.join()
    {}
"""
FORK_BEFORE = """
import os, sys
from syncer import wherescape
if os.fork() == 0:
    {}
    sys.exit(0)
os.wait()
{}
"""
POOL = """
import concurrent.futures, multiprocessing, sys
from syncer import wherescape
def go(name):
    wherescape.pull(name)
if __name__ == '__main__':
    wherescape.host()
    with {} as pool:
        list(pool.map(go, ['no.such']))
"""
PASSWORD = "os.environ['WSL_TGT_PWD']"
SECRET = {"WSL_TGT_PWD": "ab  cd\\12'x"}
LEAKS = ("ab  cd", "ab cd", "cd\\\\12")
TOML = """
[hubspot]
token = "t0ken-1"
[environments.voys.jira]
token = "t0ken-2"
[notify]
webhook = "https://h00k"
["jira.issues".personal]
reset_token = "mask"
token = "hash"
"""

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
        script=LATE + "sys.exit(3)", is_with_host=False, first="-3", second="the script ended itself with exit code 3"
    ),
    "sys.exit(0), host first made in a thread": Ending(script=LATE + "sys.exit(0)", is_with_host=False, second="ok"),
    "outside RED, sys.exit(3), host first made in a thread": Ending(
        script=LATE + "sys.exit(3)",
        is_with_host=False,
        first=f"failed unexpectedly: {UNSEEN}",
        second=None,
        code=1,
        variables=OUTSIDE,
    ),
    "sys.exit(main()), None": Ending(script=MAIN.format(None), is_with_host=False),
    "sys.exit(main()), 0": Ending(script=MAIN.format(0), is_with_host=False),
    "sys.exit(main()), 3": Ending(
        script=MAIN.format(3), is_with_host=False, first="-3", second="the script ended itself with exit code 3"
    ),
    "sys.exit(main()), a text": Ending(
        script=MAIN.format("'no file'"), is_with_host=False, first="-3", second="the script ended itself: no file"
    ),
    **{
        f"sys.exit({code}) of a helper that was imported {when}": Ending(
            script=HELPER.format(code) + text + OK + "helper.done()\n",
            is_with_host=False,
            first="-3" if code else "1",
            second="the script ended itself with exit code 3" if code else "4 rows",
        )
        for code in (0, 3)
        for when, text in (
            ("before syncer", "import helper\nfrom syncer import wherescape\n"),
            ("before the host", "from syncer import wherescape\nimport helper\n"),
        )
    },
    **{
        f"a part of the script makes the host, then {end}": Ending(
            script=PART.format("from syncer import wherescape\n" + OK) + head + RUN_PART + end,
            is_with_host=False,
            first=first,
            second=second,
        )
        for head in ("from syncer import wherescape\n", "")
        for end, first, second in (
            ("sys.exit(4)", "-3", "the script ended itself with exit code 4"),
            ("sys.exit('no file')", "-3", "the script ended itself: no file"),
            ("sys.exit(0)", "1", "4 rows"),
            ("print('end')", "1", "4 rows"),
        )
    },
    "a part of the script ends itself, which the script catches": Ending(
        script=PART.format("from syncer import wherescape\n" + OK + "import sys\nsys.exit(0)\n")
        + f"try:\n    {RUN_PART}except SystemExit:\n    pass\nsys.exit(4)",
        is_with_host=False,
        first="-3",
        second="the script ended itself with exit code 4",
    ),
    **{
        f"{what} in a child by {way} before the host": Ending(
            script=BEFORE.format(own, way, then), is_with_host=False, first=first, second=None, not_stdout=("loud",)
        )
        for way in ("fork", "spawn", "forkserver")
        for what, own, then, first in (
            ("a success", "print('loud'); " + OK.strip(), "wherescape.pull('no.such')", "-2"),
            ("a failure", "wherescape.pull('no.such')", OK.strip(), "-2"),
        )
    },
    **{
        f"{what} in a spawned child that alone imports syncer": Ending(
            script=BEFORE.replace("from syncer import wherescape", "").format(
                f"from syncer import wherescape; {own}", "spawn", f"from syncer import wherescape; {then}"
            ),
            is_with_host=False,
            first="-2",
            second=None,
        )
        for what, own, then in (
            ("a success", OK.strip(), "wherescape.pull('no.such')"),
            ("a failure", "wherescape.pull('no.such')", OK.strip()),
        )
    },
    **{
        f"a pool by {way} in a script that makes no host, {end}": Ending(
            script=POOL.replace("    wherescape.host()\n", "")
            .replace("wherescape.pull(name)", own)
            .format(f"multiprocessing.get_context('{way}').Pool(1)")
            + then,
            is_with_host=False,
            first=first,
            second=second,
        )
        for way in ("fork", "spawn")
        for end, own, then, first, second in (
            ("all well", OK.strip(), "", "1", "4 rows"),
            ("a failure", "wherescape.pull(name)", "", "-2", None),
            ("sys.exit(3)", OK.strip(), "    sys.exit(3)", "-3", "the script ended itself with exit code 3"),
        )
    },
    "a success in a forked child before the host": Ending(
        script=FORK_BEFORE.format(OK.strip(), "wherescape.pull('no.such')"),
        is_with_host=False,
        first="-2",
        second=None,
        not_stdout=("1\n4 rows",),
    ),
    "a failure in a forked child before the host": Ending(
        script=FORK_BEFORE.format("wherescape.pull('no.such')", OK), is_with_host=False, first="-2", second=None
    ),
    **{
        f"a verb fails in {pool}": Ending(
            script=POOL.format(pool), is_with_host=False, first="-2", second=None, stdout=("are not set.",)
        )
        for pool in (
            "multiprocessing.get_context('fork').Pool(1)",
            "multiprocessing.get_context('spawn').Pool(1)",
            "concurrent.futures.ProcessPoolExecutor(1)",
        )
    },
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
    "a secret of syncer.toml, printed and told": Ending(
        script=f"with open('syncer.toml', 'w') as file: file.write({TOML!r})\n{HOST}"
        "print('t0ken-1', 't0ken-2', 'https://h00k', 'shown')\nhost.message = 'unmasked hash_total has t0ken-1'",
        is_with_host=False,
        second="unmasked hash_total has ***",
        stderr=("*** *** *** shown",),
        not_stderr=("t0ken", "h00k"),
    ),
    "a hook of the script's own for errors in threads": Ending(
        script="threading.excepthook = print\nt = threading.Thread(target=lambda: {}[1])\nt.start(); t.join()",
        first="-1",
        second="threading.excepthook was set behind syncer's own: an error in a thread may be unseen. Set it "
        "before the first verb; it is called as well.",
    ),
    "a hook of the script's own for errors in threads, set before": Ending(
        script="import threading\nthreading.excepthook = lambda given: print('mine')\n"
        f"{HOST}t = threading.Thread(target=lambda: {{}}[1])\nt.start(); t.join()",
        is_with_host=False,
        first="-3",
        second=f"unexpected KeyError in script.py, line {HOST.count(chr(10)) + 3}; its traceback is on stderr.",
        stderr=("mine",),
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


@pytest.mark.parametrize("text", ["ab/c+d=", "ab/c%2Bd%3D", "ab%2Fc%2Bd%3D", "ab\\/c+d="])
def test_a_token_with_slashes_is_hidden_however_it_is_written(text: str) -> None:
    """`quote` leaves a slash as it is, and some write JSON with a backslash before it."""
    assert concealing.Secrets(["ab/c+d="]).hidden(f"with {text}, says it") == "with ***, says it"
