"""Starts, stops and watches the kernel, with a deadline for every step."""

from __future__ import annotations

import asyncio
import os
import signal
import time

from . import exits, procs, usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from .kernel import Kernel
    from .reaper import Reaper

#: How often a starting kernel is looked at, in seconds.
_LOOK = 0.005
#: How often a kernel is looked for that the template was asked for, in seconds.
_SETTLE = 0.002
#: How often memory is counted where nothing else limits it, in seconds.
_WATCH = 0.25
#: How long SIGKILL may take, in seconds; the system can hold a process back.
_KILL_DEADLINE = 5.0


class StopFailed(Exception):
    """Processes withstood SIGKILL, as some do that wait for a dead disk."""

    #: What the server is told.
    public = "Processes of the kernel withstand being killed, as those do that wait for a disk."


class Supervisor:
    """Owns the kernel's life. One change at a time; a change goes on when its asker leaves.

    Parameters
    ----------
    kernel : Kernel
        Possibly started already.
    reaper : Reaper
        Collects what ended.
    orders : dict
        The agent's config.
    guests : set of int
        Processes that live on when a kernel ends: services and terminals.
    """

    def __init__(
        self, kernel: Kernel, reaper: Reaper, orders: Mapping[str, Any], guests: set[int]
    ) -> None:
        self.kernel = kernel
        self._reaper = reaper
        self._guests = guests
        self._limits = orders.get("limits") or {}
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self.closing = False
        self._last_moment = float("inf")

    def open(self) -> None:
        """Take over a kernel that was started before the loop, and begin to watch."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reaper.reap)
        loop.add_reader(self.kernel.output.end, self.kernel.output.drain)
        self._reaper.reap()
        self._own(self._until_bound())
        if self._limits.get("mem") and self._limits.get("watchdog"):
            self._own(self._watch_memory(int(self._limits["mem"])))

    async def start(self, wanted: Mapping[str, Any], grace: float) -> None:
        """Have a kernel of the generation asked for, or a later one; the old one ends first."""
        async with self._lock:
            if self.kernel.generation >= wanted["generation"] or self.closing:
                return
            await self._stop(grace)
            if not self.closing:  # it may have begun meanwhile
                self.kernel.start(wanted)
                await self._until_settled()
                self._own(self._until_bound())

    async def stop(self, grace: float) -> None:
        """End the kernel and all that it started: ask, wait `grace` seconds, kill."""
        async with self._lock:
            await self._stop(grace)

    async def close(self, grace: float) -> None:
        """End everything below the agent, for good."""
        self.closing = True
        # a change that is under way may have been given more time than there is now
        self._last_moment = asyncio.get_running_loop().time() + grace
        try:
            await self.stop(grace)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def send(self, signum: int) -> bool:
        """Signal the kernel's process group; False when no kernel runs."""
        return self.kernel.pid is not None and procs.send_group(self.kernel.pid, signum)

    async def _stop(self, grace: float) -> None:
        kernel = self.kernel
        if self.closing:
            kernel.starter.template.drop()
            kernel.recorder.close()
        if kernel.pid is not None:
            kernel.verdict = kernel.verdict or {"asked": True, "reason": "The kernel was stopped."}
            if grace > 0 and self.send(signal.SIGTERM):
                await self._until_gone(grace)
        if kernel.pid is not None:
            self.send(signal.SIGKILL)
        await self._sweep()

    async def _until_settled(self) -> None:
        """Wait for a kernel that the template was asked for."""
        while self.kernel.settle():
            if self.closing:
                return
            await asyncio.sleep(_SETTLE)

    async def _until_gone(self, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while self.kernel.pid is not None and loop.time() < min(deadline, self._last_moment):
            await asyncio.sleep(0.01)
            self._reaper.reap()

    async def _sweep(self) -> None:
        """Kill what the kernel left behind: all but the guests."""
        deadline = asyncio.get_running_loop().time() + _KILL_DEADLINE
        while True:
            spared = self._guests | _helpers(self.kernel)
            left = procs.kill_descendants(os.getpid(), spared)
            self._reaper.reap()
            if self.kernel.pid is None and not left:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise StopFailed(StopFailed.public)
            await asyncio.sleep(0.01)

    async def _until_bound(self) -> None:
        """Look at a starting kernel until it listens, or is out of time."""
        kernel = self.kernel
        generation = kernel.generation
        while kernel.generation == generation and kernel.look():
            if time.monotonic() > kernel.deadline:
                await self._give_up(generation)
                return
            await asyncio.sleep(_LOOK)

    async def _give_up(self, generation: int) -> None:
        """End a kernel that takes too long to start."""
        async with self._lock:
            if self.kernel.generation == generation and self.kernel.state == "starting":
                self.kernel.verdict = {"reason": self.kernel.late}
                await self._stop(0)

    async def _watch_memory(self, limit: int) -> None:
        """Do what a control group would do, a moment later: kill a kernel that is too big."""
        while True:
            await asyncio.sleep(_WATCH)
            if self.kernel.pid is None or self.kernel.verdict:
                continue
            if usage.memory_exceeds(limit):
                reason = exits.out_of_memory(limit, advisory=True)
                self.kernel.verdict = {"oom": True, "reason": reason}
                self.send(signal.SIGKILL)
                procs.kill_descendants(os.getpid(), _helpers(self.kernel))

    def _own(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            asyncio.get_running_loop().call_exception_handler(
                {"message": "a task of the agent failed", "exception": task.exception()}
            )


def _helpers(kernel: Kernel) -> set[int]:
    """List the processes that live on beside the next kernel."""
    return kernel.starter.template.processes | kernel.recorder.processes
