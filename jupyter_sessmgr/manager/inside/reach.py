"""Reaches into running sessions, for those who serve files and services."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from jupyter_sessmgr.manager.agents.link import AgentLink
from jupyter_sessmgr.manager.agents.words import AgentService
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.wishes import Wishes
from jupyter_sessmgr.model.errors import NotRunning
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus

_REACHABLE = frozenset({SessionStatus.RUNNING, SessionStatus.RESTARTING})


class Inside:
    """The way into sessions.

    Parameters
    ----------
    parts
        gives the manager's parts; raises `Standby` while it is not open.
    session
        finds a session by id; raises `SessionNotFound`.
    wishes
        gives the pen for wishes; raises `Standby` while it is not open.
    """

    def __init__(
        self,
        parts: Callable[[], Parts],
        session: Callable[[str], ComputeSession],
        wishes: Callable[[], Wishes],
    ) -> None:
        self._parts = parts
        self.session = session
        self.wishes = wishes
        #: Resumes a suspended session, given its id; set by the manager.
        self.wake: Callable[[str], Awaitable[object]] = _nothing

    def link(self, session_id: str) -> AgentLink:
        """Return the link to a running session's agent.

        Raises
        ------
        NotRunning
            unless the session runs and its agent is connected.
        """
        session = self.session(session_id)
        if session.status not in _REACHABLE:
            raise NotRunning(
                f"Session {session.name} is {session.status}: nothing in it can be reached.",
                session=session.name,
            )
        return self._parts().links.get(session.place_id)

    def shares_network(self, session_id: str) -> bool:
        """Tell whether a session has the network that this server has, by the engine's word."""
        can = self._parts().engine.capabilities
        return can.shares_network and self.session(session_id).spec.network == "egress"

    def landing(self, session_id: str) -> Path | None:
        """Name a folder of this machine that a session sees; see `Layout.landing`."""
        session, parts = self.session(session_id), self._parts()
        place = parts.store.place(session.place_id)
        return parts.engine.layout(place, session.spec).landing_here if place else None

    def services(self, session_id: str) -> dict[str, AgentService]:
        """Return what a session's agent last said of its services; from memory."""
        try:
            return dict(self.link(session_id).services)
        except NotRunning:
            return {}

    def secret(self, session_id: str, purpose: str) -> str:
        """Derive a secret that belongs to what a session runs in."""
        place_id = self.session(session_id).place_id
        return self._parts().secrets.derive(purpose, place_id).hex()


async def _nothing(_session_id: str) -> None:
    """Leave a session as it is."""
