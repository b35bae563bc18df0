"""Which ports processes of this place listen on, and at which addresses."""

from __future__ import annotations

import os
import socket
import struct

from .bound import held_sockets
from .listeners import tcp_listeners
from .procs import descendants

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Sequence

#: The system's lists can leave out what stands beside something that ends meanwhile.
_LOOKS = 3


def holds(port: int) -> bool:
    """Tell whether a process below the agent listens on a port, at whatever address.

    True also where the system does not tell.
    """
    if not os.path.isdir("/proc/net"):
        return True
    return any(_is_seen(port) for _ in range(_LOOKS))


def _is_seen(port: int) -> bool:
    held = held_sockets(descendants(os.getpid()))
    return held is None or bool(held & set(tcp_listeners({port})))


def held_hosts(port: int, hosts: Sequence[str]) -> list[str]:
    """Choose those of `hosts` where a connection to `port` reaches a process below the agent.

    Where places share a network, a stranger's port is thus never taken for the place's own, not
    even when both listen on the same number at different addresses. All, where the system does
    not tell.
    """
    if not os.path.isdir("/proc/net"):
        return list(hosts)
    for _ in range(_LOOKS):
        found = _held_hosts(port, hosts)
        if found:
            return found
    return []


def _held_hosts(port: int, hosts: Sequence[str]) -> list[str]:
    listeners = tcp_listeners({port})
    held = held_sockets(descendants(os.getpid()))
    if held is None:
        return list(hosts)
    return [host for host in hosts if _takes(host, listeners, held)]


def _takes(host: str, listeners: dict[str, tuple[str, int]], held: set[str]) -> bool:
    """Tell whether all who might take a connection to `host` are of the place.

    The system gives it to who listens at that very address, else to who listens at all.
    """
    for address in _takers(host):
        inodes = {inode for inode, (where, _) in listeners.items() if where == address}
        if inodes:
            return inodes <= held
    return False


def _takers(host: str) -> list[str]:
    """List addresses whose listeners take connections to `host`, the nearest first."""
    everybody = _spelled("::")
    if ":" in host:
        return [_spelled(host), everybody]
    mapped = _spelled("::ffff:" + host)
    return [_spelled(host), mapped, _spelled("0.0.0.0"), everybody]


def _spelled(host: str) -> str:
    """Write an address as the system's lists do: in words of the machine's byte order."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    packed = socket.inet_pton(family, host)
    return "".join("%08X" % word for word in struct.unpack("=%dI" % (len(packed) // 4), packed))


def listening(ports: Sequence[int]) -> list[int]:
    """List those of `ports` that processes below the agent listen on, as far as is told."""
    found: set[int] = set()
    for _ in range(_LOOKS if ports else 0):
        listeners = tcp_listeners(set(ports) - found)
        held = held_sockets(descendants(os.getpid()))
        found |= {port for inode, (_, port) in listeners.items() if held is None or inode in held}
    return sorted(found)
