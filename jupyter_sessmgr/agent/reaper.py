"""Collects every child that ended, whoever's it was, and tells those who asked."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable


class Reaper:
    """Waits for children: its own and, as PID 1 or subreaper, everybody's orphans.

    The agent uses neither `subprocess` nor asyncio's child watchers, so nobody else waits and no
    exit status is lost.
    """

    def __init__(self) -> None:
        self._watched: dict[int, Callable[[int], None]] = {}
        #: How those ended that nobody watches, from `expect` to `adopt`; pids are used again.
        self._strays: dict[int, int] | None = None

    def watch(self, pid: int, ended: Callable[[int], None]) -> None:
        """Call `ended` with the exit code once this child ended; negative: killed by a signal."""
        self._watched[pid] = ended

    def expect(self) -> None:
        """Begin to remember who ended: somebody else forks a child for us."""
        self._strays = {}

    def forget(self) -> None:
        """Expect nobody any more."""
        self._strays = None

    def adopt(self, pid: int, ended: Callable[[int], None]) -> None:
        """Do as `watch` for a child that may have been expected, and may have ended already."""
        strays = self._strays or {}
        self.forget()
        if pid in strays:
            ended(strays[pid])
        else:
            self.watch(pid, ended)

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
            elif self._strays is not None:
                self._strays[pid] = exit_code(status)


def exit_code(status: int) -> int:
    """Turn a wait status into an exit code; negative: killed by this signal."""
    if os.WIFSIGNALED(status):
        return -os.WTERMSIG(status)
    return os.WEXITSTATUS(status)
