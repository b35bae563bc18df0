"""What can be asked of the agent of a place."""

from __future__ import annotations

from collections.abc import Mapping

from jupyter_sessmgr.manager.agents.services import AgentServices
from jupyter_sessmgr.manager.agents.wire import ANSWER_TIMEOUT
from jupyter_sessmgr.manager.agents.words import (
    AgentHello,
    AgentKernelspec,
    KernelState,
    KernelStateName,
    read_kernel,
    read_text,
    read_usage,
)
from jupyter_sessmgr.model.usage import Usage

__all__ = ["AgentHello", "AgentKernelspec", "AgentLink", "KernelState", "KernelStateName"]


class AgentLink(AgentServices):
    """Asks one agent, and hears what becomes of its kernel.

    Every method raises what `AgentWire.call` raises. All times are in seconds.
    """

    async def start_kernel(
        self, kernel: Mapping[str, object], *, grace: float = 5.0, timeout: float | None = None
    ) -> KernelState:
        """Have a kernel of ``kernel["generation"]`` or later; the one before it ends first.

        Returns when its process was started, or could not be: look at the state. The same words
        again are harmless. `grace` is how long the old one may take, in seconds.
        """
        answer = await self.call(
            "start_kernel", timeout or grace + ANSWER_TIMEOUT, **kernel, grace=grace
        )
        return self._learn(answer)

    async def stop_kernel(self, *, grace: float = 5.0, timeout: float | None = None) -> KernelState:
        """End the kernel and all that it started, within `grace` seconds by force."""
        answer = await self.call("stop_kernel", timeout or grace + ANSWER_TIMEOUT, grace=grace)
        return self._learn(answer)

    async def signal(self, signum: int, *, timeout: float = ANSWER_TIMEOUT) -> None:
        """Send a signal to the kernel's process group."""
        await self.call("signal", timeout, signum=signum)

    async def interrupt(self, *, timeout: float = ANSWER_TIMEOUT) -> None:
        """Send SIGINT to the kernel's process group."""
        await self.call("interrupt", timeout)

    async def usage(self, *, timeout: float = ANSWER_TIMEOUT) -> Usage:
        """Ask what the place used so far."""
        return self._believe(read_usage, await self.call("usage", timeout))

    async def logs(self, tail: int = 65536, *, timeout: float = ANSWER_TIMEOUT) -> str:
        """Ask for the last `tail` bytes, at most 128 KiB, that the place's kernels wrote."""
        answer = await self.call("logs", timeout, tail=tail)
        return self._believe(lambda told: read_text(told, tail), answer)

    async def ping(self, *, timeout: float = ANSWER_TIMEOUT) -> None:
        """Ask for an answer; like every call this renews the lease."""
        await self.call("ping", timeout)

    async def set_lease(self, seconds: float, *, timeout: float = ANSWER_TIMEOUT) -> None:
        """Change how long the place lives without a word from a server; 0 means for ever."""
        await self.call("set_lease", timeout, seconds=seconds)

    async def set_claim(self, claim: str, lease: float, *, timeout: float = ANSWER_TIMEOUT) -> None:
        """Give a place that was a spare to its session: what it keeps of that, and its lease."""
        await self.call("set_claim", timeout, claim=claim, seconds=lease)

    async def personalise(
        self, environ: Mapping[str, str], workdir: str, *, timeout: float = ANSWER_TIMEOUT
    ) -> None:
        """Tell a kernel that nobody used what was not known when it started.

        Nothing is run in its user's namespace. A folder of "" leaves it where it is.
        """
        await self.call("personalise", timeout, environ=dict(environ), workdir=workdir)

    async def shutdown(self, *, grace: float = 5.0, timeout: float = ANSWER_TIMEOUT) -> None:
        """Have the agent end everything and itself; returns when it began to."""
        await self.call("shutdown", timeout, grace=grace)

    async def make_folder(self, path: str, *, timeout: float = ANSWER_TIMEOUT) -> None:
        """Make a folder inside, and those above it."""
        await self.call("make_folder", timeout, path=path)

    def _learn(self, answer: object) -> KernelState:
        """Take a kernel's state from an answer."""
        told = answer.get("kernel") if isinstance(answer, dict) else None
        self._note(self._believe(read_kernel, told))
        return self.kernel
