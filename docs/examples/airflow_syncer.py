"""syncer in Airflow 3: every hour what changed comes in and goes out; each night what is gone is looked for."""

import subprocess
from datetime import UTC, datetime, timedelta

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


@task(retries=1, retry_delay=timedelta(minutes=5), execution_timeout=timedelta(hours=2))
def syncer(*arguments: str) -> int:
    """Run syncer; its exit code says whether another try may mend what went wrong."""
    code = subprocess.run(["syncer", *arguments]).returncode
    if code in (2, 4):  # wrong usage; refused by limits: a person has to look
        raise AirflowFailException(f"syncer {arguments[0]} ended with {code}: no retry mends that")
    if code not in (0, 3):  # 3: done, with rejects or conflicts, which [notify] tells
        raise RuntimeError(f"syncer {arguments[0]} ended with {code}")
    return code


@dag(schedule="7 * * * *", start_date=SINCE, catchup=False, max_active_runs=1)
def syncer_hourly():
    """Pull first: a push compares with what is there."""
    pull = syncer.override(task_id="pull")("pull", "hubspot.companies", "--wait", "10m")
    push = syncer.override(task_id="push")("push", "hubspot.companies", "--wait", "10m")
    pull >> push


@dag(schedule="37 2 * * *", start_date=SINCE, catchup=False, max_active_runs=1)
def syncer_nightly():
    """What is no longer there, and whether both sides agree."""
    census = syncer.override(task_id="census")("pull", "hubspot.companies", "--census", "--wait", "1h")
    verify = syncer.override(task_id="verify")("verify", "hubspot.companies", "--sample", "5000")
    census >> verify


syncer_hourly()
syncer_nightly()
