"""What servers know of requests and kernels do not say, on its way to the recorders beside them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from jupyter_sessmgr.manager.agentwire import ANSWER_TIMEOUT
from jupyter_sessmgr.manager.inside import Inside
from jupyter_sessmgr.model.errors import AgentUnavailable, NotRunning, SessmgrError

#: Seconds in which notes of a session are gathered. Recorders wait longer for what comes together,
#: so a note is there with what it is about; and most executions are over by then, which do not have
#: to share the processors with their notes.
_GATHERING = 0.01
#: Notes of a session that may wait, the next ones are let go; and how many an agent takes at once.
_MOST, _AT_ONCE = 1024, 64
#: Seconds after which an agent that cannot be reached is tried again, as long as there are any.
_PAUSES = (0.5, 1.0, 2.0, 4.0)


class Notes:
    """Sends notes to agents, together where they come together, and in their order.

    Parameters
    ----------
    inside : Inside
        Knows the agents.
    log : logging.Logger
        Is told of those that did not arrive.
    """

    def __init__(
        self, inside: Inside, log: logging.Logger | logging.LoggerAdapter[logging.Logger]
    ) -> None:
        self._inside = inside
        self._log = log
        self._waiting: dict[str, list[Mapping[str, object]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, session_id: str, kind: str, words: Mapping[str, object]) -> None:
        """Have an agent note something soon. Returns at once, and never fails."""
        waiting = self._waiting.get(session_id)
        if waiting is None:
            waiting = self._waiting[session_id] = []
            task = asyncio.get_running_loop().create_task(
                self._send(session_id), name=f"sessmgr-notes-{session_id}"
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if len(waiting) < _MOST:
            waiting.append({"kind": kind, **words})

    async def close(self) -> None:
        """Let go of what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._waiting.clear()  # of tasks that had not begun

    async def _send(self, session_id: str) -> None:
        """Send what waits, until nothing does."""
        waiting = self._waiting[session_id]
        try:
            while waiting:
                if len(waiting) < _AT_ONCE:
                    await asyncio.sleep(_GATHERING)
                some = waiting[:_AT_ONCE]
                try:
                    await self._send_some(session_id, some)
                except SessmgrError as error:
                    self._log.info(
                        "Session %s: %d requests were not noted: %s", session_id, len(some), error
                    )
                del waiting[: len(some)]
        finally:
            del self._waiting[session_id]

    async def _send_some(self, session_id: str, some: list[Mapping[str, object]]) -> None:
        """Send notes, more than once where nobody answers; to note a thing twice is harmless."""
        for pause in (*_PAUSES, None):
            try:
                link = self._inside.link(session_id)
                await link.call("journal_notes", ANSWER_TIMEOUT, notes=some)
            except (AgentUnavailable, NotRunning):
                if pause is None:
                    raise
                await asyncio.sleep(pause)
            else:
                return
