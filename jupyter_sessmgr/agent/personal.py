"""Tells the kernel of a spare whose it is."""

from __future__ import annotations

import json
import socket
import time

from . import launch
from .refusals import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from .kernelspecs import Spec

#: Seconds that a kernel may take to be ready, and to answer; it takes hundredths and thousandths.
DEADLINE = 5.0
_MOST = 4096


class Personal:
    """What a kernel that nobody used can be told once: its environment and working folder.

    Parameters
    ----------
    orders : dict
        The agent's config.
    """

    def __init__(self, orders: Mapping[str, Any]) -> None:
        self._orders = orders
        self._line: socket.socket | None = None
        self._ready = False
        self._start: tuple[Mapping[str, Any], Spec] | None = None
        #: Until when it may say that it is ready, on the monotonic clock; 0 as long as it starts.
        self._late = 0.0

    def begin(self, wanted: Mapping[str, Any], spec: Spec) -> int | None:
        """Prepare for a kernel; returns the descriptor for one of a spare, for others None."""
        self.end()
        if not wanted.get("spare"):
            return None
        self._start = wanted, spec
        self._line, end = socket.socketpair()
        self._line.setblocking(False)
        return end.detach()

    def end(self) -> None:
        """Forget the kernel. Harmless when there is none."""
        if self._line is not None:
            self._line.close()
        self._line, self._ready, self._start, self._late = None, False, None, 0.0

    def is_settled(self) -> bool:
        """Tell whether it is known if the kernel, which is there, can be told."""
        self._hear()
        if self._line is None or self._ready:
            return True
        self._late = self._late or time.monotonic() + DEADLINE
        return time.monotonic() > self._late

    @property
    def able(self) -> bool:
        """Whether the kernel can be told."""
        self._hear()
        return self._ready

    def _hear(self) -> None:
        """Hear that it is ready, or hangs up: it was used, or cannot."""
        try:
            words = self._line.recv(_MOST) if self._line is not None else b""
        except BlockingIOError:
            return
        except OSError:
            words = b""
        if words and not self._ready:
            self._ready = True
        else:
            self.end()

    async def tell(self, environ: Mapping[str, str], workdir: str) -> None:
        """Have the kernel be as if started with `environ` added, in `workdir` unless that is "".

        Raises
        ------
        Refused
            when it cannot be told (any more), in words; it is of no use to who asked, then.
        """
        if not self.able:
            raise Refused("This kernel cannot be told whose it is: it is no spare, or was used.")
        assert self._line is not None
        assert self._start is not None
        line, (wanted, spec) = self._line, self._start
        self._line, self._ready = None, False  # once
        wanted = dict(wanted, environ=dict(wanted.get("environ") or {}, **environ))
        wanted["workdir"] = workdir or wanted.get("workdir")
        with line:
            folder, warning = launch.working_folder(self._orders, wanted)
            if warning:
                raise Refused(warning)
            words = {"environ": launch.make_environ(self._orders, wanted, spec), "folder": folder}
            problem = await _ask(line, json.dumps(words).encode() + b"\n")
        if problem:
            raise Refused("This kernel cannot be told whose it is. %s" % problem)


async def _ask(line: socket.socket, words: bytes) -> str:
    """Say it to the kernel; returns its objection."""
    import asyncio  # noqa: PLC0415 - a start must not wait for it

    loop = asyncio.get_running_loop()

    async def said() -> bytes:
        await loop.sock_sendall(line, words)
        return await loop.sock_recv(line, _MOST)

    try:
        answer = await asyncio.wait_for(said(), DEADLINE)
        return str(json.loads(answer)["problem"]) if answer else "It was used, or ended, just now."
    except (OSError, asyncio.TimeoutError):
        return "It does not answer."
    except (ValueError, KeyError, TypeError, RecursionError):
        return "Its answer makes no sense."
