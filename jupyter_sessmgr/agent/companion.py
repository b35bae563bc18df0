"""A process beside the kernel: forked from its template where there is one, else started anew."""

from __future__ import annotations

import os
import signal
import time

from . import launch, procs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Sequence

    from .reaper import Reaper
    from .template import Birth, Template


class Companion:
    """One process at a time that runs Python code in the kernel's interpreter.

    Parameters
    ----------
    orders : dict
        The agent's config.
    reaper : Reaper
        Tells when the process ended.
    template : Template
        Forks it where it can: most of what it needs is loaded there.
    ended : callable
        Called when the process ended.
    """

    def __init__(
        self,
        orders: Mapping[str, Any],
        reaper: Reaper,
        template: Template,
        ended: Callable[[], None],
    ) -> None:
        self.pid = 0
        self._orders = orders
        self._reaper = reaper
        self._template = template
        self._ended = ended
        #: What is to be run, while it is to come: code, interpreter, environment.
        self._plan: tuple[str, str, Mapping[str, str]] = ("", "", {})
        self._handed: Sequence[int] = ()
        self._birth: Birth | None = None

    def prepare(
        self, code: str, python: str, environ: Mapping[str, str], handed: Sequence[int]
    ) -> None:
        """Say what is to be run; `settle` brings it.

        The descriptors `handed` become its 3, 4, …, and are closed here. One that is forked has the
        template's environment.
        """
        self._let_go()
        self._plan, self._handed = (code, python, environ), handed

    def settle(self, *, late: bool = False) -> None:
        """Begin it, if it is to come. A template that may still come is waited for unless `late`.

        Raises
        ------
        LaunchFailed, OSError
            when it cannot be run.
        """
        code = self._plan[0]
        if self._birth is not None:
            pid = self._birth.look()
            if pid is None:
                return
            since, self._birth = self._birth.since, None
            if pid:
                self._take(pid, since)
            else:
                self.spawn()
        elif self._handed:
            self._birth = self._template.have(code, 2, self._handed)
            if self._birth is None and (late or not self._template.may_come):
                self.spawn()

    def spawn(self) -> None:
        """Begin it by its command, if it is to come and the template was not asked for it.

        Raises
        ------
        LaunchFailed, OSError
            when it cannot be run.
        """
        if not self._handed or self._birth is not None:
            return
        (code, python, environ), since = self._plan, time.monotonic()
        argv = [python, "-c", code]
        try:
            pid = launch.spawn(argv, environ, "/", 2, self._orders, handed=self._handed)
        except (launch.LaunchFailed, OSError):
            self._let_go()
            raise
        self._take(pid, since)

    def close(self) -> None:
        """End it. Harmless when there is none."""
        self._let_go()
        if self.pid:
            procs.send(self.pid, signal.SIGKILL)

    def _take(self, pid: int, since: float) -> None:
        self._let_go()
        self.pid = pid
        self._reaper.adopt(pid, self._gone, since)

    def _gone(self, _code: int) -> None:
        self.pid = 0
        self._ended()

    def _let_go(self) -> None:
        for one in self._handed:
            os.close(one)
        self._handed = ()
