"""The spares that are there, those that are being made, and those on their way out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from typing import Any

from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.pool.nursery import Nursery, Spare, is_fresh
from jupyter_sessmgr.manager.pool.pauses import Pauses
from jupyter_sessmgr.manager.pool.plan import Kept, Wish
from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.model.session import Place, SessionSpec

#: Seconds that a start waits for a spare of its kind that is being made already.
PATIENCE = 10.0
#: A spare that was there for so many seconds did not end because of what it is.
LASTING = 300.0
#: Seconds that spares get to end when the server stops.
STOP_TIMEOUT = 10.0

#: What a spare can be.
SPARE_STATES = ("ready", "booting")
#: Why a start gets none: none is there; it is unlike those that are; the one for it has just
#: ended; that one's kernel cannot take a notebook's name.
MISSES = ("none", "unlike", "lost", "unable")


class Removals:
    """Removals that are under way, whoever began them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside the rest."""
        task = asyncio.create_task(work, name="sessmgr-spare-removal")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait for all, for as long as a stopping server may."""
        await _end(self._tasks)


class Stock:
    """Who has a spare: this, a session, or nobody any more. On one event loop.

    Parameters
    ----------
    parts
        The manager's.
    changed
        Called when spares came or went by themselves.
    """

    def __init__(self, parts: Parts, changed: Callable[[], None]) -> None:
        self._parts = parts
        self._changed = changed
        self._nursery = Nursery(parts)
        self._ready: dict[str, Spare] = {}
        self._boots: dict[asyncio.Task[None], Kept] = {}
        self._removals = Removals()
        self.pauses = Pauses()

    def count(self) -> dict[str, int]:
        """Count the spares by what they are, each of `SPARE_STATES`."""
        return dict(zip(SPARE_STATES, (len(self._ready), len(self._boots)), strict=True))

    def kept(self) -> list[Kept]:
        """List all spares, the oldest first."""
        ready = (
            Kept(place_id=one.place.id, key=one.place.pool_key, needs=one.spec.resources)
            for one in self._ready.values()
        )
        return [*ready, *self._boots.values()]

    def make(self, wish: Wish) -> None:
        """Begin to make a spare."""
        task = asyncio.create_task(self._make(wish), name="sessmgr-spare")
        self._boots[task] = Kept(place_id="", key=wish.key, needs=wish.spec.resources)
        task.add_done_callback(self._made)

    async def _make(self, wish: Wish) -> None:
        try:
            spare = await self._nursery.make(wish.spec, wish.key)
        except (SessmgrError, TimeoutError) as error:
            pause = self.pauses.begin(wish.key)
            self._parts.log.warning(
                "No spare session of %s could be made: %s Next try in %.0f s.",
                wish.spec.image,
                str(error) or "it took too long.",
                pause,
            )
        else:
            self._ready[spare.place.id] = spare
            self._parts.log.debug("A spare session of %s is ready.", wish.spec.image)

    def _made(self, task: asyncio.Task[None]) -> None:
        self._boots.pop(task, None)
        if not task.cancelled() and task.exception() is not None:
            self._parts.log.error("A spare session failed", exc_info=task.exception())
        self._changed()

    async def take_back(
        self, place: Place, key_of: Callable[[SessionSpec], Awaitable[str]]
    ) -> SessionSpec | None:
        """Take back what an earlier server made; what is not as it should be is removed.

        Raises
        ------
        EngineUnavailable
            when the engine cannot be asked; then nothing was judged.
        """
        spare = await self._nursery.take_back(place, key_of)
        if spare is None:
            return None
        self._ready[place.id] = spare
        return spare.spec

    async def take(self, key: str, *, volatile: bool) -> tuple[Spare | None, str]:
        """Take a spare of a kind; whoever took it says by `settle` what became of it.

        Returns the spare, or why there is none, one of `MISSES`.
        """
        spare, why = self._pick(key, volatile=volatile)
        boots = [task for task, kept in self._boots.items() if kept.key == key]
        if spare is None and boots:
            # It will be ready before one that is begun now.
            await asyncio.wait(boots, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
            spare, why = self._pick(key, volatile=volatile)
        return spare, why

    def _pick(self, key: str, *, volatile: bool) -> tuple[Spare | None, str]:
        why = "unlike" if self._ready else "none"
        for spare in self._ready.values():
            if spare.place.pool_key != key:
                continue
            kernel = self._parts.links.kernel(spare.place.id)
            if not is_fresh(kernel):
                why = "lost"
            elif volatile and not (kernel and kernel.personal):
                why = "unable"
            else:
                del self._ready[spare.place.id]
                return spare, ""
        return None, why

    def settle(self, spare: Spare) -> bool:
        """Let go of a spare that was taken: its session has it, or nobody; returns which."""
        place = self._parts.store.place(spare.place.id)
        if place is not None and place.session_id is not None:
            self._parts.memory.kept.discard(place.id)
            self.pauses.end(place.pool_key)
            return True
        self.remove(spare.place)
        return False

    def remove(self, place: Place) -> None:
        """Remove a place that was a spare."""
        self._removals.begin(self._nursery.remove(place))

    def hand_back(self, place_ids: Iterable[str], why: str) -> None:
        """Remove spares that are ready; those that are being made are looked at again later."""
        for place_id in place_ids:
            spare = self._ready.pop(place_id, None)
            if spare is not None:
                self._parts.log.info("A spare of %s is removed: %s.", spare.spec.image, why)
                self.remove(spare.place)

    def look_at(self, place_id: str) -> None:
        """Look whether a spare still lives: its agent said something, or hung up."""
        spare = self._ready.get(place_id)
        if spare is None or is_fresh(self._parts.links.kernel(place_id)):
            return
        del self._ready[place_id]
        if time.monotonic() - spare.since < LASTING:
            self.pauses.begin(spare.place.pool_key)
        self._removals.begin(self._bury(spare))
        self._changed()

    async def _bury(self, spare: Spare) -> None:
        why = await self._nursery.why_gone(spare.place)
        self._parts.log.warning(
            "A spare session of %s is gone: %s. No session is harmed; another is made in time.",
            spare.spec.image,
            why.rstrip("."),
        )
        await self._nursery.remove(spare.place)

    async def close(self) -> None:
        """Remove all; what takes too long ends with its lease."""
        boots = tuple(self._boots)
        for task in boots:
            task.cancel()
        await _end(boots)
        for spare in self._ready.values():
            self.remove(spare.place)
        self._ready.clear()
        await self._removals.finish()


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Wait for tasks; those that take too long end half done, as those of a killed server do."""
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=STOP_TIMEOUT)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
