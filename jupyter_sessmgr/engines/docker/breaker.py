"""A fuse: an engine that does not answer is left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable


class Breaker:
    """Counts failures in a row; after too many, says no until a pause is over.

    After the pause one caller is let through to try, and the others wait for its result.

    Parameters
    ----------
    failures : int
        How many failures in a row are too many.
    pause : float
        Seconds of saying no.
    clock : callable
        Monotonic seconds.
    """

    def __init__(
        self, failures: int = 5, pause: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._pause = pause
        self._clock = clock
        self._failures = 0
        self._closed_until = 0.0

    def allows(self) -> bool:
        """Tell whether a call may be made now. A yes after a pause is for one caller."""
        if self._failures < self._limit:
            return True
        now = self._clock()
        if now < self._closed_until:
            return False
        self._closed_until = now + self._pause
        return True

    def succeeded(self) -> None:
        """Note an answer, whatever it said."""
        self._failures = 0

    def failed(self) -> None:
        """Note that no answer came."""
        self._failures += 1
        self._closed_until = self._clock() + self._pause
