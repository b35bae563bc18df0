"""A whole manager's inside on an engine in memory; it can be killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace
from pathlib import Path

from jupyter_sessmgr.manager.agents.boot import prepare
from jupyter_sessmgr.manager.bus import EventBus
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.manager.loop.reconciler import SessionReconciler
from jupyter_sessmgr.manager.parts import Memory, Parts
from jupyter_sessmgr.manager.queue.order import MostRunning
from jupyter_sessmgr.model.events import StatusChanged
from jupyter_sessmgr.model.status import Goal
from jupyter_sessmgr.store.memory import MemoryStore
from jupyter_sessmgr.store.quota import UNLIMITED
from jupyter_sessmgr.testing import FakeEngine, FakeLinks, make_session
from tests.plugins.waiting import eventually


class World:
    """A store, an engine and a reconciler that can be killed and started again."""

    def __init__(self, queue=None):
        self.queue = queue
        self.most_running = MostRunning()
        self.store = MemoryStore()
        self.engine = FakeEngine()
        self.secrets = InstallationSecrets(b"m" * 32, "testinst")
        self.reconciler = None
        self.statuses = []

    async def boot(self):
        await asyncio.to_thread(prepare)
        await self.store.open(Path("/nowhere"), self.secrets)
        await self.engine.open(self.secrets, Path("/nowhere"))
        await self.start()

    async def start(self):
        log = logging.getLogger("test")
        self.links = FakeLinks(self.engine, self._changed, log)
        self.parts = Parts(
            store=self.store,
            engine=self.engine,
            links=self.links,
            secrets=self.secrets,
            folder=Path("/nowhere"),
            bus=EventBus(log),
            memory=Memory(first_pause=0.01),
            log=log,
            autorestart=self.restart,
        )
        self.parts.bus.subscribe(self.statuses.append)
        may_start = bool if self.queue is None else self.queue.may_start
        self.reconciler = SessionReconciler(
            self.parts, may_start, sweep_interval=0.05, stop_grace=0.0
        )
        self.reconciler.start()
        if self.queue is not None:
            await self.queue.start(self.parts, self.reconciler.poke, lambda: self.most_running)

    async def crash(self):
        if self.queue is not None:
            await self.queue.stop()
        await self.reconciler.stop()
        await self.links.close()

    def _changed(self, place_id):
        place = self.store.place(place_id)
        if place is not None and place.session_id:
            self.reconciler.poke(place.session_id)

    async def create(self, **changes):
        session = await self.store.add(make_session(**changes), UNLIMITED)
        if self.queue is not None:
            self.parts.bus.publish(StatusChanged(session, None))
        self.reconciler.poke(session.id)
        return session.id

    async def restart(self, session):
        current = self.store.get(session.id)
        await self.store.save_wish(replace(current, generation=current.generation + 1))
        self.reconciler.poke(session.id)

    async def stop(self, session_id):
        await self.store.save_wish(replace(self.store.get(session_id), goal=Goal.STOP))
        self.reconciler.interrupt_start(session_id)
        self.reconciler.poke(session_id)

    def status(self, session_id):
        return self.store.get(session_id).status

    async def becomes(self, session_id, *statuses, timeout=5.0):
        await eventually(lambda: self.status(session_id) in statuses, timeout, what=f"{statuses}")


@contextlib.asynccontextmanager
async def world(queue=None):
    """Give a world; with a queue, sessions wait for their turn."""
    made = World(queue)
    await made.boot()
    try:
        yield made
    finally:
        await made.crash()
