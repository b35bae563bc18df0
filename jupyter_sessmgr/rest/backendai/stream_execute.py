"""A websocket that runs one piece of code and tells of it at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tornado.web import authenticated
from tornado.websocket import WebSocketClosedError

from jupyter_sessmgr.model.errors import (
    InvalidRequest,
    NotRunning,
    SessionNotFound,
    SessmgrError,
)
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.rest.backendai.base import OWNER_PARAMETER, BackendAIHandler
from jupyter_sessmgr.rest.backendai.run_wire import parse_run, render_run
from jupyter_sessmgr.rest.bodies import MAX_BODY, read_object
from jupyter_sessmgr.rest.execution.run import Run, RunStatus
from jupyter_sessmgr.rest.operations import Reply, operation
from jupyter_sessmgr.rest.permissions import may_execute
from jupyter_sessmgr.rest.sockets import SocketMixin

#: Seconds that output is gathered before it is sent.
FLUSH = 0.1


class ExecuteSocket(SocketMixin, BackendAIHandler):  # type: ignore[misc]  # tornado awaits prepare
    """``{root}/stream/session/:id/execute``: the websocket is the run.

    The client's first message is what it would post, in the mode ``query``; every other is a line
    of input. Each of ours says how the run stands. When the client goes away, the run is
    interrupted: nobody could ask for it any more.
    """

    _session: ComputeSession
    _run: Run | None = None
    _teller: asyncio.Task[None] | None = None

    @authenticated
    @may_execute
    @operation(
        parameters=(OWNER_PARAMETER,),
        replies={101: Reply("A websocket; its messages are JSON, input is plain text.")},
        errors=(SessionNotFound, NotRunning),
    )
    async def get(self, reference: str) -> None:  # type: ignore[override]  # tornado allows it
        """Run code, over a websocket."""
        self._session = self.find_live(reference)
        await super().get()

    async def on_message(self, message: str | bytes) -> None:
        """Take the code, then lines of input."""
        try:
            if self._run is None:
                await self._begin(message if isinstance(message, bytes) else message.encode())
            else:
                text = message if isinstance(message, str) else message.decode("utf-8", "replace")
                self.rest.runs.answer(self._session.id, self._run, text)
        except SessmgrError as error:
            self._fail(error.message)

    def on_close(self) -> None:
        """Let go of the run."""
        if self._teller is not None:
            self._teller.cancel()
        if self._run is not None:
            self.rest.runs.abandon(self._session, self._run)
        super().on_close()

    async def _begin(self, message: bytes) -> None:
        if len(message) > MAX_BODY:
            raise InvalidRequest(f"The message is over {MAX_BODY} bytes.")
        call = parse_run(read_object(message))
        if call.mode != "query":
            raise InvalidRequest('mode: a websocket begins with "query".', field="mode")
        session = self.find_live(self._session.id)
        self._run = run = await self.rest.runs.start(session, call.code)
        if self.ws_connection is None:  # the client is gone already
            self.rest.runs.abandon(session, run)
            return
        self._teller = asyncio.create_task(self._tell(run), name="sessmgr-teller")

    async def _tell(self, run: Run) -> None:
        """Send how the run stands, as often as there is news; then close."""
        status = RunStatus.CONTINUED
        while status is not RunStatus.FINISHED:
            await run.news.wait()
            await run.wait(FLUSH)
            progress = run.take()
            status = progress.status
            await self._send(render_run(progress))
        self.close()

    async def _send(self, value: object) -> None:
        try:
            await self.write_message(json.dumps(value))
        except WebSocketClosedError:
            self.log.debug("A client that ran code is gone.")

    def _fail(self, words: str) -> None:
        """Say what is wrong, for programs and in the way that people's clients show."""
        console: list[Any] = [("stderr", f"{words}\n")]
        told = {"status": "error", "msg": words, "console": console, "exitCode": None}
        if self.ws_connection is not None:
            self.write_message(json.dumps(told))
            self.close()
