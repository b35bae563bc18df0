"""Makes a session usable from this server, in another tab, host or program."""

from __future__ import annotations

from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.rest.base import Rest

#: From here a session can be used at once.
_MADE = frozenset({SessionStatus.RUNNING, SessionStatus.SUSPENDED})


async def attach(rest: Rest, session: ComputeSession) -> tuple[ComputeSession, bool]:
    """Resume a session if it is suspended, have its kernel listed, and note that it is used.

    Never makes a session, and may be repeated: of many that attach, the first one does all.
    A session that is on its way up is left as it is.

    Returns
    -------
    tuple
        The session as it is then, and whether Jupyter lists its kernel.

    Raises
    ------
    NotRunning
        when it ended meanwhile; EngineUnavailable when it takes long to resume.
    """
    if session.status in _MADE:
        session = await rest.sessions.resume_for_use(session.id)
    is_running = session.status is SessionStatus.RUNNING
    return session, is_running and await rest.listed(session)
