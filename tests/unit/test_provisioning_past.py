"""What one websocket gets of its session's journal, beside a kernel in memory."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from jupyter_client.session import Session

from jupyter_sessmgr.manager.recording.journal import JournalPage, OutputJournal, Recorded
from jupyter_sessmgr.provisioning.channels.frames import V1, Asked
from jupyter_sessmgr.provisioning.channels.past import Past
from jupyter_sessmgr.provisioning.channels.position import Position
from jupyter_sessmgr.provisioning.channels.writer import Writer
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
        self.listing = 0

    async def execution(self, _session_id, _msg_id):
        self.asked += 1
        return JournalPage(messages=self.messages, first=1, next=9, known=True)

    async def read(self, _session_id, since, wait=0.0):
        if wait or not self.messages:
            await asyncio.get_running_loop().create_future()
        found = tuple(one for one in self.messages if one.seq > since)
        return JournalPage(messages=found, first=1, next=len(self.messages))

    async def executions(self, _session_id):
        self.listing += 1
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self.listing -= 1

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


class Agent:
    """Stands in for the agent of all sessions, and notes what it is told."""

    def __init__(self):
        self.notes = []

    def link(self, _session_id):
        return self

    async def call(self, _verb, _timeout, notes):
        self.notes += notes


@contextmanager
def past(browser, journal, position=None):
    home = SimpleNamespace(sessions=SimpleNamespace(journal=journal))
    held = SimpleNamespace(id="session", home=home)
    made = Past(browser, held, position, Writer(browser))
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


async def test_an_execution_that_is_asked_for_again_and_again_is_looked_up_once():
    journal = Journal()
    with past(Browser(), journal) as one:
        for count in range(1, 6):
            one.reattach(Asked(REQUEST, {}))
            await eventually(lambda count=count: journal.asked == count and journal.listing)
        await eventually(lambda: journal.listing == 1)
    await eventually(lambda: not journal.listing)


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


async def test_all_is_told_in_the_name_of_the_kernel_that_speaks_now():
    """JupyterLab drops what it did not get round to when somebody else speaks."""
    browser, kernel = Browser(), Session()
    writer = Writer(browser)
    (recorded,) = Journal("before").messages
    recorded.message["header"]["session"] = "an earlier one"
    await writer.replay(recorded)
    writer.follow(kernel.serialize(kernel.msg("status", {"execution_state": "busy"})))
    await writer.replay(recorded)
    said = [json.loads(one)["header"]["session"] for one in browser.sent]
    assert said == ["an earlier one", kernel.session]


HEADER = {"msg_id": "question", "msg_type": "input_request"}
ASKED = {"msg_id": "request"}
CONTENT = {"prompt": "name?", "password": False}


def framed(*parts):
    """Make a message of header, parent header and content."""
    header, parent, content = (json.dumps(part).encode() for part in parts)
    return [b"<IDS|MSG>", b"", header, parent, b"{}", content]


@pytest.mark.parametrize("channel", ["stdin", "iopub", "shell"])
@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([], id="nothing"),
        pytest.param([b"<IDS|MSG>"], id="no parts"),
        pytest.param([b"<IDS|MSG>", b"", b"no", b"no", b"{}", b"{}"], id="no JSON"),
        pytest.param([b"<IDS|MSG>", b"", b"[" * 100_000, b"{}", b"{}", b"{}"], id="deep"),
        pytest.param(framed([], 5, CONTENT), id="no objects"),
        pytest.param(framed({**HEADER, "msg_id": []}, ASKED, CONTENT), id="id"),
        pytest.param(framed({**HEADER, "msg_type": {}}, ASKED, CONTENT), id="type"),
        pytest.param(framed(HEADER, {"msg_id": 5}, CONTENT), id="parent"),
        pytest.param(framed(HEADER, ASKED, ["prompt"]), id="content"),
        pytest.param(
            framed({"msg_type": "status"}, {"msg_id": []}, {"execution_state": "idle"}), id="end"
        ),
    ],
)
async def test_F10_what_a_kernel_says_is_passed_on_if_it_cannot_be_read(channel, parts):
    journal = OutputJournal(None)
    with past(Browser(), journal) as one:
        one._replies.expect("another")
        one._position = Position()
        assert not one.take(channel, parts)
    await journal.close()


async def test_F10_a_question_with_half_a_character_is_noted():
    agent = Agent()
    journal = OutputJournal(agent)
    with past(Browser(), journal) as one:
        one.take("stdin", framed(HEADER, ASKED, {**CONTENT, "prompt": "name \ud83d?"}))
        await eventually(lambda: agent.notes)
    await journal.close()
    asks = {"prompt": "name ??", "password": False}
    assert agent.notes == [{"kind": "asks", "id": "request", "asks": asks}]
