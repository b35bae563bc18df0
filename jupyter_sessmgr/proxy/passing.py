"""What every request to a service goes through, however its sender was recognised."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.base.handlers import JupyterHandler
from tornado.web import HTTPError

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.model.naming import service_path
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.proxy.bounds import Connections, Traffic
from jupyter_sessmgr.proxy.choosing import Chooser
from jupyter_sessmgr.proxy.credentials import ours
from jupyter_sessmgr.proxy.failing import Failing
from jupyter_sessmgr.proxy.handover import Handovers
from jupyter_sessmgr.proxy.headers import Pairs, Passage, request_headers, without_token
from jupyter_sessmgr.proxy.http import Exchange, write_head
from jupyter_sessmgr.proxy.isolation import Isolation, isolation_headers
from jupyter_sessmgr.proxy.joining import Junction
from jupyter_sessmgr.proxy.settings import ServiceProxy
from jupyter_sessmgr.proxy.target import Starts, Target
from jupyter_sessmgr.proxy.upstream import Upstream
from jupyter_sessmgr.proxy.wish import Wish, read_wish

#: Key of `Proxy` in the web application's settings.
SETTINGS_KEY = "sessmgr_proxy"
#: Seconds that a person's page waits for a start before it is told to come back.
_PAGE_PATIENCE = 1.0
_NO_LIMIT = 2**62
#: Bytes of a body that are read to their end before a request is refused.
_SMALL = 2**20
_WEBDAV = (
    "PROPFIND",
    "PROPPATCH",
    "MKCOL",
    "COPY",
    "MOVE",
    "LOCK",
    "UNLOCK",
    "REPORT",
    "SEARCH",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """What the handlers of services share; made by the extension's app."""

    sessions: ComputeSessionManager
    settings: ServiceProxy
    chooser: Chooser
    upstream: Upstream
    starts: Starts
    connections: Connections = field(default_factory=Connections)
    handovers: Handovers = field(default_factory=Handovers)
    #: Proves to our own page that a service's host leads to this process.
    probe_key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    #: Names the owner of what an authenticated user may see.
    owner_of: Callable[[Any], str]
    #: Returns when the manager is open; raises why it cannot be.
    ready: Callable[[], Awaitable[None]]
    #: The one table from errors to HTTP.
    problem_of: Callable[[BaseException | None, int], Any]

    def proof(self, challenge: str, label: str) -> str:
        """Answer what our own page asks a service's host, to know that it leads here."""
        return hmac.new(self.probe_key, f"{label} {challenge}".encode(), hashlib.sha256).hexdigest()

    async def close(self) -> None:
        """Let go of all services."""
        await self.starts.close()
        await self.upstream.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a request is for, once its sender was recognised."""

    session: ComputeSession
    service: str
    #: The path inside the service, without the slash before it, byte for byte.
    path: str
    #: Path of the service's pages as this browser sees it.
    prefix: str
    isolation: Isolation
    #: Jupyter's origin, for a service that has a host of its own.
    home: str = ""
    #: Cookie by which the browser goes on to be known there; "" while the one it has will do.
    renewal: str = ""

    def guarded(self, headers: Pairs) -> list[tuple[str, str]]:
        """Add what keeps the page apart."""
        told = isolation_headers(self.isolation, headers, self.home)
        return [*told, ("Set-Cookie", self.renewal)] if self.renewal else told


class Answered(Exception):
    """The answer is known without the service: a redirect, or a browser's question."""

    def __init__(self, status: int, headers: Sequence[tuple[str, str]], body: str = "") -> None:
        super().__init__(status)
        self.status = status
        self.headers = headers
        self.body = body


def sent_to(place: str) -> Answered:
    """Send a browser to another page, this time; that one is not told where it came from."""
    headers = [("Cache-Control", "no-store"), ("Referrer-Policy", "no-referrer")]
    return Answered(302, [("Location", place), *headers])


