"""Sees to it that a browser hears the end of each execution, once.

A kernel answers only the websocket that asked. The journal has the answer for all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from jupyter_sessmgr.manager.recording.journal import JournalPage, Recorded
from jupyter_sessmgr.provisioning.channels.catchup import is_reply

#: Executions whose end is remembered.
MOST_REPLIES = 1000
#: Seconds in which the kernel's own answer arrives, when it is for this browser.
GRACE = 0.3
#: Pages that are read for one answer, and seconds that each may take to be there.
_PAGES, _WAIT = 8, 5.0


class Replies:
    """Which executions one browser heard the end of, and which it waits for."""

    def __init__(self) -> None:
        self._told: dict[str, None] = {}
        #: Executions that were asked for, or begun in the journal, and did not end yet.
        self._expected: set[str] = set()

    @property
    def any_expected(self) -> bool:
        """Whether somebody waits for an end."""
        return bool(self._expected)

    def is_first(self, parent: str) -> bool:
        """Say whether a reply is the first of its execution; from then on it is told."""
        self._expected.discard(parent)
        if parent in self._told:
            return False
        self._told[parent] = None
        if len(self._told) > MOST_REPLIES:
            self._told.pop(next(iter(self._told)))
        return True

    def expect(self, parent: str) -> None:
        """Have the end of an execution told, perhaps once more; a part of the browser asks."""
        self._told.pop(parent, None)
        self._expected.add(parent)

    def passes(self, recorded: Recorded) -> bool:
        """Say whether a message of the journal is to be sent; a reply is, once."""
        if is_reply(recorded):
            return self.is_first(recorded.parent)
        header = recorded.message.get("parent_header")
        executes = isinstance(header, dict) and header.get("msg_type") == "execute_request"
        if executes and recorded.parent not in self._told:
            self._expected.add(recorded.parent)
        return True

    def ended(self, parent: str) -> bool:
        """Note that an execution ended live; say whether its reply may have to be looked for."""
        if parent not in self._expected:
            return False
        self._expected.discard(parent)
        return True

    async def find(
        self,
        parent: str,
        position: Callable[[], Awaitable[int | None]],
        read: Callable[[int, float], Awaitable[JournalPage]],
    ) -> Recorded | None:
        """Look for the reply of an execution, unless the kernel gives it.

        Parameters
        ----------
        parent : str
            Id of the request.
        position : callable
            Says where in the journal the execution ended.
        read : callable
            Reads the journal after a position, with seconds to wait.
        """
        await asyncio.sleep(GRACE)
        if parent in self._told:
            return None
        since = max((await position() or 0) - 2, 0)  # it stands beside the end
        for _ in range(_PAGES):
            page = await read(since, _WAIT)
            for recorded in page.messages:
                if is_reply(recorded) and recorded.parent == parent:
                    return recorded
            since = max(since, page.next)
        return None
