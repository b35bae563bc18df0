"""Passes one HTTP request through, streaming both ways."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from tornado.httputil import HTTPHeaders, HTTPOutputError
from tornado.iostream import StreamClosedError
from tornado.web import RequestHandler

from jupyter_sessmgr.model.errors import ServiceError, ServiceTimeout
from jupyter_sessmgr.proxy.bodies import PassingBody
from jupyter_sessmgr.proxy.bounds import Traffic
from jupyter_sessmgr.proxy.headers import Pairs, Passage, response_headers
from jupyter_sessmgr.proxy.target import Target
from jupyter_sessmgr.proxy.upstream import MAX_HEADERS, Upstream, broken

if TYPE_CHECKING:
    import aiohttp

#: Adds what keeps a page apart to headers that are otherwise ready: `passing.Wanted.guarded`.
Guard = Callable[[Pairs], list[tuple[str, str]]]
Answer = TypeVar("Answer")
_BODILESS = frozenset({204, 304})
#: Statuses that end an answer.
_LOWEST_STATUS, _HIGHEST_STATUS = 200, 599


class Exchange:
    """One request to a service and its answer. Made by a handler, and ended with it.

    Parameters
    ----------
    handler : RequestHandler
        The client's side.
    upstream : Upstream
        The service's side.
    response_timeout : float
        Seconds until the head of the answer must be here, counted from the request's last byte.
    traffic : Traffic
        Hears of bytes.
    """

    def __init__(
        self,
        handler: RequestHandler,
        upstream: Upstream,
        *,
        response_timeout: float,
        traffic: Traffic,
    ) -> None:
        self._handler = handler
        self._upstream = upstream
        self._timeout = response_timeout
        self._traffic = traffic
        self._asking: asyncio.Task[aiohttp.ClientResponse] | None = None
        self._body: PassingBody | None = None

    def begin(self, target: Target, path: str, headers: Sequence[tuple[str, str]]) -> None:
        """Send the request; its body follows through `take`, if it has one."""
        request = self._handler.request
        if "Content-Length" in request.headers or "Transfer-Encoding" in request.headers:
            self._body = PassingBody()
            # While a piece waits for the service, nobody reads from the client.
            self._connection.stream.set_close_callback(self.end)
        asked = self._upstream.request(target, str(request.method), path, headers, self._body)
        self._asking = asyncio.create_task(asked, name=f"sessmgr-proxy-{target.service}")
        self._asking.add_done_callback(self._answered)

    def _answered(self, _task: object) -> None:
        if self._body is not None:
            self._body.drop()

    async def take(self, chunk: bytes) -> None:
        """Pass a piece of the request's body on; returns when there is room for another.

        A client whose service takes nothing for too long is told so.
        """
        if self._body is None:
            return
        self._traffic()
        try:
            async with asyncio.timeout(self._timeout):
                await self._body.put(chunk)
        except TimeoutError:
            late = too_late(self._timeout)
            self._handler.send_error(exc_info=(type(late), late, None))
            self.end()

    async def answer(self, passage: Passage, guard: Guard) -> None:
        """Write the service's answer.

        Raises
        ------
        ServiceError
            when there is none. Once its head was written nothing is raised: a client whose answer
            breaks off has to see that, so its connection is cut.
        """
        response = await self._head()
        if response is None:
            return
        try:
            self._write_head(response, passage, guard)
            await self._pass_on(response)
        finally:
            response.close()

    @property
    def _connection(self) -> Any:
        return self._handler.request.connection

    async def _head(self) -> aiohttp.ClientResponse | None:
        if self._asking is None:
            return None
        if self._body is not None:
            await self._body.end()
        response = await outcome(self._asking, self._timeout)
        # After a 101 a proxy in between would pass on whatever the service makes up.
        if response is not None and not (is_final(response.status) and is_short(response)):
            response.close()
            raise nonsense()
        return response

    def _write_head(self, response: aiohttp.ClientResponse, passage: Passage, guard: Guard) -> None:
        raw = [
            (name.decode("latin1"), value.decode("latin1")) for name, value in response.raw_headers
        ]
        headers = guard(response_headers(raw, passage))
        write_head(self._handler, response.status, response.reason or "", headers)

    async def _pass_on(self, response: aiohttp.ClientResponse) -> None:
        handler = self._handler
        try:
            # What came with the head leaves with it: most answers are one packet.
            if not response.content.exception():
                handler.write(response.content.read_nowait())
            # Not by `finish` alone where it would take headers away, or reckon the length anew.
            if response.content.is_eof() and self._has_body(response):
                handler.finish()
                return
            await handler.flush()
            while piece := await response.content.readany():
                handler.write(piece)
                await handler.flush()
                self._traffic()
            await handler.finish()
        except StreamClosedError:
            return  # the client left
        except broken(HTTPOutputError):
            self._cut()  # the last: it is not as long as it said

    def _has_body(self, response: aiohttp.ClientResponse) -> bool:
        return self._handler.request.method != "HEAD" and response.status not in _BODILESS

    def _cut(self) -> None:
        """Close the client's connection: an answer without its end is no answer."""
        with contextlib.suppress(StreamClosedError):
            self._connection.stream.close()

    def end(self) -> None:
        """Let go of the service. Called when the client left, and when all is done."""
        if self._asking is None:
            return
        self._asking.cancel()
        if self._body is not None:
            self._body.drop()
        if self._asking.done() and not self._asking.cancelled() and not self._asking.exception():
            self._asking.result().close()


async def outcome(asking: asyncio.Task[Answer], timeout: float) -> Answer | None:
    """Wait for what a service answers; None when the client left, so that it was asked no longer.

    Raises
    ------
    ServiceError
        when it cannot be reached or answers nonsense; `ServiceTimeout` when it does not answer
        within `timeout` seconds.
    """
    await asyncio.wait({asking}, timeout=timeout)
    if not asking.done():
        asking.cancel()
        raise too_late(timeout)
    if asking.cancelled():
        return None
    try:
        return asking.result()
    except broken(ValueError) as error:
        raise nonsense() from error


def too_late(timeout: float) -> ServiceTimeout:
    """Make the error for a service that takes too long."""
    return ServiceTimeout(f"The service did not answer within {timeout:g} seconds.")


def is_final(status: int) -> bool:
    """Whether a status ends an exchange."""
    return _LOWEST_STATUS <= status <= _HIGHEST_STATUS


def is_short(response: aiohttp.ClientResponse) -> bool:
    """Whether an answer's headers are no longer than they may be, together."""
    return sum(len(name) + len(value) for name, value in response.raw_headers) <= MAX_HEADERS


def write_head(
    handler: RequestHandler, status: int, reason: str, headers: Sequence[tuple[str, str]]
) -> None:
    """Write an answer's head, with these headers and no others."""
    handler.set_status(status, _clean(reason) or None)
    handler._headers = told = HTTPHeaders()  # noqa: SLF001 - it has tornado's and Jupyter's own
    for name, value in headers:
        told.add(name, value)


def _clean(reason: str) -> str:
    return "".join(sign for sign in reason if sign.isascii() and sign.isprintable())[:100]


def nonsense() -> ServiceError:
    """Make the error for a service that does not keep to the protocol."""
    return ServiceError("The service broke off, or answered nonsense.")
