"""Work that goes on beside requests, and its owner."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any


class Tasks:
    """Tasks that end with their owner; what breaks one is in the log.

    Parameters
    ----------
    log : logging.Logger
        Gets what no task should raise.
    """

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        self._log = log
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin a piece of work."""
        task = asyncio.create_task(work, name="sessmgr-run")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def close(self) -> None:
        """End all work, and wait for it."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.error("A run broke off.", exc_info=task.exception())
