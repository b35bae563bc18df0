"""How a start's wait ends, and what a start that fails or is cancelled leaves: nothing."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

import pytest

from jupyter_sessmgr.manager.bus import EventBus
from jupyter_sessmgr.manager.queue import Queued, StartQueue
from jupyter_sessmgr.model.errors import EngineUnavailable, SessionNotFound, StartFailed
from jupyter_sessmgr.model.events import StartProgressed
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.provisioning import taking
from jupyter_sessmgr.provisioning.held import Held
from jupyter_sessmgr.provisioning.locate import Home
from jupyter_sessmgr.testing import make_session
from tests.plugins.waiting import eventually

LOG = logging.getLogger("scripted")


class Scripted:
    """As much of the manager as a start needs; fails where it is told to."""

    log = LOG

    def __init__(self, session=None):
        self.bus = EventBus(LOG)
        self.queue = StartQueue()
        self.subscribe = self.bus.subscribe
        self.sessions = {} if session is None else {session.id: session}
        self.create_takes = 0.0
        self.create_fails = None
        self.destroy_fails = None
        self.destroyed = []
        self.kept = 0

    def find(self, reference, owner, *, name_last=False):
        if reference not in self.sessions:
            raise SessionNotFound("There is none.")
        return self.sessions[reference]

    def kernel_exit(self, session_id):
        return self.find(session_id, "").kernel_exit

    async def create(self, request, owner):
        await asyncio.sleep(self.create_takes)
        if self.create_fails is not None:
            raise self.create_fails
        session = make_session(id=request.session_id, owner=owner)
        self.sessions[session.id] = session
        return session, True

    async def settled(self, session_id, timeout=None):
        async with asyncio.timeout(timeout):
            await self.bus.until(lambda: self.is_settled(session_id))
        return self.sessions[session_id]

    def is_settled(self, session_id):
        status = self.sessions[session_id].status
        return status.is_final or status is SessionStatus.RUNNING

    async def destroy(self, session_id, forced=False, *, reason=""):
        del forced, reason
        self.destroyed.append(session_id)
        if self.destroy_fails is not None:
            raise self.destroy_fails

    def keep(self, session_id):
        self.kept += 1

    def unkeep(self, session_id):
        self.kept -= 1

    def become(self, session, **changes):
        self.sessions[session.id] = changed = replace(session, **changes)
        self.bus.publish(StartProgressed(changed, "pulling", "pulling 1 %"))


def home_of(sessions):
    return Home(sessions, asyncio.get_running_loop(), owner="me", is_server=True)


async def test_a_pulled_image_does_not_count(monkeypatch, caplog):
    monkeypatch.setattr(taking, "LOOK", 0.02)
    caplog.set_level(logging.INFO)
    session = make_session(owner="me", status=SessionStatus.PULLING)
    sessions = Scripted(session)
    held = Held(home_of(sessions), session.id, made=True)
    waiting = asyncio.create_task(taking.wait_until_settled(held, 0.1))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    sessions.become(session, status=SessionStatus.RUNNING)
    assert (await waiting).status is SessionStatus.RUNNING
    assert "pulling 1 %" in caplog.text


async def test_time_in_the_queue_does_not_count(monkeypatch):
    monkeypatch.setattr(taking, "LOOK", 0.02)
    session = make_session(owner="me")
    sessions = Scripted(session)
    sessions.queue.places[session.id] = Queued(position=1, reason="waits", since=0.0)
    held = Held(home_of(sessions), session.id, made=True)
    waiting = asyncio.create_task(taking.wait_until_settled(held, 0.1))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    sessions.queue.places.clear()
    with pytest.raises(StartFailed, match="not ready within"):
        await waiting


async def test_all_else_does_and_the_words_say_what_it_was_doing(monkeypatch):
    monkeypatch.setattr(taking, "LOOK", 0.02)
    session = make_session(owner="me", status=SessionStatus.CREATING, status_info="booting")
    held = Held(home_of(Scripted(session)), session.id, made=True)
    with pytest.raises(StartFailed, match=r"within 0\.06 s \(it was: booting\)"):
        await taking.wait_until_settled(held, 0.06)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": SessionStatus.ERROR, "failure": "No space left."}, "No space left."),
        ({"status": SessionStatus.CANCELLED}, "cancelled"),
        ({"status": SessionStatus.TERMINATED}, "cancelled"),
        ({"status": SessionStatus.ERROR, "status_info": "odd"}, "odd"),
        ({"status": SessionStatus.ERROR}, "before its kernel was ready"),
    ],
)
async def test_a_session_that_ends_instead_says_why(changes, words):
    session = make_session(owner="me", **changes)
    held = Held(home_of(Scripted(session)), session.id, made=True)
    with pytest.raises(StartFailed, match=words):
        await taking.wait_until_settled(held, 5)


@pytest.mark.parametrize("pause", [0.0, 0.01, 0.05])
async def test_a_creation_that_is_cancelled_is_undone_when_it_is_done(pause):
    sessions = Scripted()
    sessions.create_takes = 0.03
    home = home_of(sessions)
    request = CreateRequest(session_id="0f5e8f1c-63b6-4a38-9d4e-2f8f4a0d7c11")
    task = asyncio.create_task(taking.make_session(home, request))
    await asyncio.sleep(pause)
    if task.done():
        await (await task).abandon()
    else:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await asyncio.sleep(0)
    await home.settle(5)
    await eventually(lambda: sorted(sessions.sessions) == sorted(set(sessions.destroyed)))
    assert home.managed == set()
    assert sessions.kept == 0


async def test_a_creation_that_fails_leaves_no_hold():
    sessions = Scripted()
    sessions.create_fails = EngineUnavailable("away")
    home = home_of(sessions)
    with pytest.raises(EngineUnavailable, match="away"):
        await taking.make_session(home, CreateRequest(session_id="a"))
    assert home.managed == set()
    assert sessions.kept == 0
    assert sessions.destroyed == []


async def test_an_end_that_the_engine_delays_is_logged_and_no_error(caplog):
    session = make_session(owner="me")
    sessions = Scripted(session)
    sessions.destroy_fails = EngineUnavailable("the engine is away")
    held = Held(home_of(sessions), session.id, made=True)
    await held.destroy()
    assert "ends later: the engine is away" in caplog.text
    assert sessions.kept == 0
    held.give_back()
    assert sessions.kept == 0


async def test_a_session_that_was_only_found_is_given_back_and_not_ended():
    session = make_session(owner="me")
    sessions = Scripted(session)
    home = home_of(sessions)
    held = taking.find_session(home, session.id)
    assert home.managed == {session.id}
    await held.abandon()
    assert sessions.destroyed == []
    assert (home.managed, sessions.kept) == (set(), 0)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (SessionStatus.PENDING, None),
        (SessionStatus.RUNNING, None),
        (SessionStatus.RESTARTING, None),
        (SessionStatus.SUSPENDED, None),
        (SessionStatus.TERMINATING, None),
        (SessionStatus.TERMINATED, 1),
        (SessionStatus.ERROR, 1),
    ],
)
async def test_I7_only_what_has_ended_is_dead(status, code):
    session = make_session(owner="me", status=status)
    held = Held(home_of(Scripted(session)), session.id, made=True)
    assert held.exit_code() == code


async def test_a_name_that_looks_like_the_id_is_not_taken_for_it():
    session = make_session(owner="me")
    sessions = Scripted()
    sessions.sessions["0f5e8f1c-63b6-4a38-9d4e-2f8f4a0d7c11"] = session
    assert taking.find_session(home_of(sessions), "0f5e8f1c-63b6-4a38-9d4e-2f8f4a0d7c11") is None
