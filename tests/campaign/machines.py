"""
Hosts of our own: a process with a network and a host name to itself, a link to the database server, and another one to
the sandbox.

Where Linux lets us, a host is a network namespace with two veth pairs, and a UTS namespace that holds its name; either
link can be taken down at either end. Elsewhere a host is a process that is told another name, and there are no links.

Traffic stays on this machine: the addresses are of 10.213.0.0/16, and nothing routes them.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator

import attrs

from tests.servers import postgresql

NETWORK = "10.213.0.0/16"
_NAMED = 'hostname "$0" && exec "$@"'
_REQUEST = re.compile(rb"^(?:GET|POST) (\S+) HTTP/1\.1\r\n", re.MULTILINE)


@attrs.define
class Relay:
    """
    The way from a host to the sandbox: it notes when each request came, and lets no more than `most` through until
    `open` is called.

    It is where the two hosts' requests can be told apart: both use one account.
    """

    address: str
    target: tuple[str, int]
    port: int = 0
    requests: list[tuple[float, str]] = attrs.field(factory=list)  # when (seconds since 1970), and the path
    most: int | None = None
    _is_open: threading.Event = attrs.field(factory=threading.Event)
    _listener: socket.socket | None = None

    def start(self) -> None:
        """Listen."""
        self._listener = socket.create_server((self.address, 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Listen no more."""
        self.open()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()

    def open(self) -> None:
        """Let everything through."""
        self.most = None
        self._is_open.set()

    def close_after(self, requests: int) -> None:
        """Fall silent after that many requests from now on."""
        self._is_open.clear()
        self.requests.clear()
        self.most = requests

    @property
    def is_silent(self) -> bool:
        """Tell whether a request waits."""
        return self.most is not None and len(self.requests) > self.most

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client = listener.accept()[0]
                sandbox = socket.create_connection(self.target)
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client, sandbox, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(sandbox, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, is_asking: bool) -> None:
        source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if is_asking:
                    self.requests += [(time.time(), path.decode()) for path in _REQUEST.findall(data)]
                    if self.is_silent:
                        self._is_open.wait()
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@attrs.define(kw_only=True)
class Host:
    """
    A host. within: the command that starts a process there. database, sandbox: our addresses as it sees them; both
    127.0.0.1 where there are no namespaces, and then it has no links either.
    """

    name: str
    within: tuple[str, ...] = ()
    database: str = "127.0.0.1"
    sandbox: str = "127.0.0.1"
    namespace: str = ""
    number: int = 0

    def set_database_link(self, state: str, *, at: str) -> None:
        """Take the link to the database `down`, or `up`, at its end here (`host`) or there (`server`)."""
        if at == "host":
            _ip("-n", self.namespace, "link", "set", f"dbh{self.number}", state)
        else:
            _ip("link", "set", _outer("dbs", self.number), state)


def are_real() -> bool:
    """Tell whether this machine lets us make network namespaces with links."""
    name = f"syncer-try-{os.getpid()}"
    try:
        _ip("netns", "add", name)
    except (OSError, subprocess.CalledProcessError):
        return False
    try:
        _ip("link", "add", "syntry", "netns", name, "type", "veth", "peer", "name", "syntryb", "netns", name)
        subprocess.run(["unshare", "--uts", "true"], check=True, capture_output=True)
        return True
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        _ip("netns", "del", name)


@contextlib.contextmanager
def hosts(names: list[str], *, real: bool) -> Iterator[list[Host]]:
    """Make hosts; they are taken away at the end."""
    if not real:
        yield [Host(name=name) for name in names]
        return
    made: list[Host] = []
    try:
        for number, name in enumerate(names, start=1):
            made.append(_host(name, number))
        yield made
    finally:
        for host in made:
            _ip("netns", "del", host.namespace)


def _host(name: str, number: int) -> Host:
    namespace = f"syncer-{os.getpid()}-{number}"
    _ip("netns", "add", namespace)
    _ip("-n", namespace, "link", "set", "lo", "up")
    for kind, net in (("db", 2 * number), ("api", 2 * number + 1)):
        inner, outer = f"{kind}h{number}", _outer(f"{kind}s", number)
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", namespace)
        _ip("addr", "add", f"10.213.{net}.1/30", "dev", outer)
        _ip("link", "set", outer, "up")
        _ip("-n", namespace, "addr", "add", f"10.213.{net}.2/30", "dev", inner)
        _ip("-n", namespace, "link", "set", inner, "up")
    within = ("ip", "netns", "exec", namespace, "unshare", "--uts", "sh", "-c", _NAMED, name)
    return Host(
        name=name,
        within=within,
        database=f"10.213.{2 * number}.1",
        sandbox=f"10.213.{2 * number + 1}.1",
        namespace=namespace,
        number=number,
    )


@contextlib.contextmanager
def server_for(made: list[Host]) -> Iterator[postgresql.Server]:
    """Start a server that all hosts reach, at an address of each."""
    listen = ",".join(dict.fromkeys(["127.0.0.1", *(host.database for host in made)]))
    server = postgresql.start(settings={"synchronous_commit": "on"}, listen=listen)
    try:
        with (server.folder / "data" / "pg_hba.conf").open("a", encoding="utf-8") as file:
            file.write(f"host all all {NETWORK} trust\n")
        server.query("postgres", "SELECT pg_reload_conf()")
        yield server
    finally:
        server.stop()


def _outer(kind: str, number: int) -> str:
    return f"{kind}{number}p{os.getpid() % 100_000}"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
