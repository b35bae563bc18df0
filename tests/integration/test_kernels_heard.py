"""Websockets hear their kernels at once, also one that was just restarted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid

import pytest
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.provisioning import learning
from jupyter_sessmgr.provisioning.channels import gate, greeting
from jupyter_sessmgr.provisioning.held import held_of
from tests.plugins.kernels import KERNEL
from tests.plugins.waiting import eventually

#: Longer than any test: what waits for it does not end.
NEVER = 600.0
LINES = 300


class Browser:
    """One open websocket."""

    def __init__(self, socket):
        self._socket = socket

    async def execute(self, code):
        """Execute code; returns the id of the request."""
        header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "version": "5.3"}
        message = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}}
        content = {"code": code, "silent": False, "store_history": True, "allow_stdin": False}
        await self._socket.write_message(json.dumps({**message, "content": content}))
        return header["msg_id"]

    async def hear(self):
        """Read one message."""
        async with asyncio.timeout(60):
            return json.loads(await self._socket.read_message())

    async def lines(self, request):
        """Read until a request's end; returns what it printed, by line."""
        said = ""
        while True:
            told = await self.hear()
            if told["parent_header"].get("msg_id") != request:
                continue
            if told["msg_type"] == "stream":
                said += told["content"]["text"]
            elif told["content"].get("execution_state") == "idle":
                return said.splitlines()


@pytest.fixture
def one(inside):
    """Give a server on the test's own loop."""
    return inside()


@contextlib.asynccontextmanager
async def a_kernel(one):
    """Pick a kernel; gives its id, and what Jupyter knows of it."""
    await one.extension.opener.ready()
    reply = await one.ask("POST", "api/kernels", body={"name": KERNEL})
    kernel_id = json.loads(reply.body)["id"]
    try:
        yield kernel_id, one.app.kernel_manager.get_kernel(kernel_id)
    finally:
        await one.ask("DELETE", f"api/kernels/{kernel_id}")


@contextlib.asynccontextmanager
async def a_browser(one, kernel_id, session="a"):
    """Open a websocket to a kernel."""
    url = f"ws{one.base.removeprefix('http')}api/kernels/{kernel_id}/channels?session_id={session}"
    socket = await websocket_connect(HTTPRequest(url, headers=one.token))
    try:
        yield Browser(socket)
    finally:
        socket.close()


async def test_an_idle_kernel_that_greets_is_not_asked_before_messages_pass(one, monkeypatch):
    async with a_kernel(one) as (kernel_id, manager):
        monkeypatch.setattr(ZMQChannelsWebsocketConnection, "nudge", None)
        monkeypatch.setattr(greeting, "PATIENCE", NEVER)
        for session in ("a", "b", "a"):  # the last has the sockets of the first
            async with a_browser(one, kernel_id, session) as browser:
                request = await browser.execute(f"for i in range({LINES}): print(i, flush=True)")
                assert await browser.lines(request) == [str(i) for i in range(LINES)]
            assert held_of(manager).greets


async def test_a_browser_that_asks_nothing_is_told_in_its_kernels_name_that_it_is_idle(one):
    """As a server in front, that connected again by itself."""
    async with a_kernel(one) as (kernel_id, _), a_browser(one, kernel_id) as browser:
        told = await browser.hear()
        assert (told["msg_type"], told["content"]) == ("status", {"execution_state": "idle"})
        await browser.execute("1")
        assert (await browser.hear())["header"]["session"] == told["header"]["session"]


async def test_what_a_browser_asks_for_as_it_leaves_is_still_executed(shared_server):
    """With another one that stays: ZeroMQ's sockets of the one that leaves are closed at once."""
    kernel_id = shared_server.create()["sessionId"]
    with shared_server.tab(kernel_id) as stays:
        for number in range(5):
            shared_server.ask_and_leave(kernel_id, f"left = {number}")
            await eventually(lambda number=number: stays.run("print(left)") == f"{number}\n")


async def test_one_that_does_not_greet_after_all_is_asked(one, monkeypatch):
    async with a_kernel(one) as (kernel_id, manager):
        monkeypatch.setattr(greeting.Greeting, "heard", _no_greeting)
        for session in ("a", "b"):
            async with a_browser(one, kernel_id, session) as browser:
                assert await browser.lines(await browser.execute("print(1)")) == ["1"]
        assert held_of(manager).greets


async def _no_greeting(_self):
    return None


async def test_after_a_restart_all_browsers_hear_the_first_cell_from_its_first_line(
    one, monkeypatch
):
    """Nothing here waits for a time to pass: each websocket knows that it hears the kernel."""
    monkeypatch.setattr(gate, "PATIENCE", NEVER)
    async with (
        a_kernel(one) as (kernel_id, _),
        a_browser(one, kernel_id, "a") as browser,
        a_browser(one, kernel_id, "b") as other,
    ):
        for _ in range(3):
            reply = await one.ask("POST", f"api/kernels/{kernel_id}/restart")
            assert reply.code == 200
            request = await browser.execute(f"for i in range({LINES}): print(i, flush=True)")
            for each in (browser, other):
                assert await each.lines(request) == [str(i) for i in range(LINES)]


async def test_a_cell_that_begins_before_Jupyter_hears_the_new_kernel_makes_it_busy(
    one, monkeypatch
):
    monkeypatch.setattr(learning, "_SUBSCRIBED", 3.0)
    async with a_kernel(one) as (kernel_id, manager), a_browser(one, kernel_id) as browser:
        assert await browser.lines(await browser.execute("print(1)")) == ["1"]
        ear = manager._activity_stream.socket
        address = ear.last_endpoint.decode()
        ear.disconnect(address)
        held = held_of(manager)
        await held.home.sessions.restart(kernel_id, 60)
        settled = await held.home.sessions.settled(kernel_id, 60)
        assert settled.status is SessionStatus.RUNNING
        await eventually(lambda: manager.execution_state == "idle")
        request = await browser.execute("import time; time.sleep(6); print(2)")
        await eventually(lambda: manager.execution_state == "busy")
        ear.connect(address)
        assert await browser.lines(request) == ["2"]
        await eventually(lambda: manager.execution_state == "idle")
