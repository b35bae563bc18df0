"""What is written down with every change of status, and why sessions end."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from jupyter_sessmgr.manager.loop.facts import FIRST_NOTES, LAST_NOTES, with_history
from jupyter_sessmgr.manager.parts import Memory
from jupyter_sessmgr.manager.wishes import Wishes
from jupyter_sessmgr.model.status import Goal, SessionStatus
from jupyter_sessmgr.store.memory import MemoryStore
from jupyter_sessmgr.testing import make_session
from tests.plugins.stores import PLENTY, ReversingCipher

S = SessionStatus


def became(session, status, **changes):
    return with_history(session, replace(session, status=status, **changes))


def test_a_history_has_every_status_with_its_reason():
    session = with_history(None, make_session(status_info="queued"))
    session = became(session, S.CREATING, status_info="booting")
    session = became(session, S.CREATING, status_info="still booting")
    session = became(session, S.RUNNING, status_info="")
    session = became(session, S.TERMINATING, stop_reason="idle-timeout")
    session = became(session, S.ERROR, failure="It broke.")
    assert [(note.status, note.info) for note in session.history] == [
        (S.PENDING, "queued"),
        (S.CREATING, "booting"),
        (S.RUNNING, ""),
        (S.TERMINATING, "idle-timeout"),
        (S.ERROR, "It broke."),
    ]
    times = [note.at for note in session.history]
    assert times == sorted(times)


def test_a_caller_with_an_old_history_takes_none_away():
    first = with_history(None, make_session())
    second = became(first, S.CREATING)
    late = with_history(second, replace(first, status=S.RUNNING))
    assert [note.status for note in late.history] == [S.PENDING, S.CREATING, S.RUNNING]


def test_a_history_that_goes_on_for_ever_loses_its_middle():
    session = with_history(None, make_session())
    for turn in range(500):
        session = became(session, (S.RESTARTING, S.RUNNING)[turn % 2], status_info=str(turn))
    infos = [note.info for note in session.history]
    assert len(infos) == FIRST_NOTES + LAST_NOTES
    assert infos[1:3] == ["0", "1"]
    assert infos[-2:] == ["498", "499"]


@pytest.mark.parametrize("status", [S.RUNNING, S.SUSPENDED])
def test_a_reason_to_end_is_not_told_before_the_end(status):
    assert make_session(status=status, stop_reason="lifetime").why == ""


async def test_the_first_reason_to_end_is_kept_and_newer_wishes_are_not_lost():
    store = MemoryStore()
    await store.open(Path("/nowhere"), ReversingCipher())
    reconciler = SimpleNamespace(interrupt_start=lambda _: None, poke=lambda _: None)
    log = logging.getLogger("test")
    wishes = Wishes(SimpleNamespace(store=store, memory=Memory(), log=log), reconciler)
    old = await store.add(make_session(), PLENTY)
    await store.save_wish(replace(old, generation=7))
    await wishes.stop(old, reason="idle-timeout")
    await wishes.stop(old, forced=True)
    wished = store.get(old.id)
    assert (wished.goal, wished.forced, wished.generation) == (Goal.STOP, True, 7)
    assert wished.stop_reason == "idle-timeout"
