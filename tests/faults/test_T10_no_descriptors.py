"""Row T10 of FAULTS: a server that may open no more files."""

from __future__ import annotations

import resource
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import psutil
import pytest

from jupyter_sessmgr.manager.admission.descriptors import NEEDED, check_descriptors
from jupyter_sessmgr.model.errors import EngineUnavailable
from tests.plugins.kernels import KERNEL

#: How many files the server may have open.
MOST = 256


def crowd(stack, server, process, free):
    """Open connections until the server has `free` descriptors left."""
    url = urlsplit(server.url)
    deadline = time.monotonic() + 20
    while (left := MOST - process.num_fds() - free) > 0:
        assert time.monotonic() < deadline
        for _ in range(left):
            stack.enter_context(socket.create_connection((url.hostname, url.port)))
        wanted = process.num_fds() + left
        while process.num_fds() < min(wanted, MOST - free) and time.monotonic() < deadline:
            time.sleep(0.01)


@pytest.mark.parametrize("free", [2, 20])
def test_T10_without_descriptors_nothing_is_begun_and_nothing_lost(servers, free):
    server = servers.start()
    process = psutil.Process(server.pid)
    calm = server.create(name="calm")["sessionId"]
    server.execute(calm, "x = 41")
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (MOST, MOST))
    server.ask("GET", "api/status")  # this connection stays open
    with ExitStack() as stack:
        crowd(stack, server, process, free)
        reply = server.ask("POST", "sessmgr/session", json={"name": "late"})
        assert (reply.status_code, reply.json()["retryable"]) == (503, True)
        assert "ulimit -n" in reply.json()["msg"]
        assert int(reply.headers["Retry-After"]) > 0
        reply = server.ask("POST", "api/kernels", json={"name": KERNEL})
        assert reply.status_code == 503
        assert "ulimit -n" in reply.json()["message"]
        assert server.info(calm)["status"] == "RUNNING"
        assert [one["sessionName"] for one in server.sessions(ended=True)] == ["calm"]
    assert server.create(name="late")["status"] == "RUNNING"
    assert server.execute(calm, "print(x + 1)") == "42\n"


def test_T10_the_question_takes_nothing_away():
    process = psutil.Process()
    before = process.num_fds()
    check_descriptors()
    assert process.num_fds() == before
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + NEEDED // 2, limit[1]))
    try:
        with pytest.raises(EngineUnavailable, match="as many files"):
            check_descriptors()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
    assert process.num_fds() == before
