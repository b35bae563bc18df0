"""A socket between us and a Docker engine that loses, delays and cuts what goes through it."""

from __future__ import annotations

import contextlib
import re
import shutil
import socket
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

#: Which request is which verb; the first that matches counts.
VERBS = [
    ("create", r"POST .*/containers/create"),
    ("start", r"POST .*/containers/[^/]+/start"),
    ("attach", r"POST .*/containers/[^/]+/attach"),
    ("kill", r"POST .*/containers/[^/]+/(?:kill|stop)"),
    ("remove", r"DELETE .*/containers/"),
    ("list", r"GET .*/containers/json"),
    ("logs", r"GET .*/containers/[^/]+/logs"),
    ("inspect", r"GET .*/containers/[^/]+/json"),
    ("image", r"GET .*/images/"),
    ("events", r"GET .*/events"),
    ("info", r"GET .*/info"),
    ("version", r"GET .*/version"),
    ("ping", r"\w+ .*/_ping"),
    ("network", r"\w+ .*/networks"),
]
FAILURE = (
    b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n"
    b"Content-Length: 27\r\nConnection: close\r\n\r\n" + b'{"message":"a proxy\'s word"}'[:27]
)


@dataclass
class Fault:
    """What happens to requests of one verb ("*": of all), so many times (-1: always)."""

    verb: str
    mode: str
    times: int = -1


class FaultProxy:
    """Passes requests to a unix socket on, each on a connection of its own.

    Modes: ``reset_before`` (the engine never hears of it), ``reset_after`` (it does, and the reply
    is lost), ``delay:SECONDS``, ``hang``, ``http500``, ``trunc:BYTES`` of the reply's body,
    ``swap:THIS=THAT`` in the reply's body (of the same length).
    """

    def __init__(self, upstream):
        self.upstream = str(upstream)
        self.folder = Path(tempfile.mkdtemp(prefix="faultproxy-"))
        self.path = self.folder / "docker.sock"
        #: Verbs as they came.
        self.calls = []
        self._faults = []
        self._lock = threading.Lock()
        self._live = set()
        self._delayed = 0
        self._ending = threading.Event()
        self._listener = None
        self.listen()

    @property
    def host(self):
        return f"unix://{self.path}"

    def listen(self):
        """Begin to answer."""
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def refuse(self):
        """Stop answering: nobody listens, and what is open is cut."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)
        self.cut()

    def inject(self, verb, mode, times=-1):
        with self._lock:
            self._faults.append(Fault(verb, mode, times))

    def clear(self):
        with self._lock:
            self._faults.clear()

    def cut(self):
        """Cut every open connection."""
        for one in list(self._live):
            _shut(one)

    def wait_for_delayed(self, timeout=30):
        """Wait until what was held back has reached the engine: nothing comes late after this."""
        ends = time.monotonic() + timeout
        while self._delayed:
            assert time.monotonic() < ends, "a delayed call never came through"
            time.sleep(0.02)

    def close(self):
        self._ending.set()
        self.refuse()
        shutil.rmtree(self.folder, ignore_errors=True)

    def count(self, verb):
        return self.calls.count(verb)

    def _accept(self, listener):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        self._live.add(client)
        try:
            with contextlib.suppress(OSError):
                head, rest = _read_head(client)
                if head:
                    self._answer(client, head, rest)
        finally:
            self._live.discard(client)
            _shut(client)
            client.close()

    def _answer(self, client, head, rest):
        verb = next((v for v, pattern in VERBS if re.match(pattern, head.decode("latin1"))), "?")
        self.calls.append(verb)
        mode, _, number = self._fault(verb).partition(":")
        if mode == "reset_before":
            return
        if mode == "http500":
            client.sendall(FAILURE)
            return
        if mode == "hang":
            self._ending.wait(600)
            return
        if mode == "delay":
            self._hold_back(float(number), client, head, rest)
            return
        limit = int(number) if mode == "trunc" else None
        swap = number.encode().split(b"=") if mode == "swap" else (b"", b"")
        self._pass_on(client, head, rest, limit, swap, lost=mode == "reset_after")

    def _hold_back(self, seconds, client, head, rest):
        with self._lock:
            self._delayed += 1
        try:
            if not self._ending.wait(seconds):
                self._pass_on(client, head, rest, None, (b"", b""), lost=False)
        finally:
            with self._lock:
                self._delayed -= 1

    def _fault(self, verb):
        with self._lock:
            for fault in self._faults:
                if fault.verb in (verb, "*") and fault.times:
                    fault.times -= 1
                    return fault.mode
        return ""

    def _pass_on(self, client, head, rest, limit, swap, *, lost):
        engine = socket.socket(socket.AF_UNIX)
        try:
            engine.connect(self.upstream)
            self._live.add(engine)
            upgrade = b"\r\nUpgrade:" in head
            if not upgrade:
                head = re.sub(rb"\r\nConnection: [^\r]*", b"", head)
                head = head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            engine.sendall(head + rest)
            forward = threading.Thread(target=_copy, args=(client, engine), daemon=True)
            forward.start()
            if lost:
                reply, _ = _read_head(engine)
                if upgrade or b"chunked" not in reply:
                    time.sleep(0.05)  # the engine has answered, so it has done it
                return
            self._relay(engine, client, limit, *swap)
        finally:
            self._live.discard(engine)
            _shut(engine)
            engine.close()

    def _relay(self, engine, client, limit, this, that):
        head, body = _read_head(engine)
        client.sendall(head)
        while True:
            if this:
                body = body.replace(this, that)
            if limit is not None:
                body = body[:limit]
                limit -= len(body)
            client.sendall(body)
            if limit == 0:
                return
            body = engine.recv(65536)
            if not body:
                return


def _read_head(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return b"", b""
        data += piece
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _copy(source, target):
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


def _shut(one):
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def fault_proxy(docker_host):
    """Give a proxy in front of the engine; tests use `fault_proxy.host` as its address."""
    if not docker_host.startswith("unix://"):
        pytest.skip("the proxy stands before unix sockets only")
    proxy = FaultProxy(docker_host.removeprefix("unix://"))
    yield proxy
    proxy.close()
