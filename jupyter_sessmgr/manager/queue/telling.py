"""Tells listeners where the sessions in the line stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.model.events import StartProgressed

#: How many sessions are told at a time, those in front first; the others hear later.
MOST_TOLD = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """Where a session stands in the line, and why it is not let in."""

    #: From 1.
    position: int
    #: For people: ``waits for 4 GiB of memory; 2 GiB are free``.
    reason: str
    #: When it was asked for, in seconds since the epoch.
    since: float

    def __str__(self) -> str:
        """Say both."""
        return f"{self.reason} (position {self.position})"


class Crier:
    """Publishes a `StartProgressed` for each session whose place or reason is another."""

    def __init__(self) -> None:
        self._told: dict[str, Queued] = {}

    def tell(self, parts: Parts, places: Mapping[str, Queued]) -> bool:
        """Tell; returns whether somebody has yet to hear. `places` is in order of the line."""
        self._told = {one: told for one, told in self._told.items() if one in places}
        news = [one for one, place in places.items() if self._told.get(one) != place]
        for session_id in news[:MOST_TOLD]:
            session = parts.store.get(session_id)
            place = self._told[session_id] = places[session_id]
            if session is not None:
                told = StartProgressed(session, "queued", str(place), position=place.position)
                parts.bus.publish(told)
        return len(news) > MOST_TOLD

    def forget(self) -> None:
        """Begin anew."""
        self._told.clear()
