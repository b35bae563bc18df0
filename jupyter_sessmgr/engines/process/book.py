"""What is known of the places of one installation on one machine."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from jupyter_sessmgr.engines.base import Signer
from jupyter_sessmgr.engines.process import records
from jupyter_sessmgr.engines.process.machine import Machine
from jupyter_sessmgr.engines.process.records import PlaceFolder, Record, Running
from jupyter_sessmgr.model.errors import EngineUnavailable
from jupyter_sessmgr.model.ports import AGENT, KERNEL_CHANNELS, Endpoint

#: Seconds in which a socket on this machine accepts, if anybody listens.
_ANSWER = 1.0
_PURPOSE = "process place"


class Book:
    """Reads and writes the records; remembers them for questions that may not wait.

    Parameters
    ----------
    root : Path
        The folder of all places.
    machine : Machine
        Where this runs.
    signer : Signer
        Signs the records, so that nothing else is taken for ours.
    """

    def __init__(self, root: Path, machine: Machine, signer: Signer) -> None:
        self.root = root
        self.machine = machine
        self.install_id = signer.install_id
        self._signer = signer
        self._records: dict[str, Record] = {}
        self._running: dict[str, Running] = {}

    def open(self) -> None:
        """Prepare the folder, and read what is there."""
        records.prepare(self.root)
        for place_id in list(records.place_ids(self.root)):
            try:
                self.record(place_id)
            except records.DamagedRecord:
                continue  # the survey tells of it

    def remembered(self, place_id: str) -> Record | None:
        """Return a place's record as it was read last; the only method that never waits."""
        return self._records.get(place_id)

    def sockets(self, place_id: str) -> Path:
        """Say where a place's socket files are or will be, without waiting."""
        record = self._records.get(place_id)
        if record is not None:
            return Path(record.sockets)
        return records.socket_folder(self.root, self.install_id, place_id)

    def endpoints(self, place_id: str) -> tuple[Endpoint, ...]:
        """Say where a place is reached, without waiting."""
        sockets = self.sockets(place_id)
        prefix = str(sockets / records.KERNEL_PREFIX)
        kernel = (
            Endpoint(name, prefix, port, "ipc") for port, name in enumerate(KERNEL_CHANNELS, 1)
        )
        return (Endpoint(AGENT, str(sockets / records.AGENT_SOCKET), 0, "unix"), *kernel)

    def folder(self, place_id: str) -> PlaceFolder:
        """Name a place's folder, without waiting."""
        return PlaceFolder(self.root, place_id)

    def record(self, place_id: str) -> Record | None:
        """Read a place's record; None when the folder of all places is there and it is not."""
        self.root.stat()
        record = self.folder(place_id).record()
        if record is not None:
            self._records[place_id] = record
        return record

    def running(self, place_id: str) -> Running | None:
        """Read which processes a place had at last, or remember it if its folder was removed."""
        running = self.folder(place_id).running()
        if running is not None:
            self._running[place_id] = running
        return self._running.get(place_id)

    def make(self, place_id: str, *, isolated: bool) -> None:
        """Make a place's folders and its record."""
        sockets = records.socket_folder(self.root, self.install_id, place_id)
        record = Record(
            place_id=place_id,
            install_id=self.install_id,
            signature=self._signer.sign(_PURPOSE, self.install_id, place_id, self.machine.id),
            machine=self.machine.id,
            boot=self.machine.boot,
            pid_space=self.machine.pid_space,
            created_at=time.time(),
            isolated=isolated,
            sockets=str(sockets),
        )
        self._running.pop(place_id, None)
        self.folder(place_id).make(record)
        self._records[place_id] = record
        records.make_socket_folder(sockets)

    def note(self, place_id: str, running: Running) -> None:
        """Write down which processes a place has."""
        self._running[place_id] = running
        self.folder(place_id).note(running)

    def remove(self, place_id: str) -> None:
        """Remove a place's folders and forget it; harmless when there is nothing."""
        self.folder(place_id).remove(self._records.get(place_id))
        self._records.pop(place_id, None)
        self._running.pop(place_id, None)

    def is_signed(self, record: Record) -> bool:
        """Tell whether a record was written by this installation for the folder it is in."""
        words = (_PURPOSE, record.install_id, record.place_id, record.machine)
        return self._signer.verify(record.signature, *words)

    def is_of_now(self, record: Record) -> bool:
        """Tell whether the numbers in a place's notes still name processes.

        Raises
        ------
        EngineUnavailable
            when the place is on another machine, or in another container of this one.
        """
        if record.machine != self.machine.id:
            raise EngineUnavailable(
                f"The place {record.place_id} was made on another machine, which shares this "
                "folder; whether it runs is known only there.",
            )
        if record.boot != self.machine.boot:
            return False
        if record.pid_space == self.machine.pid_space:
            return True
        # A container that was started again has another number space: its processes are gone.
        # One that still runs beside this one is told by who answers.
        if _answers(Path(record.sockets, records.AGENT_SOCKET)):
            raise EngineUnavailable(
                f"The place {record.place_id} runs in another container of this machine; it can "
                "be ended only there.",
            )
        return False


@contextmanager
def unknown_when_unreadable(what: Path) -> Iterator[None]:
    """Turn a failure to read or write into "unknown", which is not "gone"."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        if error.errno == errno.ENOSPC:
            reason = "the disk is full"
        raise EngineUnavailable(
            f"Local sessions in {what} cannot be looked after: {reason}."
        ) from error


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(_ANSWER)
        try:
            asking.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:
            return True  # too busy to answer is not gone
    return True
