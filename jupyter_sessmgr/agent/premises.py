"""What streams and services need to know of the place they are in."""

from __future__ import annotations

import asyncio
import os
import signal

from . import launch, procs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping, Sequence

    from .reaper import Reaper
    from .recorder import Recorder

#: How often a process that should end is looked at, in seconds.
_LOOK = 0.1


class Premises:
    """The place, for everything in it that is not its kernel.

    Parameters
    ----------
    orders : dict
        The agent's config.
    reaper : Reaper
        Collects what ended.
    """

    def __init__(self, orders: Mapping[str, Any], reaper: Reaper) -> None:
        self.orders = orders
        #: Leaders of the processes that outlive a kernel: services and terminals.
        self.guests: set[int] = set()
        self._reaper = reaper
        #: Knows what the kernel said; set before anybody asks.
        self.recorder: Recorder

    def folder(self) -> str:
        """Return the working folder."""
        return launch.working_folder(self.orders, {})[0]

    def spawn(
        self,
        argv: Sequence[str],
        environ: Mapping[str, str],
        output: int,
        ended: Callable[[int], None],
        *,
        terminal: bool = False,
    ) -> int:
        """Start a process in the working folder; `ended` hears its exit code."""
        pid = launch.spawn(argv, environ, self.folder(), output, self.orders, terminal=terminal)
        self.guests.add(pid)
        self._reaper.watch(pid, ended)
        return pid

    async def end(self, pid: int, grace: float, signum: int = signal.SIGTERM) -> None:
        """End a process and all that it started: ask, wait `grace` seconds, kill."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        try:
            procs.send_group(pid, signum)
            while procs.household({pid}) and loop.time() < deadline:
                await asyncio.sleep(_LOOK)
                self._reaper.reap()
        finally:
            for one in procs.household({pid}):
                procs.send(one, signal.SIGKILL)
            self._reaper.reap()
            self.guests.discard(pid)

    def environ(self) -> dict[str, str]:
        """Return what every process of the place has in its environment."""
        return launch.base_environ(self.orders)

    def path(self, name: str) -> str:
        """Name a file in the agent's private folder."""
        folder = self.orders["runtime_dir"]
        os.makedirs(folder, mode=0o700, exist_ok=True)
        return os.path.join(folder, name)
