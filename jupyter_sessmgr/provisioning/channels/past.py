"""What one websocket gets from the journal of its session: missed output, ends of cells."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from tornado.websocket import WebSocketClosedError

from jupyter_sessmgr.manager.recording.journal import JournalPage
from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.provisioning.channels.catchup import CatchUp, is_reply
from jupyter_sessmgr.provisioning.channels.frames import Asked
from jupyter_sessmgr.provisioning.channels.position import Position, find
from jupyter_sessmgr.provisioning.channels.questions import QUESTION, Questions
from jupyter_sessmgr.provisioning.channels.replies import Replies
from jupyter_sessmgr.provisioning.channels.screen import Browser
from jupyter_sessmgr.provisioning.channels.told import Told
from jupyter_sessmgr.provisioning.channels.widgets import Widgets
from jupyter_sessmgr.provisioning.channels.writer import Writer
from jupyter_sessmgr.provisioning.held import Held

#: Executions that one browser may have brought back.
MOST_REATTACHED = 1000
#: Seconds between looks at a kernel whose next execution is waited for, and how often it may be
#: idle then: between two cells it is, for a moment.
_LOOK, _IDLE_LOOKS = 1.0, 2
_NOT_KEPT = (
    "Nothing is kept of this execution: it is unknown here, or older than what the journal keeps. "
    "Run the cell again."
)
_NEVER_RAN = "This was never executed: the kernel was restarted before. Run the cell again."


class Past:
    """The journal's side of one websocket.

    Parameters
    ----------
    connection : ZMQChannelsWebsocketConnection
        The websocket.
    held : Held
        The session of its kernel.
    position : Position, optional
        Where the browser's knowledge ends; None: it wants no more than what happens.
    writer : Writer
        Writes to the browser.
    """

    def __init__(
        self, connection: Any, held: Held, position: Position | None, writer: Writer
    ) -> None:
        self._connection = connection
        self._session_id = held.id
        self._journal = held.home.sessions.journal
        self._position = position
        self._replies = Replies()
        #: What its executions ask a person to type.
        self.questions = Questions(self._journal, held.id, writer)
        #: Who sees it.
        self.browser = Browser(
            connection,
            writer,
            replies=self._replies,
            questions=self.questions,
            widgets=Widgets(returns=position is not None),
            passed=self._passed,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._catching: list[CatchUp] = []
        self._reattached: dict[str, tuple[CatchUp, asyncio.Task[None]]] = {}
        #: Those of them that may wait for an answer are looked up, so that it is asked for again.
        self._asking: dict[str, asyncio.Task[None]] = {}
        if position is not None:
            self._catching.append(
                CatchUp(
                    self._read,
                    self.browser,
                    wants=lambda parent: parent not in self._reattached,
                )
            )

    def begin(self) -> None:
        """Begin to bring what was missed. Called when live messages can arrive."""
        if self._position is not None:
            self._start(self._bring(self._position, self._catching[-1]))
        else:
            self._start(self.browser.say_busy())

    def take(self, stream: Any, parts: list[Any]) -> bool:
        """Say whether a message of the kernel must not be passed on (now). Never waits."""
        channel = getattr(stream, "channel", stream)
        if channel == "stdin":
            return self.questions.hear(Told(self._connection.session, parts))
        if channel == "shell" and (self._position or self._reattached):
            return self._is_told(parts)
        awaited = self._catching or self._replies.any_expected or self.questions.any_asked
        if channel != "iopub" or not awaited:
            return False
        told = Told(self._connection.session, parts)
        self._catching = [one for one in self._catching if not one.is_over]
        if any(
            one.take(told.msg_id, told.parent, told.size, (stream, parts)) for one in self._catching
        ):
            return True
        self._note(told)
        return False

    def reattach(self, asked: Asked) -> None:
        """Bring a whole execution, then what it does now, then its reply."""
        msg_id = asked.msg_id
        before = self._reattached.pop(msg_id, None)
        if before is not None:
            unfinished, bringing = before
            bringing.cancel()
            if msg_id in self._asking:
                self._asking.pop(msg_id).cancel()
            self._catching = [one for one in self._catching if one is not unfinished]
        elif len(self._reattached) >= MOST_REATTACHED:
            self.browser.refuse(asked, "Too many cells were asked for. Reload the page.")
            return
        self.browser.clear(asked)
        self._replies.expect(msg_id)
        self.questions.forget(msg_id)  # the page has let go of it
        for other in self._catching:
            other.forget(msg_id)
        catching = CatchUp(self._read, self.browser, wants=msg_id.__eq__, ends_with=msg_id)
        self._catching.insert(0, catching)
        self._reattached[msg_id] = catching, self._start(self._bring_execution(asked, catching))

    def end(self) -> None:
        """Stop; the browser is gone."""
        for task in self._tasks:
            task.cancel()

    async def _bring(self, position: Position, catching: CatchUp) -> None:
        try:
            since = await find(position, self._look_up)
        except SessmgrError as error:
            catching.give_up(error.message)
        else:
            await catching.run(since)
        if catching.trouble:
            self._connection.log.warning(
                "Session %s: a browser may miss output: %s", self._session_id, catching.trouble
            )

    async def _bring_execution(self, asked: Asked, catching: CatchUp) -> None:
        try:
            page = await self._journal.execution(self._session_id, asked.msg_id)
        except SessmgrError as error:
            catching.give_up(error.message)
        else:
            if page.gone:
                self.browser.note_gone(asked.msg_id)
            if page.messages or page.known:
                if not any(map(is_reply, page.messages)):
                    asking = self._start(self.questions.ask_again(asked.header))
                    self._asking[asked.msg_id] = asking
                waiting = self._start(self._wait_in_line(catching))
                try:
                    await catching.run(page.next, page)
                finally:
                    waiting.cancel()
            else:
                catching.give_up(_NOT_KEPT)
        if catching.trouble:
            self.browser.refuse(asked, catching.trouble)
        else:
            self.browser.say_again("busy")  # what was replayed may have said "idle"

    async def _wait_in_line(self, catching: CatchUp) -> None:
        """Give an execution up that has not begun although the kernel has nothing to do."""
        idle = 0
        while idle < _IDLE_LOOKS:
            await asyncio.sleep(_LOOK)
            if not catching.is_silent:
                return
            try:
                now = await self._journal.state(self._session_id)
            except SessmgrError as error:
                catching.give_up(error.message)
                return
            idle = idle + 1 if now.execution_state == "idle" else 0
        catching.give_up(_NEVER_RAN)

    def _passed(self, parts: list[Any]) -> None:
        if self._replies.any_expected or self.questions.any_asked:
            self._note(Told(self._connection.session, parts))

    def _note(self, told: Told) -> None:
        """Look for the reply of an execution that ended, and ask what one asks, if need be."""
        if told.kind == QUESTION:
            self.questions.tell(told.content, told.above, ask=told.parent in self._reattached)
        elif told.is_end and self._replies.ended(told.parent):
            self._start(self._bring_reply(told.parent, told.msg_id))

    async def _bring_reply(self, parent: str, end_id: str) -> None:
        try:
            reply = await self._replies.find(parent, lambda: self._look_up(end_id), self._read)
            if reply is not None:
                await self.browser.replay(reply)
        except SessmgrError as error:
            self._connection.log.debug("No reply for %s: %s", parent, error)

    def _is_told(self, parts: list[Any]) -> bool:
        """Tell whether an answer on the shell channel was given from the journal already."""
        told = Told(self._connection.session, parts)
        return told.kind == "execute_reply" and not self._replies.is_first(told.parent)

    async def _read(self, since: int, wait: float) -> JournalPage:
        return await self._journal.read(self._session_id, since, wait=wait)

    async def _look_up(self, message_id: str) -> int | None:
        return await self._journal.position(self._session_id, message_id)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        async def until_it_leaves() -> None:
            try:
                await work
            except WebSocketClosedError:
                self._connection.log.debug("A browser left before it had what it missed.")
            except Exception:
                self._connection.log.exception("A browser does not get what it missed")

        task = asyncio.create_task(until_it_leaves(), name="sessmgr-replay")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
