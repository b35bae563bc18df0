"""Puts off what could not be made, or did not last, for longer each time."""

from __future__ import annotations

import time

#: Seconds until the first next try; doubled each time.
FIRST, LONGEST = 10.0, 1800.0


class Pauses:
    """When each kind of spare may be made again."""

    def __init__(self) -> None:
        #: Until when, on the monotonic clock, and the pause after that.
        self._until: dict[str, tuple[float, float]] = {}

    def is_over(self, key: str) -> bool:
        """Tell whether a kind may be tried (again)."""
        return time.monotonic() >= self._until.get(key, (0.0, 0.0))[0]

    def begin(self, key: str) -> float:
        """Put a kind off; returns for how many seconds."""
        _, pause = self._until.get(key, (0.0, FIRST))
        self._until[key] = time.monotonic() + pause, min(pause * 2, LONGEST)
        return pause

    def end(self, key: str) -> None:
        """Note that one of a kind was used: the next pause is the first again."""
        self._until.pop(key, None)
