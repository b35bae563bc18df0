"""The browser of one websocket, as the past is shown to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_sessmgr.manager.recording.journal import Recorded
from jupyter_sessmgr.provisioning.channels.catchup import kind_of
from jupyter_sessmgr.provisioning.channels.frames import Asked
from jupyter_sessmgr.provisioning.channels.questions import QUESTION, Questions
from jupyter_sessmgr.provisioning.channels.replies import Replies
from jupyter_sessmgr.provisioning.channels.told import Told
from jupyter_sessmgr.provisioning.channels.widgets import (
    Widgets,
    may_tell_states,
    tells_states,
    without_widgets,
)
from jupyter_sessmgr.provisioning.channels.writer import Writer


class Browser:
    """Where messages of the past go. A `catchup.Screen`.

    Parameters
    ----------
    connection : ZMQChannelsWebsocketConnection
        The websocket.
    writer : Writer
        Writes to it.
    replies : Replies
        What it heard the end of.
    questions : Questions
        What it is asked.
    widgets : Widgets
        What it has of them.
    passed : callable
        Told of each message that was held back and is passed on.
    """

    def __init__(
        self,
        connection: Any,
        writer: Writer,
        *,
        replies: Replies,
        questions: Questions,
        widgets: Widgets,
        passed: Callable[[list[Any]], None],
    ) -> None:
        self._connection = connection
        self._replies = replies
        self._questions = questions
        self._widgets = widgets
        self._passed = passed
        self._writer = writer
        self._knows_state = False
        #: Executions whose kernel is gone.
        self._gone: set[str] = set()

    def note_gone(self, execution: str) -> None:
        """Note that the kernel of an execution is gone, and its widgets with it."""
        self._gone.add(execution)

    async def replay(self, recorded: Recorded) -> None:
        """Send one message from the journal."""
        is_gone = recorded.parent in self._gone
        left = without_widgets(recorded) if is_gone else self._widgets.left_of(recorded)
        if left is not None and self._replies.passes(left):
            await self._writer.replay(left)
        if kind_of(recorded) == QUESTION:
            content, request = recorded.message["content"], recorded.message["parent_header"]
            self._questions.tell(content, request, ask=True)

    def tell_missing(self, words: str, before: Recorded) -> None:
        """Say that there was more, in the cell of the next message."""
        parent = before.message.get("parent_header") or {}
        self._writer.say("stream", {"name": "stderr", "text": f"[{words}]\n"}, parent)

    async def caught_up(self) -> None:
        """Say what the kernel does, in case that nothing of it was missed."""
        self.say_state("busy", "idle")

    def deliver(self, held: Any) -> None:
        """Pass on what arrived meanwhile, however much it is."""
        stream, parts = held
        self._connection.pass_on(stream, parts)
        self._passed(parts)

    def restate(self, parts: list[Any]) -> bool:
        """Send a live message otherwise than it is; say whether it was one that needs that."""
        if not may_tell_states(parts):
            return False
        told = Told(self._connection.session, parts)
        if not tells_states(told.content):
            return False
        self._writer.send(told.saying(self._widgets.without(told.content)), "iopub")
        return True

    def clear(self, asked: Asked) -> None:
        """Have an output emptied that is brought anew: some of it may have come live just now."""
        self._writer.say("clear_output", {"wait": False}, asked.header)

    def refuse(self, asked: Asked, words: str) -> None:
        """Answer a request to hear of an execution that nothing is kept of."""
        error = {"status": "error", "ename": "OutputNotKept", "evalue": words, "traceback": [words]}
        self._replies.is_first(asked.msg_id)
        self.end(asked, error)

    def end(self, asked: Asked, reply: dict[str, Any]) -> None:
        """Answer a request that is not for the kernel."""
        self._writer.say("execute_reply", reply, asked.header, channel="shell")
        self._writer.say("status", {"execution_state": "idle"}, asked.header)
        self.say_again("busy")

    async def say_busy(self) -> None:
        """Say that the kernel is busy, if it is."""
        self.say_state("busy")

    def say_again(self, *states: str) -> None:
        """Say what the kernel does once more; other words may have been taken for it."""
        self._knows_state = False
        self.say_state(*states)

    def say_state(self, *states: str) -> None:
        """Say what the kernel does now, if that is one of `states`, once.

        Browsers that connect do not know; JupyterLab shows "Unknown".
        """
        state = getattr(self._connection.kernel_manager, "execution_state", None)
        if state in states and not self._knows_state:
            self._knows_state = True
            self._writer.say("status", {"execution_state": state}, {})
