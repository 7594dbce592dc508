"""
Start syncer, or its tests, on a machine that has only Python 3.11 or newer.

    python3 start.py demo            install into .venv here, then run `syncer demo`
    python3 start.py test            install what the tests need as well (servers, too), then run them
    python3 start.py COMMAND …       install, then run any other command of syncer

Versions are those of `requirements/`. Only the standard library is used here, and words that an old Python
understands, so that it can say which one is needed. What is installed is installed once; a change of `requirements/`
or of `pyproject.toml` installs again.

The tests start real servers. On Debian and Ubuntu, as root, the packages that lack are installed for them, and nothing
else of the system changes: no server of the system's own is made or started. Elsewhere it says what to install, and
stops: a test that is left out proves nothing. No other command asks for these packages.
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
# What the tests start or load: a package of Debian and Ubuntu, what it brings, and how to see that it is there.
NEEDED = (
    ("postgresql", "PostgreSQL 14 or newer, with initdb", lambda: has_program("initdb", "/usr/lib/postgresql/*/bin")),
    ("unixodbc", "unixODBC", lambda: os.name == "nt" or has_program("odbcinst")),
    ("odbc-postgresql", "PostgreSQL's ODBC driver, by the name PostgreSQL Unicode", lambda: has_driver(POSTGRESQL)),
    ("libsqliteodbc", "the SQLite ODBC driver, by the name SQLite3", lambda: has_driver("SQLite3")),
    ("tdsodbc", "the FreeTDS ODBC driver, by the name FreeTDS", lambda: has_driver("FreeTDS")),
    ("pgbouncer", "PgBouncer", lambda: has_program("pgbouncer", "/usr/sbin")),
    ("chromium", "Chromium, in which the tests look at reports", lambda: any(map(has_program, BROWSERS))),
    ("iproute2", "the program ip", lambda: sys.platform != "linux" or has_program("ip", "/sbin", "/usr/sbin")),
)
POSTGRESQL = "PostgreSQL Unicode"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
CLUSTERS = Path("/etc/postgresql-common/createcluster.conf")
POLICY = Path("/usr/sbin/policy-rc.d")
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
    if is_test:
        install_servers()
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


def install_servers():
    """Make sure that what the tests start is there; install it where we may, else say what to install, and stop."""
    missing = lacking()
    if not missing:
        return
    packages = [package for package, _, _ in missing]
    if may_install():
        print("Installing " + ", ".join(packages) + " …", file=sys.stderr, flush=True)
        try:
            install_quietly(packages)
        except (OSError, subprocess.CalledProcessError) as error:
            print("start.py: %s" % error, file=sys.stderr)
        missing = lacking()
        if not missing:
            return
    print("start.py: the tests start real servers, and these are not here:", file=sys.stderr)
    for _, what, _ in missing:
        print("  " + what, file=sys.stderr)
    print(
        "On Debian and Ubuntu, as root, this command installs them, or: apt-get install "
        + " ".join(package for package, _, _ in missing)
        + "\nElsewhere install them with the system's own packages, then run it again. Nothing was tested.",
        file=sys.stderr,
    )
    sys.exit(1)


def lacking():
    """Return which of NEEDED are not there."""
    return [each for each in NEEDED if not each[2]()]


def has_program(name, *folders):
    """Tell whether a program is on the PATH, or in a folder that need not be there."""
    found = [each for folder in folders for each in Path("/").glob(folder.lstrip("/") + "/" + name)]
    return bool(found or shutil.which(name))


def has_driver(name):
    """Tell whether ODBC knows a driver by that name."""
    if os.name == "nt":
        command = ["reg", "query", "HKLM\\SOFTWARE\\ODBC\\ODBCINST.INI\\" + name]
        return subprocess.call(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) == 0
    if not shutil.which("odbcinst"):
        return False
    told = subprocess.run(["odbcinst", "-q", "-d"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    return "[" + name + "]" in told.stdout.decode("utf-8", "replace").splitlines()


def may_install():
    """Tell whether packages of Debian can be installed here."""
    return bool(shutil.which("apt-get")) and hasattr(os, "geteuid") and os.geteuid() == 0


def install_quietly(packages):
    """
    Install packages of Debian or Ubuntu, and start nothing of theirs.

    While it works, two files tell Debian's scripts so: one that no service is to be started, one that no cluster of
    PostgreSQL is to be made. Both are put back as they were.
    """
    had_bouncer = has_program("pgbouncer", "/usr/sbin")
    with_policy = not POLICY.exists()
    quietly(["apt-get", "update"], may_fail=True)  # an old list may do
    install = ["apt-get", "install", "--yes", "--no-install-recommends"]
    try:
        if with_policy:
            POLICY.write_text("#!/bin/sh\nexit 101\n")
            POLICY.chmod(0o755)
        if "postgresql" in packages:
            quietly(install + ["postgresql-common"])  # it brings CLUSTERS
            before = CLUSTERS.read_text()
            try:
                CLUSTERS.write_text(before + "\ncreate_main_cluster = false\n")
                quietly(install + packages)
            finally:
                CLUSTERS.write_text(before)
        else:
            quietly(install + packages)
    finally:
        if with_policy and POLICY.exists():
            POLICY.unlink()
    if not had_bouncer and shutil.which("systemctl"):  # else it would start with the machine
        quietly(["systemctl", "disable", "pgbouncer"], may_fail=True)


def quietly(command, may_fail=False):
    """Run a command; show what it said only where it failed. Raises CalledProcessError."""
    environment = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment)
    if done.returncode and not may_fail:
        sys.stderr.write(done.stdout.decode("utf-8", "replace")[-3000:])
        raise subprocess.CalledProcessError(done.returncode, command)


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
