"""What one websocket gets of its session's journal, beside a kernel in memory."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from jupyter_client.session import Session

from jupyter_sessmgr.manager.journal import JournalPage, Recorded
from jupyter_sessmgr.provisioning.channels.frames import V1, Asked
from jupyter_sessmgr.provisioning.channels.past import Past
from jupyter_sessmgr.provisioning.channels.position import Position
from tests.plugins.waiting import eventually

SESSION = Session()
REQUEST = {**SESSION.msg_header("execute_request"), "msg_id": "request"}


class Browser:
    """A websocket's connection that notes what it sends."""

    session = SESSION
    kernel_manager = SimpleNamespace(execution_state="busy")
    multi_kernel_manager = SimpleNamespace(allow_tracebacks=True)
    log = logging.getLogger("browser")

    def __init__(self, subprotocol=None):
        self.subprotocol = subprotocol
        self.sent = []
        self.live = []
        self.broken = False

    async def write_message(self, data, *, binary):
        if self.broken:
            raise RuntimeError("a fault of ours")
        assert binary is isinstance(data, bytes)
        self.sent.append(data)

    def pass_on(self, _stream, parts):
        self.live.append(parts)


class Journal:
    """Has these messages, and waits for more that never come."""

    def __init__(self, *texts):
        self.messages = tuple(
            Recorded(seq=seq, time=0.0, parent="request", cell=None, message=stream(seq, text))
            for seq, text in enumerate(texts, 1)
        )
        self.asked = 0

    async def execution(self, _session_id, _msg_id):
        self.asked += 1
        return JournalPage(messages=self.messages, first=1, next=9, known=True)

    async def read(self, _session_id, since, wait=0.0):
        if wait or not self.messages:
            await asyncio.get_running_loop().create_future()
        found = tuple(one for one in self.messages if one.seq > since)
        return JournalPage(messages=found, first=1, next=len(self.messages))

    async def state(self, _session_id):
        return SimpleNamespace(execution_state="busy")


def stream(number, text):
    header = {"msg_id": f"m{number}", "msg_type": "stream"}
    content = {"name": "stdout", "text": text}
    return {"header": header, "parent_header": REQUEST, "metadata": {}, "content": content}


def live(text="now"):
    """Make a message as the kernel sends it."""
    parent = {"header": REQUEST, "parent_header": {}, "metadata": {}, "content": {}}
    return SESSION.serialize(SESSION.msg("stream", {"name": "stdout", "text": text}, parent=parent))


@contextmanager
def past(browser, journal, position=None):
    home = SimpleNamespace(sessions=SimpleNamespace(journal=journal))
    made = Past(browser, SimpleNamespace(id="session", home=home), position)
    made.begin()
    try:
        yield made
    finally:
        made.end()


async def test_an_execution_that_is_asked_for_again_is_not_held_back_for_ever():
    browser, journal = Browser(), Journal("before")
    with past(browser, journal) as one:
        for count in (1, 2):
            one.reattach(Asked(REQUEST, {}))
            await eventually(lambda count=count: len(browser.sent) >= count)
        assert one.take("iopub", live())
        one._catching[0].go_live()
        assert len(browser.live) == 1
        assert not one.take("iopub", live())


@pytest.mark.parametrize("subprotocol", [None, V1])
async def test_half_a_character_is_brought(subprotocol):
    browser = Browser(subprotocol)
    with past(browser, Journal("\ud83d"), Position()):
        await eventually(lambda: browser.sent)
    sent = browser.sent[0]
    assert rb"\ud83d" in (sent if isinstance(sent, bytes) else sent.encode())
    if subprotocol is None:
        assert json.loads(sent)["content"]["text"] == "\ud83d"


async def test_a_fault_in_the_past_lets_the_present_pass(caplog):
    browser = Browser()
    browser.broken = True
    with past(browser, Journal("before"), Position()) as one:
        assert one.take("iopub", live())
        await eventually(lambda: browser.live)
        assert not one.take("iopub", live())
        await eventually(lambda: "a fault of ours" in caplog.text)
