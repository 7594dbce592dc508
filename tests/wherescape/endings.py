"""How a host script can end, and what WhereScape RED then reads: small scripts, each run as a process of its own."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

HOST = """
import os, subprocess, sys, threading
from syncer import wherescape
from syncer.errors import SyncerError, Unavailable, UsageError
from syncer.wherescape import protocol
from syncer.wherescape.protocol import Outcome, Status
host = wherescape.host()
def note(code, message, **more):
    host.note(protocol.of_exit_code(code, message, **more))
"""
LOADED = "note(0, '4 rows')\n"
LIBRARY = "print('a library greets at import')\n"  # the module `greeting`
LONG = "x" * 255


@attrs.frozen(kw_only=True)
class Ending:
    """
    A script, and what must come of it.

    first, second: the lines that RED reads. A second one of None is not looked at, and first of "" means that nothing
    is printed at all. stderr, not_stdout: what is there, what is not.
    """

    script: str
    first: str = "1"
    second: str | None = "4 rows"
    code: int = 0
    stderr: tuple[str, ...] = ()
    not_stderr: tuple[str, ...] = ()
    not_stdout: tuple[str, ...] = ()
    stdout: tuple[str, ...] = ()
    variables: Mapping[str, str] = attrs.field(factory=dict)
    config: str = ""
    is_with_host: bool = True  # the script begins with HOST


BY_STATUS = 'exit_code = "status"'
OUTSIDE = {"WSL_META_DSN": ""}
DEVELOP = {"WSL_JOB_KEY": "0", "WSL_JOB_NAME": "Develop"}
_TOLD = "unexpected KeyError in script.py, line {}; its traceback is on stderr."
_FIRST = HOST.count("\n") + 1  # the line of a script that follows HOST
_CAUGHT = "try:\n    sys.exit({})\nexcept SystemExit as error:\n    {}\n"

ENDINGS: dict[str, Ending] = {
    "ok": Ending(script=LOADED, stderr=("[INFO] ", "4 rows")),
    "nothing ran": Ending(script="", second="load issues: done"),
    "rejects": Ending(script=LOADED + "note(3, '2 rejects', details=['row 7'])", first="-1", second="2 rejects"),
    "conflicts": Ending(script="note(3, '1 conflict', details=['7'])", first="-1", second="1 conflict", stderr=("7",)),
    "refused": Ending(script="note(4, 'refused')", first="-2", second="refused"),
    "unavailable": Ending(
        script="raise Unavailable('no answer', hint='Run it again.')",
        first="-2",
        second="no answer Run it again.",
        not_stderr=("Traceback",),
    ),
    "usage error": Ending(script="raise UsageError('no such table')", first="-2", second="no such table"),
    "exception": Ending(
        script="{}['a value']",
        first="-3",
        second=_TOLD.format(_FIRST),
        not_stdout=("a value",),
        stderr=("Traceback", "a value"),
    ),
    "exception in a library": Ending(
        script="import json\njson.loads('a value')",
        first="-3",
        second=f"unexpected JSONDecodeError in script.py, line {_FIRST + 1}; its traceback is on stderr.",
    ),
    "exception after a success": Ending(script=LOADED + "{}[1]", first="-3", second=_TOLD.format(_FIRST + 1)),
    "exception, other hook": Ending(
        script="sys.excepthook = lambda *_: None\n{}[1]", first="-3", second=_TOLD.format(_FIRST + 1)
    ),
    "error caught": Ending(
        script="try:\n    raise UsageError('wrong')\nexcept SyncerError as error:\n    host.failed(error)\n" + LOADED,
        first="-2",
        second="wrong",
    ),
    "error counted and let go": Ending(
        script="try:\n    raise UsageError('wrong')\nexcept SyncerError as error:\n    host.failed(error)\n    raise",
        first="-2",
        second="wrong",
    ),
    "exception in a thread": Ending(
        script=LOADED + "t = threading.Thread(target=lambda: {}[1])\nt.start()",
        first="-3",
        second=_TOLD.format(_FIRST + 1),
        stderr=("Traceback",),
    ),
    "SyncerError in a thread": Ending(
        script=LOADED + "def run():\n    raise UsageError('wrong')\nthreading.Thread(target=run).start()",
        first="-2",
        second="wrong",
    ),
    "sys.exit in a thread": Ending(script=LOADED + "threading.Thread(target=lambda: sys.exit(3)).start()"),
    "sys.exit(0) in a thread, raise SystemExit(3)": Ending(
        script="t = threading.Thread(target=lambda: sys.exit(0))\nt.start()\nt.join()\nraise SystemExit(3)",
        first="-3",
        second="the script ended itself with `raise SystemExit`, so that its exit code is not known: use sys.exit().",
    ),
    "sys.exit(0)": Ending(script=LOADED + "sys.exit(0)"),
    "sys.exit()": Ending(script=LOADED + "def main():\n    sys.exit()\ntry:\n    main()\nfinally:\n    pass"),
    "sys.exit(3)": Ending(
        script=LOADED + "sys.exit(3)", first="-3", second="the script ended itself with exit code 3"
    ),
    "exit(3)": Ending(script="exit(3)", first="-3", second="the script ended itself with exit code 3"),
    "from sys import exit": Ending(
        script="from sys import exit as leave\n" + HOST + LOADED + "leave(0)", is_with_host=False
    ),
    "sys.exit(text)": Ending(
        script="sys.exit('no\\nfile')", first="-3", second="the script ended itself: no file", stderr=("no\nfile",)
    ),
    "sys.exit kept by somebody": Ending(
        script="kept = []\ntry:\n    sys.exit(3)\nexcept SystemExit as error:\n    kept.append(error)\n    raise",
        first="-3",
        second="the script ended itself with exit code 3",
    ),
    "raise SystemExit(0)": Ending(
        script=LOADED + "raise SystemExit(0)",
        first="-3",
        second="the script ended itself with `raise SystemExit`, so that its exit code is not known: use sys.exit().",
    ),
    "sys.exit(3) caught": Ending(script=LOADED + _CAUGHT.format(3, "pass")),
    "sys.exit(3) caught and kept": Ending(script=LOADED + "kept = []\n" + _CAUGHT.format(3, "kept.append(error)")),
    "sys.exit(0) caught, raise SystemExit(3)": Ending(
        script=_CAUGHT.format(0, "pass") + "raise SystemExit(3)",
        first="-3",
        second="the script ended itself with `raise SystemExit`, so that its exit code is not known: use sys.exit().",
    ),
    "KeyboardInterrupt": Ending(
        script="raise KeyboardInterrupt",
        first="-3",
        second="interrupted; what was committed stands, and it is safe to run again.",
    ),
    "print before, in the buffer": Ending(
        script="print('early')\n" + HOST + LOADED, is_with_host=False, stderr=("early",)
    ),
    "print before, flushed": Ending(
        script="print('early', flush=True)\n" + HOST + LOADED, is_with_host=False, first="early", second="1"
    ),
    "print after": Ending(script=LOADED + "print('late')", stderr=("late",), not_stdout=("late",)),
    "print to the first sys.stdout": Ending(
        script=LOADED + "print('late', file=sys.__stdout__)", stderr=("late",), not_stdout=("late",)
    ),
    "print of a library at import": Ending(
        script=LOADED + "import greeting", stderr=("a library greets",), not_stdout=("greets",)
    ),
    "print of a library before": Ending(
        script="import greeting\n" + HOST + LOADED, is_with_host=False, stderr=("greets",), not_stdout=("greets",)
    ),
    "os.write(1)": Ending(script=LOADED + "os.write(1, b'raw\\n')", stderr=("raw",), not_stdout=("raw",)),
    "printf of a library": Ending(
        script=LOADED + "import ctypes\nctypes.CDLL(None).printf(b'in C\\n')", stderr=("in C",), not_stdout=("in C",)
    ),
    "print of a child process": Ending(
        script=LOADED + "subprocess.run([sys.executable, '-c', 'print(5 * 5 * 5)'])",
        stderr=("125",),
        not_stdout=("125",),
    ),
    "fork": Ending(script="if os.fork():\n    os.wait()\n    note(0, '4 rows')"),
    "two hosts": Ending(script="assert wherescape.host() is host\n" + LOADED),
    "error, then a second host": Ending(
        script="note(1, 'wrong')\nwherescape.host().note(Outcome(Status.DONE, 'fine'))", first="-2", second="wrong"
    ),
    "a library warns": Ending(
        script=LOADED + "import logging, warnings\nlogging.getLogger('lib').error('dropped')\nwarnings.warn('old')",
        stderr=("dropped", "old"),
    ),
    "own message": Ending(script="note(0, '4 rows')\nhost.message = 'all loaded'", second="all loaded"),
    "own message over a failure": Ending(
        script="note(1, 'wrong')\nhost.message = 'all loaded'", first="-2", second="wrong", stdout=("all loaded",)
    ),
    "unicode": Ending(
        script="note(3, 'één €, 日本 🐘 \\ud800')\nprint('🐘', file=sys.__stdout__)",
        first="-1",
        second="één €, 日本 🐘 ?",
        stderr=("\\U0001f418",),
        variables={"PYTHONIOENCODING": "cp1252"},
    ),
    "256 characters": Ending(script=f"note(0, {LONG + 'y'!r})", second=LONG + "y"),
    "257 characters": Ending(script=f"note(0, {LONG + 'yz'!r})", second=LONG + "…"),
    "line feeds": Ending(script="note(1, ' a\\r\\n\\tb\\x00\\u2028c\\x1b[31m')", first="-2", second="a b c [31m"),
    "kill -9": Ending(script=LOADED + "os.kill(os.getpid(), 9)", first="", second=None, code=-9),
    "os._exit": Ending(script=LOADED + "os._exit(5)", first="", second=None, code=5),
    "others' exit functions": Ending(
        script="import atexit\natexit.register(lambda: print('oldest'))\n"
        + HOST
        + LOADED
        + "calls = []\natexit.register(lambda: print('newest', calls.append(1), len(calls)))\n"
        "atexit.register(lambda: {}[1])\n"
        "left = open('left.txt', 'w')\nleft.write('whole')",
        is_with_host=False,
        stderr=("newest None 1\noldest", "KeyError"),
    ),
    "a secret": Ending(
        script="note(1, 'login with s3cr}et failed', details=['PWD={s3cr}}et}'])\nprint('x')",
        first="-2",
        second="login with *** failed",
        stderr=("PWD={***}",),
        not_stderr=("s3cr",),
        variables={"WSL_TGT_PWD": "s3cr}et"},
    ),
    "wrong number": Ending(
        script="host.environment",
        first="-2",
        second="WSL_TASK_KEY is 'seven', which is no whole number. WhereScape RED sets it; outside a job leave it "
        "out, or make it 0.",
        variables={"WSL_TASK_KEY": "seven"},
    ),
    "broken syncer.toml": Ending(script=LOADED, first="-2", second=None, config='exit_code = "no"'),
    "work directory that cannot be": Ending(
        script=LOADED, stderr=("[WARNING] The log file ",), variables={"WSL_WORKDIR": "/dev/null/here/"}
    ),
    "status as exit code, ok": Ending(script=LOADED, config=BY_STATUS),
    "status as exit code, rejects": Ending(script="note(3, 'r')", first="-1", second="r", code=255, config=BY_STATUS),
    "status as exit code, failed": Ending(script="note(4, 'r')", first="-2", second="r", code=254, config=BY_STATUS),
    "status as exit code, crash": Ending(script="{}[1]", first="-3", second=None, code=253, config=BY_STATUS),
    "status as exit code, Develop": Ending(
        script="note(4, 'r')", first="-2", second="r", config=BY_STATUS, variables=DEVELOP
    ),
    "Develop": Ending(script=LOADED, variables=DEVELOP),
    "UNIX scheduler": Ending(
        script=LOADED, variables={"WSL_META_DSN": "", "WSL_SEQUENCE": "", "META_DSN": "r", "SEQUENCE": "1"}
    ),
    "outside RED, ok": Ending(
        script="print('mine')\n" + LOADED, first="mine", second="done: 4 rows", variables=OUTSIDE
    ),
    "outside RED, rejects": Ending(
        script="note(3, 'r')",
        first="done, with something to look at: r",
        second=None,
        code=3,
        variables=OUTSIDE,
        config=BY_STATUS,
    ),
    "outside RED, refused": Ending(script="note(4, 'r')", first="failed: r", second=None, code=4, variables=OUTSIDE),
    "outside RED, usage error": Ending(
        script="raise UsageError('r')", first="failed: r", second=None, code=2, variables=OUTSIDE
    ),
    "outside RED, exception": Ending(
        script="{}[1]",
        first="failed unexpectedly: " + _TOLD.format(_FIRST),
        second=None,
        code=1,
        stderr=("Traceback",),
        variables=OUTSIDE,
    ),
    "outside RED, sys.exit(7)": Ending(
        script="sys.exit(7)",
        first="failed unexpectedly: the script ended itself with exit code 7",
        second=None,
        code=7,
        variables=OUTSIDE,
    ),
}
