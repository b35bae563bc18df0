"""Tells listeners what happened."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from jupyter_sessmgr.model.events import Event

Listener = Callable[[Event], None]


class EventBus:
    """Delivers events at once, in order, to whoever subscribed.

    A listener that fails is logged and cannot hurt the publisher or other listeners.
    """

    def __init__(self, log: logging.Logger | logging.LoggerAdapter[logging.Logger]) -> None:
        self._log = log
        self._listeners: dict[object, Listener] = {}
        self._waiters: set[asyncio.Event] = set()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event from now on; returns what ends that."""
        ticket = object()
        self._listeners[ticket] = listener

        def unsubscribe() -> None:
            self._listeners.pop(ticket, None)

        return unsubscribe

    def publish(self, event: Event) -> None:
        """Tell every listener. Called by the reconciler and the manager."""
        for listener in tuple(self._listeners.values()):
            try:
                listener(event)
            except Exception:  # noqa: BLE001 - whatever a listener does, the rest must hear it
                self._log.exception("A listener failed on %s", type(event).__name__)
        self.wake()

    def wake(self) -> None:
        """Have all conditions judged anew: something changed that no event tells of."""
        for waiter in self._waiters:
            waiter.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; it is judged at once and anew after every event."""
        changed = asyncio.Event()
        self._waiters.add(changed)
        try:
            while not condition():
                changed.clear()
                await changed.wait()
        finally:
            self._waiters.discard(changed)
