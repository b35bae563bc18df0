"""Speaks HTTP with services, through their sessions' agents: one pool for the whole server."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Sequence
from typing import TYPE_CHECKING, Any

from jupyter_sessmgr.model.errors import NotAllowed, NotRunning, ServiceError
from jupyter_sessmgr.proxy.target import Target

if TYPE_CHECKING:
    import aiohttp

    from jupyter_sessmgr.proxy.pool import Pool

#: Opens a stream to a port inside a session: `SessionServices.open_stream`.
OpenStream = Callable[[str, int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]

#: Longest headers that a service may send, in bytes.
MAX_HEADERS = 64 * 1024


class Upstream:
    """The server's side towards services. Owned by the extension's app.

    Parameters
    ----------
    open_stream : callable
        Opens a stream to a port inside a session.
    keepalive : float
        Seconds that an idle connection is kept for the next request.
    """

    def __init__(self, open_stream: OpenStream, *, keepalive: float = 15.0) -> None:
        self._open_stream = open_stream
        self._keepalive = keepalive
        self._pool: Pool | None = None
        self._tasks: set[asyncio.Task[object]] = set()

    def spawn(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """Run something in the background that ends with this."""
        task = asyncio.create_task(work, name="sessmgr-proxy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def prepare(self) -> None:
        """Load, beside the server, what the first request needs."""
        self.spawn(asyncio.to_thread(_load))

    async def request(
        self,
        target: Target,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: AsyncIterable[bytes] | None,
    ) -> aiohttp.ClientResponse:
        """Send a request; returns when the head of the answer is here.

        Parameters
        ----------
        path
            The request's target, byte for byte.

        Raises
        ------
        SessmgrError
            when the service cannot be reached.
        one of `broken()`
            when it answers nonsense, or breaks off.
        """
        pool = await self._ready()
        return await pool.request(target, method, path, headers, body)

    async def connect(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Open a connection of its own; whoever asked closes it.

        Raises
        ------
        SessmgrError
            when the service cannot be reached.
        """
        return await self._reach(target.session_id, target.port)

    async def _reach(
        self, session_id: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            return await self._open_stream(session_id, port)
        except (NotRunning, NotAllowed) as error:  # it did, or was one, a moment ago
            raise ServiceError(error.message, session=error.session, **error.data) from error

    async def _ready(self) -> Pool:
        """Return the pool; it is made on the loop that uses it, by the first request."""
        if self._pool is None:
            make = await asyncio.to_thread(_load)
            if self._pool is None:  # another request may have been quicker
                self._pool = make(self._reach, keepalive=self._keepalive, max_headers=MAX_HEADERS)
        return self._pool

    async def close(self) -> None:
        """Close all connections. Harmless when there are none."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._pool is not None:
            await self._pool.close()
            self._pool = None


def broken(*others: type[Exception]) -> tuple[type[Exception], ...]:
    """Name what `Upstream.request` and its answers raise when a service answers nonsense."""
    # Until it is loaded, nothing can have raised it.
    loaded = sys.modules.get("aiohttp")
    return (OSError, *others) if loaded is None else (loaded.ClientError, OSError, *others)


def _load() -> type[Pool]:
    from jupyter_sessmgr.proxy.pool import Pool  # noqa: PLC0415 - it takes a tenth of a second

    return Pool
