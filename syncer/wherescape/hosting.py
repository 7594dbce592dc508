"""
The host: what stands between a script and WhereScape RED. One a process; the first verb of `wherescape` makes it.

It takes stdout (`streams.py`), collects what came of each thing that the script did, watches how the script ends
(`ending.py`), and at the very end writes the result once (`protocol.py`) and leaves with the exit code that RED wants.
Status and message follow from outcomes alone; what a library logs goes to stderr and decides nothing.

Outside RED nothing is taken: what is printed is printed, the result is a line of plain words, and the exit code is the
command line's.

Not here: the verbs; which forms a secret has (`concealing.py`); what child processes tell (`children.py`). A process
that is killed, or that calls `os._exit`, prints nothing; RED takes that for -3.
"""

from __future__ import annotations

import contextlib
import os
import sys
import sysconfig
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from traceback import TracebackException
from types import TracebackType
from typing import Any, TextIO, TypeGuard

import attrs

from syncer import settings
from syncer.errors import SyncerError
from syncer.settings import ZERO
from syncer.wherescape import children, ending, environment, protocol, streams
from syncer.wherescape.children import Children
from syncer.wherescape.concealing import Secrets
from syncer.wherescape.ending import Exited, Watch, others_first
from syncer.wherescape.environment import Environment
from syncer.wherescape.logfile import LogFile, file_in
from syncer.wherescape.protocol import WORDS, Outcome, Status
from syncer.wherescape.streams import Stdout, conceal_in, flush_all, make_printable

FORMAT = "[{level}] {time:YYYY-MM-DD HH:mm:ss} {file} {function}():{line}: {message}"  # loguru appends an exception
_LEVELS = {Status.DONE: "INFO", Status.WARNED: "WARNING", Status.FAILED: "ERROR", Status.FATAL: "CRITICAL"}
INTERRUPTED = "interrupted; what was committed stands, and it is safe to run again."
UNFINISHED = "{} was not done when the script ended; what was committed stands, and it is safe to run again."
UNWRITABLE = "<exception str() failed>"  # as `traceback` calls the text of an error that has none
CLOSED = "[CRITICAL] The script closed files that it had not opened: its stdout was closed, and RED reads no result."
REPLACED = "threading.excepthook was set behind syncer's own: an error in a thread may be unseen. Set it before the "
REPLACED += "first verb; it is called as well."
ALONE = "[WARNING] Nobody hears that this child process is done: import syncer.wherescape at the script's head."
NOBODYS = ("<attrs ", "<frozen ", str(streams.__file__))  # lines that stand in no file, or between a script and stderr
_made: list[Host] = []
_early: list[str] = []  # secrets that were read before there was a host
_making = threading.RLock()


def host() -> Host:
    """Return the host of this process; make it, and let it take over, the first time."""
    with _making:
        if not _made:
            _made.append(Host(os.environ))
            _made[0].conceal(*_early)
            _made[0].take_over()
        return _made[0]


def end() -> None:
    """Make a host at the very end of a script that has none, and tell the result."""
    if not _made:
        host().finish()


def conceal(*secrets: str) -> None:
    """Take *secrets* out of all that the host of this process tells, though it be made later."""
    with _making:
        _early.extend(secrets)
        if _made:
            _made[0].conceal(*secrets)


