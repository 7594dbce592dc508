"""Every request goes through the transport: over a real socket, with the faults that networks have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
import pytest

from syncer.budget import Bucket, Budget
from syncer.errors import AnswerError, NotAllowed, NotFound, RequestError, SyncerError, Unavailable
from syncer.sandbox import Fault, Sandbox
from syncer.sandbox.messages import Request, Response, json_response
from syncer.transport import Doors, Rules, Transport
from tests.conftest import MovableClock

SECRET = "s3cr3t-t0k3n"


@attrs.define
class Stub:
    """An API that answers what a test says."""

    name: str = "stub"
    answers: list[Response] = attrs.field(factory=list)
    seen: list[Request] = attrs.field(factory=list)

    def answer(self, request: Request) -> Response:
        self.seen.append(request)
        return self.answers.pop(0) if self.answers else json_response({"ok": True})


@attrs.define
class Bed:
    sandbox: Sandbox
    stub: Stub
    clock: MovableClock
    make: Callable[..., Transport]

    def fault(self, **fault: object) -> None:
        self.sandbox.faults.add(Fault(match="", **fault))  # type: ignore[arg-type]


@pytest.fixture
def bed(tmp_path: Path) -> Iterator[Bed]:
    stub, clock = Stub(), MovableClock()
    with Sandbox(sites=[stub]) as sandbox:
        made: list[Transport] = []

        def make(**rules: float) -> Transport:
            doors = Doors(clock=clock, budget=Budget(tmp_path / "cache", clock=clock))
            transport = Transport(
                sandbox.url("stub"),
                owner="stub:x",
                doors=doors,
                headers={"PRIVATE-TOKEN": SECRET},
                rules=Rules(**rules),  # type: ignore[arg-type]
            )
            made.append(transport)
            return transport

        yield Bed(sandbox, stub, clock, make)
        for transport in made:
            transport.close()


@pytest.mark.parametrize("kind", ["reset_before", "reset_after", "truncate", "timeout"])
def test_a_read_that_was_lost_is_asked_again(bed: Bed, kind: str) -> None:
    """Dropped, cut short, never answered: a read may be asked again."""
    bed.fault(kind=kind, times=2, hang_s=3)
    transport = bed.make(read_timeout_s=0.2)
    assert transport.get("/x").data == {"ok": True}
    assert transport.requests == 3


def test_after_the_last_try_it_is_unavailable_and_safe_to_run_again(bed: Bed) -> None:
    """The message has the number of tries and the next step."""
    bed.fault(kind="reset_before", times=None)
    with pytest.raises(Unavailable, match=r"GET .*/x .*asked 3 times.* safe to run again"):
        bed.make(tries=3).get("/x")


@pytest.mark.parametrize("status", [500, 502, 503, 504, 524])
def test_a_server_error_is_asked_again_with_growing_waits(bed: Bed, status: int) -> None:
    """1, 2, 4 s with a jitter of 0.7 to 1.3."""
    bed.fault(kind="status", status=status, times=3, body="<html>")
    bed.make().get("/x")
    for wait, ideal in zip(bed.clock.slept, (1, 2, 4), strict=True):
        assert 0.7 * ideal <= wait <= 1.3 * ideal


@pytest.mark.parametrize("told", ["7", "date"])
def test_retry_after_is_obeyed_in_seconds_or_as_a_date(bed: Bed, told: str) -> None:
    """Both forms are in use."""
    import email.utils

    moment = bed.clock.now().timestamp() + 7.5
    header = told if told == "7" else email.utils.formatdate(moment, usegmt=True)
    bed.fault(kind="status", status=429, headers={"Retry-After": header}, body="Retry later")
    bed.make().get("/x")
    assert 6 <= sum(bed.clock.slept) <= 7.5


def test_a_429_makes_every_process_wait(bed: Bed, tmp_path: Path) -> None:
    """Another process that shares the token sees the pause."""
    bucket = Bucket(name="all", limit=100, window_s=60)
    bed.stub.answers = [Response(status=429, headers={"Retry-After": "9"})]
    bed.make().get("/x", bucket=bucket)
    assert 8.9 <= sum(bed.clock.slept) <= 9.5
    other = Budget(tmp_path / "cache", clock=bed.clock)
    bed.stub.answers = [Response(status=429, headers={"Retry-After": "50"})]
    with pytest.raises(Unavailable):
        bed.make(tries=1).get("/x", bucket=bucket)
    assert 49 <= other.take("stub:x", bucket) <= 50.5


def test_a_wait_that_is_too_long_is_told_instead_of_slept(bed: Bed) -> None:
    """An hour's wait is for a scheduler, not for a hanging process."""
    bed.fault(kind="status", status=429, headers={"Retry-After": "3600"})
    with pytest.raises(Unavailable, match="3600 s"):
        bed.make().get("/x")
    assert bed.clock.slept == []


