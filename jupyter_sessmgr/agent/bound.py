"""Tells when a kernel listens on all its channels, without connecting to any."""

from __future__ import annotations

import os
import socket

from .launch import CHANNELS, socket_files
from .listeners import tcp_listeners
from .procs import descendants, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

_ACCEPTS = 0x10000


def is_bound(connection: Mapping[str, Any], pid: int) -> bool:
    """Tell whether the kernel process `pid`, or one below it, listens on all five channels.

    A stranger that sits on one of the ports, where the network is shared, is not the kernel.
    """
    if not os.path.isdir("/proc/net"):
        return all(_accepts(connection, channel) for channel in CHANNELS)
    if connection["transport"] == "ipc":
        return set(socket_files(connection)) <= _unix_listeners()
    wanted = {connection[name + "_port"] for name in CHANNELS}
    inodes = tcp_listeners(wanted)
    if {port for _, port in inodes.values()} != wanted:
        return False
    held = held_sockets([pid, *descendants(pid)])
    return held is None or {inodes[inode][1] for inode in held & set(inodes)} == wanted


def _accepts(connection: Mapping[str, Any], channel: str) -> bool:
    """Try a channel by connecting to it: for systems that do not list their sockets."""
    port = connection[channel + "_port"]
    address: Any = (connection["ip"], port)
    family = socket.AF_INET
    if connection["transport"] == "ipc":
        family, address = socket.AF_UNIX, "%s-%d" % address
    with socket.socket(family) as probe:
        probe.settimeout(0.05)
        return probe.connect_ex(address) == 0


def _unix_listeners() -> set[str]:
    """List the paths of all listening unix sockets."""
    found = set()
    for line in read_text("/proc/net/unix").splitlines()[1:]:
        path = line.partition(" /")[2]
        if path and int(line.split()[3], 16) & _ACCEPTS:
            found.add("/" + path)
    return found


def held_sockets(pids: list[int]) -> set[str] | None:
    """List the inodes of the sockets that these processes hold; None when that is not told.

    A process that is ending holds none any more, though the system denies to tell.
    """
    held = set()
    for pid in pids:
        folder = "/proc/%d/fd" % pid
        try:
            for entry in os.listdir(folder):
                target = os.readlink("%s/%s" % (folder, entry))
                if target.startswith("socket:["):
                    held.add(target[8:-1])
        except PermissionError:
            if read_text("/proc/%d/cmdline" % pid):
                return None
        except OSError:
            continue
    return held
