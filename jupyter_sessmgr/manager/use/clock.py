"""A clock that counts only the time in which this server really ran."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Seconds between two ticks after which the server cannot have run all the time.
LONGEST_GAP = 10.0


class ServerClock:
    """Seconds since an arbitrary moment, for all that ends by being left alone.

    It knows nothing of the wall clock, which people and time servers set (FAULTS T1). Nor does
    it count what passes while the server is stopped or its machine sleeps: nobody could use a
    session then, and what clients sent meanwhile was not read yet (FAULTS P6).

    Parameters
    ----------
    longest_gap : float
        Seconds between two ticks, at most; of a longer gap only this much counts.
    monotonic : callable
        For tests.
    """

    def __init__(
        self,
        longest_gap: float = LONGEST_GAP,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.longest_gap = longest_gap
        self._monotonic = monotonic
        self._base = 0.0
        self._last = monotonic()

    def now(self) -> float:
        """Say the time."""
        return self._base + min(self._monotonic() - self._last, self.longest_gap)

    def tick(self) -> bool:
        """Note that the server runs; returns whether it did so since the last tick."""
        passed = self._monotonic() - self._last
        self._base = self.now()
        self._last += passed
        return passed <= self.longest_gap
