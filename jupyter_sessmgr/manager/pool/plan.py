"""Which spares there should be, which are too many, and which come next. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jupyter_sessmgr.manager.queue.order import Room
from jupyter_sessmgr.model.resources import Resources
from jupyter_sessmgr.model.session import SessionSpec

#: Starts that are looked back on to guess what is asked for next.
MEMORY = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Spares of one kind that should be there."""

    #: Which sessions they fit.
    key: str
    size: int
    spec: SessionSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A spare as far as the plan is concerned; one that boots is one already."""

    place_id: str
    key: str
    needs: Resources


class Demand:
    """What was asked for lately, by line: a preset and an image."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], deque[SessionSpec]] = {}

    def note(self, spec: SessionSpec) -> None:
        """Note that a session was asked for."""
        line = self._lines.setdefault((spec.preset, spec.image), deque(maxlen=MEMORY))
        line.append(spec)

    def likely(self) -> list[SessionSpec]:
        """Guess, for each line, what is asked for next.

        What was asked for most often; of several, the latest. So who works in two folders in turn
        does not have a spare thrown away at every start.
        """
        return [max(reversed(line), key=line.count) for line in self._lines.values()]


def too_many(kept: Sequence[Kept], wishes: Iterable[Wish]) -> list[str]:
    """Say which spares nobody will ask for; the oldest of too many go first."""
    sizes = {wish.key: wish.size for wish in wishes}
    surplus = []
    for spare in reversed(kept):
        sizes[spare.key] = sizes.get(spare.key, 0) - 1
        if sizes[spare.key] < 0:
            surplus.append(spare.place_id)
    return surplus


def without_room(kept: Iterable[Kept], room: Room) -> list[str]:
    """Say which spares do not fit into what sessions leave of the host."""
    homeless = []
    for spare in kept:
        if room.lacks(spare.needs):
            homeless.append(spare.place_id)
        else:
            room = room.without(spare.needs)
    return homeless


def to_make(kept: Iterable[Kept], wishes: Iterable[Wish], room: Room, most: int) -> list[Wish]:
    """Say of which kinds a spare is made now, at most `most` in all; one kind may come twice."""
    there = [spare.key for spare in kept]
    for spare in kept:
        room = room.without(spare.needs)
    made: list[Wish] = []
    for wish in wishes:
        for _ in range(wish.size - there.count(wish.key)):
            if len(made) >= most or room.lacks(wish.spec.resources):
                break
            made.append(wish)
            room = room.without(wish.spec.resources)
    return made
