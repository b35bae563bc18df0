"""Work that crosses from Jupyter's many event loops to the manager's one."""

from __future__ import annotations

import asyncio
import logging
import threading
from types import SimpleNamespace

import pytest

from jupyter_sessmgr.model.errors import NotAllowed
from jupyter_sessmgr.provisioning.locate import Home, register, registered, unregister
from tests.plugins.waiting import eventually


@pytest.fixture
def elsewhere():
    """Give a loop that runs in another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield loop
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


def home_on(loop, **kwargs):
    sessions = SimpleNamespace(log=logging.getLogger("home"))
    return Home(sessions, loop, owner="me", **kwargs)


async def here():
    return asyncio.get_running_loop()


async def test_work_runs_where_the_manager_lives(elsewhere):
    home = home_on(elsewhere)
    assert await home.call(here) is elsewhere
    assert await home.finish(here) is elsewhere
    assert await home_on(asyncio.get_running_loop()).call(here) is asyncio.get_running_loop()


async def test_errors_come_back(elsewhere):
    async def fail():
        raise KeyError("x")

    for run in (home_on(elsewhere).call, home_on(asyncio.get_running_loop()).finish):
        with pytest.raises(KeyError):
            await run(fail)


@pytest.mark.parametrize("same", [True, False])
async def test_a_wait_can_be_cancelled_and_takes_the_work_with_it(elsewhere, same):
    home = home_on(asyncio.get_running_loop() if same else elsewhere)
    began, ended = threading.Event(), threading.Event()

    async def work():
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(home.call(work))
    await eventually(began.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(ended.is_set)


@pytest.mark.parametrize("same", [True, False])
async def test_work_that_must_finish_does_so_after_a_cancelled_wait(elsewhere, same):
    home = home_on(asyncio.get_running_loop() if same else elsewhere)
    began, finished = threading.Event(), threading.Event()

    async def work():
        began.set()
        await asyncio.sleep(0.05)
        finished.set()

    task = asyncio.create_task(home.finish(work))
    await eventually(began.is_set)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await eventually(finished.is_set)


async def test_posted_work_is_waited_for_and_its_errors_are_logged(caplog):
    home = home_on(asyncio.get_running_loop())
    done = []

    async def work():
        await asyncio.sleep(0.01)
        done.append(1)
        raise ValueError("told")

    home.post(work)
    await home.settle(5)
    assert done
    assert "told" in caplog.text


async def test_a_kernel_manager_that_blocks_the_servers_loop_is_refused(elsewhere):
    with pytest.raises(NotAllowed, match="AsyncMappingKernelManager"):
        await home_on(elsewhere, is_server=True).call(here)


def test_a_kernel_manager_finds_its_server_by_climbing(tmp_path):
    class Node:
        parent = None
        root_dir = str(tmp_path)
        io_loop = SimpleNamespace(asyncio_loop=None)

    server, kernels, kernel, stranger = Node(), Node(), Node(), Node()
    kernel.parent, kernels.parent = kernels, server
    home = register(server, SimpleNamespace(), owner="me")
    assert registered(kernel) is home
    assert registered(stranger) is None
    assert registered(None) is None
    stranger.parent = stranger
    assert registered(stranger) is None
    unregister(server)
    assert registered(kernel) is None
