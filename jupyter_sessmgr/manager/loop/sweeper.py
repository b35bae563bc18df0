"""Compares, again and again, what should exist with what does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

from jupyter_sessmgr.engines.base import Found
from jupyter_sessmgr.manager.loop.adoption import adopt
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable, SessmgrError, StoreError
from jupyter_sessmgr.model.events import EngineHealthChanged
from jupyter_sessmgr.model.session import Place, PlaceState

#: Seconds that the row of a removed place is kept, so that one which the engine makes late, after
#: everybody gave up, is known to be unwanted (FAULTS D3) and not taken for a stranger (P10).
TOMBSTONE = 3600.0
#: A stranger that has not run for so long has nothing left to adopt.
STRANGER_AGE = 600.0


class Sweeper:
    """Watches the engine for hints, and sweeps unconditionally besides.

    Called by the reconciler. A lost hint is a delay of at most one `interval`, in seconds.
    """

    def __init__(self, parts: Parts, poke: Callable[[str], None], *, interval: float) -> None:
        self._parts = parts
        self._poke = poke
        self._interval = interval
        self._tasks: list[asyncio.Task[None]] = []
        self._due = asyncio.Event()
        self._sweeping = asyncio.Lock()
        self._available: bool | None = None

    def start(self) -> None:
        """Begin to watch and to sweep."""
        self._tasks = [
            asyncio.create_task(self._sweep_forever(), name="sessmgr-sweep"),
            asyncio.create_task(self._watch_forever(), name="sessmgr-watch"),
        ]

    async def stop(self) -> None:
        """End both, and wait for their end."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()

    async def sweep(self) -> None:
        """Compare once.

        Raises
        ------
        EngineUnavailable
            when the engine could not be asked; nothing was judged then (FAULTS I7).
        """
        async with self._sweeping:
            await self._open_again()
            self._parts.memory.quarantine.clear()
            found = await self._parts.engine.survey()
            for one in found:
                await _alone(self._judge(one), one.name, self._parts)
            await self._remove_left_over({one.place_id for one in found if one.signed})
            for session in self._parts.store.sessions():
                self._poke(session.id)

    async def _open_again(self) -> None:
        engine = self._parts.engine
        if engine.engine_id:
            return
        try:
            await engine.open(self._parts.secrets, self._parts.folder)
        except EngineError as error:
            raise EngineUnavailable(error.message) from error

    async def _sweep_forever(self) -> None:
        while True:
            try:
                await self.sweep()
            except EngineUnavailable as error:
                self._say(available=False, reason=error.message)
                self._poke_the_ending()
            except SessmgrError as error:
                self._parts.log.warning("The sweep was not completed: %s", error)
            except Exception:
                self._parts.log.exception("The sweep failed")
            else:
                self._say(available=True, reason="")
            self._due.clear()
            try:
                async with asyncio.timeout(self._interval):
                    await self._due.wait()
            except TimeoutError:
                continue

    async def _watch_forever(self) -> None:
        while True:
            try:
                async for hint in self._parts.engine.watch():
                    self._hint(hint)
            except EngineError as error:
                self._parts.log.debug("The engine's events broke off: %s", error)
            except Exception:
                self._parts.log.exception("The engine's events could not be followed")
            # However it ended, what happened meanwhile is unknown (FAULTS D9).
            self._due.set()
            await asyncio.sleep(min(self._interval, 2.0))

    def _hint(self, place_id: str) -> None:
        if place_id in self._parts.memory.kept:
            return  # the pool hears it from the agent
        place = self._parts.store.place(place_id) if place_id else None
        if place is None or place.session_id is None:
            self._due.set()
        else:
            self._parts.memory.news.add(place.session_id)
            self._poke(place.session_id)

    def _poke_the_ending(self) -> None:
        for session in self._parts.store.sessions():
            if session.status.is_transitional:
                self._poke(session.id)

    def _say(self, *, available: bool, reason: str) -> None:
        if self._available is available:
            return
        if not available:
            self._parts.log.warning("The engine does not answer: %s", reason)
        elif self._available is False:
            self._parts.log.info("The engine answers again.")
        self._available = available
        self._parts.bus.publish(EngineHealthChanged(available, reason))

    async def _judge(self, found: Found) -> None:
        """Decide about one thing that carries our label."""
        if not found.signed or found.install_id != self._parts.secrets.install_id:
            return
        place = self._parts.store.place(found.place_id)
        if place is not None:
            if place.session_id is not None and not found.running:
                # Its agent may still answer, as where only what is around it was killed.
                self._parts.memory.news.add(place.session_id)
            await _notice_move(self._parts, place, found)
            return
        stranger = Place(
            id=found.place_id,
            engine_id=self._parts.engine.engine_id,
            key=found.key,
            state=PlaceState.MADE,
            created_at=found.created_at,
        )
        if not found.running:
            await self._judge_stopped(found, stranger)
            return
        why = await adopt(self._parts, stranger)
        if why:
            self._parts.memory.quarantine[found.name] = why
            self._parts.log.warning(
                "%s is ours but unknown to the store, and is left alone: %s", found.name, why
            )

    async def _judge_stopped(self, found: Found, stranger: Place) -> None:
        if time.time() - found.created_at > STRANGER_AGE:
            await self._parts.engine.stop(stranger, 0.0)
        else:
            self._parts.memory.quarantine[found.name] = "it does not run, and is young"

    async def _remove_left_over(self, found: set[str]) -> None:
        """Remove what no live session points to; the row outlives the place as a tombstone."""
        for place in self._parts.store.places():
            if place.engine_id != self._parts.engine.engine_id or self._is_wanted(place):
                continue
            if place.id in found:
                await _alone(self._remove(place), f"Place {place.id}", self._parts)
            elif place.state is not PlaceState.DOOMED:
                await self._parts.store.save_place(
                    replace(place, state=PlaceState.DOOMED, session_id=None)
                )
            elif time.time() - place.created_at > TOMBSTONE:
                await self._parts.store.forget_place(place.id)

    def _is_wanted(self, place: Place) -> bool:
        if place.session_id is None:
            return place.id in self._parts.memory.kept
        session = self._parts.store.get(place.session_id)
        return session is not None and session.is_live and session.place_id == place.id

    async def _remove(self, place: Place) -> None:
        self._parts.log.info("Removing place %s, which no session needs.", place.id)
        await self._parts.links.drop(place.id)
        await self._parts.engine.stop(place, 0.0)
        try:
            await self._parts.store.save_place(
                replace(place, state=PlaceState.DOOMED, session_id=None)
            )
        except StoreError as error:
            self._parts.log.warning("Place %s is gone; its row is not: %s", place.id, error)


async def _notice_move(parts: Parts, place: Place, found: Found) -> None:
    """Let go of a place that got another address: its reconciliation looks where it is."""
    session = parts.store.get(place.session_id) if place.session_id else None
    if session is None or session.place_id != place.id or place.state is not PlaceState.MADE:
        return
    if session.endpoints and found.endpoints and found.endpoints != session.endpoints:
        await parts.links.cut(place.id)


async def _alone(work: Awaitable[None], name: str, parts: Parts) -> None:
    """Do what concerns one place; one that cannot be removed keeps the sweep from no other."""
    try:
        await work
    except (EngineUnavailable, StoreError):
        raise
    except SessmgrError as error:
        parts.log.warning("%s is looked at again by the next sweep: %s", name, error)
