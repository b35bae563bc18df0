"""Runs with a real kernel: what they hold on to, and what is left of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import pytest

from jupyter_sessmgr.model.errors import NotRunning
from jupyter_sessmgr.rest.execution import book, executions, line
from jupyter_sessmgr.rest.execution.executions import Executions
from tests.plugins.managers import managed, running
from tests.plugins.waiting import eventually


@contextlib.asynccontextmanager
async def executing(manager):
    made = Executions(manager, logging.getLogger("executions"))
    try:
        yield made
    finally:
        await made.close()


async def finished(made, session, code, **kwargs):
    """Run code to its end; return what it wrote."""
    run = await made.start(session, code, **kwargs)
    await asyncio.wait_for(run.ended.wait(), 60)
    return "".join(str(value) for _, value in run.take().console)


def sockets(made):
    """List the sockets to kernels that are open."""
    return [one for one in made._exchange._context._sockets if not one.closed]


def tasks():
    """List the tasks that work for runs."""
    ours = ("sessmgr-run", "sessmgr-line", "sessmgr-kernel")
    return [one for one in asyncio.all_tasks() if one.get_name().startswith(ours)]


async def test_nothing_is_left_of_runs(state_dir, monkeypatch):
    monkeypatch.setattr(line, "LINGER", 0.05)
    monkeypatch.setattr(executions, "COMPLETION_TIMEOUT", 60)  # the first takes long
    async with managed(state_dir) as manager:
        session = await running(manager)
        assert session.encrypted
        async with executing(manager) as made:
            assert await finished(made, session, "print(6 * 7)") == "42\n"
            await eventually(lambda: made._exchange._lines[session.id]._channels is None)
            for _ in range(3):
                runs = [await made.start(session, "print(1)") for _ in range(5)]
                assert await made.complete(session, "pri", 3) == ["print"]
                await asyncio.gather(*(run.ended.wait() for run in runs))
                await eventually(lambda: made._exchange._lines[session.id]._channels is None)
            await eventually(lambda: not tasks())
            assert sockets(made) == []
        assert tasks() == []


async def test_one_connection_serves_all_runs_of_a_session(state_dir):
    async with managed(state_dir) as manager:
        session = await running(manager)
        async with executing(manager) as made:
            runs = [await made.start(session, f"print({number})") for number in range(20)]
            await asyncio.gather(*(run.ended.wait() for run in runs))
            assert len(sockets(made)) == 4
            wrote = [run.take().console for run in runs]
            assert wrote == [(("stdout", f"{number}\n"),) for number in range(20)]


async def test_a_session_is_in_use_as_long_as_code_runs(state_dir):
    async with managed(state_dir) as manager:
        session = await running(manager)
        async with executing(manager) as made:
            run = await made.start(session, "input()")
            await asyncio.wait_for(run.news.wait(), 60)
            assert manager.activity.of(session.id).clients == 1
            made.answer(session.id, run, "")
            await asyncio.wait_for(run.ended.wait(), 60)
            await eventually(lambda: manager.activity.of(session.id).clients == 0)


async def test_runs_that_nobody_asks_for_are_forgotten(state_dir, monkeypatch):
    monkeypatch.setattr(book, "PATIENCE", 0.2)
    monkeypatch.setattr(book, "SWEEP", 0.05)
    async with managed(state_dir) as manager:
        session = await running(manager)
        async with executing(manager) as made:
            await made.start(session, "print(1)")
            question = await made.start(session, "input()")
            await asyncio.wait_for(question.ended.wait(), 60)
            assert "KeyboardInterrupt" in str(question.take().console)
            await eventually(lambda: len(made._runs) == 0)
            assert made._runs.budget.used == 0


async def test_a_run_that_was_abandoned_in_the_queue_is_interrupted_in_its_turn(state_dir):
    async with managed(state_dir) as manager:
        session = await running(manager)
        async with executing(manager) as made:
            first = await made.start(session, "input()")
            second = await made.start(session, "import time; time.sleep(60)")
            third = await made.start(session, "print('mine')")
            made.abandon(session, second)
            await asyncio.wait_for(first.news.wait(), 60)
            made.answer(session.id, first, "")
            await asyncio.wait_for(third.ended.wait(), 30)
            assert third.take().console == (("stdout", "mine\n"),)
            assert first.take().exit_code == 0


async def test_a_server_that_stops_ends_runs_with_words(state_dir):
    async with managed(state_dir) as manager:
        session = await running(manager)
        made = Executions(manager, logging.getLogger("executions"))
        run = await made.start(session, "import time; time.sleep(60)")
        await asyncio.wait_for(run.started.wait(), 60)
        await made.close()
        told = run.take()
        assert (told.status, told.exit_code) == ("finished", 130)
        assert "server stops" in told.console[-1][1]


async def test_a_dead_kernel_runs_no_code(state_dir):
    async with managed(state_dir) as manager:
        session = await running(manager)
        async with executing(manager) as made:
            manager.keep(session.id)  # nobody starts it again
            run = await made.start(session, "import os; os._exit(3)")
            await asyncio.wait_for(run.ended.wait(), 60)
            assert run.take().exit_code == 3
            with pytest.raises(NotRunning, match="kernel died"):
                await made.start(manager.find(session.id, "me"), "1")


async def test_answers_are_heard_however_many_are_asked_for_at_once(state_dir):
    async with managed(state_dir) as manager:
        sessions = [await running(manager) for _ in range(2)]
        async with executing(manager) as made:

            async def ask(number):
                return await finished(made, sessions[number % 2], f"print({number})")

            for _ in range(4):
                answers = await asyncio.gather(*map(ask, range(48)))
                assert answers == [f"{number}\n" for number in range(48)]


async def test_a_kernel_that_is_not_ours_is_not_heard(state_dir, monkeypatch):
    monkeypatch.setattr(line, "OPEN_TIMEOUT", 1.5)
    async with managed(state_dir) as manager:
        session = await running(manager)
        true = manager.connection_info(session.id)
        wrong = {**true, "key": b"another"}
        monkeypatch.setattr(type(manager), "connection_info", lambda *_: wrong)
        async with executing(manager) as made:
            run = await made.start(session, "print(1)")
            await asyncio.wait_for(run.ended.wait(), 30)
            told = run.take()
            assert told.exit_code == 130
            assert "does not answer" in told.console[-1][1]
            assert sockets(made) == []
