"""A skipped test proved nothing: it fails the session, but for those marked `sqlserver`, which are listed."""

from __future__ import annotations

import pytest

ALLOWED = "sqlserver"


def _skipped(session: pytest.Session) -> list[pytest.TestReport]:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    kinds = ("skipped", "xfailed", "xpassed")
    return [report for kind in kinds for report in reporter.stats.get(kind, ())] if reporter is not None else []


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a session in which a test was skipped; a worker of pytest-xdist leaves that to its controller."""
    if hasattr(session.config, "workerinput"):
        return
    skipped = _skipped(session)
    lacking = [report for report in skipped if ALLOWED not in report.keywords]
    for report in skipped:
        print(f"\nnot run: {report.nodeid}" + (" (no SQL Server here)" if report not in lacking else ""))
    if lacking and session.exitstatus == pytest.ExitCode.OK:
        print(f"\n{len(lacking)} tests were skipped; a skip would hide what is missing, so this is a failure.")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
