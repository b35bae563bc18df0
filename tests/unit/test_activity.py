"""What is noted of sessions in use, and what rows get of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jupyter_sessmgr.manager.use.activity import Activity
from jupyter_sessmgr.manager.use.clock import ServerClock
from jupyter_sessmgr.manager.use.presence import ELSEWHERE, SAY_AGAIN
from jupyter_sessmgr.model.session import SessionSpec
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.model.usage import Usage
from jupyter_sessmgr.testing import make_session
from tests.unit.test_clock import Monotonic


@pytest.fixture
def machine():
    return Monotonic()


@pytest.fixture
def board(machine):
    return Activity(ServerClock(1e9, machine))


def idle_kernel(board, **changes):
    session = make_session(status=SessionStatus.RUNNING, **changes)
    board.set_busy(session.id, busy=False)
    return session


def test_a_kernel_of_which_nothing_is_known_counts_as_busy(board, machine):
    session = make_session(status=SessionStatus.RUNNING)
    assert board.idle_for(session) is None
    board.set_busy(session.id, busy=False)
    machine.now += 5
    assert board.idle_for(session) == 5
    board.set_busy(session.id, busy=None)
    assert board.idle_for(session) is None


def test_idle_begins_when_the_kernel_or_the_last_client_is_done(board, machine):
    session = idle_kernel(board)
    with board.client(session.id), board.client(session.id):
        machine.now += 100
        assert board.idle_for(session) is None
    assert board.idle_for(session) == 0
    machine.now += 7
    board.set_busy(session.id, busy=True)
    machine.now += 100
    assert board.idle_for(session) is None
    board.set_busy(session.id, busy=False)
    machine.now += 1
    board.set_busy(session.id, busy=False)
    assert board.idle_for(session) == 1
    board.touch(session.id)
    assert board.idle_for(session) == 0


def test_what_has_no_kernel_is_idle_by_use_alone_and_batch_never(board, machine):
    plain = make_session(spec=SessionSpec(image="i", kernel=""))
    batch = make_session(spec=SessionSpec(image="i", kernel="", session_type="batch"))
    for session in (plain, batch):
        board.touch(session.id)
    machine.now += 9
    assert board.idle_for(plain) == 9
    assert board.idle_for(batch) is None


def test_a_suspended_session_executes_nothing(board, machine):
    session = make_session(status=SessionStatus.SUSPENDED)
    board.touch(session.id)
    machine.now += 3
    assert board.idle_for(session) == 3


def test_rows_get_what_was_noted_and_counts_go_on(board):
    session = idle_kernel(board, queries=5, connected_at=None)
    assert board.last_active(session.id) is None
    assert board.stamp(session).last_active_at is None  # nobody used it
    for _ in range(3):
        board.note_query(session.id)
    row = board.take_due(session)
    assert (row.queries, row.connected_at) == (8, board.of(session.id).first_use)
    assert row.last_active_at == board.last_active(session.id)
    board.note_query(session.id)
    assert board.stamp(row).queries == 9
    assert board.stamp(session).queries == 9


def test_usage_only_grows_where_it_is_a_sum(board):
    session = idle_kernel(board, cpu_ms=700, usage=Usage(cpu_ms=700, mem_max_bytes=9, pids=4))
    board.note_usage(session.id, Usage(cpu_ms=100, mem_bytes=3, mem_max_bytes=5, pids=2))
    row = board.stamp(session)
    assert row.cpu_ms == 700
    assert row.usage == Usage(cpu_ms=700, mem_bytes=3, mem_max_bytes=9, pids=2)


def test_only_what_matters_is_written_at_once(board):
    written = []
    board.on_due(written.append)
    session = idle_kernel(board)
    board.touch(session.id)
    assert written == [session.id]  # the first use
    board.take_due(session)
    for _ in range(100):
        board.note_query(session.id)
    assert written == [session.id]
    assert not board.of(session.id).is_due
    board.write_all()
    assert written == [session.id] * 2
    assert board.of(session.id).is_due
    board.take_due(session)
    board.write_all()
    assert written == [session.id] * 2
    with board.client(session.id):
        pass
    assert written == [session.id] * 3  # the last client left


def test_a_client_may_leave_after_the_session_was_forgotten(board):
    session = idle_kernel(board)
    with board.client(session.id):
        board.forget(session.id)
    assert board.stamp(session) == session


def test_executions_on_two_servers_are_counted_once_each(board):
    session = idle_kernel(board, queries=5)
    board.note_query(session.id)
    stamped = board.take_due(session)
    elsewhere = replace(stamped, queries=stamped.queries + 2)  # while this was being written
    board.written(elsewhere, stamped)
    assert board.stamp(elsewhere).queries == 8
    board.note_query(session.id)
    assert board.stamp(elsewhere).queries == 9
    board.heard(elsewhere, replace(elsewhere, queries=10))
    assert board.stamp(session).queries == 11


def test_what_follows_says_what_is_new_and_again_while_somebody_is_connected(board, machine):
    session = idle_kernel(board, queries=5)
    assert board.take_uses() == []
    with board.client(session.id):
        board.note_query(session.id)
        (use,) = board.take_uses()
        assert (use.session_id, use.queries, use.first) == (session.id, 1, use.first)
        assert board.take_uses() == []
        machine.now += SAY_AGAIN
        (again,) = board.take_uses()
        assert (again.queries, again.last >= use.last) == (0, True)
        board.note_query(session.id)
        (lost,) = board.take_uses()
        board.untake([lost])
        assert [one.queries for one in board.take_uses()] == [1]
    assert len(board.take_uses()) == 1  # the last client left
    machine.now += SAY_AGAIN
    assert board.take_uses() == []


def test_what_is_in_use_elsewhere_is_not_idle_until_nothing_is_heard_any_more(board, machine):
    session = idle_kernel(board, last_active_at=1.0)
    machine.now += 100
    assert board.idle_for(session) == 100
    board.heard(session, session)
    assert board.idle_for(session) == 100
    board.heard(session, replace(session, last_active_at=2.0))
    assert board.idle_for(session) is None
    machine.now += ELSEWHERE
    assert board.idle_for(session) == ELSEWHERE
