"""The queue merges, never doubles work, and comes back later."""

from __future__ import annotations

import asyncio

from jupyter_sessmgr.manager.loop.workqueue import WorkQueue
from tests.plugins.waiting import eventually


async def test_duplicates_merge_and_work_is_never_doubled():
    gate, running, runs, most = asyncio.Event(), 0, 0, 0

    async def work(_key):
        nonlocal running, runs, most
        running += 1
        runs += 1
        most = max(most, running)
        await gate.wait()
        running -= 1

    queue = WorkQueue(work, workers=4)
    queue.start()
    for _ in range(10):
        queue.add("a")
    await eventually(lambda: running == 1)
    for _ in range(10):
        queue.add("a")
    gate.set()
    await eventually(lambda: queue.is_idle)
    assert (runs, most) == (2, 1)
    await queue.stop()


async def test_different_keys_run_side_by_side():
    both = asyncio.Barrier(2)

    async def work(_key):
        await both.wait()

    queue = WorkQueue(work, workers=2)
    queue.start()
    queue.add("a")
    queue.add("b")
    await eventually(lambda: queue.is_idle)
    await queue.stop()


async def test_retries_come_later_and_later_until_done():
    async def work(key):
        seen.append(key)

    seen: list[str] = []
    queue = WorkQueue(work, workers=1, first_delay=0.01)
    queue.start()
    assert [queue.retry("a") for _ in range(3)] == [0.01, 0.02, 0.04]
    queue.done("a")
    assert queue.retry("a") == 0.01
    await eventually(lambda: seen == ["a"])
    await queue.stop()


async def test_stop_cancels_what_is_under_way():
    cancelled = False

    async def work(_key):
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled = True
            raise

    queue = WorkQueue(work, workers=1)
    queue.start()
    queue.add("a")
    await eventually(lambda: not queue.is_idle and not queue._waiting)
    await queue.stop()
    assert cancelled
