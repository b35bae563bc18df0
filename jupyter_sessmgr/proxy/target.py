"""What a request is for: a session, and a service that it declared (THREATS D1)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from jupyter_sessmgr.manager.inside.services import Manners
from jupyter_sessmgr.manager.inside.servicestarts import no_such_service
from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import NotRunning, ServiceError, ServiceStarting, SessionNotFound
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import STARTING, SessionStatus

_COMING = STARTING | {SessionStatus.RESTARTING}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One service of one place."""

    session_id: str
    #: A replaced place is another target, whatever its address (THREATS D2).
    place_id: str
    service: str
    port: int
    manners: Manners


def find_session(sessions: ComputeSessionManager, reference: str, owner: str) -> ComputeSession:
    """Find a session whose services can be used now or soon.

    Raises
    ------
    SessionNotFound
        when there is none, it is somebody else's, or it has ended.
    """
    session = sessions.find(reference, owner, name_last=True)
    if session.status.is_final:
        raise SessionNotFound(f"There is no session {reference!r:.80}.")
    return session


async def check_declared(
    sessions: ComputeSessionManager, session: ComputeSession, service: str
) -> None:
    """Refuse services that neither the session nor a definition names (THREATS D1).

    Raises
    ------
    ServiceNotFound
        naming those that there are.
    """
    known = set(sessions.services.states(session.id))
    if service in known:
        return
    known.update(await sessions.services.offers(session.id))
    if service not in known:
        raise no_such_service(session, known)


class Starts:
    """Finds where services listen, and starts those that do not run yet: once for all who ask.

    Owned by the extension's app.
    """

    def __init__(self, sessions: ComputeSessionManager) -> None:
        self._sessions = sessions
        self._starts: dict[tuple[str, str], asyncio.Task[int]] = {}

    async def reach(self, session: ComputeSession, service: str, patience: float) -> Target:
        """Say where a service is; a start goes on when its asker gives up or leaves.

        Raises
        ------
        ServiceStarting
            when it does not answer within `patience` seconds.
        ServiceError
            when it cannot be started.
        ServiceNotFound
            when the session declares no such service.
        """
        if session.status in _COMING:
            raise ServiceStarting(
                f"Session {session.name} is {session.status}.", session=session.name
            )
        port = self._sessions.services.known_port(session.id, service)
        if port is None:
            await check_declared(self._sessions, session, service)
            port = await self._started(session, service, patience)
        return Target(
            session_id=session.id,
            place_id=session.place_id,
            service=service,
            port=port,
            manners=self._sessions.services.manners(session.id, service),
        )

    async def _started(self, session: ComputeSession, service: str, patience: float) -> int:
        """Wait for a start, or begin one."""
        key = session.place_id, service
        start = self._starts.get(key)
        if start is None:
            asked = self._sessions.services.port_of(session.id, service)
            start = self._starts[key] = asyncio.create_task(asked, name=f"sessmgr-start-{service}")
            start.add_done_callback(lambda _: self._starts.pop(key, None))
        done, _ = await asyncio.wait({start}, timeout=patience)
        if not done:
            raise ServiceStarting(f"{service} is starting.", session=session.name)
        try:
            return start.result()
        except NotRunning as error:
            raise ServiceError(error.message, session=session.name, **error.data) from error

    async def close(self) -> None:
        """Wait for nobody any more."""
        starts = list(self._starts.values())
        for start in starts:
            start.cancel()
        await asyncio.gather(*starts, return_exceptions=True)
