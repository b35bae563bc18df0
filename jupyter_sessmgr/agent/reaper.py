"""Collects every child that ended, whoever's it was, and tells those who asked."""

from __future__ import annotations

import os
import time
from collections import OrderedDict

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable

#: How many are remembered: more than can end while somebody forks a child for us.
_MOST_STRAYS = 1024


class Reaper:
    """Waits for children: its own and, as PID 1 or subreaper, everybody's orphans.

    The agent uses neither `subprocess` nor asyncio's child watchers, so nobody else waits and no
    exit status is lost.
    """

    def __init__(self) -> None:
        self._watched: dict[int, Callable[[int], None]] = {}
        #: How and when those ended that nobody watches; pids are used again.
        self._strays: OrderedDict[int, tuple[int, float]] = OrderedDict()

    def watch(self, pid: int, ended: Callable[[int], None]) -> None:
        """Call `ended` with the exit code once this child ended; negative: killed by a signal."""
        self._watched[pid] = ended

    def adopt(self, pid: int, ended: Callable[[int], None], since: float) -> None:
        """Do as `watch` for a child that somebody else forked, and that may have ended already.

        `since` is before it began, on the monotonic clock.
        """
        code, when = self._strays.pop(pid, (0, float("-inf")))
        if when >= since:
            ended(code)
        else:
            self.watch(pid, ended)

    def tell_nobody(self) -> None:
        """Only collect from now on: the loop of those who asked is over."""
        self._watched.clear()

    def reap(self) -> bool:
        """Collect all that ended; returns whether any child is left. Never blocks."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            ended = self._watched.pop(pid, None)
            if ended is not None:
                ended(exit_code(status))
                continue
            self._strays[pid] = exit_code(status), time.monotonic()
            if len(self._strays) > _MOST_STRAYS:
                self._strays.popitem(last=False)


def exit_code(status: int) -> int:
    """Turn a wait status into an exit code; negative: killed by this signal."""
    if os.WIFSIGNALED(status):
        return -os.WTERMSIG(status)
    return os.WEXITSTATUS(status)
