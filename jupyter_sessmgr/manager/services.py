"""Apps inside running sessions: started on demand, and reached by streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from traitlets import Dict, Float, TraitError, validate
from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.manager.agentstream import AgentStream
from jupyter_sessmgr.manager.agentwords import AgentService, ServiceOffer
from jupyter_sessmgr.manager.inside import Inside
from jupyter_sessmgr.manager.servicedefs import BUILT_IN
from jupyter_sessmgr.model.errors import InvalidRequest, NotAllowed, NotRunning
from jupyter_sessmgr.model.naming import service_path
from jupyter_sessmgr.model.session import ComputeSession

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_LIVE = frozenset({"starting", "running"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """A service of a session, as it is now."""

    name: str
    #: It listens.
    running: bool
    #: Where it listens inside the session; 0: nowhere yet.
    port: int
    #: Why it does not run, for people; "" otherwise.
    error: str = ""
    #: Last lines it wrote.
    log_tail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How a service wants to be asked."""

    #: It knows the path that it is reached under, and sees whole paths.
    whole_paths: bool
    #: What it takes for its user's credentials; "" when it asks for none. A secret.
    authorization: str


class SessionServices(LoggingConfigurable):
    """Starts and stops services, and opens streams to them. Called by the doors.

    Every method raises `NotRunning` unless the session runs, and `AgentError`.
    """

    definitions = Dict(
        config=True,
        help="""How services are started: a dict by service name of dicts with `command` (a list
        of words, never a shell line) and, where needed, `env`, `prestart`, `allowed_arguments`,
        `default_arguments`, `positional`, `allowed_envs`, `url_template`, `authorization` (the
        header that it takes from its user, `{token}` filled in) and `timeout` (seconds).
        Add the apps of your images; an entry goes before the image's own and the built-in one.""",
    )
    start_timeout = Float(
        90.0,
        config=True,
        help="""Seconds that a request waits for a service to start. Raise it with the `timeout`
        of slow services.""",
    )

    @validate("definitions")
    def _check_definitions(self, proposal: Any) -> dict[str, Any]:
        for name, definition in proposal.value.items():
            command = definition.get("command") if isinstance(definition, dict) else None
            words = isinstance(command, list) and all(isinstance(one, str) for one in command)
            if not isinstance(name, str) or not command or not words:
                raise TraitError(f"definitions: {name!r:.60} has no command, a list of words.")
        return dict(proposal.value)

    def __init__(self, inside: Inside, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._inside = inside
        #: Of the server whose pages show the services; set by the extension.
        self.base_url = "/"

    def states(self, session_id: str) -> Mapping[str, ServiceState]:
        """Tell about a session's services, promised or started; from memory."""
        session = self._inside.session(session_id)
        known = self._inside.services(session_id)
        promised = {
            port.name: ServiceState(name=port.name, running=False, port=0)
            for port in session.spec.service_ports
        }
        return promised | {name: _state(service) for name, service in known.items()}

    async def look(self, session_id: str) -> Mapping[str, ServiceState]:
        """Tell the same as `states`, with what the services wrote meanwhile."""
        with contextlib.suppress(NotRunning):  # then memory knows all there is
            await self._inside.link(session_id).service_offers()
        return self.states(session_id)

    async def offers(self, session_id: str) -> Mapping[str, ServiceOffer]:
        """Tell what the services take that the session promises, or somebody defined."""
        image = await self._inside.link(session_id).service_offers()
        promised = [port.name for port in self._inside.session(session_id).spec.service_ports]
        built_in = {name: _offer(BUILT_IN.get(name, {})) for name in promised}
        own = {name: _offer(definition) for name, definition in self.definitions.items()}
        return {**built_in, **image, **own}

    async def start(
        self,
        session_id: str,
        name: str,
        arguments: Mapping[str, object] = _NOTHING,
        environ: Mapping[str, object] = _NOTHING,
    ) -> ServiceState:
        """Have a service run; returns when it listens, or failed: look at the state.

        Of several that ask at once, one starts it and all wait. One that runs is left as it is,
        whatever the arguments.

        Parameters
        ----------
        arguments, environ : mapping
            What is added to its command line and its environment, by names that its definition
            allows.

        Raises
        ------
        InvalidRequest
            for an argument that is not allowed.
        NotRunning
            also when nobody says how it is started.
        """
        await self._inside.wake(session_id)
        session = self._inside.session(session_id)
        ports = next((one.ports for one in session.spec.service_ports if one.name == name), ())
        own = self.definitions.get(name)
        order = {
            "name": name,
            "ports": list(ports),
            "definition": own if own is not None else BUILT_IN.get(name),
            "is_admins": own is not None,
            "arguments": dict(arguments),
            "environ": dict(environ),
            "base_url": service_path(self.base_url, session_id, name),
            "token": self.token(session_id, name),
        }
        link = self._inside.link(session_id)
        return _state(await link.start_service(order, timeout=self.start_timeout))

    async def stop(self, session_id: str, name: str) -> ServiceState:
        """End a service and all that it started.

        Raises
        ------
        NotRunning
            also when it was never started.
        """
        return _state(await self._inside.link(session_id).stop_service(name))

    def token(self, session_id: str, name: str) -> str:
        """Return the secret that a service of a session asks of its users, if it asks for one."""
        return self._inside.secret(session_id, f"service {name}")

    def ticket_key(self, session_id: str, name: str) -> str:
        """Return the secret that signs who may see a service of a session; nobody inside has it."""
        return self._inside.secret(session_id, f"ticket {name}")

    def manners(self, session_id: str, name: str) -> Manners:
        """Tell how a service that was started here wants to be asked; from memory."""
        definition = self.definitions.get(name, BUILT_IN.get(name, _NOTHING))
        credentials = str(definition.get("authorization", ""))
        return Manners(
            whole_paths="{base_url}" in str(dict(definition)),
            authorization=credentials.replace("{token}", self.token(session_id, name)),
        )

    async def open_stream(
        self, session_id: str, port: int
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to a port inside; whoever asked closes the writer.

        Each direction ends by itself: `writer.write_eof` is passed on. The stream ends with what
        the session runs in.

        Raises
        ------
        NotAllowed
            unless the session promised the port, or one of its services listens there.
        NotRunning
            also when nothing of the session listens there.
        """
        stream = await self.open_port(session_id, port)
        return stream.reader, stream.writer

    async def open_port(self, session_id: str, port: int) -> AgentStream:
        """Do what `open_stream` does, for those who want to know how the stream ended."""
        await self._inside.wake(session_id)
        session = self._inside.session(session_id)
        link = self._inside.link(session_id)
        if port not in allowed_ports(session, self._inside.services(session_id)):
            raise NotAllowed(
                f"Port {port} is none of session {session.name}'s services. Name it in "
                "preopen_ports when the session is made, or start the service.",
                session=session.name,
            )
        return await link.open_stream("tunnel", port=port)

    async def open_service(
        self,
        session_id: str,
        name: str,
        arguments: Mapping[str, object] = _NOTHING,
        environ: Mapping[str, object] = _NOTHING,
    ) -> AgentStream:
        """Connect to a service; it is started when it does not run.

        Raises
        ------
        NotRunning
            also when it does not start; with its last lines.
        """
        port = await self.port_of(session_id, name, arguments, environ)
        return await self.open_port(session_id, port)

    async def open_terminal(self, session_id: str, rows: int = 24, cols: int = 80) -> AgentStream:
        """Open a terminal with the user's shell, in the working folder.

        ``stream.transport.say({"rows": 30, "cols": 90})`` resizes it. It ends with its stream; when
        the shell ends first, ``stream.words["exit"]`` is its exit code.
        """
        await self._inside.wake(session_id)
        return await self._inside.link(session_id).open_stream("terminal", rows=rows, cols=cols)

    async def port_of(
        self,
        session_id: str,
        name: str,
        arguments: Mapping[str, object] = _NOTHING,
        environ: Mapping[str, object] = _NOTHING,
    ) -> int:
        """Find where a service listens; it is started when it is one that we can start.

        Raises
        ------
        NotRunning
            also when it does not start; with its last lines.
        """
        await self._inside.wake(session_id)
        session = self._inside.session(session_id)
        running = self._inside.services(session_id).get(name)
        if running is not None and running.state == "running" and running.ports:
            return running.ports[0]
        if name.isascii() and name.isdigit() and int(name) in session.spec.preopen_ports:
            return int(name)
        promised = next((one for one in session.spec.service_ports if one.name == name), None)
        startable = name in self.definitions or name in BUILT_IN
        if promised is not None and not startable:
            offers = await self._inside.link(session_id).service_offers()
            if name not in offers:
                return promised.ports[0]  # the image, or the user, starts it
        state = await self.start(session_id, name, arguments, environ)
        if not state.running:
            raise NotRunning(
                f"The service {name} does not run: {state.error}",
                session=session.name,
                log=state.log_tail,
            )
        return state.port


def allowed_ports(session: ComputeSession, services: Mapping[str, AgentService]) -> frozenset[int]:
    """List the ports inside a session that may be reached from outside."""
    promised = {port for service in session.spec.service_ports for port in service.ports}
    started = {port for one in services.values() if one.state in _LIVE for port in one.ports}
    return frozenset(promised | started | set(session.spec.preopen_ports))


def check_size(rows: object, cols: object) -> tuple[int, int]:
    """Return a terminal's size when it makes sense.

    Raises
    ------
    InvalidRequest
        unless both are numbers from 1 to 1000.
    """
    for side in (rows, cols):
        if type(side) is not int or not 1 <= side <= 1000:  # noqa: PLR2004 - as it says
            raise InvalidRequest("rows, cols: not numbers from 1 to 1000.", field="rows")
    return int(str(rows)), int(str(cols))


def _state(service: AgentService) -> ServiceState:
    return ServiceState(
        name=service.name,
        running=service.state == "running",
        port=service.ports[0] if service.ports else 0,
        error=service.error,
        log_tail=service.tail,
    )


def _offer(definition: Mapping[str, Any]) -> ServiceOffer:
    return ServiceOffer(
        allowed_arguments=(
            *definition.get("allowed_arguments", ()),
            *definition.get("positional", ()),
        ),
        allowed_envs=tuple(definition.get("allowed_envs", ())),
        url_template=str(definition.get("url_template", "")),
    )
