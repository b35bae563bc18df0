"""Connects to apps of sessions that have the server's own network: directly, not by their agent.

The agent is asked who listens, as it asks itself before it connects (THREATS D2), and again once
there is a connection: a stranger may have taken the port in between. But bytes go straight to the
app: nothing is encrypted twice over on the way from one loopback to itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from jupyter_sessmgr.model.errors import NotRunning

#: How long one attempt to connect may take, in seconds.
_DIAL = 5.0
#: Bytes that wait for a reader before the app is held back; twice as many at most.
_BUFFER = 256 * 1024


def _own_network() -> str:
    try:
        return str(Path("/proc/self/ns/net").readlink())
    except OSError:
        return ""


#: Names the network that this process has; "" where the system does not tell.
OWN_NETWORK = _own_network()


async def connect(
    find: Callable[[], Awaitable[Sequence[str]]], port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
    """Connect to a port of a session; None when it is not here that the session listens.

    Parameters
    ----------
    find
        Asks at which loopback addresses the session listens now.

    Raises
    ------
    NotRunning
        when none answers, or it is no longer the session's.
    """
    hosts = await find()
    if not hosts:
        return None
    host, reader, writer = await _dial(hosts, port)
    held: Sequence[str] = ()
    try:
        held = await find()
    finally:
        if host not in held:
            writer.transport.abort()
    if host not in held:
        raise NotRunning(f"Port {port} is the session's no more.")
    return reader, writer


async def _dial(
    hosts: Sequence[str], port: int
) -> tuple[str, asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first of `hosts` that answers, and tell which."""
    problem = ""
    for host in hosts:
        try:
            async with asyncio.timeout(_DIAL):
                return host, *await asyncio.open_connection(host, port, limit=_BUFFER)
        except OSError as error:  # a timeout is one, too
            problem = error.strerror or "it takes too long"
    raise NotRunning(f"Port {port} inside the session does not answer: {problem}.")
