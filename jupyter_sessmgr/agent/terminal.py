"""A stream to a shell on a terminal of its own."""

from __future__ import annotations

import asyncio
import fcntl
import functools
import os
import pwd
import signal
import struct
import termios

from .refusals import Invalid
from .relay import LooseRelay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from .frames import Frames
    from .premises import Premises

_MAX_SIDE = 10_000
#: How long the last output of a shell that ended may take, in seconds.
_LAST_WORDS = 0.5
#: How long a shell may take to end when its client is gone, in seconds.
_GRACE = 1.0
_SHELLS = ("/bin/bash", "/bin/sh")


class TerminalRelay(LooseRelay):
    """Passes bytes on, and sizes."""

    def __init__(self, frames: Frames, master: int) -> None:
        super().__init__(frames)
        self._master = master

    def said(self, words: Mapping[str, Any]) -> None:
        """Resize."""
        if "rows" in words:
            try:
                resize(self._master, words)
            except (Invalid, OSError):
                self._frames.abort()


async def serve(args: Mapping[str, Any], frames: Frames, premises: Premises) -> None:
    """Run the user's shell until it ends or the client is gone."""
    loop = asyncio.get_running_loop()
    master, slave = os.openpty()
    writing = os.dup(master)
    sizing = os.dup(master)
    exited: asyncio.Future[Any] = loop.create_future()
    relay = TerminalRelay(frames, sizing)
    pid = None
    try:
        try:
            resize(sizing, args)
            ended = functools.partial(_note, exited)
            pid = premises.spawn([shell()], _environ(premises), slave, ended, terminal=True)
        finally:
            os.close(slave)
        await loop.connect_read_pipe(lambda: relay, os.fdopen(master, "rb", 0))
        await loop.connect_write_pipe(lambda: relay, os.fdopen(writing, "wb", 0))
        frames.open(relay)
        await asyncio.wait({exited, frames.gone}, return_when=asyncio.FIRST_COMPLETED)
        if exited.done():
            await asyncio.wait({relay.drained, frames.gone}, timeout=_LAST_WORDS)
            frames.say({"exit": exited.result()})
            frames.end()
            frames.close()
    finally:
        os.close(sizing)
        relay.lost()
        if pid is not None:
            await premises.end(pid, _GRACE, signal.SIGHUP)


def shell() -> str:
    """Choose the user's shell."""
    try:
        own = pwd.getpwuid(os.getuid()).pw_shell
    except KeyError:
        own = ""
    usable = [one for one in (own, *_SHELLS) if one and os.access(one, os.X_OK)]
    return next((one for one in usable if not one.endswith(("nologin", "false"))), _SHELLS[-1])


def resize(terminal: int, size: Mapping[str, Any]) -> None:
    """Set a terminal's size in characters."""
    sides = [size.get("rows", 24), size.get("cols", 80)]
    if not all(type(side) is int and 0 < side <= _MAX_SIDE for side in sides):
        raise Invalid("rows, cols: not numbers from 1 to %d" % _MAX_SIDE)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", sides[0], sides[1], 0, 0))


def _environ(premises: Premises) -> dict[str, str]:
    environ = premises.environ()
    environ["TERM"] = "xterm-256color"
    environ["SHELL"] = shell()
    return environ


def _note(exited: asyncio.Future[Any], code: int) -> None:
    if not exited.done():
        exited.set_result(code)