class Host:
    """
    Collects what a script did, and tells RED at the end.

    message: what people are to see first where nothing failed; a failure is never hidden behind it. Whatever it is set
    to, it is a text; None is none.
    body: what stands behind the status instead of the message where nothing failed, whole, in one line; "" where there
    is to be one and none came; None: RED wants a message.
    """

    def __init__(self, variables: Mapping[str, str], *, exit_code: str = ZERO) -> None:
        """Make a host that only collects, as tests do; `take_over` makes it the process's own."""
        self._message = ""
        self._body: str | None = None
        self.is_inside_red = environment.is_inside(variables)
        self._variables = dict(variables)
        self._exit_code = exit_code
        self._outcomes: list[Outcome] = []
        self._told: list[BaseException] = []  # kept, so that none is counted twice
        self._at_work: dict[object, str] = {}  # verbs that were begun and are not over
        self._children: Children | None = None  # where child processes tell what came of them
        self._secrets = Secrets(environment.secrets_of(variables))
        self._stdout: Stdout | None = None
        self._watch: Watch | None = None
        self._log: LogFile | None = None
        self._crash: BaseException | None = None  # what ended the main script
        self._thread_hook: Callable[[Any], Any] | None = None  # ours, which sees the errors of threads
        self._process = os.getpid()

    @property
    def message(self) -> str:
        """What people are to see first where nothing failed."""
        return self._message

    @message.setter
    def message(self, message: object) -> None:
        self._message = protocol.text_of(message)

    @property
    def body(self) -> str | None:
        """What stands behind the status instead of the message."""
        return self._body

    @body.setter
    def body(self, body: object) -> None:
        self._body = None if body is None else protocol.text_of(body)

    @property
    def environment(self) -> Environment:
        """What RED says of this script. Raises UsageError: a number is none, or the schema is no name."""
        return environment.read(self._variables)

    def note(self, outcome: Outcome) -> None:
        """Count what came of one thing; its message and details go to the log and to stderr."""
        from loguru import logger

        self._outcomes.append(outcome)
        if self._is_child and self._children is not None:
            self._children.tell(attrs.evolve(outcome, message=self.hidden(outcome.message)))
        told = logger.opt(depth=1)
        for text in filter(None, (outcome.message, *outcome.details)):
            told.log(_LEVELS[outcome.status], "{}", text)

    def failed(self, error: BaseException) -> None:
        """Count an error, once, whoever catches it later; a verb calls this before it lets the error go."""
        if any(error is each for each in self._told):
            return
        self._told.append(error)
        if isinstance(error, KeyboardInterrupt):
            self.note(Outcome(Status.FATAL, INTERRUPTED))
        elif is_expected(error):
            self.note(protocol.of_error(error))
        else:
            self.note(Outcome(Status.FATAL, _kind_and_place(error)))

    @contextlib.contextmanager
    def working(self, verb: str) -> Iterator[None]:
        """Know that a verb is at work, in whichever thread: where it has no end, the script has failed."""
        mark, process = object(), os.getpid()
        above = self._children if self._is_child else None
        self._at_work[mark] = verb
        if above is not None:
            above.begin(verb)
        try:
            yield
        finally:
            del self._at_work[mark]
            if above is not None and process == os.getpid():
                above.end(verb)

    def conceal(self, *secrets: str) -> None:
        """Take *secrets* out of all that is told from now on: the log, stderr, the result."""
        self._secrets.add(*secrets)

    def hidden(self, text: str) -> str:
        """Take every known secret out of *text*."""
        return self._secrets.hidden(text)

    def result(self, exited: Exited | None = None) -> tuple[Outcome, tuple[str, ...]]:
        """
        Return what the script came to, its message in one line, and the audit lines; *exited*: how the script ended
        itself.
        """
        found = [*self._outcomes, *_outcome_of(exited)]
        worst = protocol.worst(found)
        is_good = worst.status in (Status.DONE, Status.WARNED)
        own = protocol.line(self.message)
        shown = own if is_good and own else worst.message
        if not shown:
            shown = f"{self._name()}: {WORDS[worst.status]}"
        is_said = shown == worst.message  # then the messages of that status stand in it
        lines = [own, *(each.message for each in found if not (is_said and each.status is worst.status))]
        audit = tuple(dict.fromkeys(self.hidden(each) for each in map(protocol.line, lines) if each != shown))
        outcome = Outcome(worst.status, self.hidden(shown), exit_code=worst.exit_code)
        return outcome, tuple(each for each in audit if each)

    def exit_code(self, outcome: Outcome, exited: Exited | None = None) -> int:
        """Return what the process leaves with: 0 inside RED, its status where the site says so; else our own."""
        if not self.is_inside_red:
            own = exited.code if exited is not None else None
            return own & 0xFF if isinstance(own, int) and own & 0xFF else outcome.exit_code
        if self._exit_code == ZERO or outcome.status is Status.DONE or self._is_development():
            return 0
        return int(outcome.status)

    def take_over(self) -> None:
        """
        Make this the process's host: take stdout inside RED, log, and tell the result at the end. A child process of
        `multiprocessing` tells its script's host instead.
        """
        self._children = Children.of_parent(os.environ)
        if self._children is not None:
            self._process = 0  # another one's: this is a child
            if self.is_inside_red:
                self._take_streams()  # it may have been started before the script's host took its own
            else:
                self._conceal_in(sys.stdout, sys.stderr)
            self._start_logs()
            return
        self._children = Children.of_script(os.environ)
        if self.is_inside_red:
            self._take_streams()
        for stream in (sys.stdout, sys.stderr):
            make_printable(stream)
        self._start_logs()
        self._watch = ending.watch()
        self._catch_errors()
        others_first(self.finish)
        try:
            site = settings.load(variables=self._variables)
            self.conceal(*settings.secrets_in(site.tables))
            self._exit_code = site.wherescape_exit_code
        except SyncerError as error:
            self.failed(error)

    @property
    def _is_child(self) -> bool:
        return os.getpid() != self._process

    def _take_streams(self) -> None:
        """Take stdout away from everybody else, and secrets out of what is written to stderr in this process."""
        before = sys.stdout
        self._stdout = Stdout.taken()
        self._conceal_in(before, sys.__stdout__, sys.stdout, sys.__stderr__, sys.stderr)

    def _conceal_in(self, *streams: TextIO | None) -> None:
        for stream in {id(each): each for each in streams}.values():
            conceal_in(stream, self.hidden)

    def _start_logs(self) -> None:
        from loguru import logger

        logger.enable("syncer")
        with contextlib.suppress(ValueError):  # the script has taken it away already
            logger.remove(0)  # loguru's own: everything, with the values of variables
        for sink in (self._to_stderr, self._to_file):
            logger.add(sink, level="INFO", format=FORMAT, diagnose=False, backtrace=False)
        if self.is_inside_red:
            file = file_in(environment.workdir_of(self._variables))
            self._log = LogFile(file, lambda text: self._to_stderr(f"[WARNING] {text}"))

    def _to_stderr(self, text: str) -> None:
        if sys.stderr is not None:
            with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
                sys.stderr.write(f"{self.hidden(str(text)).rstrip()}\n")

    def _to_file(self, text: str) -> None:
        if self._log is not None:
            self._log.write(self.hidden(str(text)).rstrip())

    def _catch_errors(self) -> None:
        """See what nobody catches, in the main thread and in others, and Ctrl-C where nobody can."""
        hook, thread_hook, unraisable_hook = sys.excepthook, threading.excepthook, sys.unraisablehook

        def caught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
            self._crash = error
            self.failed(error)
            self._show(error, None if hook is sys.__excepthook__ else lambda: hook(kind, error, trace))

        def caught_in_thread(given: Any) -> None:
            if given.exc_value is not None and not isinstance(given.exc_value, SystemExit):
                self.failed(given.exc_value)
                own = thread_hook is threading.__excepthook__
                self._show(given.exc_value, None if own else lambda: thread_hook(given))

        def nobody_can(given: Any) -> None:
            if isinstance(given.exc_value, KeyboardInterrupt):  # while Python waits for threads
                self.failed(given.exc_value)
            unraisable_hook(given)

        sys.excepthook, threading.excepthook, sys.unraisablehook = caught, caught_in_thread, nobody_can
        self._thread_hook = caught_in_thread

    def _show(self, error: BaseException, own_way: Any) -> None:
        """Print the traceback of an error that nobody foresaw on stderr, or do with it what the script wants."""
        if own_way is not None:
            own_way()
        elif not isinstance(error, KeyboardInterrupt) and not is_expected(error):
            self._to_stderr("".join(traceback.format_exception(error)))

    def finish(self) -> None:
        """Tell the result, and end the process."""
        if self._is_child:
            return  # one that the script forked
        written: bytes | None = None
        is_alone = False
        code = self.exit_code(Outcome(Status.FATAL, ""))
        try:
            exited = self._exited()
            self._count_unfinished()
            outcome, audit = self.result(exited)
            code = self.exit_code(outcome, exited)
            written = self._written(outcome, audit)
            is_alone = children.is_child() and outcome.status in (Status.DONE, Status.WARNED)
            if is_alone:
                self._to_stderr(ALONE)
            if self._stdout is None:
                self._say_plainly(outcome, audit)
            if self._log is not None:
                self._log.close()
            flush_all()
        finally:
            error = sys.exc_info()[1]
            if error is not None:
                self._to_stderr("".join(traceback.format_exception(error)))
            if self._stdout is not None and not (is_alone and written):
                self._stdout.write(written or protocol.rendered(Status.FATAL, self._unsaid(error)))
                if self._stdout.is_closed:
                    self._to_stderr(CLOSED)
            os._exit(code)

    def _unsaid(self, error: BaseException | None) -> str:
        why = "" if error is None else f": {_kind_and_place(error)}"
        return self.hidden(f"syncer could not say what came of this run{why}")

    def _count_unfinished(self) -> None:
        """
        Count verbs that are still at work, in threads that nobody waits for, what child processes told, and that
        nobody saw how threads ended.
        """
        told, unfinished = self._children.told() if self._children is not None else ([], [])
        self._outcomes += told  # they stand in the log already
        verbs = [*self._at_work.values(), *(f"{each} in a child process" for each in unfinished)]
        for verb in dict.fromkeys(verbs):
            self.note(Outcome(Status.FATAL, UNFINISHED.format(verb)))
        if self._thread_hook is not None and threading.excepthook is not self._thread_hook:
            self.note(Outcome(Status.WARNED, REPLACED))

    def _written(self, outcome: Outcome, audit: tuple[str, ...]) -> bytes:
        """Write the result as RED reads it."""
        if self.body and outcome.status in (Status.DONE, Status.WARNED):
            return protocol.with_body(outcome.status, self.hidden(self.body))
        return protocol.rendered(outcome.status, outcome.message, audit)

    def _exited(self) -> Exited | None:
        """Tell how the script ended itself; count an error that ended it, and that another hook kept from us."""
        if children.is_child():
            return None
        exited = self._watch.exited() if self._watch is not None else None
        if self._crash is not None:
            return None
        unseen: BaseException | None = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        is_blind = exited is None and self._watch is not None and self._watch.is_blind
        if unseen is None or not (is_blind or (exited is not None and not exited.is_known)):
            return exited
        self.failed(unseen)
        return None

    def _say_plainly(self, outcome: Outcome, audit: tuple[str, ...]) -> None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            if self.body is not None:  # whoever asked for it reads it as RED does
                sys.stdout.write(self._written(outcome, audit).decode())
                return
            for text in (f"{WORDS[outcome.status]}: {outcome.message}", *audit):
                sys.stdout.write(f"{text}\n")

    def _name(self) -> str:
        """Name what ran: the task, the load table or the job, else the script."""
        names = (self._variables.get(f"WSL_{each}", "").strip() for each in ("TASK_NAME", "LOAD_TABLE", "JOB_NAME"))
        return next(filter(None, names), Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "script")

    def _is_development(self) -> bool:
        try:
            return self.environment.is_development
        except SyncerError:
            return False


