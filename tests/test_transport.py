"""Every request goes through the transport: over a real socket, with the faults that networks have."""

from __future__ import annotations

import email.utils
import gzip
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import pytest

from syncer.budget import Bucket, Budget
from syncer.clock import SystemClock
from syncer.errors import AnswerError, NotAllowed, NotFound, RequestError, SyncerError, Unavailable, UsageError
from syncer.sandbox import Fault, Sandbox
from syncer.sandbox.messages import Request, Response, json_response
from syncer.settings import Account
from syncer.sources.jira.calls import Calls
from syncer.transport import Doors, Rules, Transport, moment_of
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

        def make(url: str = "", on_send: Callable[[], object] | None = None, **rules: float) -> Transport:
            def send(request: Any, session: Any, timeout: Any) -> Any:
                assert on_send is not None
                on_send()
                return session.send(request, timeout=timeout, allow_redirects=False, stream=True)

            budget = Budget(tmp_path / "cache", clock=clock)
            transport = Transport(
                url or sandbox.url("stub"),
                owner="stub:x",
                doors=Doors(clock=clock, budget=budget, send=send if on_send else None),
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
    sent: list[float] = []
    bed.make(on_send=lambda: sent.append(bed.clock.monotonic())).get("/x")
    for wait, ideal in zip([after - before for before, after in pairwise(sent)], (1, 2, 4), strict=True):
        assert 0.7 * ideal <= wait <= 1.3 * ideal + 0.001


@pytest.mark.parametrize("told", ["7", "date"])
def test_retry_after_is_obeyed_in_seconds_or_as_a_date(bed: Bed, told: str) -> None:
    """Both forms are in use."""
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


@pytest.mark.parametrize("told", ["Sun, 01 Mar 2026 12:00:07 -0000", "Sun, 01 Mar 99999 12:00:00 GMT", "soon", "nan"])
def test_an_odd_retry_after_is_no_crash(bed: Bed, told: str) -> None:
    """`-0000` is a date without a zone, as RFC 5322 has it; what is no date says nothing."""
    bed.fault(kind="status", status=503, headers={"Retry-After": told})
    assert bed.make().get("/x").status == 200
    assert sum(bed.clock.slept) <= 7.1


def test_a_date_of_a_header_is_utc_or_nothing() -> None:
    """Servers write what they like there."""
    for zone in ("GMT", "-0000", "+0000"):
        moment = moment_of(f"Sun, 01 Mar 2026 12:00:07 {zone}")
        assert moment is not None and moment.isoformat() == "2026-03-01T12:00:07+00:00"
    for odd in ("", "yesterday", "Fri, 31 Dec 9999 23:59:59 -2300", "Sun, 01 Mar 2026 12:00:00 +999999"):
        assert moment_of(odd) is None


def test_a_body_that_cannot_be_unpacked_is_a_cut_answer(bed: Bed) -> None:
    """A proxy that breaks gzip is a network fault like another."""
    broken = gzip.compress(b"{}")[:-8] + b"not the sum"
    bed.stub.answers = [Response(status=200, headers={"Content-Encoding": "gzip"}, body=broken)]
    assert bed.make().get("/x").data == {"ok": True}
    bed.stub.answers = [Response(status=200, headers={"Content-Encoding": "gzip"}, body=broken) for _ in range(2)]
    with pytest.raises(Unavailable, match="cut short"):
        bed.make(tries=2).get("/x")


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("text/html; charset=utf-8", "(text/html)"),
        (f"text/{SECRET}", "(another content type)"),
        (f"text/html; {SECRET}", "(text/html)"),
        (SECRET, "(another content type)"),
    ],
)
def test_only_a_known_content_type_is_repeated(bed: Bed, kind: str, told: str) -> None:
    """A server that echoes the token may echo it there."""
    bed.stub.answers = [Response(status=200, headers={"Content-Type": kind}, body=b"<html>")]
    with pytest.raises(AnswerError) as caught:
        _ = bed.make().get("/x").data
    assert told in str(caught.value) and SECRET not in str(caught.value)


# What the URL, the token and the user may be


@pytest.mark.parametrize(
    "url",
    [
        "http://host:notaport",
        "http://host:99999",
        "http://host:0",
        "http://",
        "http:///path",
        "http://:80",
        "http://a b/",
        "http://host/a b",
        "http://host\n.example",
        "http://[::1",
        "http://a..b/",
        f"http://{'a' * 64}.example/",
        "http://\udce9/",
        "ftp://host",
        "host.example",
        "",
        "http://host/?x=1",
        "http://host/#x",
    ],
)
def test_a_url_that_is_none_is_wrong_usage(bed: Bed, url: str) -> None:
    """One line that names the variable, before anything is sent."""
    with pytest.raises(UsageError, match="SYNCER_STUB_URL") as caught:
        Transport(url, owner="stub:x", doors=doors_of(bed))
    assert "\n" not in str(caught.value) and caught.value.__cause__ is None


@pytest.mark.parametrize(
    "url", ["http://u:hidden@host", "http://hidden@host/x", "http://u:hid@den@[::1", "https://@host"]
)
def test_a_url_with_a_password_is_refused_and_not_repeated(bed: Bed, url: str) -> None:
    """It would stand in every message."""
    with pytest.raises(UsageError, match="SYNCER_STUB_URL") as caught:
        Transport(url, owner="stub:x", doors=doors_of(bed))
    assert "hid" not in str(caught.value)


def test_a_url_without_a_variable_is_named_by_its_owner(bed: Bed) -> None:
    """A script's own owner may be any text."""
    with pytest.raises(UsageError, match="base URL"):
        Transport("http://host:x", owner="", doors=doors_of(bed))


