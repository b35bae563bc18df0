"""Handlers of the session management document: read, ask the manager, write."""

from __future__ import annotations

import time
from http import HTTPStatus

from jupyter_server.auth.decorator import allow_unauthenticated, authorized
from tornado.web import authenticated

from jupyter_sessmgr._version import __version__
from jupyter_sessmgr.model.errors import (
    ImageNotFound,
    LimitExceeded,
    NameTaken,
    NotAllowed,
    NotRunning,
    TooManyRequests,
    Unsupported,
)
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.rest.backendai import types, wire
from jupyter_sessmgr.rest.backendai.base import OWNER_PARAMETER, BackendAIHandler, absent
from jupyter_sessmgr.rest.backendai.examples import CREATE_EXAMPLES
from jupyter_sessmgr.rest.backendai.known import known_of
from jupyter_sessmgr.rest.backendai.params import LIVE, CreateCall, parse_create, parse_statuses
from jupyter_sessmgr.rest.folders import with_folder
from jupyter_sessmgr.rest.operations import Parameter, Reply, operation
from jupyter_sessmgr.rest.waits import started

#: Sessions on one page of the list.
PAGE, MAX_PAGE = 100, 1000
_MAX_NUMBER = 2**63 - 1


class VersionHandler(BackendAIHandler):
    """Answers ``GET {root}``: says which API this is. The one open route."""

    needs_sessions = False
    _track_activity = False

    @allow_unauthenticated
    @operation(replies={200: Reply("The versions.", types.VersionReply)}, is_open=True)
    def get(self) -> None:
        """Answer the version probe, which clients send before they have credentials."""
        self.reply(wire.render_version(__version__))


class CreateHandler(BackendAIHandler):
    """``POST {root}/session/create`` and ``/session/_/create``."""

    @authenticated
    @authorized
    @operation(
        parameters=(OWNER_PARAMETER,),
        body=types.CreateBody,
        examples=CREATE_EXAMPLES,
        replies={
            201: Reply("The session is made.", types.CreatedReply),
            200: Reply("A live session of this name and image is reused.", types.CreatedReply),
        },
        errors=(
            ImageNotFound,
            LimitExceeded,
            NameTaken,
            NotAllowed,
            TooManyRequests,
            Unsupported,
        ),
    )
    async def post(self) -> None:
        """Create a session, or find the one to reuse.

        Without `enqueueOnly` the answer comes when the session runs, or has failed to. A client
        that goes away meanwhile loses nothing: the same request finds the same session.
        """
        began = time.monotonic()
        call = parse_create(await self.read_body())
        if call.owner_access_key:
            await self.sessions.keypairs.refresh()
        owner = self.owner_of(call.owner_access_key) if call.owner_access_key else self.owner
        request = await with_folder(self, call.request, call.folder)
        session, fresh = await self.sessions.create(request, owner)
        waited = time.monotonic() - began
        session, status = await self._outcome(call, session, waited, fresh=fresh)
        known = known_of(self.sessions, session)
        body = wire.render_created(
            session, status=status, fresh=fresh, base_url=self.base_url, known=known
        )
        self.reply(body, HTTPStatus.CREATED if fresh else HTTPStatus.OK)

    async def _outcome(
        self, call: CreateCall, session: ComputeSession, waited: float, *, fresh: bool
    ) -> tuple[ComputeSession, str]:
        """Wait as the client wishes."""
        if call.enqueue_only:
            return session, SessionStatus.PENDING.value if fresh else session.status.value
        left = None if call.max_wait is None else max(call.max_wait - waited, 0.0)
        done = await started(self.sessions, session, left)
        if done is None:
            return self.sessions.find(session.id, session.owner, name_last=True), wire.TIMEOUT
        if done.status is SessionStatus.RUNNING:
            await self.rest.listed(done)
        return done, done.status.value


class SessionListHandler(CreateHandler):
    """``{root}/session``."""

    @authenticated
    @authorized
    @operation(
        parameters=(
            Parameter("all", bool, "Sessions that ended, too."),
            Parameter("status", str, "Only these, joined by commas.", example="RUNNING,PENDING"),
            Parameter("limit", int, f"Most on one page, up to {MAX_PAGE}.", example=PAGE),
            Parameter("before", int, "What stood in `next` of the page before."),
            OWNER_PARAMETER,
        ),
        replies={200: Reply("A page of sessions, newest first.", types.SessionPage)},
    )
    async def get(self) -> None:
        """List the owner's sessions, a page at a time: those that live, unless asked otherwise."""
        page = self.sessions.page(
            self.owner,
            self._statuses(),
            limit=self.number("limit", PAGE, MAX_PAGE) or PAGE,
            before=self.number("before", None, _MAX_NUMBER),
        )
        self.reply(wire.render_page(page, self.describe))

    def _statuses(self) -> frozenset[SessionStatus]:
        asked = self.get_query_argument("status", "")
        if asked:
            return parse_statuses(asked)
        return frozenset(SessionStatus) if self.flag("all") else LIVE


class SessionHandler(BackendAIHandler):
    """``{root}/session/:id``; the id is a name, a UUID or a number."""

    @authenticated
    @authorized
    @operation(
        parameters=(OWNER_PARAMETER,),
        replies={200: Reply("All about the session.", types.SessionReply)},
    )
    async def get(self, reference: str) -> None:
        """Tell about a session, from memory.

        Figures may be a few seconds old. Reading is no use of the session: it does not put its
        idle timeout off. One that ended can be read by UUID or number for a while.
        """
        self.reply(self.describe(self.find(reference)))

    @authenticated
    @authorized
    @operation(
        parameters=(OWNER_PARAMETER,),
        replies={204: Reply("The session runs again.")},
        errors=(NotRunning,),
    )
    async def patch(self, reference: str) -> None:
        """Restart the session's kernel.

        Id, ports and URLs stay, and services go on; what the kernel had in memory is lost.
        """
        session = self.find_live(reference)
        await self.sessions.restart(session.id)
        self.touch(session)
        self.reply_nothing()

    @authenticated
    @authorized
    @operation(
        parameters=(
            Parameter("forced", bool, "Without a grace period."),
            Parameter("Prefer", str, "`return=representation`: answer 200, stats.", where="header"),
            OWNER_PARAMETER,
        ),
        replies={
            204: Reply("The session is gone."),
            200: Reply("The session is gone; what it used.", types.StatsReply),
        },
    )
    async def delete(self, reference: str) -> None:
        """Destroy the session; the answer comes after its removal.

        One that has not started is cancelled. Of several that destroy one session, one does and
        the others come too late. Clients that send `X-BackendAI-Version` get the stats.
        """
        session = self.find_live(reference)
        forced = self.flag("forced")
        wants_stats = self._wants_stats()
        with self.rest.endings.claim(session) as is_mine:
            ended = await self.sessions.destroy(session.id, forced=forced)
            await self.rest.listed(ended)
        if not is_mine:
            raise absent(reference)
        if wants_stats:
            self.reply(wire.render_stats(ended))
        else:
            self.reply_nothing()

    def _wants_stats(self) -> bool:
        """Tell whether the client reads a body; HTTP allows none with the document's 204."""
        if self.request.headers.get("Prefer", "").replace(" ", "") == "return=representation":
            self.set_header("Preference-Applied", "return=representation")
            return True
        return "X-BackendAI-Version" in self.request.headers
