"""Speaks HTTP with services, through their sessions' agents: one pool for the whole server."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Sequence
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.hdrs import ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT
from yarl import URL

from jupyter_sessmgr.model.errors import NotAllowed, NotRunning, ServiceError
from jupyter_sessmgr.proxy.target import Target

#: Opens a stream to a port inside a session: `SessionServices.open_stream`.
OpenStream = Callable[[str, int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]

#: Longest headers that a service may send, in bytes.
MAX_HEADERS = 64 * 1024
#: Bytes of an answer that wait for a slow reader, before the service is held back.
_WAITING = 64 * 1024


class _Connection(ResponseHandler):
    """One that is not used again once the service spoke unasked.

    That would be taken for the next answer, and each answer for the one after it.
    """

    def is_connected(self) -> bool:
        """Tell whether another request may use it. Called by the pool."""
        return super().is_connected() and not self.should_close


class _AgentConnector(aiohttp.BaseConnector):
    """Connects through agents. A "host" is a place, so no connection outlives its place."""

    def __init__(self, open_stream: OpenStream, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._open_stream = open_stream

    async def _create_connection(
        self, req: Any, traces: Any, timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        del traces, timeout
        _place, session_id = req.url.raw_host.split(".", 1)
        _, writer = await self._open_stream(session_id, req.url.port)
        protocol = _Connection(loop=self._loop)
        writer.transport.set_protocol(protocol)
        protocol.connection_made(writer.transport)
        # A writer that is forgotten closes its connection.
        weakref.finalize(protocol, writer.close).atexit = False
        return protocol


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
        self._client: aiohttp.ClientSession | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run something in the background that ends with this."""
        task = asyncio.create_task(work, name="sessmgr-proxy")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

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
        aiohttp.ClientError
            when it answers nonsense, or breaks off.
        """
        return await self._session().request(
            method,
            _url(target, path),
            headers=list(headers),
            data=body,
            allow_redirects=False,
        )

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

    async def close(self) -> None:
        """Close all connections. Harmless when there are none."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._client is not None:
            await self._client.close()
            self._client = None

    def _session(self) -> aiohttp.ClientSession:
        """Return the client; it is made on the loop that uses it."""
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=_AgentConnector(
                    self._reach,
                    keepalive_timeout=self._keepalive,
                    limit=0,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=[ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT],
                auto_decompress=False,
                # Deadlines are the handlers'; a stream may take as long as it likes.
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None, sock_read=None),
                read_bufsize=_WAITING,
                max_line_size=MAX_HEADERS,
                max_field_size=MAX_HEADERS,
            )
        return self._client


def _url(target: Target, path: str) -> URL:
    """Name a port of a place; `path` is passed on as it is."""
    host = f"{target.place_id}.{target.session_id}:{target.port}"
    return URL(f"http://{host}{path}", encoded=True)
