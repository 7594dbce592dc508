"""syncer in Dagster: every hour what changed comes in and goes out; each night what is gone is looked for."""

import subprocess

import dagster as dg


def syncer(*arguments: str) -> None:
    """Run syncer; its exit code says whether another try may mend what went wrong."""
    code = subprocess.run(["syncer", *arguments]).returncode
    if code in (2, 4):  # wrong usage; refused by limits: a person has to look
        raise dg.Failure(f"syncer {arguments[0]} ended with {code}", allow_retries=False)
    if code not in (0, 3):  # 3: done, with rejects or conflicts, which [notify] tells
        raise dg.RetryRequested(max_retries=1, seconds_to_wait=300)


@dg.op(out=dg.Out(dg.Nothing))
def pull() -> None:
    """Bring in what changed."""
    syncer("pull", "hubspot.companies", "--wait", "10m")


@dg.op(ins={"pulled": dg.In(dg.Nothing)})
def push() -> None:
    """Bring out what changed; after the pull, since a push compares with what is there."""
    syncer("push", "hubspot.companies", "--wait", "10m")


@dg.op(out=dg.Out(dg.Nothing))
def census() -> None:
    """Find what is no longer there."""
    syncer("pull", "hubspot.companies", "--census", "--wait", "1h")


@dg.op(ins={"counted": dg.In(dg.Nothing)})
def verify() -> None:
    """Compare both sides."""
    syncer("verify", "hubspot.companies", "--sample", "5000")


@dg.job
def syncer_hourly() -> None:
    """Pull, then push."""
    push(pull())


@dg.job
def syncer_nightly() -> None:
    """Census, then verify."""
    verify(census())


defs = dg.Definitions(
    jobs=[syncer_hourly, syncer_nightly],
    schedules=[
        dg.ScheduleDefinition(job=syncer_hourly, cron_schedule="7 * * * *"),
        dg.ScheduleDefinition(job=syncer_nightly, cron_schedule="37 2 * * *"),
    ],
)
