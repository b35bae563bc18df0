"""How long the place lives without a word from its server."""

from __future__ import annotations


class Lease:
    """Counts ticks that the agent really ran, so a paused place does not die on waking.

    Parameters
    ----------
    seconds : float
        How long; 0 means for ever. One tick is one second.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = self._left = max(0.0, float(seconds))

    def set(self, seconds: float) -> None:
        """Change its length, and renew it."""
        self._seconds = max(0.0, float(seconds))
        self.renew()

    def renew(self) -> None:
        """Note that the server was heard."""
        self._left = self._seconds

    def tick(self) -> bool:
        """Count one second that the agent ran; returns whether the lease is over."""
        if self._seconds == 0:
            return False
        self._left -= 1
        return self._left <= 0
