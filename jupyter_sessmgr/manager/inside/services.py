"""Apps inside running sessions: started on demand, and reached by streams."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from jupyter_sessmgr.manager.agents.link import AgentLink
from jupyter_sessmgr.manager.agents.nearby import OWN_NETWORK, connect
from jupyter_sessmgr.manager.agents.stream import AgentStream
from jupyter_sessmgr.manager.inside.servicestarts import ServiceStarts, no_such_service
from jupyter_sessmgr.manager.inside.servicestates import (
    Manners,
    ServiceState,
    allowed_ports,
    is_startable,
)
from jupyter_sessmgr.model.errors import (
    InvalidRequest,
    NotAllowed,
    NotRunning,
    ServiceStarting,
)
from jupyter_sessmgr.model.ports import MOST_PREOPEN, ServicePort, check_user_port
from jupyter_sessmgr.model.session import ComputeSession

__all__ = ["Manners", "ServiceState", "SessionServices", "allowed_ports", "check_size"]


class SessionServices(ServiceStarts):
    """Starts and stops services, and opens streams to them. Called by the doors.

    Every method raises `NotRunning` unless the session runs, and `AgentError`.
    """

    def ticket_key(self, session_id: str, name: str) -> str:
        """Return the secret that signs who may see a service of a session; nobody inside has it."""
        return self._inside.secret(session_id, f"ticket {name}")

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
        link = await self._link(session_id, port)
        if self._inside.shares_network(session_id):
            nearby = await connect(partial(link.find_port, port, OWN_NETWORK), port)
            if nearby is not None:
                return nearby
        landed = await link.land(port, self._inside.landing(session_id))
        if landed is not None:
            return landed
        stream = await link.open_stream("tunnel", port=port)
        return stream.reader, stream.writer

    async def open_port(self, session_id: str, port: int) -> AgentStream:
        """Do the same, always through the agent, which tells how the stream ended."""
        link = await self._link(session_id, port)
        return await link.open_stream("tunnel", port=port)

    async def _link(self, session_id: str, port: int) -> AgentLink:
        """Return the link to a session's agent, where the port may be reached."""
        await self._inside.wake(session_id)
        session = self._inside.session(session_id)
        link = self._inside.link(session_id)
        if port not in allowed_ports(session, self._inside.services(session_id)):
            raise NotAllowed(
                f"Port {port} is none of session {session.name}'s services. Open it, name it in "
                "preopen_ports when the session is made, or start the service.",
                session=session.name,
            )
        return link

    async def open_service(
        self,
        session_id: str,
        name: str,
        arguments: Mapping[str, object] | None = None,
        environ: Mapping[str, object] | None = None,
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
        arguments: Mapping[str, object] | None = None,
        environ: Mapping[str, object] | None = None,
    ) -> int:
        """Find where a service listens; it is started when it is one that we can start.

        Raises
        ------
        NotRunning
            also when it does not start; with its last lines.
        """
        await self._inside.wake(session_id)
        known = self.known_port(session_id, name)
        if known is not None:
            return known
        promised = self._promise(session_id, name)
        if promised is not None and await self._is_started_inside(session_id, promised):
            return promised.ports[0]
        on_use = not arguments and not environ
        state = await self.start(session_id, name, arguments, environ, on_use=on_use)
        check_running(self._inside.session(session_id), state)
        return state.port

    def known_port(self, session_id: str, name: str) -> int | None:
        """Say where a service listens, as far as nobody needs to be asked; from memory."""
        running = self._inside.services(session_id).get(name)
        if running is not None and running.state == "running" and running.ports:
            return running.ports[0]
        promised = self._promise(session_id, name)
        if promised is not None and promised.protocol == "preopen":  # its user starts it
            return promised.ports[0]
        return None

    async def _is_started_inside(self, session_id: str, promised: ServicePort) -> bool:
        """Tell whether the image, or the user, starts a service; or has, as ``%tensorboard``."""
        survey = await self._inside.link(session_id).survey_services(promised.ports[:1])
        if is_startable(promised.name, self.definitions) or promised.name in survey.offers:
            by_us = promised.name in self._inside.services(session_id)
            return not by_us and bool(survey.listening)
        return True

    async def promise_port(self, session_id: str, port: object) -> ServiceState:
        """Let a running session's owner reach a port in it that was not promised so far.

        It is a service named by its number, until `withdraw_port`, also after the server or the
        kernel was restarted. Harmless when it is open.

        Raises
        ------
        InvalidRequest
            for what is no port of a user's, and beyond so many.
        """
        number = check_user_port(port)
        self._inside.link(session_id)
        session = self._inside.session(session_id)
        if self._promise(session_id, str(number)) is None:
            _refuse_taken(session, number)

            def add(known: tuple[int, ...]) -> tuple[int, ...]:
                if number in known:
                    return known
                if len(known) + len(session.spec.preopen_ports) >= MOST_PREOPEN:
                    raise InvalidRequest(
                        f"port: {MOST_PREOPEN} are open already; close one first.", field="port"
                    )
                return (*known, number)

            await self._inside.wishes().open_ports(session, add)
        return (await self.look(session_id))[str(number)]

    async def withdraw_port(self, session_id: str, port: object) -> None:
        """Close a port that `promise_port` opened. What is being sent through it goes on.

        Raises
        ------
        ServiceNotFound
            when it is not open.
        NotAllowed
            when it was promised with the session.
        """
        number = check_user_port(port)
        session = self._inside.session(session_id)
        if number in session.spec.preopen_ports:
            raise NotAllowed(
                f"Port {number} was opened when session {session.name} was made; it closes with "
                "the session.",
                session=session.name,
            )
        if number not in session.opened_ports:
            raise no_such_service(session, self.states(session_id))
        await self._inside.wishes().open_ports(
            session, lambda known: tuple(one for one in known if one != number)
        )


def check_running(session: ComputeSession, state: ServiceState) -> None:
    """Refuse a service that was to run by now.

    Raises
    ------
    ServiceStarting
        while it starts; NotRunning when it failed, with its last lines.
    """
    if state.state == "starting":
        raise ServiceStarting(f"{state.name} is starting.", session=session.name)
    if not state.running:
        raise NotRunning(
            f"The service {state.name} does not run: {state.error or 'it was stopped.'}",
            session=session.name,
            log=state.log_tail,
        )


def _refuse_taken(session: ComputeSession, port: int) -> None:
    """Refuse ports that are something else in the session already."""
    service = next((one for one in session.spec.service_ports if port in one.ports), None)
    if service is not None:
        raise InvalidRequest(f"port: {port} is the service {service.name}'s.", field="port")
    if any(port == one.port for one in session.endpoints):
        raise InvalidRequest(f"port: {port} is the session's own.", field="port")


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
