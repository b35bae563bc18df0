"""Clients that run code over HTTP, as the stock ones do."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager

from websockets.sync.client import connect


class Runner:
    """Runs code in one session of a server, by requests."""

    def __init__(self, server, reference):
        self.server = server
        self.path = f"sessmgr/session/{reference}"

    def post(self, mode="query", code="", run_id=None, **more):
        """Send one request; return the reply."""
        body = {"mode": mode, "code": code, "runId": run_id, **more}
        return self.server.ask("POST", self.path, json=body)

    def step(self, *args, **kwargs):
        """Send one request; return its result."""
        reply = self.post(*args, **kwargs)
        assert reply.status_code == 200, reply.text
        return reply.json()["result"]

    def run(self, code, answers=(), timeout=60):
        """Run code to its end, as the command line does; return the last result, all console items."""
        answers = list(answers)
        result = self.step("query", code)
        console = result["console"]
        deadline = time.monotonic() + timeout
        while result["status"] != "finished":
            assert time.monotonic() < deadline, result
            if result["status"] == "waiting-input":
                result = self.step("input", answers.pop(0), result["runId"])
            else:
                result = self.step("continue", "", result["runId"])
            console += result["console"]
        return {**result, "console": console}

    def until(self, result, *statuses, timeout=60):
        """Ask for more of a run until it has one of these statuses; return all it wrote, too."""
        console = list(result["console"])
        deadline = time.monotonic() + timeout
        while result["status"] not in statuses:
            assert time.monotonic() < deadline, result
            result = self.step("continue", "", result["runId"])
            console += result["console"]
        return {**result, "console": console}


def text_of(result, kind="stdout"):
    """Join what a run wrote of one kind."""
    return "".join(value for name, value in result["console"] if name == kind)


@contextmanager
def run_socket(server, reference, prefix="session"):
    """Open a websocket that is to run code."""
    url = f"ws{server.url.removeprefix('http')}sessmgr/stream/{prefix}/{reference}/execute"
    headers = {"Authorization": f"token {server.token}"}
    with connect(url, additional_headers=headers, max_size=2**24, open_timeout=60) as socket:
        yield socket


def told(socket, timeout=60):
    """Read one message of such a websocket."""
    return json.loads(socket.recv(timeout))


class Listener:
    """Reads server-sent events, as browsers and stock clients do."""

    def __init__(self, response):
        self._lines = response.iter_lines(chunk_size=1, decode_unicode=True)
        self.comments = 0

    def __iter__(self):
        event = {}
        for line in self._lines:
            if line.startswith(":"):
                self.comments += 1
            elif line:
                name, _, value = line.partition(":")
                event[name] = value.removeprefix(" ")
            elif event:
                yield {**event, "data": json.loads(event["data"])}
                event = {}

    def until(self, name):
        """Return the events up to the first of this name."""
        heard = []
        for event in self:
            heard.append(event)
            if event["event"] == name:
                return heard
        raise AssertionError(f"no {name}: {heard}")


@contextmanager
def listening(server, path="sessmgr/events/session", headers=None, timeout=60, **query):
    """Listen to a server's events."""
    with server.http.get(
        server.url + path, params=query, headers=headers, stream=True, timeout=timeout
    ) as response:
        assert response.status_code == 200, response.text
        assert response.headers["Content-Type"].startswith("text/event-stream")
        yield Listener(response)
