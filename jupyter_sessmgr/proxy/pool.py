"""One pool of connections to services for the whole server: where aiohttp lives.

Importing that takes a tenth of a second, so `upstream` imports this when the server has started.
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncIterable, Sequence
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.hdrs import ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT
from yarl import URL

from jupyter_sessmgr.proxy.target import Target

if TYPE_CHECKING:
    from jupyter_sessmgr.proxy.upstream import OpenStream

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


class Pool:
    """Sends requests. Made and closed by `Upstream`, on the loop that uses it.

    Parameters
    ----------
    open_stream : callable
        Opens a stream to a port inside a session.
    keepalive : float
        Seconds that an idle connection is kept for the next request.
    max_headers : int
        Longest headers that a service may send, in bytes.
    """

    def __init__(self, open_stream: OpenStream, *, keepalive: float, max_headers: int) -> None:
        self._client = aiohttp.ClientSession(
            connector=_AgentConnector(open_stream, keepalive_timeout=keepalive, limit=0),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=[ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT],
            auto_decompress=False,
            # Deadlines are the handlers'; a stream may take as long as it likes.
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None, sock_read=None),
            read_bufsize=_WAITING,
            max_line_size=max_headers,
            max_field_size=max_headers,
        )

    async def request(
        self,
        target: Target,
        method: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        body: AsyncIterable[bytes] | None,
    ) -> aiohttp.ClientResponse:
        """Send a request; see `Upstream.request`."""
        return await self._client.request(
            method,
            _url(target, path),
            headers=list(headers),
            data=body,
            allow_redirects=False,
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()


def _url(target: Target, path: str) -> URL:
    """Name a port of a place; `path` is passed on as it is."""
    host = f"{target.place_id}.{target.session_id}:{target.port}"
    return URL(f"http://{host}{path}", encoded=True)
