"""Who reads the journal: each has a socket, which gets one answer."""

from __future__ import annotations

import json
import time

from . import executions, pages

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, Callable, Iterator, Mapping

    from .following import Following
    from .journal import Journal

MOST_READERS = 64
#: What a socket is looked at for, as pyzmq has it.
_COMES, _HAS_ROOM = 1, 2
#: Seconds that a reader may wait for something new.
_MOST_WAIT = 600.0
#: What reading leads to when others wrote to the file, as code in a session can.
_DAMAGE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


class Reader:
    """One question, and its answer as far as it was taken."""

    def __init__(self, peer: socket.socket, order: Mapping[str, Any]) -> None:
        peer.setblocking(False)
        self.peer = peer
        self.order = order
        #: What is still to be sent of a piece, and the pieces after it; None: it waits.
        self.piece = memoryview(b"")
        self.pieces: Iterator[bytes] | None = None
        wait = min(float(order.get("wait", 0)), _MOST_WAIT)
        self.deadline = time.monotonic() + wait


class Readers:
    """All readers. A slow one waits for itself alone.

    Parameters
    ----------
    journal : Journal
        What is read.
    following : Following
        What is known of the kernel.
    """

    def __init__(self, journal: Journal, following: Following) -> None:
        self._journal = journal
        self._following = following
        self._readers: dict[int, Reader] = {}
        self._questions: dict[str, Callable[[Mapping[str, Any]], Iterator[bytes]]] = {
            "read": self._read,
            "execution": self._execution,
            "position": lambda order: _line({"seq": pages.position(journal, str(order["id"]))}),
            "state": lambda _: _line(following.describe()),
            "executions": lambda _: _line({"items": executions.listed(journal, following)}),
        }

    def add(self, peer: socket.socket, order: Mapping[str, Any]) -> None:
        """Take a question; one too many is not answered."""
        if len(self._readers) >= MOST_READERS or order["ask"] not in self._questions:
            peer.close()
            return
        self._readers[peer.fileno()] = Reader(peer, order)

    def awaited(self) -> list[tuple[int, int]]:
        """List the sockets to look at, and what for: room for an answer, or the reader's end."""
        return [
            (number, _COMES if one.pieces is None else _HAS_ROOM)
            for number, one in self._readers.items()
        ]

    def patience(self) -> float:
        """Say in how many seconds somebody has waited long enough."""
        waiting = [one.deadline for one in self._readers.values() if one.pieces is None]
        return max(0.0, min(waiting, default=float("inf")) - time.monotonic())

    def serve(self, ready: Mapping[Any, int]) -> None:
        """Answer those who need not wait any more, and go on with answers."""
        for number, reader in list(self._readers.items()):
            if reader.pieces is None:
                if ready.get(number):  # it says nothing: it left
                    self._end(number)
                    continue
                if not self._is_due(reader):
                    continue
            try:
                self._answer(number, reader)
            except _DAMAGE:
                self._end(number)

    def _is_due(self, reader: Reader) -> bool:
        order = reader.order
        if order["ask"] != "read" or order["since"] != self._journal.last:
            return True
        return time.monotonic() >= reader.deadline

    def _answer(self, number: int, reader: Reader) -> None:
        if reader.pieces is None:
            reader.pieces = self._questions[reader.order["ask"]](reader.order)
        try:
            while True:
                if not reader.piece:
                    reader.piece = memoryview(next(reader.pieces))
                reader.piece = reader.piece[reader.peer.send(reader.piece) :]
        except BlockingIOError:
            return
        except StopIteration:
            pass  # that was all
        except OSError:
            pass  # it left
        self._end(number)

    def _end(self, number: int) -> None:
        self._readers.pop(number).peer.close()

    def _read(self, order: Mapping[str, Any]) -> Iterator[bytes]:
        return pages.page(self._journal, order["since"], order["most"])

    def _execution(self, order: Mapping[str, Any]) -> Iterator[bytes]:
        since, most, over = order["since"], order["most"], self._following.over
        return pages.page(self._journal, since, most, str(order["id"]), over)


def _line(words: Any) -> Iterator[bytes]:
    yield json.dumps(words).encode() + b"\n"
