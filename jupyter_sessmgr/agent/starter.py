"""Starts the place's process: a kernel, forked from its template or by its command, or another."""

from __future__ import annotations

import os
import time

from . import launch
from .template import Template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Sequence

    from .reaper import Reaper
    from .template import Birth


class Starter:
    """Starts one kernel at a time.

    Parameters
    ----------
    orders : dict
        The agent's config.
    reaper : Reaper
        Tells when the process ended.
    output : int
        Where kernels write to.
    """

    def __init__(self, orders: Mapping[str, Any], reaper: Reaper, output: int) -> None:
        self.template = Template()
        self._orders = orders
        self._reaper = reaper
        self._output = output
        self._birth: Birth | None = None
        self._pid: int | None = None
        #: When it was asked for; it cannot have ended before.
        self._since = 0.0
        #: What the process is: command, environment, folder.
        self._plan: tuple[Sequence[str], Mapping[str, str], str] = ((), {}, "")

    def run(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        folder: str,
        ended: Callable[[int], None],
    ) -> int:
        """Start what is no kernel; `ended` hears its exit code.

        Raises
        ------
        LaunchFailed
            when the program cannot be run.
        """
        pid = launch.spawn(argv, environ, folder, self._output, self._orders)
        self._reaper.watch(pid, ended)
        return pid

    def start(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        folder: str,
        line: int | None = None,
    ) -> None:
        """Begin to start a kernel; `take` it when it `is_due`.

        `line` is for the kernel of a spare, to be told whose it is.

        Raises
        ------
        LaunchFailed
            when the program cannot be run.
        """
        self._plan = argv, environ, folder
        self._birth = None
        if line is None:
            self._birth = self.template.ask(argv, environ, folder, self._output)
        if self._birth is None:
            self._pid = self._by_command(line)
        else:
            self._pid, self._since = None, self._birth.since

    def is_due(self) -> bool:
        """Tell whether the kernel is there, or will not come from the template."""
        if self._birth is not None:
            self._pid = self._birth.look()
        if self._pid is not None:
            self._birth = None
        return self._birth is None

    def take(self) -> int:
        """Return the kernel's pid. What the template did not bring is started by its command.

        Raises
        ------
        LaunchFailed
            when the program cannot be run.
        """
        return self._pid or self._by_command()

    def watch(self, pid: int, ended: Callable[[int], None]) -> None:
        """Call `ended` with the exit code of the kernel that was taken."""
        self._reaper.adopt(pid, ended, self._since)

    def _by_command(self, line: int | None = None) -> int:
        """Start it by its command, which makes a new template, too."""
        argv, environ, folder = self._plan
        self._since = time.monotonic()
        command, handed = self.template.seed(argv, line)
        try:
            return launch.spawn(command, environ, folder, self._output, self._orders, handed=handed)
        finally:
            for one in (*handed, line):
                if one is not None:
                    os.close(one)
