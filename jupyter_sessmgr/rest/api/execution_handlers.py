"""The handler about what a session's kernel was asked to execute."""

from __future__ import annotations

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_sessmgr.model.errors import (
    AgentError,
    AgentUnavailable,
    NotRunning,
    SessionNotFound,
    TooManyRequests,
    Unsupported,
)
from jupyter_sessmgr.rest.api.execution_types import ExecutionList
from jupyter_sessmgr.rest.api.execution_wire import render_executions
from jupyter_sessmgr.rest.api.waiting import Waiting
from jupyter_sessmgr.rest.base import SessionsHandler
from jupyter_sessmgr.rest.operations import Reply, operation

_WAITING = Waiting("executions")


class ExecutionsHandler(SessionsHandler):
    """``{root}/session/{reference}/executions``."""

    @authenticated
    @authorized
    @operation(
        replies={200: Reply("The newest last; a thousand at most.", ExecutionList)},
        errors=(
            SessionNotFound,
            NotRunning,
            Unsupported,
            TooManyRequests,
            AgentError,
            AgentUnavailable,
        ),
    )
    async def get(self, reference: str) -> None:
        """List what a session's kernel was asked to execute, and how far that came.

        Whoever asked, and also while no server ran. What each of them put out is part of
        `…/output`, and a websocket of the kernel brings it back.
        """
        session = self.sessions.find(reference, self.owner)
        with _WAITING.one_more(session.id):
            executions = await self.sessions.journal.executions(session.id)
        self.reply(render_executions(session.id, executions))
