"""What servers know of requests and kernels do not say, on its way to the recorders beside them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping

from jupyter_sessmgr.manager.agents.wire import ANSWER_TIMEOUT
from jupyter_sessmgr.manager.inside.reach import Inside
from jupyter_sessmgr.model.errors import AgentUnavailable, NotRunning, SessmgrError

#: Seconds in which notes of a session are gathered. Recorders wait longer for what comes together,
#: so a note is there with what it is about; and most executions are over by then, which do not have
#: to share the processors with their notes.
_GATHERING = 0.01
#: Seconds between notes that are sent: short executions in a row have theirs sent together.
_APART = 0.1
#: Notes of a session that may wait, the next ones are let go; and how many an agent takes at once.
_MOST, _AT_ONCE = 1024, 64
#: Seconds after which an agent that cannot be reached is tried again, as long as there are any.
_PAUSES = (0.5, 1.0, 2.0, 4.0)
#: Seconds that a question waits for the notes before it.
_SETTLING = 2.0
#: Seconds that a stopping server waits for agents to take what it noted last.
_PARTING = 0.5


class _Line:
    """Notes of one session that wait."""

    def __init__(self) -> None:
        self.notes: list[Mapping[str, object]] = []
        #: Set when somebody waits for what is in line.
        self.hurry = asyncio.Event()
        #: How many left the line; and who waits until so many did.
        self._gone = 0
        self._awaited: list[tuple[int, asyncio.Future[None]]] = []

    def last_gone(self) -> asyncio.Future[None]:
        """Return what is done when all that are in line now have left it."""
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited.append((self._gone + len(self.notes), gone))
        self.hurry.set()
        return gone

    async def wait(self, seconds: float) -> None:
        """Wait so long, or until somebody is in a hurry."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.hurry.wait()

    def leave(self, count: int) -> None:
        """Let the first ones go, and tell who waits for that."""
        del self.notes[:count]
        self._gone += count
        for awaited in [one for one in self._awaited if one[0] <= self._gone]:
            self._awaited.remove(awaited)
            if not awaited[1].done():
                awaited[1].set_result(None)
        if not self._awaited:
            self.hurry.clear()


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
        self._lines: dict[str, _Line] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, session_id: str, kind: str, words: Mapping[str, object]) -> None:
        """Have an agent note something soon. Returns at once, and never fails."""
        line = self._lines.get(session_id)
        if line is None:
            line = self._lines[session_id] = _Line()
            task = asyncio.get_running_loop().create_task(
                self._send(session_id, line), name=f"sessmgr-notes-{session_id}"
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if len(line.notes) < _MOST:
            line.notes.append({"kind": kind, **words})

    async def settle(self, session_id: str) -> None:
        """Return when a session's agent has what was noted before, or cannot be told.

        Awaited by questions that notes are part of the answer to.
        """
        line = self._lines.get(session_id)
        if line is not None and line.notes:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SETTLING):
                    await line.last_gone()

    async def close(self) -> None:
        """Send what waits, within a moment, and let go of the rest."""
        for line in self._lines.values():
            line.hurry.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_PARTING)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._lines.clear()  # of tasks that had not begun

    async def _send(self, session_id: str, line: _Line) -> None:
        """Send what waits, until nothing does."""
        try:
            while line.notes:
                if len(line.notes) < _AT_ONCE:
                    await line.wait(_GATHERING)
                some = line.notes[:_AT_ONCE]
                try:
                    await self._send_some(session_id, some)
                except SessmgrError as error:
                    self._log.info(
                        "Session %s: notes of %d requests are lost: %s",
                        session_id,
                        len(some),
                        error,
                    )
                line.leave(len(some))
                if len(line.notes) < _AT_ONCE:
                    await line.wait(_APART)
        finally:
            del self._lines[session_id]
            line.leave(len(line.notes))

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
