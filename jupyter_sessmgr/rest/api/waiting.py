"""How many requests may wait for one session's agent at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from jupyter_sessmgr.model.errors import TooManyRequests

#: Requests of one kind that may wait for one session.
MOST_WAITING = 32


class Waiting:
    """Requests of one kind, counted by session.

    Parameters
    ----------
    what : str
        What of a session they wait for, for people.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._count: Counter[str] = Counter()

    @contextmanager
    def one_more(self, session_id: str) -> Iterator[None]:
        """Count who waits, and refuse more than a session's agent should be asked by."""
        if self._count[session_id] >= MOST_WAITING:
            raise TooManyRequests(
                f"{MOST_WAITING} requests wait for this session's {self._what}. Use one of them, "
                "or ask again when one has its answer.",
                session=session_id,
            )
        self._count[session_id] += 1
        try:
            yield
        finally:
            self._count[session_id] -= 1
            if not self._count[session_id]:
                del self._count[session_id]
