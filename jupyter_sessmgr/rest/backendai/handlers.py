"""Handlers of the Backend.AI dialect: read, ask the manager, write."""

from __future__ import annotations

import time
from http import HTTPStatus

from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from tornado.web import authenticated

from jupyter_sessmgr._version import __version__
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.rest.backendai import wire
from jupyter_sessmgr.rest.backendai.base import BackendAIHandler, absent
from jupyter_sessmgr.rest.backendai.params import CreateCall, parse_create
from jupyter_sessmgr.rest.waits import last_usage, started

#: Sessions on one page of the list.
PAGE, MAX_PAGE = 100, 1000


class VersionHandler(BackendAIHandler):
    """Answers ``GET {root}``: says which API this is. The one open route."""

    needs_sessions = False
    _track_activity = False

    @allow_unauthenticated
    def get(self) -> None:
        """Answer the version probe, which clients send before they have credentials."""
        self.reply(wire.render_version(__version__))


class CreateHandler(BackendAIHandler):
    """``POST {root}/session/create`` and ``/session/_/create``."""

    @authenticated
    @authorized
    async def post(self) -> None:
        """Create a session, or find the one to reuse."""
        call = parse_create(await self.read_body())
        session, fresh = await self.sessions.create(call.request, self.owner)
        session, status = await self._outcome(call, session, fresh=fresh)
        body = wire.render_created(session, status=status, fresh=fresh)
        self.reply(body, HTTPStatus.CREATED if fresh else HTTPStatus.OK)

    async def _outcome(
        self, call: CreateCall, session: ComputeSession, *, fresh: bool
    ) -> tuple[ComputeSession, str]:
        """Wait as the client wishes. A client that goes away meanwhile loses nothing."""
        if call.enqueue_only:
            return session, SessionStatus.PENDING.value if fresh else session.status.value
        done = await started(self.sessions, session, call.max_wait)
        return (session, wire.TIMEOUT) if done is None else (done, done.status.value)


class SessionListHandler(CreateHandler):
    """``{root}/session``."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """List the owner's sessions, a page at a time; with ``?all=true``, ended ones too."""
        found = self.sessions.list(self.owner, live=not self.flag("all"))
        limit = self.number("limit", PAGE, MAX_PAGE) or PAGE
        before = self.number("before", None, 2**63 - 1)
        self.reply(wire.render_page(found, limit=limit, before=before, now=time.time()))


class SessionHandler(BackendAIHandler):
    """``{root}/session/:id``; the id is a name, a UUID or a number."""

    @authenticated
    @authorized
    async def get(self, reference: str) -> None:
        """Tell about a session, from memory."""
        session = self.find(reference)
        self.reply(wire.render_session(session, time.time()))

    @authenticated
    @authorized
    async def patch(self, reference: str) -> None:
        """Restart the session's kernel."""
        session = self.find_live(reference)
        await self.sessions.restart(session.id)
        self.reply_nothing()

    @authenticated
    @authorized
    async def delete(self, reference: str) -> None:
        """Destroy the session; the answer comes after its removal.

        Of several that destroy one session, one does and the others come too late.
        """
        session = self.find_live(reference)
        forced = self.flag("forced")
        wants_stats = self._wants_stats()
        with self.rest.endings.claim(session) as is_mine:
            usage = await last_usage(self.sessions, session) if wants_stats else None
            ended = await self.sessions.destroy(session.id, forced=forced)
        if not is_mine:
            raise absent(reference)
        if wants_stats:
            self.reply(wire.render_stats(ended, usage))
        else:
            self.reply_nothing()

    def _wants_stats(self) -> bool:
        """Tell whether the client reads a body; HTTP allows none with the document's 204."""
        if self.request.headers.get("Prefer", "").replace(" ", "") == "return=representation":
            self.set_header("Preference-Applied", "return=representation")
            return True
        return "X-BackendAI-Version" in self.request.headers


class LogsHandler(BackendAIHandler):
    """``{root}/session/:id/logs``."""

    @authenticated
    @authorized
    async def get(self, reference: str) -> None:
        """Return the last lines that the session wrote, also after its end."""
        session = self.find(reference)
        self.reply({"result": {"logs": await self.sessions.logs(session.id)}})


class InterruptHandler(BackendAIHandler):
    """``{root}/session/:id/interrupt``."""

    @authenticated
    @authorized
    async def post(self, reference: str) -> None:
        """Interrupt what the session's kernel is doing."""
        session = self.find(reference)
        await self.sessions.interrupt(session.id)
        self.reply_nothing()
