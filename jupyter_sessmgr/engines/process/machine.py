"""Which machine this is, and since when it runs."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path

_MACHINE_FILES = ("/etc/machine-id", "/var/lib/dbus/machine-id")
_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where processes are; three questions that have different answers.

    The engine's id has the machine alone. With a home folder that several machines share, a
    record of another machine's process says nothing here: unreachable, not gone. After a reboot
    of the *same* machine its processes are certainly gone, and saying so needs the same engine
    to answer; so the boot stands in each place's record instead.
    """

    #: A hash; the same for as long as this system is installed.
    id: str
    #: Another one after each start of the system.
    boot: str
    #: In which process id namespace, such as a container, the numbers are meant; "" for any.
    pid_space: str


def this_machine() -> Machine:
    """Learn where we are. Reads files, and runs programs where there are none."""
    # The id itself is not for others to see, says machine-id(5); a keyed hash of it is.
    words = f"jupyter-sessmgr:{_machine_id()}"
    return Machine(
        id=hashlib.sha256(words.encode()).hexdigest()[:20],
        boot=_first_line("/proc/sys/kernel/random/boot_id") or _sysctl("kern.bootsessionuuid"),
        pid_space=_pid_space(),
    )


def _machine_id() -> str:
    for path in _MACHINE_FILES:
        found = _first_line(path)
        if found:
            return found
    # Containers often have none, then their name is what tells them apart.
    return _sysctl("kern.uuid") or platform.node()


def _pid_space() -> str:
    try:
        return str(os.readlink("/proc/self/ns/pid"))  # noqa: PTH115 - it is not a path
    except OSError:
        return ""


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""


def _sysctl(name: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - fixed words
            ["/usr/sbin/sysctl", "-n", name],
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()
