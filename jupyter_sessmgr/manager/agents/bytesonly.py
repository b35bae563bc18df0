"""Unix sockets whose other end may be anybody's.

Through one, a peer can send open files along with its bytes. Whoever lets go of a file last waits
as its maker wishes: for a TCP connection that lingers, or a slow file system. Reading past such a
file lets go of it, and so does closing a socket in which one waits. So files are taken out of what
comes, and everything is closed in a thread that may wait as long as it likes.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import os
import socket
import threading
import time
from collections import deque
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import WriteableBuffer

_INT = array.array("i").itemsize
#: Room for as many as the system sends at once, so that it drops none by itself.
_ROOM = socket.CMSG_LEN(253 * _INT)
#: Descriptors of one peer that could not be closed yet, until nothing more is taken from it.
_MOST_UNCLOSED = 64
#: Seconds that it takes to close one, unless somebody wants it to take longer.
_SOON = 1.0


class Closer:
    """Closes descriptors, in a thread of its own as long as there are any.

    Each peer has its own, for all its connections: what one of them makes wait is its own affair.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[int] = deque()
        self._runs = False
        self._began = 0.0
        self._has_taken_files = False

    @property
    def is_choked(self) -> bool:
        """Whether so many could not be closed yet that there must not be more."""
        return len(self._waiting) > _MOST_UNCLOSED and (
            self._has_taken_files or time.monotonic() - self._began > _SOON
        )

    def close_files(self, numbers: Iterable[int]) -> None:
        """Have these closed, which its peer sent."""
        self._has_taken_files = True
        self.close(numbers)

    def close(self, numbers: Iterable[int]) -> None:
        """Have these closed soon."""
        with self._lock:
            self._waiting.extend(numbers)
            begins, self._runs = not self._runs, True
        if begins:
            threading.Thread(target=self._run, name="sessmgr-closer", daemon=True).start()

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._runs = False
                    return
                number = self._waiting.popleft()
                self._began = time.monotonic()
            with contextlib.suppress(OSError):  # it is closed all the same
                os.close(number)


class BytesOnly(socket.socket):
    """A connected unix socket that takes bytes and nothing else; for asyncio's transports.

    Parameters
    ----------
    connection : socket.socket
        Is taken over.
    closer : Closer
        Closes it, and what its peer sends besides bytes. That ends the connection.
    """

    def __init__(self, connection: socket.socket, closer: Closer) -> None:
        super().__init__(fileno=connection.detach())
        self._closer = closer
        self.setblocking(False)

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Take bytes. Called by the loop."""
        self._check_closer()
        data, besides, _, _ = self.recvmsg(bufsize, _ROOM, flags | socket.MSG_CMSG_CLOEXEC)
        self._check(besides)
        return data

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Take bytes. Called by the loop."""
        self._check_closer()
        room = memoryview(buffer)[: nbytes or None]
        size, besides, _, _ = self.recvmsg_into([room], _ROOM, flags | socket.MSG_CMSG_CLOEXEC)
        self._check(besides)
        return size

    def _check_closer(self) -> None:
        """Take nothing while its peer's files hold too many descriptors already."""
        if self._closer.is_choked:
            raise ConnectionAbortedError("It sent files along, which are not closed yet.")

    def _check(self, besides: list[tuple[int, int, bytes]]) -> None:
        if besides:
            for _, _, data in besides:
                self._closer.close_files(array.array("i", data[: len(data) // _INT * _INT]))
            raise ConnectionAbortedError("It sent files along.")

    def close(self) -> None:
        """Have it closed; nothing can be sent or taken from here on."""
        number = self.detach()
        if number >= 0:
            self._closer.close([number])


#: Who closes what was dialled, by path, for as long as there is anything to be closed.
_closers: WeakValueDictionary[str, Closer] = WeakValueDictionary()


async def dial(path: str) -> BytesOnly:
    """Connect to a unix socket.

    Raises
    ------
    OSError
        when nobody listens there, or what came along from there before is not closed yet.
    """
    closer = _closers.setdefault(path, Closer())
    if closer.is_choked:
        raise ConnectionAbortedError("It sent files along, which are not closed yet.")
    made = BytesOnly(socket.socket(socket.AF_UNIX), closer)
    try:
        await asyncio.get_running_loop().sock_connect(made, path)
    except BaseException:
        made.close()
        raise
    return made