def _outcome_of(exited: Exited | None) -> list[Outcome]:
    if exited is None or exited.is_fine:
        return []
    if exited.was_over:
        said = "the script ended itself before the host was there, so that its exit code is not known: call "
        said += "wherescape.host() first."
    elif not exited.is_known:
        said = "the script ended itself with `raise SystemExit`, so that its exit code is not known: use sys.exit()."
    elif isinstance(exited.code, int):
        said = f"the script ended itself with exit code {int(exited.code)}"
    else:
        said = f"the script ended itself: {exited.code}"
    return [Outcome(Status.FATAL, said)]


def is_expected(error: BaseException) -> TypeGuard[SyncerError]:
    """Tell whether an error is one of syncer's, which says itself what happened; one without a text does not."""
    return isinstance(error, SyncerError) and str(TracebackException(type(error), error, None)) != UNWRITABLE


def _kind_and_place(error: BaseException) -> str:
    return f"unexpected {type(error).__name__}{_place(error)}"


def _place(error: BaseException) -> str:
    """
    Say where an error arose, in the innermost line that is no library's; never its text, which may hold values.
    """
    frames = traceback.extract_tb(error.__traceback__)
    libraries = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    written = [each for each in frames if not each.filename.startswith(NOBODYS)]
    own = [each for each in written if not any(Path(each.filename).is_relative_to(folder) for folder in libraries)]
    for frame in (own or list(frames))[-1:]:
        return f" in {Path(frame.filename).name}, line {frame.lineno}; its traceback is on stderr."
    return "; its traceback is on stderr."
