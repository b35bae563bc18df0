"""Tells who came first, of several that destroy one session (FAULTS T6)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import Goal


class Endings:
    """The sessions that requests are destroying right now."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    @contextmanager
    def claim(self, session: ComputeSession) -> Iterator[bool]:
        """Say whether the caller is the one that ends a session; others only wait for it."""
        if session.id in self._ids or session.goal is Goal.STOP:
            yield False
            return
        self._ids.add(session.id)
        try:
            yield True
        finally:
            self._ids.discard(session.id)
