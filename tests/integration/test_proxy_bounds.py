"""THREATS D3: services cannot exhaust the server, however much they send and however many connect."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

import pytest

from tests.plugins.rawdoor import CONFIG, UPGRADE
from tests.plugins.server import merge

MANY = 500
LIMITS = {"ServiceProxy": {"max_connections_per_session": MANY + 20}}
MIB = 1 << 20


@pytest.fixture(scope="module")
def server(module_servers):
    return module_servers.start(config=merge(CONFIG, LIMITS))


@pytest.fixture(scope="module", params=["egress", "isolated"])
def app(server, request):
    """Give the hostile service of a session: one that is reached straight, one by its agent."""
    made = server.create(**({} if request.param == "egress" else {"preset": request.param}))
    service = Service(server, made["sessionId"])
    assert service.ask("connections").status_code == 200
    return service


class Service:
    """Speaks to it byte by byte."""

    def __init__(self, server, session_id):
        self.server = server
        self.path = f"sessmgr/session/{session_id}/service/hostile/"

    def ask(self, path, method="GET", **kwargs):
        return self.server.ask(method, self.path + path, **kwargs)

    def dial(self, path, method="GET", lines=UPGRADE):
        """Send a request's head; a websocket's, by default."""
        host, port = self.server.url.split("/")[2].split(":")
        connection = socket.create_connection((host, int(port)), timeout=60)
        head = [f"{method} /base/{self.path}{path} HTTP/1.1", f"Host: {host}:{port}", *lines]
        head.append(f"Authorization: token {self.server.token}")
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        return connection

    def open(self, path):
        """Open a websocket; return it, and what the service said first."""
        connection = self.dial(path)
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(65536)
        head, _, early = received.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        return connection, early


class Watch:
    """Notes the most memory that a process has while something goes on."""

    def __init__(self, pid):
        self._pid = pid
        self._over = threading.Event()
        self._watching = threading.Thread(target=self._watch)
        self.grown = 0

    def __enter__(self):
        self._before = rss(self._pid)
        self._watching.start()
        return self

    def _watch(self):
        while not self._over.wait(0.05):
            self.grown = max(self.grown, rss(self._pid) - self._before)

    def __exit__(self, *_exc):
        self._over.set()
        self._watching.join()


def rss(pid):
    """Return the resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * 4096


def read_all(connection, size):
    """Read so many bytes; return how many there were."""
    buffer, count = bytearray(MIB), 0
    while count < size and (got := connection.recv_into(buffer)):
        count += got
    return count


def test_D3_a_gigabyte_passes_through_little_memory(app):
    with Watch(app.server.pid) as watch:
        with app.ask("big?1024", stream=True) as reply:
            assert sum(map(len, reply.iter_content(MIB))) == 1024 * MIB
        with app.dial("echo", "POST", [f"Content-Length: {512 * MIB}"]) as connection:
            for _ in range(512):
                connection.sendall(b"y" * MIB)
            assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")
    assert watch.grown < 32 * MIB


def test_D3_a_message_of_any_size_is_never_held(app):
    size = 300 * MIB
    connection, early = app.open(f"flood?{size // MIB}")
    with connection, Watch(app.server.pid) as down:
        assert read_all(connection, size + 10 - len(early)) == size + 10 - len(early)
    assert down.grown < 16 * MIB
    connection, _ = app.open("pipe")
    with connection, Watch(app.server.pid) as both:
        piece = b"z" * MIB
        sending = threading.Thread(target=lambda: [connection.sendall(piece) for _ in range(256)])
        sending.start()
        assert read_all(connection, 256 * MIB) == 256 * MIB
        sending.join()
    assert both.grown < 16 * MIB


def test_D3_who_reads_nothing_holds_two_megabytes_at_most(app):
    count = 20
    with contextlib.ExitStack() as stack, Watch(app.server.pid) as watch:
        for _ in range(count):
            stack.enter_context(app.open("flood?400")[0])
        before = -1
        deadline = time.monotonic() + 20
        while before != watch.grown and time.monotonic() < deadline:
            before = watch.grown
            time.sleep(0.5)
    assert watch.grown < 2 * count * MIB


def test_D3_the_server_answers_beside_hundreds_of_idle_websockets(app):
    alone = sorted(took(app.server) for _ in range(20))
    with contextlib.ExitStack() as stack:
        for _ in range(MANY):
            stack.enter_context(app.open("pipe")[0])
        beside = sorted(took(app.server) for _ in range(20))
        last, _ = app.open("pipe")
        with last:
            last.sendall(b"still passed")
            assert last.recv(100) == b"still passed"
    assert beside[10] < 2 * alone[10] + 0.05
    deadline = time.monotonic() + 20
    while app.ask("connections").json()[0]:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def took(server):
    """Return how many seconds the server's own API takes."""
    began = time.monotonic()
    assert server.ask("GET", "api/status").status_code == 200
    return time.monotonic() - began


def test_D3_who_does_not_finish_a_head_is_cut_off(servers):
    server = servers.start(config={"ServiceProxy": {"head_timeout": 1.0}})
    host, port = server.url.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(b"GET /base/api HTTP/1.1\r\nX-Slow: ")
        assert connection.recv(100) == b""


def test_D3_websockets_end_with_the_server(servers):
    server = servers.start(config=CONFIG)
    app = Service(server, server.create()["sessionId"])
    connection, _ = app.open("pipe")
    with connection:
        began = time.monotonic()
        server.stop()
        assert connection.recv(100) == b""
        assert time.monotonic() - began < 15
