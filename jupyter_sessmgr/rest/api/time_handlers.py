"""Handlers about a session's time: suspend, resume, extend, except from limits."""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_sessmgr.manager.use.idle import Deadline
from jupyter_sessmgr.model.errors import (
    EngineUnavailable,
    InvalidRequest,
    LimitExceeded,
    NotAllowed,
    NotRunning,
    SessionNotFound,
    Unsupported,
)
from jupyter_sessmgr.model.resources import MAX_SECONDS
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.rest.api.time_types import ExemptBody, ExtendBody, SessionTime
from jupyter_sessmgr.rest.base import SessionsHandler
from jupyter_sessmgr.rest.operations import Reply, operation

_REPLY = Reply("How long it lasts now.", SessionTime)


class _TimeHandler(SessionsHandler):
    """Answers with a session's time."""

    def reply_time(self, session: ComputeSession) -> None:
        """Answer how long a session lasts."""
        self.reply(render_time(session, self.sessions.idle.deadline(session)))


class SuspendHandler(_TimeHandler):
    """``{root}/api/session/{reference}/suspend``."""

    @authenticated
    @authorized
    @operation(
        replies={HTTPStatus.OK: _REPLY},
        errors=(SessionNotFound, NotRunning, Unsupported, EngineUnavailable),
    )
    async def post(self, reference: str) -> None:
        """Let a session's clock stand: it keeps its memory and uses no processor."""
        session = self.sessions.find(reference, self.owner)
        self.reply_time(await self.sessions.suspend(session.id))


class ResumeHandler(_TimeHandler):
    """``{root}/api/session/{reference}/resume``."""

    @authenticated
    @authorized
    @operation(
        replies={HTTPStatus.OK: _REPLY}, errors=(SessionNotFound, NotRunning, EngineUnavailable)
    )
    async def post(self, reference: str) -> None:
        """Let a suspended session go on; its first use does the same."""
        session = self.sessions.find(reference, self.owner)
        self.reply_time(await self.sessions.resume_for_use(session.id))


class ExtendHandler(_TimeHandler):
    """``{root}/api/session/{reference}/extend``."""

    @authenticated
    @authorized
    @operation(
        body=ExtendBody,
        examples={"another hour": {"seconds": 3600}},
        replies={HTTPStatus.OK: _REPLY},
        errors=(InvalidRequest, LimitExceeded, SessionNotFound, NotRunning),
    )
    async def post(self, reference: str) -> None:
        """Keep a session for so long from now, though nobody uses it; its lifetime stays.

        Asking for less than what it has changes nothing.
        """
        session = self.sessions.find(reference, self.owner)
        seconds = (await self.read_body()).get("seconds")
        if type(seconds) is not int or not 0 < seconds <= MAX_SECONDS:
            raise InvalidRequest("seconds: write a whole number above 0.", field="seconds")
        self.reply_time(await self.sessions.extend(session.id, seconds))


class ExemptHandler(_TimeHandler):
    """``{root}/api/session/{reference}/exempt``."""

    @authenticated
    @authorized
    @operation(
        body=ExemptBody,
        examples={"except": {}, "undo": {"exempt": False}},
        replies={HTTPStatus.OK: _REPLY},
        errors=(InvalidRequest, NotAllowed, SessionNotFound),
    )
    async def post(self, reference: str) -> None:
        """Except a session from all limits of time. Administrators name anybody's by UUID."""
        if not self.is_admin:
            raise NotAllowed("Only an administrator may except a session from limits of time.")
        exempt = (await self.read_body()).get("exempt", True)
        if not isinstance(exempt, bool):
            raise InvalidRequest("exempt: write true or false.", field="exempt")
        idle = self.sessions.idle
        session = await idle.exempt(idle.find(reference, self.owner).id, exempt=exempt)
        self.reply_time(session)


def render_time(session: ComputeSession, deadline: Deadline | None) -> SessionTime:
    """Write how long a session lasts. Pure."""
    return {
        "sessionId": session.id,
        "sessionName": session.name,
        "status": session.status.value,
        "idleExempt": session.idle_exempt,
        "endsAt": datetime.fromtimestamp(deadline.at, UTC).isoformat() if deadline else None,
        "limit": deadline.limit if deadline else None,
    }
