"""
The examples of docs/scheduling.md, run by the schedulers that they are for: Airflow and Dagster, each in an
environment of its own that is made here from the pinned versions beside the examples, and cron, taken out of its
Debian package and run in a mount namespace, so that nothing of this machine is changed.

Each pulls a portal of the sandbox into a DuckDB file and pushes to it; without a token that is known the job must
fail, and be told. Not run here: Windows Task Scheduler, WhereScape RED, systemd.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs

from syncer.sandbox import Clock
from syncer.sandbox.hubspot.model import Definition
from tests.hooks import Hook, listening
from tests.outbound import KEY, PushHome, at_home

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
NOT_RUN = ("Windows Task Scheduler", "WhereScape RED", "systemd")
LONGEST_S = 1_200
CRON_S = 120
# In the namespace: directories of cron's own, over those of this machine, which are not there or are left alone.
CRON = """
mount -t tmpfs none /var/spool && mkdir -p /var/spool/cron/crontabs
cp {crontab} /var/spool/cron/crontabs/root && chmod 600 /var/spool/cron/crontabs/root
mount --bind {pam} /etc/pam.d && mount -t tmpfs none /run
exec {cron} -f
"""


@attrs.frozen
class Bench:
    """A folder, a portal and a warehouse in it, the environment that leads to both, and who is told."""

    folder: Path
    home: PushHome
    variables: Mapping[str, str]
    hook: Hook

    def without_token(self) -> dict[str, str]:
        """Return the environment with a token that the portal does not know."""
        return {**self.variables, "SYNCER_HUBSPOT_TOKEN": "pat-na1-wrong"}

    def runs(self) -> list[tuple[str, str, str]]:
        """Return verb, mapping and status of each run since the last call, and forget them."""
        found = self.home.rows("SELECT verb, mapping, status FROM syncer.runs ORDER BY started_at")
        self.home.rows("DELETE FROM syncer.runs")
        return found

    def told(self) -> int:
        """Return how many notifications came since the last call."""
        came = len(self.hook.came)
        self.hook.came.clear()
        return came


@contextlib.contextmanager
def bench() -> Iterator[Bench]:
    """Make one; the relation has three companies that the portal lacks."""
    with tempfile.TemporaryDirectory() as name, listening() as hook, at_home(Path(name) / "home", "duckdb") as home:
        folder = Path(name)
        now = dt.datetime.now(dt.UTC)
        home.site.clock = home.site.store.clock = Clock(now)  # the processes have the true time
        for prop, kind in (("hs_object_id", "number"), ("hs_lastmodifieddate", "datetime")):
            if prop not in home.site.store.definitions["companies"]:
                home.site.store.define("companies", _definition(prop, kind))
        home.relation([{KEY: f"c{number}", "name": f"Company {number}"} for number in (1, 2, 3)])
        words = f'relation = "stage.companies"\nmatch_on = "{KEY}"\n'
        toml = f'[notify]\nwebhook = "{hook.url}"\n[hubspot]\nlimits = "off"\n["hubspot.companies"]\n{words}'
        (folder / "syncer.toml").write_text(toml, encoding="utf-8")
        path = os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"])
        plain = {key: value for key, value in os.environ.items() if not key.startswith(("SYNCER_", "PYTHON"))}
        variables = {**plain, **home.settings.variables, "SYNCER_CONFIG": str(folder / "syncer.toml"), "PATH": path}
        yield Bench(folder, home, variables, hook)


def _definition(name: str, type: str) -> Definition:
    field = "number" if type == "number" else "date"
    return Definition(name=name, label=name, type=type, field_type=field, group_name="companies_information")


def environment(folder: Path, name: str) -> Path:
    """Make an environment with the pinned versions beside the examples; return its folder of programs."""
    made = folder / f"venv-{name}"
    subprocess.run([sys.executable, "-m", "venv", str(made)], check=True)
    programs = made / ("Scripts" if sys.platform == "win32" else "bin")
    pinned = EXAMPLES / f"requirements-{name}.txt"
    subprocess.run(
        [str(programs / "python"), "-m", "pip", "install", "-q", "-r", str(pinned)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=LONGEST_S,
    )
    return programs


def _copied(name: str, folder: Path, wait: str, shorter: str) -> Path:
    """Copy an example, whose wait before a retry alone is shorter here; return the copy."""
    text = (EXAMPLES / name).read_text(encoding="utf-8")
    assert text.count(wait) == 1, wait
    (folder / name).write_text(text.replace(wait, shorter), encoding="utf-8")
    return folder / name


def called(command: list[str], variables: Mapping[str, str], log: Path) -> int:
    """Run a program of a scheduler; return its exit code. What it printed stands in *log*."""
    with log.open("ab") as file:
        return subprocess.run(
            command, env=dict(variables), stdout=file, stderr=file, cwd=log.parent, timeout=LONGEST_S
        ).returncode


def airflow(at: Bench) -> list[str]:
    """Run the DAGs of the example, with a database of their own; return what was not as it should be."""
    programs = environment(at.folder, "airflow")
    dags = at.folder / "dags"
    dags.mkdir()
    _copied("airflow_syncer.py", dags, "timedelta(minutes=5)", "timedelta(seconds=1)")
    own = {
        "AIRFLOW_HOME": str(at.folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    log, program = at.folder / "airflow.log", str(programs / "airflow")
    if called([program, "db", "migrate"], {**at.variables, **own}, log):
        return [f"airflow db migrate failed:\n{_end_of(log)}"]

    def test(dag: str, variables: Mapping[str, str]) -> int:
        return called([program, "dags", "test", dag, "2026-03-01"], {**variables, **own}, log)

    return _judged("airflow", at, log, test)


def dagster(at: Bench) -> list[str]:
    """Run the jobs of the example; return what was not as it should be."""
    programs = environment(at.folder, "dagster")
    file = _copied("dagster_syncer.py", at.folder, "seconds_to_wait=300", "seconds_to_wait=1")
    (at.folder / "dagster").mkdir()
    own = {"DAGSTER_HOME": str(at.folder / "dagster"), "DAGSTER_DISABLE_TELEMETRY": "yes"}
    log, program = at.folder / "dagster.log", str(programs / "dagster")

    def execute(job: str, variables: Mapping[str, str]) -> int:
        return called([program, "job", "execute", "-f", str(file), "-j", job], {**variables, **own}, log)

    return _judged("dagster", at, log, execute)


def _judged(name: str, at: Bench, log: Path, run: Callable[[str, Mapping[str, str]], int]) -> list[str]:
    """Run the hourly and the nightly job, and one without a token; hold the runs against what they should be."""
    mapping, wrong = "hubspot.companies", []
    wanted = {
        "syncer_hourly": [("pull", mapping, "done"), ("push", mapping, "done")],
        "syncer_nightly": [("pull", mapping, "done")],
    }
    for job, expected in wanted.items():
        began = time.perf_counter()
        code, runs, told = run(job, at.variables), at.runs(), at.told()
        print(f"{name} {job}: exit {code}, {time.perf_counter() - began:.1f} s, runs {runs}, {told} told", flush=True)
        if (code, runs, told) != (0, expected, 0):
            wrong.append(f"{name} {job}: exit {code}, {runs}, {told} told:\n{_end_of(log)}")
    return wrong + refused(name, at, run)


def refused(name: str, at: Bench, run: Callable[[str, Mapping[str, str]], int]) -> list[str]:
    """Run the nightly job with a token that nobody knows: it fails, and somebody is told."""
    code, runs, told = run("syncer_nightly", at.without_token()), at.runs(), at.told()
    print(f"{name} syncer_nightly, wrong token: exit {code}, runs {runs}, {told} told", flush=True)
    is_right = code and told and all(status == "failed" for _, _, status in runs)
    return [] if is_right else [f"{name} with a wrong token: exit {code}, {runs}, {told} told"]


def cron(at: Bench) -> list[str]:
    """Run cron for at most two minutes with the lines of the example, each due now; return what was wrong."""
    package = _package(at.folder)
    if package is None:
        print("cron: not run (its Debian package cannot be had, or no namespace can be made)")
        return []
    lines = (EXAMPLES / "syncer.crontab").read_text(encoding="utf-8").splitlines()
    [hourly] = [line for line in lines if line.startswith("7 * * * *")]
    keep = ("SYNCER_", "PATH")
    named = [f"{key}={value}" for key, value in at.variables.items() if key.startswith(keep)]
    due = hourly.replace("7 * * * *", "* * * * *").replace("'hubspot.*'", "hubspot.companies")
    (at.folder / "crontab").write_text("\n".join([*named, 'MAILTO=""', due, ""]), encoding="utf-8")
    script = CRON.format(
        crontab=at.folder / "crontab", pam=package / "etc" / "pam.d", cron=package / "usr" / "sbin" / "cron"
    )
    began = time.perf_counter()
    process = subprocess.Popen(["unshare", "-m", "sh", "-ec", script])
    try:
        while time.perf_counter() - began < CRON_S and process.poll() is None:
            time.sleep(1)
            if len(_seen(at)) >= len(("pull", "push")):
                break
    finally:
        process.terminate()
        process.wait(10)
    runs, told = _seen(at), at.told()
    print(f"cron: {time.perf_counter() - began:.1f} s, runs {runs}, {told} told", flush=True)
    wanted = [("pull", "hubspot.companies", "done"), ("push", "hubspot.companies", "done")]
    return [] if (runs[:2], told) == (wanted, 0) else [f"cron: {runs}, {told} told"]


def _seen(at: Bench) -> list[tuple[str, str, str]]:
    """Return the runs that ended so far; none while the file is held, or has no table of runs."""
    import duckdb

    query = "SELECT verb, mapping, status FROM syncer.runs WHERE status <> 'running' ORDER BY started_at"
    try:
        return at.home.rows(query)
    except duckdb.Error:
        return []


def _package(folder: Path) -> Path | None:
    """Take cron out of its Debian package, without installing it; None where that cannot be."""
    if shutil.which("apt-get") is None or shutil.which("unshare") is None or os.geteuid() != 0:
        return None
    quiet = subprocess.DEVNULL
    for command in (["apt-get", "download", "-qq", "cron"], ["unshare", "-m", "true"]):
        if subprocess.run(command, cwd=folder, stdout=quiet, stderr=quiet, timeout=300).returncode:
            return None
    [file] = folder.glob("cron_*.deb")
    subprocess.run(["dpkg", "-x", str(file), str(folder / "cron")], check=True)
    pam = folder / "cron" / "etc" / "pam.d"
    for each in Path("/etc/pam.d").iterdir():
        if not (pam / each.name).exists():
            shutil.copy(each, pam)
    return folder / "cron"


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])


def campaign(*, is_short: bool) -> int:
    """Run each scheduler; return how many things were wrong. The short form runs cron alone."""
    wrong: list[str] = []
    for scheduler in (cron,) if is_short else (cron, dagster, airflow):
        began = time.perf_counter()
        with bench() as at:
            wrong += scheduler(at)
        print(f"{scheduler.__name__}: {time.perf_counter() - began:.0f} s in all", flush=True)
    for each in wrong:
        print(f"  {each}")
    print(f"not run: {', '.join(NOT_RUN)}")
    return len(wrong)
