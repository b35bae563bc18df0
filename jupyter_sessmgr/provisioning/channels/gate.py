"""Holds requests back from a kernel that was just restarted, until its websocket hears it.

A restart takes less time than ZeroMQ takes to connect again, 100 to 200 ms; and the channels do
that one by one. What a kernel puts out while its output channel is not connected is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

#: Requests that wait at most; the next ones are passed on.
MOST_WAITING = 1000
#: Seconds until a kernel that runs again is heard by then: those of ipykernel < 7 do not greet.
PATIENCE = 0.5
#: Seconds after which nothing is held back any more, whatever became of the restart.
LONGEST = 60.0
_GREETING = b'"iopub_welcome"'


class RestartGate:
    """One websocket's gate: open, but while the kernel is restarted.

    Parameters
    ----------
    deliver : callable
        Passes a request on to the kernel.
    """

    def __init__(self, deliver: Callable[[Any], None]) -> None:
        self._deliver = deliver
        self._waiting: list[Any] | None = None
        self._opening: asyncio.TimerHandle | None = None

    def shut(self) -> None:
        """Begin to hold requests back: another kernel takes the place of this one."""
        self._waiting = self._waiting or []
        self._open_after(LONGEST)

    def runs(self) -> None:
        """Note that the new kernel runs."""
        if self._waiting is not None:
            self._open_after(PATIENCE)

    def take(self, request: Any) -> bool:
        """Say whether a request is held back now."""
        if self._waiting is None or len(self._waiting) >= MOST_WAITING:
            return False
        self._waiting.append(request)
        return True

    def hear(self, parts: list[Any]) -> None:
        """Look whether what the kernel says on its output channel is its greeting.

        It greets each who connects to that channel, so the old one does not any more.
        """
        if self._waiting is not None and any(_GREETING in bytes(part) for part in parts[:4]):
            self.open()

    def open(self) -> None:
        """Pass on what was held back."""
        waiting = self._waiting or []
        self.end()
        for request in waiting:
            self._deliver(request)

    def end(self) -> None:
        """Forget what is held back."""
        self._waiting = None
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None

    def _open_after(self, seconds: float) -> None:
        if self._opening is not None:
            self._opening.cancel()
        self._opening = asyncio.get_running_loop().call_later(seconds, self.open)
