"""Waits for the manager whose end, good or bad, is an answer and not an error."""

from __future__ import annotations

import asyncio

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.usage import Usage

#: Seconds that a destroy waits for a last measurement.
LAST_USAGE = 2.0


async def started(
    sessions: ComputeSessionManager, session: ComputeSession, timeout: float | None
) -> ComputeSession | None:
    """Wait until a start has come to its end; None when `timeout` seconds were not enough."""
    try:
        return await sessions.settled(session.id, timeout)
    except TimeoutError:
        return None


async def last_usage(sessions: ComputeSessionManager, session: ComputeSession) -> Usage | None:
    """Ask what a session used, before it ends; None when its agent cannot say."""
    try:
        async with asyncio.timeout(LAST_USAGE):
            return await sessions.usage(session.id)
    except (SessmgrError, TimeoutError):
        return None
