"""The order of writes to the database file."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from jupyter_sessmgr.store.base import Cipher
from jupyter_sessmgr.store.database import Database, Opened
from jupyter_sessmgr.store.dbfile import Transaction

T = TypeVar("T")
R = TypeVar("R")


class Writer:
    """An open file, the one thread that touches it, and the order of its writes.

    Each write commits and changes the mirror before the next begins, so the mirror is never
    behind the file when a write starts.
    """

    def __init__(self, database: Database, cipher: Cipher) -> None:
        self._database = database
        self._cipher = cipher
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sessmgr-store")
        self._order = asyncio.Lock()
        self._pending: set[asyncio.Task[Any]] = set()

    async def open(self, load: Callable[[Transaction, Cipher], T]) -> tuple[Opened, T]:
        """Open the file, and `load` what is in it."""
        return await self._run(
            lambda: self._database.open(lambda transaction: load(transaction, self._cipher))
        )

    async def lead(self, load: Callable[[Transaction, Cipher], T]) -> tuple[Opened, T]:
        """Open the file anew as its leader; unless that fails, it is from now on."""
        async with self._order:
            return await self._run(
                lambda: self._database.lead(lambda transaction: load(transaction, self._cipher))
            )

    async def keep_copy(self) -> Path:
        """Copy the file as it is."""
        return await self._run(self._database.keep_copy)

    async def _run(self, job: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, job)

    async def write(
        self, work: Callable[[Transaction, Cipher], T], remember: Callable[[T], R]
    ) -> R:
        """Commit `work` and then `remember` its result, also when the caller is cancelled."""
        return await self._whole(self._commit(work, remember))

    async def read_news(
        self, read: Callable[[Transaction, Cipher], T], remember: Callable[[T], R]
    ) -> R | None:
        """Have `read` and `remember` take over what others wrote; None when they wrote nothing."""
        async with self._order:
            version = await self._run(self._database.news)
            if version is None:
                return None
            result = await self._run(
                lambda: self._database.read(lambda transaction: read(transaction, self._cipher))
            )
            remembered = remember(result)
            self._database.seen = version
            return remembered

    async def close(self) -> None:
        """Let go of the file, after the writes that wait."""
        await self._whole(self._finish())

    def abandon(self) -> None:
        """Let go of the file without waiting for it."""
        self._thread.submit(self._database.close)
        self._thread.shutdown(wait=False)

    async def _whole(self, action: Coroutine[Any, Any, T]) -> T:
        task = asyncio.get_running_loop().create_task(action)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)
        return await asyncio.shield(task)

    async def _commit(
        self, work: Callable[[Transaction, Cipher], T], remember: Callable[[T], R]
    ) -> R:
        async with self._order:
            result = await self._run(
                lambda: self._database.transaction(
                    lambda transaction: work(transaction, self._cipher)
                )
            )
            return remember(result)

    async def _finish(self) -> None:
        async with self._order:
            await self._run(self._database.close)
            self._thread.shutdown(wait=False)
