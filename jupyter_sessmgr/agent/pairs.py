"""Joins connections in pairs, in a thread of its own, with nothing done to the bytes.

That costs a fraction of what a stream of the control port does.
"""

from __future__ import annotations

import select
import socket
import threading

#: Bytes that are carried at once; what a slow side did not take of them is kept.
_PIECE = 256 * 1024
_IN, _OUT, _GONE = select.EPOLLIN, select.EPOLLOUT, select.EPOLLHUP | select.EPOLLERR


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
        #: What the system tells of it; None: nothing, not even that it is gone.
        self._watched: int | None = None
        #: It is gone, and what it said last waits for the other side.
        self._gone = False

    @property
    def reads(self) -> bool:
        """Whether what comes can be carried on now."""
        return not self.ended and not self.other.waiting

    def watch(self) -> None:
        """Be told of what can be done now, and when it is gone; of that once only."""
        wanted = (_IN if self.reads else 0) | (_OUT if self.waiting else 0)
        self._watch(None if self._gone and not wanted else wanted)

    def note_gone(self) -> None:
        """Note that it is gone, though it cannot be read."""
        self._gone = True

    def _watch(self, wanted: int | None) -> None:
        if wanted == self._watched:
            return
        if wanted is None:
            self._poll.unregister(self.connection)
        elif self._watched is None:
            self._poll.register(self.connection, wanted)
        else:
            self._poll.modify(self.connection, wanted)
        self._watched = wanted

    def carry(self, room: memoryview) -> None:
        """Carry what came to the other side, through a buffer that is everybody's."""
        try:
            size = self.connection.recv_into(room)
        except BlockingIOError:
            return
        if size:
            sent = self.other.send(room[:size])
            self.other.waiting = memoryview(bytes(room[sent:size]))
        else:
            self.ended = True
            self.other.flush()

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
        self._watch(None)
        self.connection.close()


class _Leader(_Side):
    """The side without which there is no use for the other."""

    def note_gone(self) -> None:
        """End the pair, whatever it said last."""
        raise ConnectionError


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

    def join(self, app: socket.socket, server: socket.socket) -> None:
        """Join two connections, which belong to the pair from here on.

        What the app said last is carried, however slowly the server takes it; when the server is
        gone, the app's connection ends at once.
        """
        for connection in (app, server):
            connection.setblocking(False)
        one, two = _Side(app, self._poll), _Leader(server, self._poll)
        one.other, two.other = two, one
        with self._lock:
            self._sides[app.fileno()], self._sides[server.fileno()] = one, two
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
            if events & ~_OUT and side.reads:
                side.carry(self._room)
            elif events & _GONE:
                side.note_gone()
            if not all(one.ended and not one.waiting for one in pair):
                for one in pair:
                    one.watch()
                return
        except OSError:
            pass  # one of them is gone
        for one in pair:
            del self._sides[one.connection.fileno()]
            one.close()
