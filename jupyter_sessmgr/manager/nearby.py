"""Connects to apps of sessions that have the server's own network: directly, not by their agent.

The agent is asked who listens, as it asks itself before it connects (THREATS D2), but bytes go
straight to the app: nothing is encrypted twice over on the way from one loopback to itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
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


async def dial(
    hosts: Sequence[str], port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first of `hosts` that answers.

    Raises
    ------
    NotRunning
        when none does.
    """
    problem = ""
    for host in hosts:
        try:
            async with asyncio.timeout(_DIAL):
                return await asyncio.open_connection(host, port, limit=_BUFFER)
        except OSError as error:  # a timeout is one, too
            problem = error.strerror or "it takes too long"
    raise NotRunning(f"Port {port} inside the session does not answer: {problem}.")
