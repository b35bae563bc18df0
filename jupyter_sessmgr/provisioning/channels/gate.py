"""Holds requests back from a kernel that was just restarted, until all websockets hear it.

A restart takes less time than ZeroMQ takes to connect again, 100 to 200 ms; and the channels do
that one by one. What a kernel puts out while its output channel is not connected is lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, Self

#: Requests that wait at most; the next ones are passed on.
MOST_WAITING = 1000
#: Seconds until a kernel that runs again is heard, by then: those of ipykernel < 7 do not greet.
PATIENCE = 0.5
#: Seconds after which nothing is held back any more, whatever became of the restart.
LONGEST = 60.0


class RestartGate:
    """One websocket's gate: open, but while the kernel is restarted.

    Parameters
    ----------
    deliver : callable
        Passes a request on to the kernel.
    connect : callable
        Connects to the new kernel.
    all_gates : callable
        Lists the gates of all websockets to this kernel.
    """

    def __init__(
        self,
        deliver: Callable[[Any], None],
        connect: Callable[[], None],
        all_gates: Callable[[], Iterable[Self]],
    ) -> None:
        self._deliver = deliver
        self._connect = connect
        self._all = all_gates
        #: Whether what the kernel puts out is heard.
        self.hears = True
        self._runs = True
        self._waiting: list[Any] | None = None
        self._opening: asyncio.TimerHandle | None = None

    def shut(self) -> None:
        """Begin to hold requests back: another kernel takes the place of this one."""
        self.hears = self._runs = False
        self._waiting = self._waiting or []
        self._open_after(LONGEST)

    def runs(self) -> None:
        """Note that the new kernel runs."""
        if self._waiting is not None:
            self._runs = True
            self._connect()
            self._open_after(PATIENCE)

    def take(self, request: Any) -> bool:
        """Say whether a request is held back now."""
        if self._waiting is None or len(self._waiting) >= MOST_WAITING:
            return False
        self._waiting.append(request)
        return True

    def greeted(self) -> None:
        """Note that the kernel greets: it does once, so the old one does not any more.

        What one browser asks for is seen in all, so the last that hears opens for all.
        """
        self.hears = True
        if all(gate.hears for gate in self._all()):
            for gate in self._all():
                gate.open()

    def open(self) -> None:
        """Pass on what was held back."""
        waiting = self._waiting or []
        self._hold_nothing()
        for request in waiting:
            self._deliver(request)

    def end(self) -> None:
        """Go with the browser; what it asked for is not for a kernel that is being replaced."""
        if self._runs:
            self.open()
        self._hold_nothing()

    def _hold_nothing(self) -> None:
        self._waiting, self.hears, self._runs = None, True, True
        if self._opening is not None:
            self._opening.cancel()
            self._opening = None

    def _open_after(self, seconds: float) -> None:
        if self._opening is not None:
            self._opening.cancel()
        self._opening = asyncio.get_running_loop().call_later(seconds, self.open)
