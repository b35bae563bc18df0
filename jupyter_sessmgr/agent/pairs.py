"""Joins connections in pairs, in a thread of its own, with nothing done to the bytes.

That costs a fraction of what a stream of the control port does.
"""

from __future__ import annotations

import select
import socket
import threading

#: Bytes that are carried at once; what a slow side did not take of them is kept.
_PIECE = 256 * 1024
_IN, _OUT, _OVER = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP | select.EPOLLERR


class _Side:
    """One of two joined connections, and what waits to be sent by it."""

    def __init__(self, connection: socket.socket, poll: select.epoll) -> None:
        self.connection = connection
        self.other = self
        #: What it did not take yet; the other side is not read meanwhile.
        self.waiting = memoryview(b"")
        #: Nothing more comes from it.
        self.ended = False
        self._poll = poll
        self._watched = 0

    def watch(self) -> None:
        """Be told of what can be done now, and of nothing else: the system repeats itself."""
        wanted = 0 if self.ended or self.other.waiting else _IN
        self._watch(wanted | (_OUT if self.waiting else 0))

    def _watch(self, wanted: int) -> None:
        if wanted == self._watched:
            return
        if not wanted:
            self._poll.unregister(self.connection)
        elif self._watched:
            self._poll.modify(self.connection, wanted)
        else:
            self._poll.register(self.connection, wanted)
        self._watched = wanted

    def carry(self, room: memoryview) -> bool:
        """Carry what came to the other side, through a buffer; tell whether that was the end."""
        if self.ended or self.other.waiting:
            return self.ended
        try:
            size = self.connection.recv_into(room)
        except BlockingIOError:
            return False
        if size:
            # The buffer is everybody's.
            self.other.waiting = memoryview(bytes(room[self.other.send(room[:size]) : size]))
        else:
            self.ended = True
            self.other.flush()
        return self.ended

    def flush(self) -> None:
        """Send what waits, then the other side's end."""
        if self.waiting:
            self.waiting = self.waiting[self.send(self.waiting) :]
        if self.other.ended and not self.waiting:
            self.connection.shutdown(socket.SHUT_WR)

    def send(self, data: memoryview) -> int:
        """Send bytes; tell how many went."""
        try:
            return self.connection.send(data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Let go of the connection."""
        self._watch(0)
        self.connection.close()


class Pairs:
    """All pairs of a place.

    A side that reads nothing holds the other back, an end is passed on, and when one is gone, so is
    the other.

    Parameters
    ----------
    most : int
        Pairs that there may be at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._poll = select.epoll()
        self._sides: dict[int, _Side] = {}
        self._room = memoryview(bytearray(_PIECE))
        self._lock = threading.Lock()
        self._begun = False

    def is_full(self) -> bool:
        """Tell whether there can be no other one."""
        return len(self._sides) >= 2 * self._most

    def join(self, first: socket.socket, second: socket.socket) -> None:
        """Join two connections, which belong to the pair from here on."""
        for connection in (first, second):
            connection.setblocking(False)
        one, two = _Side(first, self._poll), _Side(second, self._poll)
        one.other, two.other = two, one
        with self._lock:
            self._sides[first.fileno()], self._sides[second.fileno()] = one, two
            one.watch()
            two.watch()
        if not self._begun:
            self._begun = True
            threading.Thread(target=self._run, name="pairs", daemon=True).start()

    def _run(self) -> None:
        while True:
            for number, events in self._poll.poll():
                with self._lock:
                    side = self._sides.get(number)
                    if side is not None:
                        self._turn(side, events)

    def _turn(self, side: _Side, events: int) -> None:
        """Do what one connection is ready for."""
        pair = (side, side.other)
        try:
            if events & _OUT:
                side.flush()
            over = bool(events & ~_OUT) and side.carry(self._room) and bool(events & _OVER)
            if not over and not all(one.ended and not one.waiting for one in pair):
                for one in pair:
                    one.watch()
                return
        except OSError:
            pass  # one of them is gone
        for one in pair:
            del self._sides[one.connection.fileno()]
            one.close()