def test_what_may_have_been_written_is_never_asked_again(bed: Bed) -> None:
    """Only a 429 says that nothing was done."""
    transport = bed.make()
    bed.fault(kind="reset_after")
    with pytest.raises(Unavailable):
        transport.call("POST", "/x", body={}, is_read=False)
    bed.stub.answers = [Response(status=503)]
    with pytest.raises(Unavailable):
        transport.call("POST", "/x", body={}, is_read=False)
    bed.stub.answers = [Response(status=429, headers={"Retry-After": "1"})]
    assert transport.call("POST", "/x", body={}, is_read=False).status == 200


@pytest.mark.parametrize(
    ("status", "error"), [(401, NotAllowed), (403, NotAllowed), (404, NotFound), (400, RequestError)]
)
def test_other_errors_are_told_once(bed: Bed, status: int, error: type[SyncerError]) -> None:
    """Asking again would change nothing."""
    bed.stub.answers = [Response(status=status, body=b'{"message":"no"}')]
    with pytest.raises(error) as caught:
        bed.make().get("/x")
    assert isinstance(caught.value, RequestError) and caught.value.status == status
    assert bed.clock.slept == []


def test_a_page_that_is_not_json_is_an_error_with_status_and_size(bed: Bed) -> None:
    """A login page with status 200 must not be an empty list."""
    bed.fault(kind="html")
    with pytest.raises(AnswerError, match=r"200 with \d+ bytes that are not JSON"):
        _ = bed.make().get("/x").data


def test_a_redirect_is_not_followed(bed: Bed) -> None:
    """The token would go along."""
    bed.stub.answers = [Response(status=302, headers={"Location": "http://127.0.0.1:1/elsewhere"})]
    with pytest.raises(RequestError, match="redirect"):
        bed.make().get("/x")


def test_a_next_page_on_another_host_is_not_asked(bed: Bed) -> None:
    """A link is data; the token is not sent where data says."""
    with pytest.raises(AnswerError, match="another host"):
        bed.make().get("http://127.0.0.1:1/next")


def test_one_connection_serves_all(bed: Bed) -> None:
    """Opening one costs more than a request."""
    transport = bed.make()
    for _ in range(5):
        transport.get("/x")
    pools = transport._session.get_adapter(transport.base_url).poolmanager.pools  # type: ignore[attr-defined]
    assert [pools.get(key).num_connections for key in list(pools.keys())] == [1]


def test_netrc_does_not_replace_the_token(bed: Bed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that a person wrote for curl must not be who we are."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login them password theirs\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    bed.make().get("/x")
    assert "authorization" not in bed.stub.seen[-1].headers and bed.stub.seen[-1].headers["private-token"] == SECRET


def test_no_error_has_the_secret_in_it(bed: Bed) -> None:
    """Not in the message, the repr, or any cause that a traceback prints."""
    import traceback

    for prepare in (
        lambda: bed.fault(kind="reset_before", times=9),
        lambda: bed.stub.answers.append(Response(status=400, body=SECRET.encode())),
        lambda: bed.stub.answers.append(Response(status=401, body=SECRET.encode())),
        lambda: bed.fault(kind="html", body=SECRET),
    ):
        bed.sandbox.faults.clear()
        prepare()
        with pytest.raises(SyncerError) as caught:
            _ = bed.make(tries=2).get("/x").data
        assert SECRET not in "".join(traceback.format_exception(caught.value)) + repr(caught.value)
