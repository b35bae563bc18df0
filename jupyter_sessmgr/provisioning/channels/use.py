"""A websocket as a user of its session."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from jupyter_sessmgr.model.events import Event, StatusChanged
from jupyter_sessmgr.provisioning.held import Held, is_suspended


class Use:
    """One websocket as a user of its session: counted while it is open, and what it executes.

    Parameters
    ----------
    held : Held, optional
        The session of its kernel; None when that is not one of ours.
    """

    def __init__(self, held: Held | None) -> None:
        self._held = held
        self._open = contextlib.ExitStack()
        if held is not None:
            self._open.enter_context(held.home.sessions.activity.client(held.id))

    def connecting(self, connected: Any) -> None:
        """Keep the session awake until the kernel has answered for the first time.

        Before that nothing is read of the websocket, so no message of it could resume a session.
        """
        if self._held is not None and connected is not None:
            until = self._open.enter_context(contextlib.ExitStack())
            until.enter_context(kept_awake(self._held))
            connected.add_done_callback(lambda _done: until.close())

    def message(self, *, executes: bool) -> None:
        """Note a message to the kernel, and resume a session that was suspended meanwhile."""
        if self._held is None:
            return
        if executes:
            self._held.home.sessions.activity.note_query(self._held.id)
        if is_suspended(self._held):
            self._held.home.post(self._held.wake)

    def end(self) -> None:
        """Count it no longer."""
        self._open.close()


@contextlib.contextmanager
def kept_awake(held: Held | None) -> Iterator[None]:
    """Resume a session whenever it is suspended while the context lasts."""
    if held is None:
        yield
        return

    def wake(event: Event) -> None:
        if isinstance(event, StatusChanged) and event.session.id == held.id:
            held.home.post(held.wake)

    unsubscribe = held.home.sessions.subscribe(wake)
    if is_suspended(held):
        held.home.post(held.wake)
    try:
        yield
    finally:
        unsubscribe()
