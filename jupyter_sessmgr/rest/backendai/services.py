"""Handlers of services inside sessions."""

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_sessmgr.manager.inside.services import check_running
from jupyter_sessmgr.model.errors import (
    AgentError,
    AgentUnavailable,
    InvalidRequest,
    NotRunning,
    ServiceNotFound,
    ServiceStarting,
    SessionNotFound,
)
from jupyter_sessmgr.rest.backendai import file_types as types
from jupyter_sessmgr.rest.backendai.base import OWNER_PARAMETER, BackendAIHandler
from jupyter_sessmgr.rest.backendai.file_wire import (
    read_extras,
    render_apps,
    render_service,
    render_started,
    service_name,
)
from jupyter_sessmgr.rest.operations import Reply, operation
from jupyter_sessmgr.rest.permissions import may_execute

_ERRORS = (
    InvalidRequest,
    SessionNotFound,
    ServiceNotFound,
    NotRunning,
    AgentError,
    AgentUnavailable,
)


class ServicesHandler(BackendAIHandler):
    """``{root}/session/:id/services``."""

    @authenticated
    @authorized
    @operation(
        parameters=(OWNER_PARAMETER,),
        replies={200: Reply("All services, promised or started.", types.ServicesReply)},
        errors=(SessionNotFound, AgentError, AgentUnavailable),
    )
    async def get(self, reference: str) -> None:
        """List a session's services, with the last lines of each."""
        session = self.find_live(reference)
        states = await self.sessions.services.look(session.id)
        found: types.ServicesReply = {
            "items": [render_service(session, one, self.base_url) for one in states.values()]
        }
        self.reply(found)


class StartServiceHandler(BackendAIHandler):
    """``{root}/session/:id/start-service``."""

    @authenticated
    @may_execute
    @operation(
        parameters=(OWNER_PARAMETER,),
        body=types.StartServiceBody,
        replies={200: Reply("It listens.", types.StartServiceReply)},
        examples={"TensorBoard": {"app": "tensorboard", "arguments": {"--logdir": "runs"}}},
        errors=(*_ERRORS, ServiceStarting),
    )
    async def post(self, reference: str) -> None:
        """Have a service run; the reply comes when it listens."""
        body = await self.read_body()
        name = service_name(body.get("app"))
        arguments = read_extras(body.get("arguments"), "arguments")
        environ = read_extras(body.get("envs"), "envs")
        session = self.find_live(reference)
        self.touch(session)
        services = self.sessions.services
        state = await services.start(session.id, name, arguments, environ)
        check_running(session, state)
        token = services.token(session.id, name)
        self.set_header("Cache-Control", "no-store")  # there is a secret in it
        self.reply(render_started(session, state, self.base_url, token))


class ShutdownServiceHandler(BackendAIHandler):
    """``{root}/session/:id/shutdown-service``."""

    @authenticated
    @may_execute
    @operation(
        parameters=(OWNER_PARAMETER,),
        body=types.ShutdownServiceBody,
        examples={"TensorBoard": {"service_name": "tensorboard"}},
        replies={204: Reply("It ended.")},
        errors=_ERRORS,
    )
    async def post(self, reference: str) -> None:
        """End a service, and all that it started."""
        body = await self.read_body()
        name = service_name(body.get("service_name", body.get("app")), "service_name")
        await self.sessions.services.stop(self.find_live(reference).id, name)
        self.reply_nothing()


class AppsHandler(BackendAIHandler):
    """``{root}/stream/session/:id/apps``."""

    @authenticated
    @may_execute
    @operation(
        parameters=(OWNER_PARAMETER,),
        replies={200: Reply("What can be opened, and what it takes.", list[types.AppItem])},
        errors=(SessionNotFound, NotRunning, AgentError, AgentUnavailable),
    )
    async def get(self, reference: str) -> None:
        """List what can be opened in a session by `httpproxy` or `tcpproxy`."""
        session = self.find_live(reference)
        services = self.sessions.services
        offers = await services.offers(session.id)
        tokens = {name: services.token(session.id, name) for name in offers}
        self.set_header("Cache-Control", "no-store")  # there are secrets in it
        self.reply(render_apps(session, services.states(session.id), offers, tokens, self.base_url))
