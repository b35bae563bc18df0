"""The connection to one session's kernel, open while anybody needs it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

import zmq.asyncio

from jupyter_sessmgr.model.errors import NotRunning
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.rest.execution.channels import KernelChannels

#: Seconds until a kernel must have been heard. One that neither greets listeners nor answers
#: while it works is heard when it is done with what it does.
OPEN_TIMEOUT = 300.0
#: Seconds that a connection stays open when nobody needs it any more.
LINGER = 30.0


class Line:
    """Opens one connection for all that want to talk to a kernel, and closes it after them.

    Parameters
    ----------
    session : ComputeSession
        Whose kernel it is; the line is to this kernel and to no later one.
    info : dict
        How the kernel is reached.
    context : zmq.asyncio.Context
        Shared by all connections.
    log : logging.Logger
        The server's.
    """

    def __init__(
        self,
        session: ComputeSession,
        info: Mapping[str, Any],
        context: zmq.asyncio.Context,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    ) -> None:
        #: Names the kernel: a place and a generation.
        self.kernel = (session.place_id, session.observed_generation)
        #: How it is reached.
        self.info = info
        self._context = context
        self._log = log
        self._users = 0
        self._opening = asyncio.Lock()
        self._channels: KernelChannels | None = None
        self._closing: asyncio.Task[None] | None = None
        self._closed = False

    @contextlib.asynccontextmanager
    async def channels(self) -> AsyncIterator[KernelChannels]:
        """Give the open connection, in the order of asking.

        Raises
        ------
        AgentUnavailable
            when the kernel does not answer.
        NotRunning
            when the kernel has gone meanwhile.
        """
        self._users += 1
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        try:
            async with self._opening:
                channels = await self._open()
            yield channels
        finally:
            self._users -= 1
            if not self._users and not self._closed:
                self._closing = asyncio.create_task(self._close_later(), name="sessmgr-line")

    def answer(self, text: str) -> None:
        """Send a line of input to the kernel."""
        if self._channels is not None:
            self._channels.answer(text)

    async def close(self, after: float = 0.0) -> None:
        """Give the connection to nobody any more, and close it `after` seconds at the latest."""
        self._closed = True
        if self._closing is not None:
            self._closing.cancel()
            await asyncio.gather(self._closing, return_exceptions=True)
        try:
            await asyncio.sleep(after)
        finally:
            await self._hang_up()

    async def _open(self) -> KernelChannels:
        if self._closed:
            raise NotRunning("The kernel of this session has gone. Try again soon.")
        if self._channels is None:
            channels = KernelChannels(self.info, self._context, self._log)
            try:
                await channels.open(OPEN_TIMEOUT)
            except BaseException:
                await channels.close()
                raise
            self._channels = channels
        return self._channels

    async def _close_later(self) -> None:
        await asyncio.sleep(LINGER)
        await self._hang_up()

    async def _hang_up(self) -> None:
        channels, self._channels = self._channels, None
        if channels is not None:
            await channels.close()
