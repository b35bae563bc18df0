"""The handler about a session's output: what its kernel put out, also while nobody was there."""

from __future__ import annotations

import asyncio

from jupyter_server.auth.decorator import authorized
from tornado.web import authenticated

from jupyter_sessmgr.manager.recording.journal import JournalPage
from jupyter_sessmgr.model.errors import (
    AgentError,
    AgentUnavailable,
    InvalidRequest,
    NotRunning,
    SessionNotFound,
    TooManyRequests,
    Unsupported,
)
from jupyter_sessmgr.rest.api.output_types import OutputPage
from jupyter_sessmgr.rest.api.output_wire import MAX_WAIT, read_since, read_wait, render_page
from jupyter_sessmgr.rest.api.waiting import Waiting
from jupyter_sessmgr.rest.base import SessionsHandler
from jupyter_sessmgr.rest.operations import Parameter, Reply, operation

_WAITING = Waiting("output")


class OutputHandler(SessionsHandler):
    """``{root}/session/{reference}/output``."""

    _reading: asyncio.Task[JournalPage] | None = None
    #: Whether the client went away while it waited.
    _gone = False

    @authenticated
    @authorized
    @operation(
        parameters=(
            Parameter("since", int, "Number of the last message you have (default: 0).", example=0),
            Parameter(
                "wait",
                float,
                f"Seconds to wait for something new, up to {MAX_WAIT} (default: 0).",
                example=0,
            ),
        ),
        replies={200: Reply("What came after that, as far as it is kept.", OutputPage)},
        errors=(
            InvalidRequest,
            SessionNotFound,
            NotRunning,
            Unsupported,
            TooManyRequests,
            AgentError,
            AgentUnavailable,
        ),
    )
    async def get(self, reference: str) -> None:
        """Return what a session's kernel put out, also while no server ran.

        A long answer comes in parts: ask again with `next` as `since`, until `items` is empty.
        Reading deletes nothing. A session whose kernel is not recorded says so.
        """
        since = read_since(self.get_query_argument("since", "0"))
        wait = read_wait(self.get_query_argument("wait", "0"))
        session = self.sessions.find(reference, self.owner)
        with _WAITING.one_more(session.id):
            journal = self.sessions.journal
            self._reading = asyncio.create_task(journal.read(session.id, since, wait=wait))
            try:
                page = await self._reading
            except asyncio.CancelledError:
                if self._gone:
                    return
                raise
        self.reply(render_page(session.id, page))

    def on_connection_close(self) -> None:
        """Stop waiting for somebody who has left."""
        self._gone = True
        if self._reading is not None:
            self._reading.cancel()
        super().on_connection_close()
