"""The recorder: a process that hears a kernel's iopub channel and keeps the journal.

Runs in the kernel's own interpreter, for its pyzmq. It ends when the agent does.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import sys
import time

from . import heard
from .ear import Ear
from .following import Following
from .journal import Journal
from .readers import Readers
from .shelf import Full, Shelf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

#: Where the agent says what to do, and is told, as `recorder` hands it over.
TRUNK = 4
#: Seconds until what came is taken, with what comes until then.
_NAP = 0.02
#: Orders that are done in a row.
_MOST_ORDERS = 100
#: Messages, and bytes, that are written at a time.
_BATCH, _BATCH_BYTES = 2000, 4 * 2**20
#: Seconds between attempts to write to a disk that is full, and to do what is due now and then.
_TRY_AGAIN, _TICK = 1.0, 30.0
_MOST_ORDER = 64 * 1024
NAME = "recorder"


class Collector:
    """Does what the agent orders, and keeps what the kernel says.

    Parameters
    ----------
    trunk : socket.socket
        Brings orders.
    orders : dict
        Where the journal is, and its bounds.
    """

    def __init__(self, trunk: socket.socket, orders: Mapping[str, Any]) -> None:
        import zmq  # noqa: PLC0415 - who imports this module finds out whether it is there

        self._zmq: Any = zmq
        self._trunk = trunk
        shelf = Shelf(orders["path"], orders["max_bytes"])
        self._journal = Journal(shelf, orders["max_bytes"], orders["max_age"])
        self._following = Following(self._journal, heard.new_session())
        self._readers = Readers(self._journal, self._following)
        self._context = zmq.Context()
        self._context.set(zmq.BLOCKY, 0)
        self._ear: Ear | None = None
        self._told = False

    def run(self) -> None:
        """Work until the agent is gone."""
        while True:
            ready = self._wait()
            if self._told and self._ear is not None and self._ear.is_ready(ready):
                # What comes together is written together, and not while the kernel is at it.
                select.select([self._trunk], [], [], _NAP)
            if not self._obey_all():
                return
            self._listen()
            self._journal.commit()
            self._readers.serve(ready)

    def _wait(self) -> dict[Any, int]:
        """Wait for something to do; returns which sockets are ready."""
        poller = self._zmq.Poller()
        poller.register(self._trunk.fileno(), self._zmq.POLLIN)
        for number, events in self._readers.awaited():
            poller.register(number, events)
        for one in self._ear.sockets() if self._ear is not None else ():
            poller.register(one, self._zmq.POLLIN)
        pause = _TRY_AGAIN if self._journal.fresh else _TICK
        if self._ear is not None:
            pause = min(pause, self._ear.patience())
        pause = min(pause, self._readers.patience())
        return dict(poller.poll(max(0, int(pause * 1000) + 1)))

    def _obey_all(self) -> bool:
        """Do the agent's orders; False when it is gone.

        All of them come before what the kernel said meanwhile, so a note is there with that.
        """
        for _ in range(_MOST_ORDERS):
            try:
                data, extra, _, _ = self._trunk.recvmsg(
                    _MOST_ORDER, socket.CMSG_LEN(4), socket.MSG_DONTWAIT
                )
            except BlockingIOError:
                break
            if not data:
                return False
            self._obey(json.loads(data.decode()), [struct.unpack("i", one[2])[0] for one in extra])
        return True

    def _obey(self, order: Mapping[str, Any], handed: Sequence[int]) -> None:
        """Do one order, to which descriptors may belong."""
        if "ask" in order and handed:
            self._readers.add(socket.socket(fileno=handed[0]), order)
        elif "kernel" in order:
            self._turn_to(order["kernel"])
        elif "ended" in order:
            self._turn_away(order["ended"])
        elif "notes" in order:
            for kind, *words in order["notes"]:
                if kind == "note":
                    self._journal.note(*words)
                else:
                    self._following.asks(*words)
        elif "gap" in order:
            self._journal.note_gap(*order["gap"])

    def _turn_to(self, kernel: Mapping[str, Any]) -> None:
        """Listen to a kernel that starts, or runs already."""
        self._turn_away("")
        self._following.begin()
        self._ear = Ear(self._zmq, self._context, kernel, self._following.session)
        self._told = False

    def _turn_away(self, reason: str) -> None:
        """Hear the rest of a kernel that ended."""
        if self._ear is not None:
            self._listen()
            self._ear.close()
            self._ear = None
        if reason:
            self._following.end(reason)

    def _listen(self) -> int:
        """Take what the kernel said; returns how many messages."""
        ear = self._ear
        if ear is None:
            return 0
        count = size = 0
        now = time.time()
        for frames in ear.hear(_BATCH):
            count += 1
            size += sum(map(len, frames))
            try:
                self._following.hear(heard.read(frames), now)
            except heard.Unreadable:
                self._journal.lose("", sum(map(len, frames)))
            if size > _BATCH_BYTES:
                break
        for message in ear.answers():
            self._following.answered(message)
        if ear.hears and not self._told:
            self._told = True
            self._tell({"heard": ear.generation})
        return count

    def _tell(self, words: Mapping[str, Any]) -> None:
        self._trunk.send(json.dumps(words).encode())


def _take_name() -> None:
    """Be known among processes."""
    try:
        with open("/proc/self/comm", "w") as stream:
            stream.write(NAME)
    except OSError:
        return


def main() -> None:
    """Be the recorder. What stands in its way is told to the agent."""
    os.umask(0o077)
    _take_name()
    trunk = socket.socket(fileno=TRUNK)
    orders = json.loads(trunk.recv(_MOST_ORDER).decode())
    try:
        collector = Collector(trunk, orders)
    except ImportError as error:
        problem = "The image's Python lacks %s." % (error.name or "a module")
    except Full:
        problem = "There is no room on the disk for the journal."
    else:
        trunk.send(b"{}")
        collector.run()
        return
    trunk.send(json.dumps({"problem": problem}).encode())
    sys.exit(0)
