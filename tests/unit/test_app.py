"""The extension's app: opening, and what it does to a server before that has started."""

from __future__ import annotations

import asyncio
import logging

import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.serverapp import ServerApp
from traitlets.config import Config

from jupyter_sessmgr.manager.installation.opener import Opener
from jupyter_sessmgr.model.errors import SessmgrError, Standby, StoreError, StoreRefused
from jupyter_sessmgr.model.requests import Health
from jupyter_sessmgr.provisioning.gateways import kernelspec_manager_class
from tests.plugins.waiting import eventually

LOG = logging.getLogger("tests.app")


class Sessions:
    """Opens as told."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.gate = asyncio.Event()
        self.attempts = 0
        self.closed = False

    async def open(self):
        self.attempts += 1
        await self.gate.wait()
        if self.outcomes:
            raise self.outcomes.pop(0)

    async def close(self):
        self.closed = True

    def health(self):
        return Health(engine="process", available=True, reason="")


def make(sessions, opened=None):
    async def on_open():
        if opened is not None:
            opened.append(1)

    return Opener(sessions, asyncio.get_running_loop(), on_open, LOG)


async def test_many_who_ask_at_once_open_once():
    sessions, opened = Sessions(), []
    opener = make(sessions, opened)
    waiting = [asyncio.ensure_future(opener.ready()) for _ in range(9)]
    waiting[0].cancel()
    await asyncio.sleep(0)
    sessions.gate.set()
    await asyncio.gather(*waiting[1:])
    await opener.ready()
    assert (sessions.attempts, opened, opener.is_open) == (1, [1], True)
    assert await opener.trouble() == ""


async def test_what_could_not_be_opened_is_tried_again_and_told_once(caplog):
    sessions = Sessions(*(StoreRefused("The folder is open to others.") for _ in range(3)))
    sessions.gate.set()
    opener = make(sessions)
    for _ in range(2):
        with pytest.raises(StoreRefused, match="open to others"):
            await opener.ready()
    assert "open to others" in await opener.trouble()
    assert caplog.text.count("open to others") == 1
    await opener.ready()
    assert sessions.attempts == 4


@pytest.mark.parametrize("kind", [Standby, StoreError])
async def test_what_may_pass_by_itself_is_tried_again_by_itself(kind, monkeypatch):
    monkeypatch.setattr("jupyter_sessmgr.manager.installation.opener.OPEN_AGAIN", 0.01)
    sessions, opened = Sessions(kind("Another server begins."), kind("It does.")), []
    sessions.gate.set()
    make(sessions, opened).begin()
    await eventually(lambda: opened)
    assert sessions.attempts == 3


async def test_a_bug_is_logged_and_told_without_its_words(caplog):
    sessions = Sessions(ValueError("hunter2"))
    sessions.gate.set()
    opener = make(sessions)
    with pytest.raises(SessmgrError, match="see the server's log") as told:
        await opener.ready()
    assert "hunter2" not in str(told.value)
    assert "ValueError: hunter2" in caplog.text
    await opener.ready()


async def test_what_follows_the_opening_does_not_undo_it(caplog):
    async def on_open():
        raise ValueError("a fault of ours")

    sessions = Sessions()
    sessions.gate.set()
    opener = Opener(sessions, asyncio.get_running_loop(), on_open, LOG)
    assert await opener.begin() is None
    assert opener.is_open
    assert "a fault of ours" in caplog.text


async def test_closing_ends_an_opening_that_hangs():
    sessions = Sessions()
    opener = make(sessions)
    opener.begin()
    await asyncio.sleep(0)
    await asyncio.wait_for(opener.close(), 5)
    assert sessions.closed
    assert not opener.is_open


class Own(KernelSpecManager):
    """An admin's own class."""


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, KernelSpecManager),
        ({"ServerApp": {"kernel_spec_manager_class": Own}}, Own),
        ({"GatewayClient": {"url": "http://gateway.example"}}, None),
    ],
)
def test_the_kernelspec_manager_that_is_extended(config, expected, monkeypatch):
    monkeypatch.delenv("JUPYTER_GATEWAY_URL", raising=False)
    assert kernelspec_manager_class(ServerApp(config=Config(config))) is expected
