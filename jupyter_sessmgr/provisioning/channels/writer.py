"""Writes to a browser what did not come from its kernel just now."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any

from jupyter_client.jsonutil import json_default

from jupyter_sessmgr.manager.recording.journal import Recorded
from jupyter_sessmgr.provisioning.channels.catchup import is_reply
from jupyter_sessmgr.provisioning.channels.frames import V1, unpack_buffers, write_message
from jupyter_sessmgr.provisioning.channels.told import Told

#: Parts of a message that have its header, whichever channel it is of.
_BEGINNING = 4


class Writer:
    """Writes to the browser of one websocket.

    Parameters
    ----------
    connection : ZMQChannelsWebsocketConnection
        The websocket.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        #: How the last message began that the browser got from the kernel itself.
        self._live: list[Any] = []
        #: What the kernel calls itself; "" as long as it said nothing to this browser.
        self._kernel = ""

    def follow(self, parts: list[Any]) -> None:
        """Note a message that the browser gets from the kernel itself.

        All else is sent in the kernel's name: JupyterLab takes another one for another kernel, and
        drops what it has not got round to.
        """
        self._live = parts[:_BEGINNING]

    @property
    def is_v1(self) -> bool:
        """Whether the browser chose the newer protocol."""
        return bool(self._connection.subprotocol == V1)

    def send(self, message: dict[str, Any], channel: str) -> Awaitable[None]:
        """Send a message; what is returned can be waited for until it has left.

        Raises
        ------
        WebSocketClosedError
            when the browser is gone.
        """
        data = write_message(message, channel, v1=self.is_v1, pack=self._pack)
        sent: Awaitable[None] = self._connection.write_message(data, binary=isinstance(data, bytes))
        return sent

    def say(
        self,
        kind: str,
        content: dict[str, Any],
        parent: dict[str, Any],
        *,
        channel: str = "iopub",
    ) -> str:
        """Send a message that no kernel made; `parent` is the header of what it belongs to.

        It is marked, since its id, which is returned, is no position in the journal.
        """
        message = self._connection.session.msg(kind, content, metadata={"sessmgr": {"made": True}})
        header = {**message["header"], "session": self._name or message["header"]["session"]}
        self.send({**message, "header": header, "parent_header": parent, "buffers": []}, channel)
        return str(header["msg_id"])

    async def replay(self, recorded: Recorded) -> None:
        """Send what the journal has, marked so; wait until the browser can take more."""
        message = recorded.message
        ours: dict[str, Any] = {"seq": recorded.seq, "replayed": True}
        if recorded.cell is not None:
            ours["cell"] = recorded.cell
        reply = is_reply(recorded)
        content = message.get("content")
        header = message["header"]
        self._kernel = self._name or str(header.get("session", ""))
        copy = {
            "header": {**header, "session": self._kernel},
            "parent_header": message.get("parent_header") or {},
            "metadata": {**(message.get("metadata") or {}), "sessmgr": ours},
            "content": content if reply else self._censored(message, content),
            "buffers": unpack_buffers(message.get("buffers")),
        }
        await self.send(copy, "shell" if reply else "iopub")

    @property
    def _name(self) -> str:
        """What the kernel calls itself, by the last that was heard of it."""
        if self._live:
            live, self._live = self._live, []
            self._kernel = Told(self._connection.session, live).session or self._kernel
        return self._kernel

    def _pack(self, value: Any) -> bytes:
        """Write JSON as Jupyter does, but for half a character, which it cannot write.

        Kernels that are written in JavaScript send such when they cut text between two messages.
        """
        try:
            packed: bytes = self._connection.session.pack(value)
        except (TypeError, ValueError):
            return json.dumps(value, default=json_default).encode()
        return packed

    def _censored(self, message: dict[str, Any], content: Any) -> Any:
        """Leave out an error's words where the server is told to."""
        kernels = self._connection.multi_kernel_manager
        if kernels.allow_tracebacks or message["header"].get("msg_type") != "error":
            return content
        hidden = self._connection.kernel_manager.traceback_replacement_message
        return {"ename": "ExecutionError", "evalue": "Execution error", "traceback": [hidden]}