class PassingHandler(Failing):
    """Passes requests and websockets to a service. Subclasses say who may: `recognise`."""

    SUPPORTED_METHODS = (*JupyterHandler.SUPPORTED_METHODS, *_WEBDAV)

    def initialize(self, **kwargs: Any) -> None:
        """Begin without anything to let go of."""
        super().initialize(**kwargs)
        self._wanted: Wanted | None = None
        #: What a websocket's client asks for; None for every other request.
        self._wish: Wish | None = None
        self._exchange: Exchange | Junction | None = None
        #: What the request holds as long as it lasts.
        self._held = ExitStack()
        self._refusal: SessmgrError | HTTPError | Answered | None = None

    @property
    def proxy(self) -> Proxy:
        """What the handlers share."""
        proxy: Proxy = self.settings[SETTINGS_KEY]
        return proxy

    def guarded(self, headers: Pairs) -> list[tuple[str, str]]:
        """Add what keeps the page apart."""
        return self._wanted.guarded(headers) if self._wanted else super().guarded(headers)

    def ticket_key(self, session: ComputeSession, service: str) -> str:
        """Return what tickets to a service of a session's present place are signed with."""
        return self.proxy.sessions.services.ticket_key(session.id, service)

    async def recognise(self) -> Wanted:
        """Say what is wanted, when its sender may want it.

        Raises
        ------
        Answered
            when the answer is known already; SessmgrError, HTTPError when it is no.
        """
        raise NotImplementedError

    async def prepare(self) -> None:
        """Begin to pass the request on, or note why not."""
        try:
            await self._begin()
        except BaseException as error:
            self._held.close()
            if not isinstance(error, (SessmgrError, HTTPError, Answered)):
                raise
            # An answer before the request's end would cost the client its connection.
            if not _is_short(self.request.headers):
                self.set_header("Connection", "close")
                raise
            self._refusal = error

    async def _begin(self) -> None:
        """Recognise who asks, reach the service, and ask it."""
        self._wanted = wanted = await self.recognise()
        self._wish = read_wish(self.request) if self.is_socket else None
        counted = self.proxy.connections.one(wanted.session.id, self.proxy.settings)
        self._held.enter_context(counted)
        # What is passed on is never held, so its size is the service's business.
        self.request.connection.set_max_body_size(_NO_LIMIT)  # type: ignore[union-attr]
        await self.proxy.sessions.resume(wanted.session.id)  # what counts as use: see `Traffic`
        patience = _PAGE_PATIENCE if self.is_navigation else self.proxy.settings.start_patience
        target = await self.proxy.starts.reach(wanted.session, wanted.service, patience)
        await self._ask(target, wanted)

    async def _ask(self, target: Target, wanted: Wanted) -> None:
        own_host = wanted.isolation is Isolation.SUBDOMAIN
        home = service_path(self.base_url, wanted.session.id, wanted.service)
        whole_paths = target.manners.whole_paths
        elsewhere = whole_paths and not self.request.path.startswith(home)
        if own_host and elsewhere and self.is_navigation:
            # It knows one path for itself, on whatever host.
            raise sent_to(home + wanted.path + self.own_query())
        passage = Passage(
            prefix=wanted.prefix,
            scheme=self.request.protocol,
            host=self.request.host,
            client=self.request.remote_ip or "",
            upstream=f"127.0.0.1:{target.port}",
            home=home,
            own_host=own_host,
            whole_paths=whole_paths and not own_host,
            authorization=target.manners.authorization,
        )
        told = list(self.request.headers.get_all())
        headers = request_headers(told, passage, is_ours=ours(self))
        path = f"{passage.root}{wanted.path}{self.own_query()}"
        self._passage = passage
        self._exchange = self._make_exchange(wanted)
        self._exchange.begin(target, path, headers)

    def _make_exchange(self, wanted: Wanted) -> Exchange | Junction:
        activity, session_id = self.proxy.sessions.activity, wanted.session.id
        is_passive = wanted.service in self.proxy.settings.passive_services
        traffic = Traffic(None if is_passive else partial(activity.touch, session_id))
        traffic()
        timeout = self.proxy.settings.response_timeout
        if self._wish is None:
            return Exchange(self, self.proxy.upstream, response_timeout=timeout, traffic=traffic)
        if not is_passive:
            self._held.enter_context(activity.client(session_id))
        return Junction(
            self,
            self.proxy.upstream,
            wish=self._wish,
            response_timeout=timeout,
            held=self._held,
            traffic=traffic,
        )

    def own_query(self) -> str:
        """Return the query, byte for byte, without this server's token."""
        query = without_token(self.request.query, ours(self))
        return f"?{query}" if query else ""

    async def data_received(self, chunk: bytes) -> None:
        """Pass a piece of the request's body on. Called by tornado."""
        if isinstance(self._exchange, Exchange):
            await self._exchange.take(chunk)

    async def answer(self) -> None:
        """Pass the service's answer back, or open the websocket. What every method does."""
        if isinstance(self._refusal, Answered):
            write_head(self, self._refusal.status, "", self._refusal.headers)
            self.finish(self._refusal.body or None)
        elif self._refusal is not None:
            raise self._refusal
        elif self._exchange is not None and self._wanted is not None:
            connection: Any = self.request.connection
            try:
                # Who left together with the request's last byte is not announced any more.
                if not connection.stream.closed():
                    await self._exchange.answer(self._passage, self._wanted.guarded)
            finally:
                self._let_go()

    def check_xsrf_cookie(self) -> None:
        """Leave Jupyter's cookie out of it: where a write comes from is judged by `recognise`."""

    def on_connection_close(self) -> None:
        """Let go of the service when the client left."""
        self._let_go()
        super().on_connection_close()

    def _let_go(self) -> None:
        # They know each other: parted here, neither has to wait for the garbage collector.
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.end()
        self._held.close()


def _is_short(headers: Mapping[str, str]) -> bool:
    """Whether a request is soon at its end."""
    length = headers.get("Content-Length", "0")
    return "Transfer-Encoding" not in headers and length.isdigit() and int(length) <= _SMALL


Handler = TypeVar("Handler", bound=type[PassingHandler])


def answering(handler: Handler) -> Handler:
    """Give a handler every method.

    Open to all as far as Jupyter is concerned: a body is passed on before a method is called, so
    whoever may not is turned away in `prepare` already.
    """
    for name in handler.SUPPORTED_METHODS:

        @allow_unauthenticated
        async def method(self: PassingHandler, *_args: str) -> None:
            await self.answer()

        setattr(handler, name.lower(), method)
    return handler
