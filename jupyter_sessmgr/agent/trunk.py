"""The agent's way to the recorder: what is ordered waits here while the recorder is busy."""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections import deque

from .refusals import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from typing import Any, Iterable, Mapping

#: Bytes of one order; the recorder reads no more at once.
MOST_ORDER = 64 * 1024
#: Bytes of orders that wait. Then the oldest notes go first: what tells of kernels is kept.
_MOST_WAITING = 2**20
_NOTES = "notes"
_BUSY = "The recorder of the session's output is busy."


class Trunk:
    """A socket to one recorder, and the orders that it was not sent yet."""

    def __init__(self) -> None:
        #: `end` is the recorder's.
        self._mine, self.end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._mine.setblocking(False)
        self._waiting: deque[Mapping[str, Any]] = deque()
        #: The bytes of each, and of all.
        self._sizes: deque[int] = deque()
        self._size = 0
        self._loop: AbstractEventLoop | None = None

    def say(self, order: Mapping[str, Any]) -> None:
        """Send an order, after those that wait."""
        self._waiting.append(order)
        self._sizes.append(len(_spell(order)))
        self._size += self._sizes[-1]
        self.flush()
        while self._size > _MOST_WAITING:
            self._drop()

    def note(self, notes: Iterable[Any]) -> None:
        """Send notes, in as few orders as they fit into."""
        some: list[Any] = []
        size = 0
        for one in notes:
            more = len(_spell(one)) + len(", ")
            if some and size + more > MOST_ORDER - len(_spell({_NOTES: []})):
                self.say({_NOTES: some})
                some, size = [], 0
            some.append(one)
            size += more
        if some:
            self.say({_NOTES: some})

    def flush(self) -> None:
        """Send what waits, and go on when there is room."""
        try:
            while self._waiting:
                self._mine.send(_spell(self._waiting[0]))
                self._forget(0)
        except BlockingIOError:
            self._watch()
        except OSError:
            self._unwatch()  # it ended: the next recorder is told
        else:
            self._unwatch()

    def ask(self, question: Mapping[str, Any]) -> socket.socket:
        """Ask the recorder; its answer, and then an end, comes from what is returned.

        Raises
        ------
        Refused
            when it is busy.
        """
        self.flush()
        if self._waiting:  # what was noted before is part of the answer
            raise Refused(_BUSY)
        mine, answer = socket.socketpair()
        mine.setblocking(False)
        try:
            fds = struct.pack("i", answer.fileno())
            handed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
            self._mine.sendmsg([_spell(question)], handed)
        except OSError:
            mine.close()
            raise Refused(_BUSY) from None
        finally:
            answer.close()
        return mine

    def hear(self) -> Iterable[Mapping[str, Any]]:
        """Yield what the recorder says."""
        while True:
            try:
                words = self._mine.recv(MOST_ORDER)
            except OSError:
                return
            if not words:
                return
            yield json.loads(words.decode())

    def close(self) -> list[Mapping[str, Any]]:
        """Let go of the recorder, which ends then; returns the orders that it was not sent."""
        self._unwatch()
        self._mine.close()
        return list(self._waiting)

    def _drop(self) -> None:
        """Drop the oldest notes, else the oldest order."""
        found = (number for number, one in enumerate(self._waiting) if _NOTES in one)
        self._forget(next(found, 0))

    def _forget(self, number: int) -> None:
        del self._waiting[number]
        self._size -= self._sizes[number]
        del self._sizes[number]

    def _watch(self) -> None:
        """Be told when there is room. Before there is a loop, `flush` is called now and then."""
        asyncio: Any = sys.modules.get("asyncio")  # not imported before the kernel starts
        if self._loop is None and asyncio is not None:
            try:
                self._loop = asyncio.get_running_loop()
            except RuntimeError:
                return
            self._loop.add_writer(self._mine.fileno(), self.flush)

    def _unwatch(self) -> None:
        if self._loop is not None:
            self._loop.remove_writer(self._mine.fileno())
            self._loop = None


def _spell(words: Any) -> bytes:
    return json.dumps(words).encode()
