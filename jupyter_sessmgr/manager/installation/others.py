"""The other servers on the same state folder, and what they write into the store.

One leads and the others follow; none of them asks another anything. Each leaves a mark that says
that it lives, and looks now and then whether the store has something new.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from jupyter_sessmgr.manager.installation.marks import Mark, marks_in
from jupyter_sessmgr.model.errors import StoreError
from jupyter_sessmgr.store.base import Change, Store

#: The marks' folder in the state folder.
SERVERS = "servers"
#: Seconds between looks at who is there.
COUNT_INTERVAL = 1.0
#: Seconds between looks at the store while somebody is.
LOOK_INTERVAL = 0.05
#: A server that has not been heard of for so many seconds is told as not running.
SILENT_AFTER = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Another server that lives."""

    id: str
    pid: int
    #: Seconds since it was last heard of.
    silent_for: float

    def __str__(self) -> str:
        """Name it for people."""
        return f"process {self.pid}" if self.pid else "another process"


def leave_mark(folder: Path, server_id: str) -> Mark:
    """Say that this server uses the state folder. Writes a file."""
    return Mark.make(folder / SERVERS, server_id, json.dumps({"pid": os.getpid()}))


class Others:
    """Knows which other servers there are, and what they write. Made with the manager's parts.

    Parameters
    ----------
    store : Store, optional
        The store that all of them share; without one, nobody else is there.
    mark : Mark, optional
        This server's own.
    """

    def __init__(
        self,
        store: Store | None = None,
        mark: Mark | None = None,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger] | None = None,
    ) -> None:
        self._store = store
        self._mark = mark
        self._log = log or logging.getLogger(__name__)
        self._take: Callable[[Change], None] = lambda _change: None
        self._looking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._trouble = ""
        #: Those that were there at the last look, by id.
        self.servers: Mapping[str, Server] = {}

    @property
    def server_id(self) -> str:
        """Say what this server itself is called."""
        return self._mark.path.name if self._mark is not None else ""

    def is_there(self, server_id: str) -> bool:
        """Tell whether a server lives, this one included."""
        return server_id == self.server_id or server_id in self.servers

    async def start(self, take: Callable[[Change], None], on_count: Callable[[], None]) -> None:
        """Begin to look, having looked once.

        Parameters
        ----------
        take
            called with everything that another server wrote of a session.
        on_count
            called when a server came or went.
        """
        if self._mark is None:
            return
        self._take = take
        await self._count(self._mark, on_count)
        await self.look()
        self._task = asyncio.create_task(self._run(self._mark, on_count), name="sessmgr-others")

    async def stop(self) -> None:
        """Stop looking; the mark stays."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def leave(self) -> None:
        """Say that this server is gone."""
        if self._mark is not None:
            await asyncio.to_thread(self._mark.remove)

    async def look(self) -> None:
        """Take over now what others wrote, before something is judged that depends on it."""
        if self.servers:
            await self._look()

    async def _look(self) -> None:
        if self._store is None:
            return
        async with self._looking:
            try:
                changes = await self._store.refresh()
            except StoreError as error:
                if self._trouble != error.message:
                    self._log.warning("What other servers wish is not known: %s", error)
                self._trouble = error.message
                return
            self._trouble = ""
            for change in changes:
                self._take(change)

    async def _run(self, mark: Mark, on_count: Callable[[], None]) -> None:
        counted_at = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_INTERVAL if self.servers else COUNT_INTERVAL)
            try:
                if time.monotonic() - counted_at >= COUNT_INTERVAL:
                    counted_at = time.monotonic()
                    await self._count(mark, on_count)
                await self.look()
            except Exception:  # noqa: BLE001 - whatever it is, looking goes on
                self._log.exception("What other servers do could not be looked at")
                await asyncio.sleep(COUNT_INTERVAL)

    async def _count(self, mark: Mark, on_count: Callable[[], None]) -> None:
        known, self.servers = self.servers, await asyncio.to_thread(_living, mark)
        if known.keys() != self.servers.keys():
            await self._look()  # also for the last wishes of one that went
            on_count()


def _living(mine: Mark) -> dict[str, Server]:
    """List the servers that live besides this one, and remove the marks of others."""
    found = {}
    for path, mark in marks_in(mine.path.parent):
        if mark is not None:
            mark.remove()
        elif path.name != mine.path.name:
            found[path.name] = _read(path)
    if found:
        mine.beat()
    return found


def _read(path: Path) -> Server:
    pid, beaten_at = 0, time.time()
    try:
        beaten_at = path.stat().st_mtime
        pid = int(json.loads(path.read_text(encoding="utf-8"))["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        pid = 0  # it is just going
    return Server(id=path.name, pid=pid, silent_for=max(0.0, time.time() - beaten_at))
