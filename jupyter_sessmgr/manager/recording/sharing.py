"""Work that several ask for at once, and that is done once for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar
from weakref import WeakValueDictionary

Result = TypeVar("Result")


class Shared(Generic[Result]):
    """Does one piece of work at a time for each key.

    Whoever asks gets a result of work that began after that; those who ask while other work is
    under way wait for the same next one.

    Parameters
    ----------
    work : callable
        Does it, given the key.
    """

    def __init__(self, work: Callable[[str], Awaitable[Result]]) -> None:
        self._work = work
        #: What did not begin yet.
        self._next: dict[str, asyncio.Task[Result]] = {}
        self._tasks: set[asyncio.Task[Result]] = set()
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def get(self, key: str) -> Result:
        """Return what the work returns, or raise what it raises; it goes on when askers leave."""
        task = self._next.get(key)
        if task is None:
            task = self._next[key] = asyncio.create_task(
                self._do(key), name=f"sessmgr-shared-{key}"
            )
            self._tasks.add(task)
            task.add_done_callback(self._done)
        return await asyncio.shield(task)

    async def close(self) -> None:
        """Let go of what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._next.clear()

    async def _do(self, key: str) -> Result:
        async with self._turns.setdefault(key, asyncio.Lock()):
            del self._next[key]
            return await self._work(key)

    def _done(self, task: asyncio.Task[Result]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # perhaps nobody waits for it any more
