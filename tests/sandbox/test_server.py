"""The sandbox's server: HTTP syntax, faults as a client feels them, log, counts, control routes."""

from __future__ import annotations

import re
import socket
import struct
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import requests

from syncer.sandbox import Clock, Fault, Faults, Sandbox
from syncer.sandbox.messages import Request, Response, json_response

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class EchoSite:
    """A site that tells what it was asked."""

    name = "echo"

    def __init__(self) -> None:
        self.handled = 0
        self.edits: list[str] = []

    def answer(self, request: Request) -> Response:
        self.handled += 1
        if request.path == "/big":
            return Response(body=b"x" * 1_000_000)
        if request.path == "/broken":
            raise LookupError("a defect of the site")
        return json_response(
            {
                "method": request.method,
                "path": request.path,
                "raw_path": request.raw_path,
                "query": dict(request.query),
                "body": request.body.decode(),
                "base_url": request.base_url,
                "seen": request.headers.get("x-seen"),
            }
        )

    def edit(self, count: int, seed: int) -> list[str]:
        self.edits += [f"edit {n} of seed {seed}" for n in range(count)]
        return self.edits[-count:]

    def truth(self, stream: str) -> dict[tuple[Any, ...], Any]:
        if stream != "edits":
            raise KeyError(stream)
        return {(n,): edit for n, edit in enumerate(self.edits)}


@pytest.fixture
def site() -> EchoSite:
    return EchoSite()


@pytest.fixture
def sandbox(site: EchoSite) -> Iterator[Sandbox]:
    with Sandbox(sites=[site], clock=Clock(START, is_frozen=True), faults=Faults(seed=1)) as running:
        yield running


def get(sandbox: Sandbox, path: str = "/x", **kwargs: Any) -> requests.Response:
    return requests.get(sandbox.url("echo") + path, timeout=10, **kwargs)


def control(sandbox: Sandbox, method: str, path: str, json: Any = None) -> requests.Response:
    return requests.request(method, sandbox.url("_sandbox") + path, json=json, timeout=10)


def test_site_sees_the_path_below_its_prefix_decoded_and_as_sent(sandbox: Sandbox) -> None:
    """GitLab takes a project's path as one encoded segment: only the undecoded path shows where it ends."""
    told = get(sandbox, "/projects/a%2Fb?x=1&x=&y=%C3%A9", headers={"X-Seen": "yes"}).json()
    assert (told["path"], told["raw_path"]) == ("/projects/a/b", "/projects/a%2Fb")
    assert told["query"] == {"x": ["1", ""], "y": ["é"]}
    assert (told["seen"], told["base_url"]) == ("yes", sandbox.url("echo"))


def test_body_may_be_chunked(sandbox: Sandbox) -> None:
    """Requests sends a generator in chunks, without Content-Length."""
    told = requests.post(sandbox.url("echo") + "/x", data=iter([b"one ", b"two"]), timeout=10).json()
    assert told["body"] == "one two"


def test_a_kept_connection_gets_an_answer_to_each_request(sandbox: Sandbox) -> None:
    """And nothing between them: what is left over of one answer would be read as the next one's head."""
    with socket.create_connection(("127.0.0.1", sandbox.port)) as connection, connection.makefile("rb") as answers:
        for _ in range(100):
            connection.sendall(b"GET /echo/x HTTP/1.1\r\nHost: x\r\nAccept: */*\r\nUser-Agent: test\r\n\r\n")
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            head = b"".join(iter(answers.readline, b"\r\n"))
            (length,) = re.findall(rb"(?i)content-length: ([0-9]+)", head)
            assert len(answers.read(int(length))) == int(length) > 0
    assert sandbox.counts["echo"].requests == 100


def test_date_header_is_the_sandbox_clock(sandbox: Sandbox) -> None:
    """A client that takes the server's time for its mark must get the time that the records have."""
    sandbox.clock.advance(61)
    assert get(sandbox).headers["Date"] == "Mon, 02 Mar 2026 09:01:01 GMT"


def test_running_clock_goes_on_and_frozen_clock_stands() -> None:
    """A test that freezes the clock owns the time."""
    clock = Clock(START)
    time.sleep(0.02)
    stopped = clock.freeze()
    time.sleep(0.02)
    assert START < stopped == clock.now()


