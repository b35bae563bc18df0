"""Handlers about the services of a session: list, start, stop, restart, log, ports."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_sessmgr.manager.inside.services import ServiceState, SessionServices
from jupyter_sessmgr.model.errors import (
    AgentError,
    AgentUnavailable,
    EngineUnavailable,
    InvalidRequest,
    NotAllowed,
    NotRunning,
    ServiceError,
    ServiceNotFound,
    SessionNotFound,
)
from jupyter_sessmgr.model.ports import Shown
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.rest.api import service_wire as wire
from jupyter_sessmgr.rest.api.service_types import ServiceList, ServiceReply, StartBody
from jupyter_sessmgr.rest.base import SessionsHandler
from jupyter_sessmgr.rest.operations import Parameter, Reply, operation
from jupyter_sessmgr.rest.permissions import may_execute

#: Bytes of a log that are kept, and answered unless less is asked for.
_LOG = 65536
_ERRORS = (SessionNotFound, NotRunning, AgentError, AgentUnavailable)
_ONE = (*_ERRORS, ServiceNotFound)
_START = (*_ONE, InvalidRequest, ServiceError, EngineUnavailable)
_RUNS = Reply("It listens.", ServiceReply)
_STARTS = Reply("It is starting still.", ServiceReply)
_EXAMPLES = {
    "as it is": {},
    "TensorBoard": {"arguments": {"--logdir": "runs"}, "maxWaitSeconds": 20},
    "at once": {"enqueueOnly": True},
}


class _ServicesHandler(SessionsHandler):
    """Knows the services, and how one is answered."""

    @property
    def services(self) -> SessionServices:
        """The manager of services."""
        return self.sessions.services

    def find(self, reference: str) -> ComputeSession:
        """Find one of the caller's sessions."""
        return self.sessions.find(reference, self.owner)

    def reply_service(self, session: ComputeSession, state: ServiceState) -> None:
        """Answer how a service is."""
        starting = state.state == "starting"
        status = HTTPStatus.ACCEPTED if starting else HTTPStatus.OK
        self.reply(self.rendered(session, state), status)

    def rendered(self, session: ComputeSession, state: ServiceState) -> ServiceReply:
        """Write how a service is."""
        shown = Shown()
        if state.protocol != "tcp":
            shown = self.rest.shown(self.request, state.name, trusted=state.trusted)
        return wire.render_service(session, state, self.base_url, shown)

    async def have_run(
        self, begin: Callable[..., Awaitable[ServiceState]], reference: str, service: str
    ) -> None:
        """Start a service or start it anew, as the body says, and answer how that went."""
        order = wire.read_start(await self.read_body())
        session = self.find(reference)
        state = await begin(
            session.id, service, order.arguments, order.environ, patience=order.patience
        )
        wire.check_not_failed(session, state)
        self.reply_service(session, state)


class ServiceListHandler(_ServicesHandler):
    """``{root}/api/session/{reference}/services``."""

    @authenticated
    @authorized
    @operation(
        replies={200: Reply("Promised, opened, defined or started.", ServiceList)},
        errors=(SessionNotFound, AgentError, AgentUnavailable),
    )
    async def get(self, reference: str) -> None:
        """List a session's services. This starts none, and is no use of the session."""
        session = self.find(reference)
        states = await self.services.look(session.id)
        self.reply({"items": [self.rendered(session, state) for state in states.values()]})


class ServiceStartHandler(_ServicesHandler):
    """``{root}/api/session/{reference}/services/{service}/start``."""

    @authenticated
    @may_execute
    @operation(
        body=StartBody, examples=_EXAMPLES, replies={200: _RUNS, 202: _STARTS}, errors=_START
    )
    async def post(self, reference: str, service: str) -> None:
        """Have a service run. One that runs stays as it is, whatever the arguments."""
        await self.have_run(self.services.start, reference, service)


class ServiceRestartHandler(_ServicesHandler):
    """``{root}/api/session/{reference}/services/{service}/restart``."""

    @authenticated
    @may_execute
    @operation(
        body=StartBody, examples=_EXAMPLES, replies={200: _RUNS, 202: _STARTS}, errors=_START
    )
    async def post(self, reference: str, service: str) -> None:
        """End a service and start it anew, as it was started last unless told otherwise."""
        await self.have_run(self.services.restart, reference, service)


class ServiceStopHandler(_ServicesHandler):
    """``{root}/api/session/{reference}/services/{service}/stop``."""

    @authenticated
    @may_execute
    @operation(replies={200: Reply("It does not run.", ServiceReply)}, errors=_ONE)
    async def post(self, reference: str, service: str) -> None:
        """End a service, and all that it started. Whoever opens its page starts it again."""
        session = self.find(reference)
        self.reply_service(session, await self.services.stop(session.id, service))


class ServiceLogHandler(_ServicesHandler):
    """``{root}/api/session/{reference}/services/{service}/log``."""

    @authenticated
    @authorized
    @operation(
        parameters=(Parameter("tail", int, f"Most bytes, up to {_LOG}.", example=4096),),
        replies={200: Reply("Its last lines, also of one that ended.", str, media="text/plain")},
        errors=(*_ONE, InvalidRequest),
    )
    async def get(self, reference: str, service: str) -> None:
        """Return the last lines that a service wrote, as they are."""
        tail = self.get_query_argument("tail", str(_LOG))
        if not tail.isascii() or not tail.isdigit() or len(tail) > len(str(_LOG)):
            raise InvalidRequest(f"tail: not a number up to {_LOG}.", field="tail")
        text = await self.services.log(self.find(reference).id, service, int(tail))
        self.finish(text, set_content_type="text/plain; charset=UTF-8")


class ServicePortHandler(_ServicesHandler):
    """``{root}/api/session/{reference}/ports/{port}``."""

    @authenticated
    @may_execute
    @operation(
        replies={200: Reply("It can be reached.", ServiceReply)},
        errors=(*_ERRORS, InvalidRequest),
    )
    async def put(self, reference: str, port: str) -> None:
        """Let a port of a running session be reached, as a service named by its number.

        For what its user starts inside. It stays open until it is closed, or the session ends.
        """
        session = self.find(reference)
        state = await self.services.promise_port(session.id, port)
        self.reply(self.rendered(session, state))

    @authenticated
    @may_execute
    @operation(
        replies={204: Reply("It cannot be reached any more.")},
        errors=(SessionNotFound, ServiceNotFound, InvalidRequest, NotAllowed),
    )
    async def delete(self, reference: str, port: str) -> None:
        """Close a port that was opened so."""
        await self.services.withdraw_port(self.find(reference).id, port)
        self.reply_nothing()