@pytest.mark.parametrize("url", ["https://bücher.example", "http://[::1]:8080/x", "https://HOST.example:443/a/ü"])
def test_an_uncommon_url_is_a_url(bed: Bed, url: str) -> None:
    """What the network can reach is not refused."""
    Transport(url, owner="stub:x", doors=doors_of(bed)).close()


@pytest.mark.parametrize("token", ["tökén", "line\nbreak", "cr\r", "tab\tbed", "\udce9", "\u2028"])
@pytest.mark.parametrize("place", ["header", "auth", "user"])
def test_a_token_that_no_header_can_carry_is_wrong_usage(bed: Bed, token: str, place: str) -> None:
    """A copied token with a line break is common; it is not repeated."""
    headers = {"Authorization": f"Bearer {token}"} if place == "header" else None
    auth = {"auth": ("ada", token), "user": (token, "s")}.get(place)
    with pytest.raises(UsageError, match="SYNCER_STUB_USER" if place == "user" else "SYNCER_STUB_TOKEN") as caught:
        Transport("http://host", owner="stub:x", doors=doors_of(bed), headers=headers, auth=auth)
    assert token not in str(caught.value) and caught.value.__cause__ is None


def doors_of(bed: Bed) -> Doors:
    return bed.make()._doors


# Who is asked, and does not answer


@pytest.fixture
def shut_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def test_nobody_there_is_told_soon_and_in_plain_words(bed: Bed, shut_port: int) -> None:
    """A wrong port does not mend itself while we wait."""
    transport = bed.make(f"http://127.0.0.1:{shut_port}")
    with pytest.raises(Unavailable, match=rf"nobody answers at 127\.0\.0\.1:{shut_port}.*SYNCER_STUB_URL") as caught:
        transport.get("/x")
    assert transport.requests == 2 and "Error" not in str(caught.value)


def test_a_host_that_nobody_knows_is_told_soon_and_in_plain_words(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The most common mistake in a URL."""

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    transport = bed.make("http://nowhere.invalid")
    with pytest.raises(Unavailable, match=r"host name nowhere\.invalid is not known.*SYNCER_STUB_URL"):
        transport.get("/x")
    assert transport.requests == 2


def test_a_server_that_answered_before_is_waited_for(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """It restarts; and its URL is right."""
    transport = bed.make()
    transport.get("/x")

    def refused(*_: object, **__: object) -> None:
        raise ConnectionRefusedError

    transport._session.get_adapter(transport.base_url).close()
    monkeypatch.setattr(http.client.HTTPConnection, "connect", refused)
    monkeypatch.setattr("urllib3.connection.HTTPConnection.connect", refused)
    with pytest.raises(Unavailable) as caught:
        transport.get("/x")
    assert transport.requests == 6 and "SYNCER_STUB_URL" not in str(caught.value)


def test_a_refused_token_names_its_variable(bed: Bed) -> None:
    """Tokens die in mid-run, too."""
    for status, words in ((401, "is not accepted"), (403, "no right")):
        bed.stub.answers = [Response(status=status)]
        with pytest.raises(NotAllowed, match=rf"GET .*/x.*SYNCER_STUB_TOKEN.*{words}") as caught:
            bed.make().get("/x")
        assert str(status) in str(caught.value)
    named = bed.make()
    named.environment = "voys"
    bed.stub.answers = [Response(status=401)]
    with pytest.raises(NotAllowed, match="SYNCER_STUB__VOYS_TOKEN"):
        named.get("/x")


# The end


def test_a_closed_transport_sends_nothing(bed: Bed) -> None:
    """A thread that was not told yet must not go on asking an API."""
    transport = bed.make()
    transport.close()
    with pytest.raises(SyncerError, match="closed"):
        transport.get("/x")
    assert transport.requests == 0 and bed.stub.seen == []


@pytest.mark.parametrize("bucket", [None, Bucket(name="all", limit=100, window_s=60)])
@pytest.mark.parametrize("status", [503, 429])
def test_closing_ends_a_wait(bed: Bed, tmp_path: Path, bucket: Bucket | None, status: int) -> None:
    """Ctrl+C must not take as long as a server likes."""
    clock = SystemClock()
    doors = Doors(clock=clock, budget=Budget(tmp_path / "real", clock=clock))
    transport = Transport(bed.sandbox.url("stub"), owner="stub:x", doors=doors)
    bed.stub.answers = [Response(status=status, headers={"Retry-After": "60"})]
    errors: list[SyncerError] = []

    def ask() -> None:
        try:
            transport.get("/x", bucket=bucket)
        except SyncerError as error:
            errors.append(error)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    while not bed.stub.seen:
        time.sleep(0.01)
    transport.close()
    thread.join(5)
    assert not thread.is_alive() and "closed" in str(errors[0]) and transport.requests == 1


@pytest.mark.parametrize("date", ["", "yesterday", "Fri, 31 Dec 9999 23:59:59 -2300"])
def test_an_odd_date_of_jira_is_an_answer_that_cannot_be_true(bed: Bed, date: str) -> None:
    """A mark hangs on it."""

    def send(request: Any, session: Any, timeout: Any) -> Any:
        response = session.send(request, timeout=timeout)
        response.headers["Date"] = date
        return response

    account = Account(source="jira", url=bed.sandbox.url("stub"), token=SECRET, user="ada")
    calls = Calls(account, doors=attrs.evolve(doors_of(bed), send=send))
    bed.stub.answers = [json_response({"accountId": "1"})]
    with pytest.raises(AnswerError, match="Date header"):
        calls.check()
