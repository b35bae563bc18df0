"""Starts an agent as a process that outlives the server, and feeds it its orders."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from jupyter_sessmgr.engines.process.processes import sight
from jupyter_sessmgr.engines.process.records import Running

#: Variables of the server that a session gets. The others may hold secrets of the server.
INHERITED = ("PATH", "LANG", "TZ", "USER", "LOGNAME")
INHERITED_PREFIX = "LC_"

#: Seconds that the sandbox may take to make a process, and the agent to read its orders.
_DEADLINE = 10.0
_LOOK = 0.002
_LAST_MOMENT = 1.0
#: A log that grew over the first is cut to the last of it, in bytes.
_LOG_MOST, _LOG_KEPT = 2**20, 2**18


class SpawnFailed(Exception):
    """The process ended or did not answer; its log says more."""


@dataclass(frozen=True, slots=True)
class Child:
    """An agent that waits for its orders."""

    pid: int
    orders: IO[bytes]


def inherited_environ(python: str) -> dict[str, str]:
    """Make the environment that every process of a place starts with."""
    environ = {
        name: value
        for name, value in os.environ.items()
        if name in INHERITED or name.startswith(INHERITED_PREFIX)
    }
    # Its own pip and friends come first, as if it had been activated.
    environ["PATH"] = f"{Path(python).parent}{os.pathsep}{environ.get('PATH', os.defpath)}"
    return environ


def spawn(
    command: Sequence[str], environ: Mapping[str, str], folder: Path, log: Path, info: int
) -> Child:
    """Start a program that reads its orders from a pipe. Blocks for some milliseconds.

    It leads a session of its own, so no signal of the server's terminal reaches it, and it
    writes to a file, so it never waits for a server that is gone.

    Raises
    ------
    OSError
        when it cannot be run.
    """
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    try:
        child = subprocess.Popen(  # noqa: S603 - built by this package
            command,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            cwd=folder,
            env=dict(environ),
            start_new_session=True,
            pass_fds=() if info < 0 else (info,),
        )
    finally:
        os.close(output)
    # Popen warns of children that it does not see end; this one is meant to go on, and is
    # collected by `Children`.
    child.returncode = 0
    if child.stdin is None:
        raise AssertionError
    return Child(child.pid, child.stdin)


def identify(child: Child, info: int) -> Running:
    """Learn which process the agent is. It does nothing yet, since it has no orders.

    Raises
    ------
    SpawnFailed
        when there is none.
    """
    pid = child.pid if info < 0 else _told_pid(child.pid, info)
    agent, outer = sight(pid), sight(child.pid)
    if agent is None or outer is None or agent.ended or outer.ended:
        raise SpawnFailed("it ended at once")
    return Running(agent=agent.process, outer=outer.process)


def feed(child: Child, orders: bytes) -> None:
    """Write the orders, and close the pipe in any case.

    Raises
    ------
    SpawnFailed
        when they were not read.
    """
    deadline = time.monotonic() + _DEADLINE
    left = memoryview(orders)
    with child.orders as pipe, selectors.DefaultSelector() as selector:
        os.set_blocking(pipe.fileno(), False)
        selector.register(pipe, selectors.EVENT_WRITE)
        try:
            while left:
                if not selector.select(max(deadline - time.monotonic(), 0)):
                    raise SpawnFailed(f"it did not read its orders within {_DEADLINE:.0f} s")
                left = left[os.write(pipe.fileno(), left) :]
        except BrokenPipeError as error:
            raise SpawnFailed("it ended before it read its orders") from error


def _told_pid(outer: int, info: int) -> int:
    """Read the process's number from what the sandbox wrote down."""
    deadline = time.monotonic() + _DEADLINE
    while time.monotonic() < deadline:
        try:
            return int(json.loads(os.pread(info, 4096, 0))["child-pid"])
        except ValueError:
            seen = sight(outer)
        if seen is None or seen.ended:
            raise SpawnFailed("the sandbox ended at once")
        time.sleep(_LOOK)
    raise SpawnFailed(f"the sandbox did not start it within {_DEADLINE:.0f} s")


def tail(log: Path, size: int) -> bytes:
    """Read the last `size` bytes of a log; b"" when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(file.seek(0, os.SEEK_END) - size, 0))
            return file.read(size)
    except FileNotFoundError:
        return b""


def last_words(log: Path) -> str:
    """Return the last lines of a log for an error's message; "" when there are none."""
    lines = tail(log, 2000).decode(errors="replace").strip().splitlines()[-3:]
    return " / ".join(lines)[-400:]


def bound(log: Path) -> None:
    """Cut a log that grew too long; what is written meanwhile may be lost, nothing else."""
    try:
        if log.stat().st_size <= _LOG_MOST:
            return
    except FileNotFoundError:
        return
    kept = tail(log, _LOG_KEPT)
    # The agent appends, so it goes on behind what is written here.
    with log.open("r+b") as file:
        file.truncate(0)
        file.write(kept)


class Children:
    """Collects agents that this server started and that ended, so that no zombies stay."""

    def __init__(self) -> None:
        self._places: dict[int, str] = {}
        self._codes: dict[str, int] = {}

    def add(self, pid: int, place_id: str) -> None:
        """Note that a child of this process belongs to a place."""
        self._places[pid] = place_id
        self._codes.pop(place_id, None)

    def collect(self) -> None:
        """Take the exit codes of all that ended."""
        for pid, place_id in list(self._places.items()):
            try:
                done, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                done, status = pid, None  # somebody else collected it
            if done == 0:
                continue
            self._places.pop(pid, None)
            if status is not None:
                self._codes[place_id] = os.waitstatus_to_exitcode(status)

    def code(self, place_id: str) -> int | None:
        """Return how a place's agent ended (negative: by this signal); None when unknown.

        Call it when the agent has ended. A sandbox ends a moment after it, which is waited for.
        """
        deadline = time.monotonic() + _LAST_MOMENT
        self.collect()
        while place_id in self._places.values() and time.monotonic() < deadline:
            time.sleep(_LOOK)
            self.collect()
        return self._codes.get(place_id)

    def forget(self, place_id: str) -> None:
        """Drop what is known of a place that is gone."""
        self._codes.pop(place_id, None)


def signal_of(code: int) -> int:
    """Return which signal ended a process; 0 when none did.

    Sandboxes say it as shells do, and so does an agent that was asked to end.
    """
    if code < 0:
        return -code
    return code - 128 if 128 < code < 192 else 0  # noqa: PLR2004 - as shells do
