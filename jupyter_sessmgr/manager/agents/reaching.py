"""Keeps a server that follows in touch with the agents of all sessions, as the leader is."""

from __future__ import annotations

from jupyter_sessmgr.manager.loop.workqueue import WorkQueue
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.model.errors import AgentUnavailable
from jupyter_sessmgr.model.ports import AGENT
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus

_S = SessionStatus
#: What has an agent that listens, or soon will.
_REACHABLE = frozenset({_S.CREATING, _S.RUNNING, _S.RESTARTING})
#: Seconds to reach an agent, until it is tried again, and the longest pause between two tries.
CONNECT_TIMEOUT, LONGEST_PAUSE = 2.0, 5.0
#: How many agents are connected to at the same time.
WORKERS = 8


class Reaching:
    """Connects to agents; an agent has several servers that talk to it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._queue = WorkQueue(self._reach, workers=WORKERS, longest_delay=LONGEST_PAUSE)
        #: Sessions whose agent was tried in vain.
        self._unreached: set[str] = set()

    def start(self) -> None:
        """Begin, with all sessions that there are."""
        self._queue.start()
        for session in self._parts.store.sessions():
            self._queue.add(session.id)

    async def stop(self) -> None:
        """End it; links that there are stay."""
        await self._queue.stop()

    def look_at(self, session_id: str) -> None:
        """See to it soon that a session is reached where it is now, or let go."""
        self._queue.add(session_id)

    def reaches(self, session_id: str) -> bool:
        """Say whether a session's agent is connected, or was tried in vain."""
        session = self._parts.store.get(session_id)
        connected = session is None or self._parts.links.kernel(session.place_id) is not None
        return connected or session_id in self._unreached

    async def _reach(self, session_id: str) -> None:
        try:
            await self._look(session_id)
        except Exception:
            self._parts.log.exception("The agent of session %s could not be reached", session_id)
            self._queue.retry(session_id)

    async def _look(self, session_id: str) -> None:
        """Connect to a session's agent where it is now, or let go of it."""
        session = self._parts.store.get(session_id)
        if session is None or not session.is_live:
            self._unreached.discard(session_id)
            if session is not None and session.place_id:
                await self._parts.links.drop(session.place_id)
            self._queue.done(session_id)
        elif session.status in _REACHABLE and self._parts.links.kernel(session.place_id) is None:
            await self._connect(session)

    async def _connect(self, session: ComputeSession) -> None:
        endpoint = session.endpoint(AGENT)
        if endpoint is None:
            return
        try:
            await self._parts.links.connect(session.place_id, endpoint, CONNECT_TIMEOUT)
        except AgentUnavailable:
            if session.status is not _S.CREATING:
                self._unreached.add(session.id)
            self._queue.retry(session.id)
        else:
            self._unreached.discard(session.id)
            self._queue.done(session.id)
        self._parts.bus.wake()
