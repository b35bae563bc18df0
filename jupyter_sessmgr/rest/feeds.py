"""Those who listen to sessions' events over HTTP: each with a queue that has an end."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from jupyter_sessmgr.model.events import Event

#: Messages that a listener may be behind; after that it is dropped, and may come back.
QUEUE = 1000
#: Messages that are kept for listeners that come back.
KEPT = 500


@dataclass(frozen=True, slots=True)
class Message:
    """One event as listeners read it."""

    #: Grows, also over restarts of the server.
    number: int
    owner: str
    #: Id and name of the session.
    session_id: str
    session_name: str
    group: str
    name: str
    #: JSON on one line.
    data: str


#: An event's name and its data, as a dialect spells them.
Rendered = tuple[str, str]


class Feed:
    """One listener's queue.

    Parameters
    ----------
    wants : callable
        Says whether a message is for this listener.
    drop : callable
        Called when the listener is too far behind: ends its connection.
    """

    def __init__(self, wants: Callable[[Message], bool], drop: Callable[[], None]) -> None:
        self._wants = wants
        self._drop = drop
        self._queue: asyncio.Queue[Message | None] = asyncio.Queue(QUEUE)

    def push(self, message: Message) -> None:
        """Queue a message, if it is for this listener."""
        if not self._wants(message):
            return
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            self.end()
            self._drop()

    def end(self) -> None:
        """Have the listener hear nothing more."""
        while not self._queue.empty():
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def messages(self, pause: float) -> list[Message] | None:
        """Return what is queued, or nothing after `pause` seconds; None when that was all."""
        try:
            async with asyncio.timeout(pause):
                found = [await self._queue.get()]
        except TimeoutError:
            return []
        while not self._queue.empty():
            found.append(self._queue.get_nowait())
        return None if None in found else [one for one in found if one is not None]


class Feeds:
    """Tells all listeners what happens. Subscribed to the manager by the extension's app.

    Parameters
    ----------
    render : callable
        Writes an event as a dialect spells it: any number of names with data.
    """

    def __init__(self, render: Callable[[Event], Sequence[Rendered]]) -> None:
        self._render = render
        self._feeds: set[Feed] = set()
        self._kept: deque[Message] = deque(maxlen=KEPT)
        self._numbers = itertools.count(int(time.time() * 1000))
        self._closed = False

    def __len__(self) -> int:
        return len(self._feeds)

    def __call__(self, event: Event) -> None:
        """Pass an event of the manager on."""
        for name, data in self._render(event):
            session = event.session  # type: ignore[union-attr]  # events of the engine have no name
            message = Message(
                next(self._numbers),
                session.owner,
                session.id,
                session.name,
                session.group,
                name,
                data,
            )
            self._kept.append(message)
            for feed in tuple(self._feeds):
                feed.push(message)

    @contextmanager
    def open(
        self, wants: Callable[[Message], bool], drop: Callable[[], None], after: int | None
    ) -> Iterator[Feed]:
        """Listen as long as the context lasts.

        Parameters
        ----------
        wants, drop
            As of `Feed`.
        after : int, optional
            Number of the last message that the listener has; it gets those after it first, as far
            as they are kept.
        """
        feed = Feed(wants, drop)
        for message in self._kept if after is not None else ():
            if message.number > (after or 0):
                feed.push(message)
        if self._closed:
            feed.end()
        self._feeds.add(feed)
        try:
            yield feed
        finally:
            self._feeds.discard(feed)

    def close(self) -> None:
        """End all connections; the server stops."""
        self._closed = True
        for feed in self._feeds:
            feed.end()
