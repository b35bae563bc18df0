"""A queue that merges duplicates and never works on one item twice at once."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable


class WorkQueue:
    """Keys to be worked on, each by at most one worker at a time.

    A key that is added while it is being worked on is worked on once more afterwards. A key can
    come back after a delay that doubles with each `retry`, until `done`.
    """

    def __init__(
        self,
        work: Callable[[str], Awaitable[None]],
        *,
        workers: int,
        first_delay: float = 0.25,
        longest_delay: float = 30.0,
    ) -> None:
        self._work = work
        self._workers = workers
        self._first_delay = first_delay
        self._longest_delay = longest_delay
        self._waiting: dict[str, None] = {}
        self._working: set[str] = set()
        self._again: set[str] = set()
        self._delays: dict[str, float] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._changed = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to work. Called once, on the event loop."""
        self._tasks = [
            asyncio.create_task(self._run(), name=f"sessmgr-worker-{number}")
            for number in range(self._workers)
        ]

    async def stop(self) -> None:
        """End all work, cancelling what is under way, and wait for its end."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    def add(self, key: str) -> None:
        """Have `key` worked on soon; once, however often this is called before."""
        self._cancel_timer(key)
        if key in self._working:
            self._again.add(key)
            return
        self._waiting[key] = None
        self._changed.set()

    def add_later(self, key: str, delay: float) -> None:
        """Have `key` worked on in `delay` seconds, unless it is added before."""
        self._cancel_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(delay, self.add, key)

    def retry(self, key: str) -> float:
        """Have `key` worked on again, later each time; returns the delay in seconds."""
        delay = self._delays.get(key, self._first_delay)
        self._delays[key] = min(delay * 2, self._longest_delay)
        self.add_later(key, delay)
        return delay

    def done(self, key: str) -> None:
        """Forget the growing delay of `key`."""
        self._delays.pop(key, None)

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is being worked on; timers do not count."""
        return not self._waiting and not self._working

    def _cancel_timer(self, key: str) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()

    async def _run(self) -> None:
        while True:
            key = await self._take()
            try:
                await self._work(key)
            finally:
                self._working.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    async def _take(self) -> str:
        while True:
            with contextlib.suppress(StopIteration):
                key = next(iter(self._waiting))
                del self._waiting[key]
                self._working.add(key)
                return key
            self._changed.clear()
            await self._changed.wait()
