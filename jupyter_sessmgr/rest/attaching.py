"""Makes a session usable from this server, in another tab, host or program."""

from __future__ import annotations

from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.rest.base import Rest
from jupyter_sessmgr.rest.waits import started

#: Seconds that a suspended session is given to wake up before the client is told to ask again.
RESUME_WAIT = 10.0


async def attach(rest: Rest, session: ComputeSession) -> tuple[ComputeSession, bool]:
    """Resume a session if it is suspended, have its kernel listed, and note that it is used.

    Never makes a session, and may be repeated: of many that attach, the first one does all.

    Returns
    -------
    tuple
        The session as it is then, and whether Jupyter lists its kernel.
    """
    if session.status is SessionStatus.SUSPENDED:
        session = await _resumed(rest, session)
    if session.status is not SessionStatus.RUNNING:
        return session, False
    rest.sessions.activity.touch(session.id)
    return session, await rest.adopted(session)


async def _resumed(rest: Rest, session: ComputeSession) -> ComputeSession:
    await rest.sessions.resume(session.id)
    return await started(rest.sessions, session, RESUME_WAIT) or session
