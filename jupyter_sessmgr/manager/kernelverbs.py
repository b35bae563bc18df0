"""What the doors may ask about the kernel of a session."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from jupyter_sessmgr.manager.agents.bootconfig import connection_info
from jupyter_sessmgr.manager.agents.link import AgentLink
from jupyter_sessmgr.manager.lifecycle import Lifecycle
from jupyter_sessmgr.model.errors import (
    AgentError,
    EngineError,
    NotRunning,
)
from jupyter_sessmgr.model.session import KernelExit
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.model.usage import Usage

#: Seconds that an answer about logs and usage may take.
ASK_TIMEOUT = 5.0


class KernelVerbs(Lifecycle):
    """The half of the manager that speaks to agents. Writes no wishes."""

    def kernel_exit(self, session_id: str) -> KernelExit | None:
        """Say how the kernel of the wished generation ended; None while it lives or is unknown.

        Called by the kernel door's `poll`, from memory. Of several servers on one state folder it
        is told to one, since who hears of it starts another kernel: to the one that asked the
        kernel to end, else to the one that leads.
        """
        session = self._session(session_id)
        ended = session.kernel_exit
        if session.status.is_final or session.status is SessionStatus.TERMINATING:
            reason = session.failure or session.status_info or "The session was ended."
            known = ended or KernelExit(generation=session.generation, code=None)
            return replace(known, reason=reason)
        if ended is None or ended.generation < session.generation:
            return None
        asked_here = self._open_parts().memory.asked_exits.get(session_id, 0) >= ended.generation
        asked = session.exit_wished >= ended.generation
        return ended if asked_here or (self.leader and not asked) else None

    def connection_info(self, session_id: str) -> dict[str, Any]:
        """Say how Jupyter's clients reach a session's kernel, keys included.

        Raises
        ------
        NotRunning
            unless the session has a kernel that is reachable now.
        """
        session = self._session(session_id)
        if session.endpoint("shell") is None or not session.spec.kernel:
            raise NotRunning(
                f"Session {session.name} has no kernel to connect to: it is {session.status}.",
                session=session.name,
            )
        return connection_info(session, self._open_parts().secrets)

    async def signal(self, session_id: str, signum: int) -> None:
        """Send a signal to the kernel and what it started."""
        await self._link(session_id).signal(signum)

    async def interrupt(self, session_id: str) -> None:
        """Interrupt the kernel by SIGINT; returns when it was sent."""
        await self._link(session_id).interrupt()

    def interrupt_mode(self, session_id: str) -> str:
        """Say how the kernel wants to be interrupted: "signal" or "message"; from memory."""
        parts = self._open_parts()
        kernel = parts.links.kernel(self._session(session_id).place_id)
        return kernel.interrupt_mode if kernel is not None else "signal"

    async def usage(self, session_id: str) -> Usage:
        """Ask what the session used so far; of one that ended, what was written down."""
        session = self._session(session_id)
        if session.status.is_final:
            return session.usage or Usage(cpu_ms=session.cpu_ms)
        return await self._link(session_id).usage()

    async def logs(self, session_id: str, tail: int = 65536) -> str:
        """Return the last `tail` bytes that the session wrote, also after its end.

        What the kernel wrote comes from the agent; while there is none, what the engine kept.
        """
        session = self._session(session_id)
        parts = self._open_parts()
        if session.status.is_final:
            return session.log_tail[-tail:]
        try:
            return await self._link(session_id).logs(tail)
        except (NotRunning, AgentError):
            place = parts.store.place(session.place_id)
        if place is None or place.engine_id != parts.engine.engine_id:
            return session.log_tail[-tail:]
        try:
            async with asyncio.timeout(ASK_TIMEOUT):
                return (await parts.engine.logs(place, tail)).decode(errors="replace")
        except TimeoutError as error:
            raise EngineError("The engine takes too long to give the log.") from error

    def keep(self, session_id: str) -> None:
        """Note that the caller starts this session's kernel again when it dies."""
        self._open_parts().memory.keepers[session_id] += 1

    async def expect_exit(self, session_id: str) -> None:
        """Note that a keeper asks the kernel to end, so its end is no death to tell of.

        Raises
        ------
        StoreError
            when the server that leads cannot be told.
        """
        memory, session = self._open_parts().memory, self._session(session_id)
        if session.status.is_final:
            return  # noted after its end, it would be remembered for ever
        if self.leader:
            memory.expected_exits.add(session_id)
            return
        session = await self._open_wishes().expect_exit(session)
        memory.asked_exits[session_id] = session.exit_wished

    def unkeep(self, session_id: str) -> None:
        """Undo one `keep`."""
        keepers = self._open_parts().memory.keepers
        keepers[session_id] -= 1
        if keepers[session_id] <= 0:
            del keepers[session_id]

    def _link(self, session_id: str) -> AgentLink:
        return self._open_parts().links.get(self._session(session_id).place_id)
