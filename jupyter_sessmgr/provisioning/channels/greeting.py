"""Finds out that a websocket hears its kernel, by the kernel's greeting.

A kernel that greets does so when somebody subscribes to what nobody is subscribed to yet, also
while it works. So each websocket subscribes to a topic of its own, which ZeroMQ tells each kernel
that it connects to: also the one that takes the place of another.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import zmq

from jupyter_sessmgr.model.naming import is_listener_topic, new_listener_topic

#: Seconds that a greeting may take; it takes thousandths.
PATIENCE = 0.5


class Greeting:
    """What a kernel says to one websocket when that is heard.

    Parameters
    ----------
    stream : zmq.eventloop.zmqstream.ZMQStream
        The websocket's own, of the kernel's output channel.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._topic = new_listener_topic()
        #: The greeting as it came; empty until then.
        self.parts: list[Any] = []
        # one that was kept for a browser that comes again has the topic of the time before
        before, stream.sessmgr_topic = getattr(stream, "sessmgr_topic", None), self._topic
        stream.socket.subscribe(self._topic)
        if before is not None:
            stream.socket.unsubscribe(before)

    def is_in(self, parts: Sequence[Any]) -> bool:
        """Tell whether a message is this greeting."""
        return bool(parts) and bytes(parts[0]) == self._topic

    async def heard(self) -> list[list[Any]] | None:
        """Wait until the kernel is heard; returns what it said meanwhile.

        None when it does not greet in time. Nobody else may receive from the stream until then.
        """
        greeted, said = asyncio.Event(), list[list[Any]]()

        def hear(parts: list[Any]) -> None:
            greeted.set()  # whatever it is, it was heard
            if self.is_in(parts):
                self.parts = parts
            if not is_any(parts):
                said.append(parts)

        self._stream.on_recv(hear)
        try:
            async with asyncio.timeout(PATIENCE):
                await greeted.wait()
        except TimeoutError:
            return None
        finally:
            if not self._stream.closed():
                self._stream.stop_on_recv()
        return said


def is_any(parts: Sequence[Any]) -> bool:
    """Tell whether a message greets one of ours, this or another: it is nothing for a browser."""
    return bool(parts) and is_listener_topic(bytes(parts[0]))


def connect_anew(streams: Sequence[Any]) -> None:
    """Connect to a kernel that took the place of another, at the same addresses.

    ZeroMQ would try again a tenth of a second after the other one went, or later.
    """
    for stream in streams:
        if not stream.closed():
            address = stream.socket.last_endpoint
            with contextlib.suppress(zmq.ZMQError):  # it has let go of it
                stream.socket.disconnect(address)
            stream.socket.connect(address)
