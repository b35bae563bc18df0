"""Processes of this machine: which is which, who belongs to whom, and how to end them.

A process id is used again after its process ended; id and start time together are not. So a
process is known by both here, and no signal is ever sent by number alone.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

#: Every process of a place has it in its environment, as far as nobody removed it.
MARKER = "SESSMGR_PLACE"

_PROC = Path("/proc")
_COMMAND_TIMEOUT = 5.0
#: Old systems and strict filters have no handles for processes.
_NO_HANDLES = (errno.ENOSYS, errno.EPERM, errno.EINVAL)


@dataclass(frozen=True, slots=True)
class Process:
    """One process, in a way that no other one will ever be."""

    pid: int
    #: When it started, in whatever words this system has for it.
    started: str


@dataclass(frozen=True, slots=True)
class Sight:
    """What the system says of a process now."""

    process: Process
    parent: int
    #: It was stopped by a signal, so nothing of it runs until it gets another.
    paused: bool
    #: It ended; only its parent has not looked yet.
    ended: bool


def sight(pid: int) -> Sight | None:
    """Look at one process; None when there is none. Reads files or runs ``ps``.

    Raises
    ------
    OSError
        when that could not be told; it is not an answer.
    """
    if not _has_proc():
        return _ps(["-p", str(pid)]).get(pid)
    try:
        return _parse_stat(pid, (_PROC / str(pid) / "stat").read_text(errors="replace"))
    except (FileNotFoundError, ProcessLookupError):
        return None


def is_alive(process: Process) -> bool:
    """Tell whether it still runs, or would if it were not paused."""
    seen = sight(process.pid)
    return seen is not None and not seen.ended and seen.process == process


def everything() -> Mapping[int, Sight]:
    """Look at all processes that can be seen from here."""
    if not _has_proc():
        return _ps(["-A"])
    found = map(sight, _numbers())
    return {one.process.pid: one for one in found if one is not None}


def family(roots: Iterable[Process]) -> set[Process]:
    """Find these processes and all their descendants, as far as they have not ended."""
    seen = everything()
    children: dict[int, list[int]] = {}
    for one in seen.values():
        children.setdefault(one.parent, []).append(one.process.pid)
    todo = [root.pid for root in roots if root.pid in seen and seen[root.pid].process == root]
    found: set[int] = set()
    while todo:
        pid = todo.pop()
        if pid not in found:
            found.add(pid)
            todo += children.get(pid, [])
    return {seen[pid].process for pid in found if not seen[pid].ended} - {myself()}


def marked(place_id: str) -> set[Process]:
    """Find processes that carry a place's id in their environment.

    It finds those that left their family, as daemons do.
    """
    text = f"{MARKER}={place_id}"
    if not _has_proc():
        return _ps_marked(text)
    found = set()
    for pid in _numbers():
        if _has_variable(pid, text.encode()):
            one = sight(pid)
            if one is not None and not one.ended:
                found.add(one.process)
    return found - {myself()}


def myself() -> Process:
    """Name the process that runs this."""
    seen = sight(os.getpid())
    return seen.process if seen is not None else Process(os.getpid(), "")


def send(process: Process, signum: int) -> bool:
    """Send a signal to exactly this process; tell whether it was there to get it.

    Raises
    ------
    PermissionError
        when it belongs to somebody else by now, as after ``sudo``.
    """
    try:
        # The handle stays with the process it was opened for, whatever becomes of the number.
        handle = os.pidfd_open(process.pid) if hasattr(os, "pidfd_open") else None
    except ProcessLookupError:
        return False
    except OSError as error:
        if error.errno not in _NO_HANDLES:
            raise
        handle = None
    try:
        if not is_alive(process):
            return False
        if handle is None:
            os.kill(process.pid, signum)
        else:
            signal.pidfd_send_signal(handle, signum)
    except ProcessLookupError:
        return False
    finally:
        if handle is not None:
            os.close(handle)
    return True


def _has_proc() -> bool:
    return (_PROC / "self" / "stat").exists()


def _numbers() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def _parse_stat(pid: int, text: str) -> Sight:
    # The name in parentheses may hold anything, so count from its end; see proc(5).
    fields = text.rpartition(")")[2].split()
    state, parent, started = fields[0], int(fields[1]), fields[19]
    return Sight(Process(pid, started), parent, state in "Tt", state in "ZXx")


def _has_variable(pid: int, text: bytes) -> bool:
    try:
        return text in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except OSError:
        return False  # ended meanwhile, or somebody else's: then it is none of ours


def _ps(selection: list[str]) -> dict[int, Sight]:
    """Ask ``ps``, where there is no ``/proc``."""
    found = {}
    for line in _run(["ps", *selection, "-o", "pid=,ppid=,stat=,lstart="]).splitlines():
        pid, parent, state, started = line.split(None, 3)
        process = Process(int(pid), started.strip())
        found[process.pid] = Sight(process, int(parent), "T" in state, "Z" in state)
    return found


def _ps_marked(text: str) -> set[Process]:
    pids = {
        int(line.split(None, 1)[0])
        for line in _run(["ps", "-A", "-E", "-ww", "-o", "pid=,command="]).splitlines()
        if f" {text}" in line
    }
    seen = everything()
    return {seen[pid].process for pid in pids if pid in seen and not seen[pid].ended} - {myself()}


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - fixed words and numbers
            command, capture_output=True, text=True, check=False, timeout=_COMMAND_TIMEOUT
        )
    except subprocess.TimeoutExpired as error:
        raise OSError(errno.ETIMEDOUT, f"{command[0]} gave no answer") from error
    return done.stdout
