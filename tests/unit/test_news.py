"""What a server that follows tells of a row that changed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyter_sessmgr.manager.installation.news import news_of
from jupyter_sessmgr.model.events import KernelDied, SessionMoved, StartProgressed, StatusChanged
from jupyter_sessmgr.model.ports import Endpoint
from jupyter_sessmgr.model.session import KernelExit, StatusNote
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.store.base import Change
from jupyter_sessmgr.testing import make_session

S = SessionStatus
HERE, THERE = Endpoint("agent", "10.0.0.2", 1), Endpoint("agent", "10.0.0.3", 1)


def row(*statuses, **changes):
    """Make a row that came to these statuses, one a second."""
    notes = tuple(StatusNote(status=one, at=float(at)) for at, one in enumerate(statuses))
    session = make_session(id="one", status=statuses[-1], history=notes, place_id="p")
    return replace(session, **changes)


RUNNING = row(S.PENDING, S.CREATING, S.RUNNING, endpoints=(HERE,))
RESTARTED = row(S.PENDING, S.CREATING, S.RUNNING, S.RESTARTING, S.RUNNING, endpoints=(HERE,))
DEATH = KernelExit(generation=1, code=-9, reason="It was killed.")


def told(before, after):
    """Say what is told, in short."""
    return [
        (event.before, event.session.status) if isinstance(event, StatusChanged) else type(event)
        for event in news_of(Change(before, after))
    ]


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        (None, row(S.PENDING), [(None, S.PENDING), StartProgressed]),
        (row(S.PENDING), row(S.PENDING, tag="new"), []),
        (row(S.PENDING), row(S.PENDING, status_info="waits"), [StartProgressed]),
        (
            row(S.PENDING),
            RUNNING,
            [(S.PENDING, S.CREATING), (S.CREATING, S.RUNNING)],
        ),
        (None, RUNNING, [(None, S.PENDING), (S.PENDING, S.CREATING), (S.CREATING, S.RUNNING)]),
        (RUNNING, RESTARTED, [(S.RUNNING, S.RESTARTING), (S.RESTARTING, S.RUNNING)]),
        (RUNNING, replace(RUNNING, endpoints=(THERE,)), [SessionMoved]),
        (RUNNING, replace(RUNNING, kernel_exit=DEATH), [KernelDied]),
        (RUNNING, replace(RUNNING, kernel_exit=replace(DEATH, expected=True)), []),
        (replace(RUNNING, kernel_exit=DEATH), replace(RUNNING, kernel_exit=DEATH, queries=3), []),
        (RUNNING, None, []),
    ],
)
def test_what_is_told(before, after, news):
    assert told(before, after) == news


def test_without_a_history_the_status_of_the_row_is_told():
    before, after = replace(RUNNING, history=()), replace(RUNNING, status=S.TERMINATING, history=())
    assert told(before, after) == [(S.RUNNING, S.TERMINATING)]
