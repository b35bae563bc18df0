"""The server that leads: it turns the wishes of all servers into facts."""

from __future__ import annotations

import asyncio

from jupyter_sessmgr.manager.admission import AdmissionControl
from jupyter_sessmgr.manager.installation.leftovers import Leftovers
from jupyter_sessmgr.manager.installation.roles import Role
from jupyter_sessmgr.manager.loop.reconciler import SessionReconciler
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.pool import WarmPool
from jupyter_sessmgr.manager.queue import StartQueue
from jupyter_sessmgr.manager.use.watching import Watching
from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.model.events import StatusChanged
from jupyter_sessmgr.model.status import Goal
from jupyter_sessmgr.store.base import Change
from jupyter_sessmgr.store.merging import WISHES

#: Seconds that a start may be held up by sessions whose rows were lost.
TAKE_BACK_TIMEOUT = 5.0


class Leading(Role):
    """Reconciles, and owns what only one server may do."""

    leads = True

    def __init__(
        self,
        parts: Parts,
        *,
        reconciler: SessionReconciler,
        queue: StartQueue,
        pool: WarmPool,
        leftovers: Leftovers,
        admission: AdmissionControl,
        watching: Watching | None,
    ) -> None:
        super().__init__(parts)
        self.reconciler = reconciler
        self._queue = queue
        self._pool = pool
        self._leftovers = leftovers
        self._admission = admission
        #: None for tools without a server: what they use ends with them, and has no spares.
        self._watching = watching

    async def start(self) -> None:
        """Begin to reconcile."""
        parts = self._parts
        if self._watching is not None:
            self._pool.start(parts, self._admission, self._queue.room)
        self.reconciler.start()
        self._leftovers.start()
        await parts.others.start(self.take, self._counted)
        if self._watching is not None:
            self._watching.start(parts, self.poke, self.wishes)
            await self._take_back()
        await self._queue.start(parts, self.poke, self._admission.most_running)

    async def _take_back(self) -> None:
        """Find the sessions whose rows were lost, before anybody asks for them."""
        if not self._parts.memory.rows_lost:
            return
        try:
            async with asyncio.timeout(TAKE_BACK_TIMEOUT):
                await self.reconciler.sweep()
        except (SessmgrError, TimeoutError) as error:
            self._parts.log.warning("Lost sessions are taken back later: %s", error)

    async def stop(self) -> None:
        """End all work but that on sessions."""
        await self._pool.stop()
        if self._watching is not None:
            await self._watching.stop()
        await self._queue.stop()
        await self._leftovers.stop()

    async def finish(self) -> None:
        """End the work on sessions, and write down how they were used."""
        await self._parts.others.stop()
        await self.reconciler.stop()
        if self._watching is not None:
            await self._watching.write_down(self._parts)

    def poke(self, session_id: str) -> None:
        """Have a session reconciled."""
        self.reconciler.poke(session_id)

    def interrupt_start(self, session_id: str) -> None:
        """Break off a start that is under way."""
        self.reconciler.interrupt_start(session_id)

    def place_changed(self, place_id: str) -> None:
        """Have what lives in a place reconciled, or a spare looked at."""
        place = self._parts.store.place(place_id)
        if place is None:
            return
        if place.session_id is None:
            self._pool.place_changed(place_id)
        else:
            self.poke(place.session_id)

    def take(self, change: Change) -> None:
        """Do what another server wished."""
        before, after = change.before, change.after
        if after is None:
            return
        self._parts.activity.heard(before, after)
        if before is None:
            self._parts.bus.publish(StatusChanged(after, None))
        elif all(getattr(before, name) == getattr(after, name) for name in WISHES):
            return
        if after.goal is Goal.STOP:
            self.interrupt_start(after.id)
        self.poke(after.id)
        self._parts.bus.wake()

    def notes(self) -> tuple[str, ...]:
        """Say who waits, which spares there are, and who follows."""
        followers = ", ".join(map(str, self._parts.others.servers.values()))
        others = (f"Other servers use the same sessions: {followers}.",) if followers else ()
        return (*self._queue.notes(), *self._pool.notes(), *others)

    def _counted(self) -> None:
        """Tell who came or went."""
        self._parts.log.info(
            "Servers that follow this one on %s: %s.",
            self._parts.folder,
            ", ".join(map(str, self._parts.others.servers.values())) or "none any more",
        )
