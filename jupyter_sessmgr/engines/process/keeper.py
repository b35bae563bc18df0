"""Starts, finds and ends the processes of places. Every method blocks: in a thread, always.

The order of a start is what makes it safe to be killed anywhere: the folder with its signed
record; the process, which waits; the note of which process it is; its orders. An agent without
orders ends by itself as soon as the server that holds its pipe is gone, so there is never one
that works and is not written down.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jupyter_sessmgr.engines import bubblewrap
from jupyter_sessmgr.engines.base import (
    LEASE_OVER,
    LEASE_OVER_WORDS,
    MISSING,
    Found,
    Observation,
)
from jupyter_sessmgr.engines.process import processes, records, spawn
from jupyter_sessmgr.engines.process.book import Book, unknown_when_unreadable
from jupyter_sessmgr.engines.process.processes import Process
from jupyter_sessmgr.engines.process.records import PlaceFolder, Record, Running
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable
from jupyter_sessmgr.model.naming import place_name

#: Seconds that SIGKILL may take; a disk that does not answer can hold a process up.
_KILL_DEADLINE = 10.0
#: Some places share a lock; then one waits for the other a little.
_LOCKS = 64
_ATTEMPTS = 5
_LOOK = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How a place's agent is started."""

    #: Makes the command line, once the place's folder is there. It is given the number of a file
    #: for the sandbox to tell about the process; -1 without a sandbox.
    command: Callable[[PlaceFolder, int], Sequence[str]]
    environ: Mapping[str, str]
    isolated: bool
    orders: bytes


class Keeper:
    """Keeps processes as a `Book` says."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self._children = spawn.Children()
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    def start(self, place_id: str, launch: Launch) -> tuple[Running, bool]:
        """Start a place's agent, unless it runs already; returns it, and whether it is new.

        Raises
        ------
        EngineError
            when it cannot be started.
        EngineUnavailable
            when a place of this id was made elsewhere, or the folder cannot be written.
        """
        with self._lock(place_id), unknown_when_unreadable(self.book.root):
            running = self._alive(place_id)
            if running is not None:
                return running, False
            self._kill(place_id)
            self.book.remove(place_id)
            self.book.make(place_id, isolated=launch.isolated)
            return self._launch_again(place_id, launch), True

    def _launch_again(self, place_id: str, launch: Launch) -> Running:
        """Launch, once more when the machine's mounts changed in that moment."""
        for attempt in range(_ATTEMPTS):
            try:
                return self._launch(place_id, launch)
            except spawn.SpawnFailed as failure:
                words = spawn.last_words(self.book.folder(place_id).log)
                if attempt < _ATTEMPTS - 1 and bubblewrap.MOVED in words:
                    continue
                raise EngineError(
                    f"The session's agent did not start: {failure}{': ' if words else ''}{words}."
                ) from failure
        raise AssertionError

    def _launch(self, place_id: str, launch: Launch) -> Running:
        folder = self.book.folder(place_id)
        info = folder.open_info() if launch.isolated else -1
        try:
            command = launch.command(folder, info)
            try:
                child = spawn.spawn(command, launch.environ, folder.path, folder.log, info)
            except OSError as error:
                raise EngineError(
                    f"The session's program {command[0]} cannot be run: {error.strerror}. Change "
                    "c.ProcessEngine.environments, or mend it."
                ) from error
            self._children.add(child.pid, place_id)
            with child.orders:
                running = spawn.identify(child, info)
                self.book.note(place_id, running)
                spawn.feed(child, launch.orders)
        finally:
            if info >= 0:
                os.close(info)
        return running

    def is_ready(self, place_id: str) -> bool:
        """Tell whether a place's agent listens.

        Raises
        ------
        EngineError
            when it ended instead; the message has its last words.
        """
        with unknown_when_unreadable(self.book.root):
            # In this order: an agent that ended right after it listened is told of, not waited for.
            listens = (self.book.sockets(place_id) / records.AGENT_SOCKET).is_socket()
            if self._alive(place_id) is not None:
                return listens
            words = spawn.last_words(self.book.folder(place_id).log)
        raise EngineError(
            f"The session's agent ended while it started: {words or 'it left no word'}."
        )

    def look(self, place_ids: Iterable[str]) -> dict[str, Observation]:
        """Observe places.

        Raises
        ------
        EngineUnavailable
            when one of them cannot be told.
        """
        self._children.collect()
        with unknown_when_unreadable(self.book.root):
            return {place_id: self._observe(place_id) for place_id in place_ids}

    def survey(self) -> list[Found]:
        """List all places of this machine that have a folder."""
        self._children.collect()
        with unknown_when_unreadable(self.book.root):
            found = [self._find(place_id) for place_id in records.place_ids(self.book.root)]
        return [one for one in found if one is not None]

    def ask_to_end(self, place_id: str) -> bool:
        """Ask a place's agent to end; False when there is nobody to wait for."""
        with self._lock(place_id), unknown_when_unreadable(self.book.root):
            running = self._alive(place_id)
            if running is None:
                return False
            processes.send(running.agent, signal.SIGTERM)
            processes.send(running.agent, signal.SIGCONT)  # a stopped one would not hear it
            return True

    def has_ended(self, place_id: str) -> bool:
        """Tell whether a place's agent is gone."""
        self._children.collect()
        with unknown_when_unreadable(self.book.root):
            return self._alive(place_id) is None

    def end(self, place_id: str) -> None:
        """Kill what is left of a place and remove its folders.

        Raises
        ------
        EngineUnavailable
            when something withstands being killed; nothing is removed then.
        """
        with self._lock(place_id), unknown_when_unreadable(self.book.root):
            self._kill(place_id)
            self.book.remove(place_id)
            self._children.forget(place_id)

    def _lock(self, place_id: str) -> threading.Lock:
        return self._locks[hash(place_id) % _LOCKS]

    def _alive(self, place_id: str) -> Running | None:
        record = self.book.record(place_id)
        if record is not None and not self.book.is_of_now(record):
            return None
        running = self.book.running(place_id)
        return running if running is not None and _lives(running) else None

    def _kill(self, place_id: str) -> None:
        try:
            record = self.book.record(place_id)
            running = self.book.running(place_id)
        except records.DamagedRecord:
            record = running = None  # then the mark in their environment must do
        if record is not None and not self.book.is_of_now(record):
            return
        roots = set() if running is None else {running.agent, running.outer}
        deadline = time.monotonic() + _KILL_DEADLINE
        foreign: set[Process] = set()
        while left := (processes.family(roots) | processes.marked(place_id)) - foreign:
            foreign |= _kill_all(left)
            self._children.collect()
            if time.monotonic() > deadline:
                numbers = ", ".join(str(one.pid) for one in sorted(left, key=lambda one: one.pid))
                raise EngineUnavailable(
                    f"Processes of the session withstand being killed ({numbers}), as those do "
                    "that wait for a disk or a network folder which does not answer."
                )
            time.sleep(_LOOK)
            roots |= left
        self._children.collect()

    def _observe(self, place_id: str) -> Observation:
        record = self.book.record(place_id)
        if record is not None and not self.book.is_of_now(record):
            return MISSING
        running = self.book.running(place_id)
        seen = None if running is None else processes.sight(running.agent.pid)
        if running is None or seen is None or not _lives(running):
            if record is None:
                return MISSING
            return _ended(record, running, self._children, self.book.folder(place_id).log)
        spawn.bound(self.book.folder(place_id).log)
        return Observation(
            exists=True,
            running=True,
            paused=seen.paused,
            endpoints=self.book.endpoints(place_id),
            key=str(running.agent.pid),
        )

    def _find(self, place_id: str) -> Found | None:
        try:
            record = self.book.record(place_id)
        except records.DamagedRecord:
            name = place_name(self.book.install_id, place_id)
            return Found(
                name=name, key="", install_id="", place_id=place_id, signed=False, running=False
            )
        if record is None or record.machine != self.book.machine.id:
            return None  # just removed, or another machine's
        running = self.book.running(place_id)
        try:
            is_running = self._alive(place_id) is not None
        except EngineUnavailable:
            is_running = True
        return Found(
            name=place_name(record.install_id, place_id),
            key="" if running is None else str(running.agent.pid),
            install_id=record.install_id,
            place_id=place_id,
            signed=record.place_id == place_id and self.book.is_signed(record),
            running=is_running,
            created_at=record.created_at,
        )