def test_unknown_prefix_is_404_and_not_counted(sandbox: Sandbox) -> None:
    """Only requests that reach a site count."""
    assert requests.get(f"http://127.0.0.1:{sandbox.port}/nobody/x", timeout=10).status_code == 404
    assert sandbox.counts == {}


def test_defect_of_a_site_is_a_500_that_the_test_can_see(sandbox: Sandbox) -> None:
    """A sandbox that fails must not look like an API that fails."""
    assert get(sandbox, "/broken").status_code == 500
    assert "a defect of the site" in sandbox.errors[0]


def test_what_is_not_http_gets_a_400(sandbox: Sandbox) -> None:
    """And the server lives on."""
    with socket.create_connection(("127.0.0.1", sandbox.port)) as connection:
        connection.sendall(b"hello\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    assert get(sandbox).ok


def test_hook_runs_before_the_answer(sandbox: Sandbox, site: EchoSite) -> None:
    """Tests edit records between two requests of a pull."""
    seen: list[tuple[str, int]] = []
    sandbox.before_request.append(lambda of, request: seen.append((request.path, site.handled)))
    get(sandbox, "/one")
    assert seen == [("/one", 0)]


def test_counts_are_by_site_and_route_and_can_be_reset(sandbox: Sandbox) -> None:
    """Ids are taken out of a route, so that requests of one kind count as one."""
    for path in ("/projects/1/issues", "/projects/a%2Fb/issues?page=2", "/issue/AB-12", "/projects/1/issues"):
        get(sandbox, path)
    counts = sandbox.counts["echo"]
    assert counts.requests == 4
    assert counts.routes == {("GET", "/projects/{}/issues"): 3, ("GET", "/issue/{}"): 1}
    sandbox.reset_counts()
    assert sandbox.counts == {} and not sandbox.log


def test_log_tells_each_request(sandbox: Sandbox) -> None:
    """A test joins it with what the client believes to have done."""
    get(sandbox, "/a?b=1")
    entry = sandbox.log[0]
    assert (entry.site, entry.method, entry.path, entry.status, entry.fault) == ("echo", "GET", "/a?b=1", 200, None)
    assert entry.time == START and entry.bytes > 0


def test_stopped_sandbox_closes_open_connections() -> None:
    """A client that keeps a connection sees the end at once, and the port is free again."""
    sandbox = Sandbox(sites=[EchoSite()]).start()
    connection = socket.create_connection(("127.0.0.1", sandbox.port))
    connection.sendall(b"GET /echo/x HTTP/1.1\r\n\r\n")
    connection.recv(65536)
    sandbox.stop()
    connection.settimeout(5)
    assert connection.recv(1) == b""
    connection.close()


@pytest.mark.parametrize(("kind", "handled"), [("reset_before", 0), ("reset_after", 1)])
def test_reset_is_felt_as_a_reset(sandbox: Sandbox, site: EchoSite, kind: Any, handled: int) -> None:
    """RST and not FIN: the client gets ECONNRESET, and cannot know whether the request was handled."""
    sandbox.faults.add(Fault(kind=kind))
    with socket.create_connection(("127.0.0.1", sandbox.port)) as connection:
        connection.sendall(b"GET /echo/x HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert site.handled == handled
    assert sandbox.log[0].status == 0 and sandbox.log[0].fault == kind


def test_truncated_answer_announces_more_than_it_sends(sandbox: Sandbox) -> None:
    """Content-Length is the whole; requests must notice it, not the JSON parser."""
    sandbox.faults.add(Fault(kind="truncate"))
    with socket.create_connection(("127.0.0.1", sandbox.port)) as connection:
        connection.sendall(b"GET /echo/big HTTP/1.1\r\n\r\n")
        data = b"".join(iter(lambda: connection.recv(1 << 20), b""))
    head, _, body = data.partition(b"\r\n\r\n")
    assert b"Content-Length: 1000000" in head and len(body) == 500_000


def test_timeout_is_handled_but_not_answered(sandbox: Sandbox, site: EchoSite) -> None:
    """The worst kind for a write: it happened, and nobody said so."""
    sandbox.faults.add(Fault(kind="timeout", hang_s=20))
    with pytest.raises(requests.ReadTimeout):
        requests.get(sandbox.url("echo") + "/x", timeout=0.1)
    assert site.handled == 1


def test_status_fault_answers_instead_of_the_site(sandbox: Sandbox, site: EchoSite) -> None:
    """A 429 storm comes with its headers."""
    sandbox.faults.add(Fault(kind="status", status=429, headers={"Retry-After": "7"}, body='{"error":1}', times=2))
    answers = [get(sandbox) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "7" and answers[0].json() == {"error": 1}
    assert site.handled == 1 and sandbox.faults.reached == {"status": 2}


def test_html_fault_is_a_200_that_is_no_json(sandbox: Sandbox) -> None:
    """A log-in page of a proxy looks like success."""
    sandbox.faults.add(Fault(kind="html"))
    answer = get(sandbox)
    assert answer.status_code == 200 and answer.headers["Content-Type"].startswith("text/html")


def test_fault_meets_only_what_matches_and_lets_the_first_pass(sandbox: Sandbox) -> None:
    """Kill at the n-th request of one kind: `match` and `skip` together."""
    sandbox.faults.add(Fault(kind="status", match=r"^GET /a\?n=", skip=1, status=500))
    paths = ["/b", "/a?n=1", "/a?n=2", "/a?n=3"]
    assert [get(sandbox, path).status_code for path in paths] == [200, 200, 500, 200]


def test_probability_is_seeded() -> None:
    """The same requests meet the same faults."""

    def met(seed: int) -> list[bool]:
        faults = Faults(seed=seed)
        faults.add(Fault(kind="status", probability=0.5, times=None))
        ask = Request(method="GET", path="/", raw_path="/")
        return [faults.pick(ask) is not None for _ in range(64)]

    assert met(1) == met(1) != met(2)
    assert 10 < sum(met(1)) < 54


def test_pattern_that_is_none_is_refused() -> None:
    """The mistake shows where it is made, not in the server's thread."""
    with pytest.raises(ValueError, match="not a regular expression"):
        Fault(kind="status", match="(")


def test_control_steers_clock_faults_and_edits(sandbox: Sandbox, site: EchoSite) -> None:
    """Another process rehearses with the very same means as a test."""
    assert control(sandbox, "POST", "/clock", {"advance_s": 60}).json()["time"] == "2026-03-02T09:01:00+00:00"
    assert control(sandbox, "POST", "/edit", {"site": "echo", "count": 2, "seed": 5}).json()["edits"] == site.edits
    assert control(sandbox, "GET", "/truth?site=echo&stream=edits").json()[1] == {"key": [1], "record": site.edits[1]}
    assert control(sandbox, "POST", "/faults", {"kind": "status", "times": None}).ok
    assert get(sandbox).status_code == 503
    assert control(sandbox, "DELETE", "/faults").ok and get(sandbox).ok


def test_control_tells_counts_and_log_and_counts_nothing_itself(sandbox: Sandbox) -> None:
    """A test of budgets reads them from outside."""
    get(sandbox, "/projects/7")
    get(sandbox, "/last")
    counts = control(sandbox, "GET", "/counts").json()["sites"]["echo"]
    assert counts["requests"] == 2 and counts["routes"] == {"GET /last": 1, "GET /projects/{}": 1}
    assert [entry["path"] for entry in control(sandbox, "GET", "/log?limit=1").json()] == ["/last"]
    assert control(sandbox, "POST", "/reset").ok and sandbox.counts == {}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/faults", {"kind": "nonsense"}),
        ("POST", "/faults", {"kind": "status", "matches": "x"}),
        ("POST", "/clock", {"advance_s": "1h"}),
        ("POST", "/edit", {"site": "nobody"}),
        ("GET", "/truth?site=echo&stream=nothing", None),
        ("GET", "/log?limit=all", None),
    ],
)
def test_control_says_what_is_wrong(sandbox: Sandbox, method: str, path: str, body: Any) -> None:
    """A typo in a rehearsal is a 400 with a sentence."""
    answer = control(sandbox, method, path, body)
    assert answer.status_code == 400 and answer.json()["error"]


def test_lone_surrogate_is_written_as_its_escape() -> None:
    """Real APIs send them, and orjson cannot write them."""
    assert json_response({"a": "\ud83d"}).body == b'{"a":"\\ud83d"}'


def test_reset_option_is_what_the_platform_wants() -> None:
    """A wrong size is silently no reset at all on one platform, and an error on another."""
    from syncer.sandbox import server

    assert len(server._LINGER_RESET) in (struct.calcsize("hh"), struct.calcsize("ii"))
