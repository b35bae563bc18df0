"""Where the agents of places on this machine bring connections to their apps.

A place sees a folder in which this server listens, and is asked by its control port to bring a
connection to a port. So no app's byte is encrypted or framed on its way, and still the server holds
nothing but an end of its own: a socket that was made inside could block whoever uses it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import stat
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from jupyter_sessmgr.manager.agents.bytesonly import BytesOnly, Closer

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes of a ticket, which is written in hexadecimal digits.
_TICKET = 16
#: Seconds that who comes may take to show a ticket.
_PATIENCE = 2.0
#: Those who may stand there at once.
_MOST = 16
#: Those who may wait in the system's queue.
_QUEUE = 128
#: How often somebody may come without a ticket that was given out, or not come that was to, until
#: nobody is let in any more.
_MOST_FAILURES = 16
#: Tickets that are known to have been given out.
_REMEMBERED = 256


class Landing:
    """One place's. Made by `Landing.open`; whoever has it closes it.

    Whatever comes without a ticket is of the session itself, as nobody else sees the folder. It can
    make its own connections slower: they go by the control port then.
    """

    def __init__(self, folder: int, listener: socket.socket, name: str) -> None:
        #: Name of the socket file in the folder.
        self.name = name
        #: Somebody may be let in.
        self.is_open = True
        self._folder = folder
        self._listener = listener
        self._closer = Closer()
        self._expected: dict[str, asyncio.Future[socket.socket]] = {}
        self._given: deque[str] = deque(maxlen=_REMEMBERED)
        self._standing: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listener, self._accept)

    @classmethod
    async def open(cls, folder: Path) -> Landing:
        """Listen in a folder.

        Raises
        ------
        OSError
            when that cannot be done here.
        """
        return cls(*await asyncio.to_thread(_listen, folder))

    @contextlib.contextmanager
    def ticket(self) -> Iterator[str]:
        """Give out a ticket; who shows it while the context lasts is let in."""
        ticket = secrets.token_hex(_TICKET)
        self._given.append(ticket)
        self._expected[ticket] = self._loop.create_future()
        try:
            yield ticket
        finally:
            coming = self._expected.pop(ticket, None)
            if coming is not None and not coming.cancel() and not coming.cancelled():
                coming.result().close()  # nobody took them

    async def arrival(self, ticket: str) -> socket.socket | None:
        """Wait for who shows a ticket, and take them over; None when nobody does."""
        coming = self._expected[ticket]
        await asyncio.wait({coming}, timeout=_PATIENCE)
        if not coming.done() or coming.cancelled():
            return None
        del self._expected[ticket]
        return coming.result()

    def _accept(self) -> None:
        try:
            peer = BytesOnly(self._listener.accept()[0], self._closer)
        except (BlockingIOError, ConnectionAbortedError):
            return  # they left
        except OSError:
            self.fail()  # there is no descriptor to be had, and they would be told of at once again
            return
        standing = self._loop.create_task(self._admit(peer), name="sessmgr-landing")
        self._standing.add(standing)
        standing.add_done_callback(self._leave)
        if len(self._standing) >= _MOST:
            self._loop.remove_reader(self._listener)

    def _leave(self, standing: asyncio.Task[None]) -> None:
        self._standing.discard(standing)
        if self.is_open:
            self._loop.add_reader(self._listener, self._accept)

    async def _admit(self, peer: socket.socket) -> None:
        """Let in who shows a ticket; nobody is told anything."""
        shown = b""
        try:
            async with asyncio.timeout(_PATIENCE):
                while len(shown) < 2 * _TICKET:
                    piece = await self._loop.sock_recv(peer, 2 * _TICKET - len(shown))
                    if not piece:
                        break
                    shown += piece
        except OSError:  # a timeout is one, too
            shown = b""
        except BaseException:
            peer.close()
            raise
        ticket = shown.decode("latin1")
        coming = self._expected.get(ticket)
        if coming is None or coming.done():
            peer.close()
            if ticket not in self._given:  # else who asked is gone
                self.fail()
        else:
            coming.set_result(peer)

    def fail(self) -> None:
        """Note that it did not work. If it goes on, nobody is let in any more."""
        self._failures += 1
        if self._failures > _MOST_FAILURES or self._closer.is_choked:
            self.shut()

    def shut(self) -> None:
        """Let nobody in any more; who is in stays. Harmless when it is shut."""
        if not self.is_open:
            return
        self.is_open = False
        self._loop.remove_reader(self._listener)
        self._closer.close([self._listener.detach()])
        for standing in self._standing:
            standing.cancel()
        for coming in self._expected.values():
            coming.cancel()

    async def close(self) -> None:
        """Do the same, and remove the socket file."""
        self.shut()
        await asyncio.to_thread(_remove, self._folder, self.name)


def _listen(folder: Path) -> tuple[int, socket.socket, str]:
    """Listen by a name of our own in a folder that others may write to."""
    name = secrets.token_hex(4)
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.setblocking(False)
        # The folder's own path may be too long for a socket.
        listener.bind(f"/proc/self/fd/{number}/{name}")
        _open_to_all(number, name)
        listener.listen(_QUEUE)
    except BaseException:
        listener.close()
        os.close(number)
        raise
    return number, listener, name


def _remove(folder: int, name: str) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        return  # it went with the place
    finally:
        os.close(folder)


def _open_to_all(folder: int, name: str) -> None:
    """Let the place's user connect, whoever that is."""
    number = os.open(name, os.O_PATH | os.O_NOFOLLOW, dir_fd=folder)
    try:
        if stat.S_ISSOCK(os.fstat(number).st_mode):
            Path(f"/proc/self/fd/{number}").chmod(0o666)  # only the place sees it
    finally:
        os.close(number)
