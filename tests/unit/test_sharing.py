import asyncio

import pytest

from jupyter_sessmgr.manager.recording.sharing import Shared
from tests.plugins.waiting import eventually


class Work:
    """Takes as long as it is told to, and counts."""

    def __init__(self):
        self.begun = []
        self.may_end = asyncio.Event()

    async def __call__(self, key):
        self.begun.append(key)
        number = len(self.begun)
        await self.may_end.wait()
        if key == "fails":
            raise ValueError(number)
        return number


async def test_who_asks_meanwhile_shares_what_comes_next():
    work = Work()
    shared = Shared(work)
    first = asyncio.create_task(shared.get("a"))
    await eventually(lambda: work.begun == ["a"])
    later = [asyncio.create_task(shared.get("a")) for _ in range(50)]
    other = asyncio.create_task(shared.get("b"))
    await eventually(lambda: work.begun == ["a", "b"])
    later[0].cancel()  # who leaves takes nothing from the others
    work.may_end.set()
    assert await asyncio.gather(first, other, *later[1:]) == [1, 2, *[3] * 49]
    assert not shared._tasks
    assert not shared._next
    assert not shared._turns


async def test_all_who_ask_hear_of_a_failure_and_the_next_ask_anew():
    work = Work()
    work.may_end.set()
    shared = Shared(work)
    told = await asyncio.gather(*(shared.get("fails") for _ in range(3)), return_exceptions=True)
    assert [one.args for one in told] == [(1,)] * 3
    with pytest.raises(ValueError, match="2"):
        await shared.get("fails")


async def test_what_is_under_way_is_let_go_at_the_end():
    work = Work()
    shared = Shared(work)
    asking = asyncio.create_task(shared.get("a"))
    await eventually(lambda: work.begun)
    await shared.close()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not shared._tasks