def _lives(running: Running) -> bool:
    """Tell whether a place is whole.

    A sandbox program ends after its agent. One that ended before was killed, by somebody who
    wanted the session to end; what is inside does not notice, and is ended with the place.
    """
    return all(map(processes.is_alive, {running.agent, running.outer}))


def _ended(
    record: Record, running: Running | None, children: spawn.Children, log: Path
) -> Observation:
    """Say of a place that does not run what is known of its end."""
    if running is None:
        return Observation(exists=True, reason="The session's start was broken off.")
    code = children.code(record.place_id)
    if code == LEASE_OVER:
        return Observation(exists=True, exit_code=code, reason=LEASE_OVER_WORDS)
    signum = 0 if code is None else spawn.signal_of(code)
    words = spawn.last_words(log)
    reason = "The session's process is gone"
    if signum:
        reason = f"The session's process was killed from outside ({_name(signum)})"
    elif code is not None:
        reason = f"The session's process ended with exit code {code}"
    return Observation(
        exists=True,
        exit_code=-signum if signum else code,
        reason=f"{reason}{': ' if words else ''}{words}.",
        key=str(running.agent.pid),
    )


def _kill_all(doomed: Iterable[Process]) -> set[Process]:
    """Kill processes; returns those that are somebody else's, as after ``sudo``."""
    foreign = set()
    for one in doomed:
        try:
            processes.send(one, signal.SIGKILL)
        except PermissionError:
            foreign.add(one)
    return foreign


def _name(signum: int) -> str:
    try:
        return signal.Signals(signum).name
    except ValueError:
        return f"signal {signum}"
