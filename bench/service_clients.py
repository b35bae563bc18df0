"""Plain clients of a way: as little of their own work as possible, so that the way is measured."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

MIB = 1 << 20
#: Seconds that anything may take.
PATIENCE = 120


class Refused(Exception):
    """The answer was none that was asked for."""


def has_wrk():
    """Whether wrk is installed, which asks more quickly than Python could."""
    return shutil.which("wrk") is not None


def requests_per_second(way, connections, seconds):
    """Ask for 1 KiB over kept connections, again and again, by wrk."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20"]
    for name, said in way.headers.items():
        command += ["-H", f"{name}: {said}"]
    url = f"http://127.0.0.1:{way.port}{way.path}small"
    told = subprocess.run(command + [url], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in told or "Socket errors" in told:
        raise Refused(told)
    return float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1])


def download(way, mebibytes):
    """Take so many MiB; returns the seconds to the first byte of them, and to the last."""
    room = memoryview(bytearray(MIB))
    with connected(way) as one:
        begin = time.perf_counter()
        one.sendall(way.head("GET", f"big?{mebibytes}"))
        status, rest = head_of(one)
        first = time.perf_counter()
        if status != 200:
            raise Refused(f"{status}: {rest[:200]!r}")
        left = mebibytes * MIB - len(rest)
        while left:
            size = one.recv_into(room)
            if not size:
                raise Refused(f"cut off, {left} bytes before the end")
            left -= size
        return first - begin, time.perf_counter() - begin


def upload(way, mebibytes):
    """Send so many MiB; returns the seconds until it was answered."""
    piece = bytes(MIB)
    with connected(way) as one:
        begin = time.perf_counter()
        one.sendall(way.head("POST", "upload", Content_Length=mebibytes * MIB))
        for _ in range(mebibytes):
            one.sendall(piece)
        status, rest = head_of(one)
        if status != 200:
            raise Refused(f"{status}: {rest[:200]!r}")
        return time.perf_counter() - begin


@contextmanager
def connected(way):
    """Connect to a way."""
    with socket.create_connection(("127.0.0.1", way.port), timeout=PATIENCE) as one:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield one


def head_of(one):
    """Read an answer's head, and at least a byte after it; returns its status and what came."""
    came = b""
    while b"\r\n\r\n" not in came or came.endswith(b"\r\n\r\n"):
        piece = one.recv(65536)
        if not piece:
            raise Refused(f"cut off: {came[:200]!r}")
        came += piece
    head, _, rest = came.partition(b"\r\n\r\n")
    return int(head.split()[1]), rest


class Socket:
    """A websocket. It masks with zeros, which is masking all the same, and costs nothing."""

    def __init__(self, way, target):
        self._opened = connected(way)
        self._one = self._opened.__enter__()
        words = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13"}
        self._one.sendall(
            way.head("GET", target, Sec_WebSocket_Key="x3JJHMbDL1EzLkh9GBhXDw==", **words)
        )
        came = b""
        while not came.endswith(b"\r\n\r\n"):
            piece = self._one.recv(1)
            if not piece:
                raise Refused(f"cut off: {came[:200]!r}")
            came += piece
        if b" 101 " not in came.partition(b"\r\n")[0]:
            raise Refused(repr(came[:200]))
        self._file = self._one.makefile("rb", MIB)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self._file.close()
        self._opened.__exit__(*exc_info)

    def send(self, framed):
        """Send a frame."""
        self._one.sendall(framed)

    def receive(self):
        """Take a message; returns its size."""
        size = 0
        while True:
            first, length = self._file.read(2)
            extended = {126: 2, 127: 8}.get(length, 0)
            length = int.from_bytes(self._file.read(extended), "big") if extended else length
            if len(self._file.read(length)) < length:
                raise Refused("cut off in a message")
            size += length
            if first & 128:
                return size


def masked(kind, payload):
    """Make a frame as a client sends it."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | kind, 0x80 | size, 0, 0, 0, 0)) + payload
    if size < 65536:
        return bytes((0x80 | kind, 0x80 | 126)) + size.to_bytes(2, "big") + bytes(4) + payload
    return bytes((0x80 | kind, 0x80 | 127)) + size.to_bytes(8, "big") + bytes(4) + payload


def messages_down(way, target, count):
    """Be sent so many messages of 1 MiB; returns the seconds."""
    with Socket(way, target) as one:
        begin = time.perf_counter()
        one.send(masked(1, str(count).encode()))
        for _ in range(count):
            if one.receive() != MIB:
                raise Refused("not a message of 1 MiB")
        return time.perf_counter() - begin


def messages_up(way, target, count):
    """Send so many messages of 1 MiB; returns the seconds until the last was taken."""
    message = masked(2, os.urandom(MIB))
    with Socket(way, target) as one:
        reading = threading.Thread(target=lambda: [one.receive() for _ in range(count)])
        begin = time.perf_counter()
        reading.start()
        for _ in range(count):
            one.send(message)
        reading.join()
        return time.perf_counter() - begin


def round_trips(way, seconds):
    """Send 1 KiB and await 1 KiB, again and again; returns how often in a second."""
    message = masked(1, b"x" * 1024)
    with Socket(way, "plain") as one:
        begin, count = time.perf_counter(), 0
        while time.perf_counter() - begin < seconds:
            one.send(message)
            if one.receive() != 1024:
                raise Refused("not a message of 1 KiB")
            count += 1
        return count / (time.perf_counter() - begin)


def at_once(work, count):
    """Do something in so many threads; returns when all are done."""
    problems = []

    def run():
        try:
            work()
        except (Refused, OSError) as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]


def growth(server, work):
    """Do something; returns by how many MiB the server's memory had grown at most."""
    status = Path(f"/proc/{server.pid}")
    before = kibibytes(status, "VmRSS")
    (status / "clear_refs").write_text("5")  # the peak begins anew
    work()
    return (kibibytes(status, "VmHWM") - before) / 1024


def kibibytes(folder, name):
    """Read a line of a process's status."""
    return int(re.search(rf"{name}:\s+(\d+)", (folder / "status").read_text())[1])


def worst_status(way, work):
    """Ask Jupyter how it is while something is done; returns the longest that took, in seconds."""
    longest = 0.0
    client = HTTPConnection("127.0.0.1", way.port, timeout=PATIENCE)
    client.connect()
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        while not working.done():
            begin = time.perf_counter()
            client.request("GET", "/base/api/status", headers=way.headers)
            client.getresponse().read()
            longest = max(longest, time.perf_counter() - begin)
            time.sleep(0.005)
    client.close()
    working.result()
    return longest
