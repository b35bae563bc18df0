"""Which ports processes of this place listen on."""

from __future__ import annotations

import os

from .bound import held_sockets, tcp_listeners
from .procs import descendants

#: The system's lists can leave out what stands beside something that ends meanwhile.
_LOOKS = 3


def holds(port: int) -> bool:
    """Tell whether a process below the agent listens on a port.

    Where places share a network, a stranger's port is thus never taken for the place's own.
    True also where the system does not tell.
    """
    return not os.path.isdir("/proc/net") or any(_is_seen(port) for _ in range(_LOOKS))


def _is_seen(port: int) -> bool:
    inodes = tcp_listeners({port})
    held = held_sockets(descendants(os.getpid()))
    return held is None or bool(held & set(inodes))
