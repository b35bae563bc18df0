"""Waits for the manager whose end, good or bad, is an answer and not an error."""

from __future__ import annotations

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.session import ComputeSession


async def started(
    sessions: ComputeSessionManager, session: ComputeSession, timeout: float | None
) -> ComputeSession | None:
    """Wait until a start has come to its end; None when `timeout` seconds were not enough."""
    try:
        return await sessions.settled(session.id, timeout)
    except TimeoutError:
        return None
