"""A connection to one kernel, as one more client of Jupyter has it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, cast

import zmq
import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient
from jupyter_client.connect import KernelConnectionInfo

from jupyter_sessmgr.model.errors import AgentUnavailable
from jupyter_sessmgr.model.naming import new_listener_topic
from jupyter_sessmgr.rest.execution.run import Run

#: Bytes of one message of a kernel; over that the connection is dropped, and made again.
LARGEST_MESSAGE = 2**27
#: Seconds between two attempts to be heard.
ASK_AGAIN = 0.5

_READ = ("shell", "iopub", "stdin", "control")


def make_context() -> zmq.asyncio.Context:
    """Make what all connections of a server share."""
    context = zmq.asyncio.Context()
    context.setsockopt(zmq.MAXMSGSIZE, LARGEST_MESSAGE)
    return context


class KernelChannels:
    """Sends code to a kernel, and hands what comes back to whoever it is about.

    Parameters
    ----------
    info : dict
        How the kernel is reached, keys included: `ComputeSessionManager.connection_info`.
    context : zmq.asyncio.Context
        From `make_context`.
    log : logging.Logger
        Gets what cannot be read.
    """

    def __init__(
        self,
        info: Mapping[str, Any],
        context: zmq.asyncio.Context,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self._client = AsyncKernelClient(context=context)
        self._client.load_connection_info(cast("KernelConnectionInfo", dict(info)))
        self._client.start_channels(hb=False)
        # it greets who subscribes to something that nobody is subscribed to yet
        self._client.iopub_channel.socket.subscribe(new_listener_topic())
        self._log = log
        self._heard = asyncio.Event()
        self._runs: dict[str, Run] = {}
        self._replies: dict[str, asyncio.Future[Mapping[str, Any]]] = {}
        self._readers = [
            asyncio.create_task(self._read(name), name=f"sessmgr-kernel-{name}") for name in _READ
        ]

    async def open(self, timeout: float) -> None:
        """Return when everything that the kernel publishes arrives here.

        A kernel greets a new listener, also while it works; of one that does not know how, the
        answer to a request on its control channel is heard.

        Raises
        ------
        AgentUnavailable
            when nothing was heard within `timeout` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                while not await self._heard_within(ASK_AGAIN):
                    self._send("control", "kernel_info_request", {})
        except TimeoutError:
            raise AgentUnavailable(
                "The session's kernel does not answer. Try again soon, or restart the session."
            ) from None

    def execute(self, run: Run) -> None:
        """Send a run's code; from now on the run hears what the kernel says about it."""
        content = {
            "code": run.code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": True,
            "stop_on_error": False,
        }
        self._runs[self._send("shell", "execute_request", content)] = run
        run.code = ""

    def answer(self, text: str) -> None:
        """Send the line of input that the kernel waits for."""
        self._send("stdin", "input_reply", {"value": text})

    def interrupt(self) -> None:
        """Ask a kernel that wants to be interrupted by a message."""
        self._send("control", "interrupt_request", {})

    async def complete(self, code: str, cursor: int, timeout: float) -> list[str] | None:
        """Ask what could stand at the cursor; None when that takes over `timeout` seconds."""
        asked = self._send("shell", "complete_request", {"code": code, "cursor_pos": cursor})
        reply = self._replies[asked] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout):
                matches = (await reply).get("matches")
        except TimeoutError:
            return None
        finally:
            del self._replies[asked]
        return [one for one in matches if isinstance(one, str)] if isinstance(matches, list) else []

    def drop(self, run: Run) -> None:
        """Listen no longer on behalf of a run that ended."""
        for asked in [asked for asked, one in self._runs.items() if one is run]:
            del self._runs[asked]

    async def close(self) -> None:
        """Let go of the kernel."""
        for reader in self._readers:
            reader.cancel()
        for name in _READ:
            self._channel(name).stop()
        await asyncio.gather(*self._readers, return_exceptions=True)

    async def _heard_within(self, timeout: float) -> bool:
        try:
            async with asyncio.timeout(timeout):
                return await self._heard.wait()
        except TimeoutError:
            return False

    def _channel(self, name: str) -> Any:
        return getattr(self._client, f"{name}_channel")

    def _send(self, channel: str, kind: str, content: dict[str, Any]) -> str:
        session = self._client.session
        message = session.msg(kind, content)
        # Not by the channel's own `send`: that goes past the asyncio socket, which then may never
        # learn that an answer has come. Nothing is waited for: there is room, or it goes later.
        self._channel(channel).socket.send_multipart(session.serialize(message))
        return str(message["header"]["msg_id"])

    async def _read(self, name: str) -> None:
        channel = self._channel(name)
        while True:
            try:
                message = await channel.get_msg()
            except zmq.ZMQError:
                return
            except Exception as error:  # noqa: BLE001 - whatever a kernel sends, the next is read
                self._log.warning("A message of a kernel cannot be read: %s", type(error).__name__)
                continue
            if name == "iopub":
                self._heard.set()
            self._hear(message)

    def _hear(self, message: Mapping[str, Any]) -> None:
        parent, content = message.get("parent_header"), message.get("content")
        if not isinstance(parent, Mapping) or not isinstance(content, Mapping):
            return
        asked, kind = str(parent.get("msg_id")), str(message.get("msg_type"))
        if asked in self._runs:
            self._runs[asked].hear(kind, content)
        elif asked in self._replies and kind == "complete_reply":
            reply = self._replies[asked]
            if not reply.done():
                reply.set_result(content)
