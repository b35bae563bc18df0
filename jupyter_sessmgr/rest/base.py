"""What every REST handler of ours is."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from types import TracebackType
from typing import Any, ClassVar

from jupyter_server.auth.identity import IdentityProvider
from jupyter_server.base.handlers import APIHandler
from tornado.web import HTTPError, RequestHandler

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.model.ports import Shown
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.rest.bodies import MAX_BODY, SMALL_BODY, read_object
from jupyter_sessmgr.rest.endings import Endings
from jupyter_sessmgr.rest.errors import Problem, problem_of
from jupyter_sessmgr.rest.execution.executions import Executions
from jupyter_sessmgr.rest.feeds import Feeds
from jupyter_sessmgr.rest.identity import SignedIdentity, Signer
from jupyter_sessmgr.rest.metrics import count_error
from jupyter_sessmgr.rest.owners import Owners
from jupyter_sessmgr.rest.shortlog import ShortLog
from jupyter_sessmgr.rest.signatures import is_signed

#: What an authorizer is asked about.
AUTH_RESOURCE = "sessmgr"
#: Key of `Rest` in the web application's settings.
SETTINGS_KEY = "sessmgr_rest"
PROBLEM_JSON = "application/problem+json"
_VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rest:
    """What the handlers share; made by the extension's app."""

    sessions: ComputeSessionManager
    owners: Owners
    #: Knows who signs requests.
    signed: SignedIdentity
    #: Returns when the manager is open; raises why it cannot be opened. Cheap when it is open.
    ready: Callable[[], Awaitable[None]]
    #: Says why the manager is not open; "" when it is.
    trouble: Callable[[], Awaitable[str]]
    endings: Endings
    #: Runs code in sessions.
    runs: Executions
    #: Those who listen to events.
    feeds: Feeds
    #: Has Jupyter list a kernel while it can be used, and no longer; says whether it does.
    listed: Callable[[ComputeSession], Awaitable[bool]]
    #: Status codes of the Backend.AI dialect that an admin may choose.
    statuses: Mapping[type[SessmgrError], int]
    #: Says how a service's pages are shown to who sends a request: its name, and `trusted`.
    shown: Callable[..., Shown]
    #: Gives the OpenAPI document, as JSON.
    openapi: Callable[[], bytes]


class IdentifiedHandler(APIHandler):
    """Knows what handlers share, and who asks."""

    auth_resource = AUTH_RESOURCE

    @property
    def rest(self) -> Rest:
        """What the handlers share."""
        rest: Rest = self.settings[SETTINGS_KEY]
        return rest

    @property
    def sessions(self) -> ComputeSessionManager:
        """The manager of compute sessions (``session_manager`` is Jupyter's)."""
        return self.rest.sessions

    @property
    def identity_provider(self) -> IdentityProvider:
        """Who says who asks: the server's provider, or ours where a request is signed."""
        if is_signed(self.request.headers):
            return self.rest.signed
        return super().identity_provider

    @property
    def owner(self) -> str:
        """Whose sessions this request is about."""
        return self.rest.owners.of(self.current_user)

    @property
    def access_key(self) -> str:
        """The access key that signed this request; "" when it is not signed."""
        user = self.current_user
        return user.pair.access_key if isinstance(user, Signer) else ""

    @property
    def is_admin(self) -> bool:
        """Whether this request may do what only admins may, such as exempt a session."""
        return self.rest.owners.is_admin(self.current_user)

    @property
    def log(self) -> ShortLog:  # type: ignore[override]  # as good as a logger
        """Jupyter's log, which no client can fill (THREATS A6)."""
        return ShortLog(super().log)


class SessionsHandler(IdentifiedHandler):
    """Base of all REST handlers: who asks, the strict body, errors by the table.

    Every method of a handler is ``@web.authenticated`` and ``@authorized``; the cross-site checks
    of `APIHandler` stay as they are. Handlers raise errors of our tree and catch none.
    """

    #: Whether requests wait until the manager is open.
    needs_sessions: ClassVar[bool] = True

    async def prepare(self) -> None:  # type: ignore[override]  # as APIHandler
        """Check who asks and what was sent, then wait for the manager."""
        await super().prepare()
        if self.current_user is None:
            return
        self._check_content_type()
        if self.needs_sessions:
            await self.rest.ready()

    def _check_content_type(self) -> None:
        """Refuse what a web page can send without asking first (THREATS B1)."""
        if self.request.method in {"GET", "HEAD", "OPTIONS"} or self.access_key:
            return
        declared = self.request.headers.get("Content-Type", "")
        if declared.partition(";")[0].strip().lower() == "application/json":
            return
        # A cross-site page cannot send these two methods unasked, so a bare one is harmless.
        bare = not declared and not self.request.body
        if self.request.method in {"DELETE", "PATCH"} and bare:
            return
        raise HTTPError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "Send JSON, with the header Content-Type: application/json.",
        )

    def methods(self) -> list[str]:
        """List the methods that this path takes, but for OPTIONS, which is everywhere."""
        plain = RequestHandler._unimplemented_method  # noqa: SLF001 - tornado has no other mark
        return [verb for verb in _VERBS if getattr(type(self), verb.lower()) is not plain]

    async def read_body(self) -> dict[str, Any]:
        """Read the request's JSON object.

        Raises
        ------
        InvalidRequest
            as `bodies.read_object`.
        HTTPError
            413 when it is larger than 1 MiB.
        """
        body = self.request.body
        if len(body) > MAX_BODY:
            raise HTTPError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is over {MAX_BODY} bytes."
            )
        if len(body) > SMALL_BODY:
            return await asyncio.to_thread(read_object, body)
        return read_object(body)

    def reply(self, value: object, status: int = HTTPStatus.OK) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.finish(json.dumps(value))

    def reply_nothing(self) -> None:
        """Answer 204."""
        self.set_status(HTTPStatus.NO_CONTENT)
        self.finish()

    def problem(self, error: BaseException | None, status: int) -> Problem:
        """Look an error up in the table; a dialect may have status codes of its own."""
        return problem_of(error, status)

    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """Answer with what the table says. Called by tornado with whatever a handler raised."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        count_error(error)
        super().send_error(self.problem(error, status_code).status, **kwargs)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Write an error's headers and body."""
        problem = self.problem(kwargs.get("exc_info", (None, None, None))[1], status_code)
        if problem.retry_after is not None:
            self.set_header("Retry-After", str(problem.retry_after))
        if problem.status == HTTPStatus.METHOD_NOT_ALLOWED:
            self.set_header("Allow", ", ".join([*self.methods(), "OPTIONS"]))
        self.render_problem(problem)

    def render_problem(self, problem: Problem) -> None:
        """Write an error as this dialect spells it."""
        self.finish(json.dumps(problem.body(), default=str), set_content_type=PROBLEM_JSON)

    def log_exception(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """Log an unexpected error with its trace; an expected one is for the client.

        The words may quote the client, so they are escaped (THREATS E11). Tornado would repeat the
        query, which may have the server's token.
        """
        if isinstance(value, HTTPError) and value.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            return  # the line that Jupyter writes for each request says enough
        if isinstance(value, SessmgrError):
            self.log.debug("%s: %s", type(value).__name__, json.dumps(value.message)[:1000])
            return
        trace: Any = (typ, value, tb)
        method, path = self.request.method, self.request.path
        self.log.error("Uncaught exception at %s %s", method, path, exc_info=trace)
