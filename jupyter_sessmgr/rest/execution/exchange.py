"""Which session is reached by which connection."""

from __future__ import annotations

import logging

import zmq.asyncio

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import NotRunning
from jupyter_sessmgr.model.session import ComputeSession, KernelExit
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.rest.execution.channels import make_context
from jupyter_sessmgr.rest.execution.line import Line
from jupyter_sessmgr.rest.execution.run import LAST_MESSAGES
from jupyter_sessmgr.rest.execution.tasks import Tasks


class Exchange:
    """Has a line to every session that was talked to lately.

    Parameters
    ----------
    sessions : ComputeSessionManager
        Knows how kernels are reached.
    tasks : Tasks
        Does what need not be waited for.
    log : logging.Logger
        The server's.
    """

    def __init__(
        self,
        sessions: ComputeSessionManager,
        tasks: Tasks,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self._sessions = sessions
        self._tasks = tasks
        self._log = log
        self._lines: dict[str, Line] = {}
        self._context: zmq.asyncio.Context | None = None

    def line(self, session: ComputeSession) -> Line:
        """Return the connection to a session's kernel of now, open or not.

        Raises
        ------
        NotRunning
            when there is no such kernel now.
        """
        died = self._sessions.kernel_exit(session.id)
        if died is not None:
            raise NotRunning(f"{why_died(died)} Restart the session.", session=session.name)
        ready = session.observed_generation >= session.generation
        if session.status is not SessionStatus.RUNNING or not ready:
            raise NotRunning(
                f"Session {session.name} is {session.status}, so it runs no code now.",
                session=session.name,
            )
        info = self._sessions.connection_info(session.id)
        line = self._lines.get(session.id)
        kernel = (session.place_id, session.observed_generation)
        if line is None or line.kernel != kernel or line.info != info:
            self.hang_up(session.id)
            self._context = self._context or make_context()
            line = self._lines[session.id] = Line(session, info, self._context, self._log)
        return line

    def answer(self, session_id: str, text: str) -> None:
        """Send a line of input to a kernel that waits for it."""
        line = self._lines.get(session_id)
        if line is not None:
            line.answer(text)

    def hang_up(self, session_id: str) -> None:
        """Close the connection to a kernel that has gone. Harmless when there is none."""
        line = self._lines.pop(session_id, None)
        if line is not None:
            self._tasks.spawn(line.close(LAST_MESSAGES))

    async def close(self) -> None:
        """Close all connections."""
        for line in self._lines.values():
            await line.close()
        self._lines.clear()
        if self._context is not None:
            self._context.destroy(linger=0)


def why_died(ended: KernelExit) -> str:
    """Say for people why a kernel died."""
    return f"The kernel died: {ended.reason or 'nobody knows why.'}"
