"""Handlers that run code in a session's kernel, over requests that wait a little."""

from __future__ import annotations

from tornado.web import authenticated

from jupyter_sessmgr.model.errors import (
    AgentError,
    AgentUnavailable,
    InvalidRequest,
    NotRunning,
    SessionNotFound,
    TooManyRequests,
    Unsupported,
)
from jupyter_sessmgr.rest.backendai.base import OWNER_PARAMETER, BackendAIHandler
from jupyter_sessmgr.rest.backendai.handlers import SessionHandler
from jupyter_sessmgr.rest.backendai.run_types import (
    CompleteBody,
    CompleteReply,
    ExecuteBody,
    RunReply,
)
from jupyter_sessmgr.rest.backendai.run_wire import (
    RunCall,
    parse_complete,
    parse_run,
    render_complete,
    render_run,
)
from jupyter_sessmgr.rest.execution.run import Run
from jupyter_sessmgr.rest.operations import Reply, operation
from jupyter_sessmgr.rest.permissions import may_execute

#: Seconds that a request waits for a run to finish, to want input or to write much.
LONG_POLL = 2.0


class CompletionsHandler(BackendAIHandler):
    """``{root}/session/:id/complete``."""

    @authenticated
    @may_execute
    @operation(
        parameters=(OWNER_PARAMETER,),
        body=CompleteBody,
        replies={200: Reply("What could stand at the cursor.", CompleteReply)},
        examples={"a name": {"code": "pri", "options": {"row": 0, "col": 3, "line": "pri"}}},
        errors=(InvalidRequest, SessionNotFound, NotRunning, AgentUnavailable),
    )
    async def post(self, reference: str) -> None:
        """Complete code, as with the tab key. A kernel that works gives no completions."""
        call = parse_complete(await self.read_body())
        self.reply(render_complete(await self.completions(call, reference)))

    async def completions(self, call: RunCall, reference: str) -> list[str] | None:
        """Ask the session's kernel for completions."""
        session = self.find_live(reference)
        return await self.rest.runs.complete(session, call.code + call.post, len(call.code))


class ExecuteHandler(SessionHandler, CompletionsHandler):
    """``{root}/session/:id``: what can be done with a session, and running code in it."""

    #: Whether the client went away while it waited.
    _gone = False

    @authenticated
    @may_execute
    @operation(
        parameters=(OWNER_PARAMETER,),
        body=ExecuteBody,
        replies={
            200: Reply("How the run stands, and what it wrote since.", RunReply | CompleteReply)
        },
        examples={"hello": {"mode": "query", "code": "print('hello')", "runId": None}},
        errors=(
            InvalidRequest,
            SessionNotFound,
            NotRunning,
            TooManyRequests,
            Unsupported,
            AgentUnavailable,
        ),
    )
    async def post(self, reference: str) -> None:
        """Run code, ask for more of a run, or answer it.

        The reply comes when the run has finished, wants input or has written much, and after two
        seconds in any case. A run goes on when its client goes away, and can be asked for by its
        id for an hour. Runs of one session queue.
        """
        call = parse_run(await self.read_body())
        if call.mode == "complete":
            self.reply(render_complete(await self.completions(call, reference)))
            return
        run = await self._run(call, reference)
        await run.wait(LONG_POLL)
        if not self._gone:
            self.reply({"result": render_run(run.take())})

    async def _run(self, call: RunCall, reference: str) -> Run:
        runs = self.rest.runs
        if call.mode == "query":
            return await runs.start(self.find_live(reference), call.code, call.run_id)
        session = self.find(reference)
        run = runs.find(session.id, call.run_id)
        if call.mode == "input":
            runs.answer(session.id, run, call.code)
        return run

    def on_connection_close(self) -> None:
        """Leave what the run wrote for the client's next request."""
        self._gone = True
        super().on_connection_close()


class InterruptHandler(BackendAIHandler):
    """``{root}/session/:id/interrupt``."""

    @authenticated
    @may_execute
    @operation(
        parameters=(OWNER_PARAMETER,),
        replies={204: Reply("It was sent; code that does not heed it goes on.")},
        errors=(SessionNotFound, NotRunning, AgentError, AgentUnavailable),
    )
    async def post(self, reference: str) -> None:
        """Interrupt what the session's kernel is doing."""
        await self.rest.runs.interrupt(self.find_live(reference))
        self.reply_nothing()
