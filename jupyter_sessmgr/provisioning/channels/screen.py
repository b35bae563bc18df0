"""The browser of one websocket, as the past is shown to it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jupyter_sessmgr.manager.recording.journal import Recorded
from jupyter_sessmgr.provisioning.channels.frames import Asked
from jupyter_sessmgr.provisioning.channels.replies import Replies
from jupyter_sessmgr.provisioning.channels.writer import Writer


class Browser:
    """Where messages of the past go. A `catchup.Screen`.

    Parameters
    ----------
    connection : ZMQChannelsWebsocketConnection
        The websocket.
    replies : Replies
        What it heard the end of.
    passed : callable
        Told of each message that was held back and is passed on.
    """

    def __init__(
        self, connection: Any, replies: Replies, passed: Callable[[list[Any]], None]
    ) -> None:
        self._connection = connection
        self._replies = replies
        self._passed = passed
        self._writer = Writer(connection)
        self._knows_state = False

    async def replay(self, recorded: Recorded) -> None:
        """Send one message from the journal."""
        if self._replies.passes(recorded):
            await self._writer.replay(recorded)

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
