"""
Start syncer, or its tests, on a machine that has only Python 3.11 or newer.

    python3 start.py demo            install into .venv here, then run `syncer demo`
    python3 start.py test            install what the tests need as well, then run them
    python3 start.py COMMAND …       install, then run any other command of syncer

Versions are those of `requirements/`. Only the standard library is used here, and words that an old Python
understands, so that it can say which one is needed. What is installed is installed once; a change of `requirements/`
or of `pyproject.toml` installs again.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
OLDEST = (3, 11)
NAMES = ("python3.13", "python3.12", "python3.11", "python3.14", "python3")


def main(arguments):
    """Install, then run; return the exit code of what was run."""
    if sys.version_info < OLDEST:
        return run_with_newer(arguments)
    if not arguments:
        print(__doc__.strip())
        return 2
    is_test = arguments[0] == "test"
    requirements = HERE / "requirements" / ("tests.txt" if is_test else "runtime.txt")
    python = installed(requirements)
    command = (
        [str(python), "-m", "pytest", "-n", "2"] + arguments[1:]
        if is_test
        else [str(python), "-m", "syncer"] + arguments
    )
    return handed_over(command, folder=str(HERE) if is_test else None)


def handed_over(command, folder=None):
    """Become the command, so that who ends us ends it; Windows has no such thing, and waits for it."""
    if os.name != "posix":
        return run(command, folder)
    if folder is not None:
        os.chdir(folder)
    sys.stdout.flush()
    os.execv(command[0], command)


def run(command, folder=None):
    """
    Run a command to its end; return its exit code, as a shell has it.

    Ctrl-C reaches the command as well; what comes of it is the command's own affair, so here it is only waited out.
    """
    # A command does not inherit a handler, as it would SIG_IGN.
    before = signal.signal(signal.SIGINT, lambda number, frame: None)
    try:
        code = subprocess.Popen(command, cwd=folder).wait()
    finally:
        signal.signal(signal.SIGINT, before)
    return 128 - code if code < 0 else code


def run_with_newer(arguments):
    """Look for a newer Python on this machine and hand over to it."""
    for name in NAMES:
        found = shutil.which(name)
        if (
            found
            and subprocess.call(
                [found, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"], stderr=subprocess.DEVNULL
            )
            == 0
        ):
            return handed_over([found, str(Path(__file__).resolve())] + list(arguments))
    print(
        "syncer needs Python 3.11 or newer; this one is older, and no newer one was found.",
        file=sys.stderr,
    )
    return 1


def installed(requirements):
    """Make the virtual environment hold just what *requirements* pins; return its Python."""
    python = VENV / "Scripts" / "python.exe" if os.name == "nt" else VENV / "bin" / "python"
    stamp = VENV / ("installed-" + requirements.name)
    wanted = digest(requirements, HERE / "pyproject.toml")  # whichever Python calls: the one in .venv stays
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    print("Installing into .venv …", file=sys.stderr, flush=True)
    if not python.exists():
        make_venv()
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-input"]
    subprocess.check_call(pip + ["--requirement", str(requirements)])
    subprocess.check_call(pip + ["--no-deps", "--no-build-isolation", "--editable", str(HERE)])
    stamp.write_text(wanted)
    return python


def make_venv():
    """Make the environment; where Debian left the module out, install its package if we may."""
    command = [sys.executable, "-m", "venv", str(VENV)]
    if subprocess.call(command, stdout=subprocess.DEVNULL) == 0:
        return
    shutil.rmtree(VENV, ignore_errors=True)
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0:
        quiet = {"stdout": subprocess.DEVNULL}
        subprocess.call(["apt-get", "update"], **quiet)
        subprocess.call(["apt-get", "install", "--yes", package], **quiet)
    if subprocess.call(command) != 0:
        sys.exit("Python's module venv does not work here. On Debian and Ubuntu: apt-get install " + package)


def digest(*parts):
    """Return a digest of files and texts."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.read_bytes() if isinstance(part, Path) else part.encode())
    return found.hexdigest()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("start.py: interrupted; run it again to go on.", file=sys.stderr)
        sys.exit(130)
