"""A server that follows: it uses the sessions of the one that leads, and takes over from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from jupyter_sessmgr.manager.agents.reaching import Reaching
from jupyter_sessmgr.manager.installation.news import news_of
from jupyter_sessmgr.manager.installation.others import SILENT_AFTER
from jupyter_sessmgr.manager.installation.roles import Role
from jupyter_sessmgr.manager.installation.statefolder import LockHolder, StateFolder
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.use.watching import Watching
from jupyter_sessmgr.model.errors import SessmgrError, Standby, StoreError
from jupyter_sessmgr.store.base import Change

#: Seconds between tries to take the lead, and to say how sessions are used here.
TRY_INTERVAL, SAY_INTERVAL = 0.25, 1.0


class Following(Role):
    """Tells what the leader does, reaches the agents itself, and waits for the leader's end.

    Parameters
    ----------
    folder : StateFolder
        Whose lock the leader holds.
    on_free : callable
        Called once, when this server holds the lock.
    """

    leads = False

    def __init__(
        self,
        parts: Parts,
        *,
        folder: StateFolder,
        watching: Watching,
        on_free: Callable[[], None],
    ) -> None:
        super().__init__(parts)
        self._folder = folder
        self._watching = watching
        self._on_free = on_free
        self._reaching = Reaching(parts)
        self._tasks: list[asyncio.Task[None]] = []
        self._holder = LockHolder(0, "", 0.0)

    async def start(self) -> None:
        """Begin to listen to the store, to reach agents, and to wait."""
        self._holder = await asyncio.to_thread(self._folder.holder)
        await self._parts.others.start(self.take, lambda: None)
        self._reaching.start()
        self._watching.follow(self._parts, self.wishes)
        self._tasks = [
            asyncio.create_task(self._wait_for_lead(), name="sessmgr-follow"),
            asyncio.create_task(self._say_uses(), name="sessmgr-uses"),
        ]

    async def stop(self) -> None:
        """Stop waiting for the lead, and limits of time."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._watching.stop()

    async def finish(self) -> None:
        """End it; links to agents stay. The last use that was made here is said."""
        await self._parts.others.stop()
        await self._reaching.stop()
        await self._say_use()

    def poke(self, session_id: str) -> None:
        """Leave it to the leader, who sees what was written."""

    def interrupt_start(self, session_id: str) -> None:
        """Leave it to the leader, as above."""

    def place_changed(self, place_id: str) -> None:
        """See to it that the agent can be reached, if it hung up."""
        place = self._parts.store.place(place_id)
        if place is not None and place.session_id is not None:
            self._reaching.look_at(place.session_id)

    def take(self, change: Change) -> None:
        """Tell here what the leader did."""
        after = change.after
        if after is not None:
            self._parts.activity.heard(None, after)
            self._reaching.look_at(after.id)
            for event in news_of(change):
                self._parts.bus.publish(event)
            if after.status.is_final:
                self._parts.memory.forget(after.id)
        self._parts.bus.wake()

    def reaches(self, session_id: str) -> bool:
        """Say whether a session's agent is connected here, or was tried in vain."""
        return self._reaching.reaches(session_id)

    def notes(self) -> tuple[str, ...]:
        """Say who leads, and whether it seems to run."""
        leader = next(
            (one for one in self._parts.others.servers.values() if one.pid == self._holder.pid),
            None,
        )
        if leader is not None and leader.silent_for > SILENT_AFTER:
            words = (
                f"{self._holder} leads but was not heard of for {leader.silent_for:.0f} seconds, "
                "so nothing new is done here. It may be stopped: let it go on (kill -CONT "
                f"{leader.pid}) or end it, and this server takes over."
            )
            return (words,)
        return ()

    @property
    def leader(self) -> str:
        """Say who leads, for people."""
        return str(self._holder)

    async def _wait_for_lead(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._folder.acquire)
            except Standby:
                holder = await asyncio.to_thread(self._folder.holder)
                if holder != self._holder:
                    self._parts.log.info("%s leads now; this server follows it.", holder)
                    self._holder = holder
            except SessmgrError as error:
                self._parts.log.warning("The lead cannot be taken: %s", error)
            else:
                self._on_free()
                return
            await asyncio.sleep(TRY_INTERVAL)

    async def _say_uses(self) -> None:
        while True:
            await asyncio.sleep(SAY_INTERVAL)
            await self._say_use()

    async def _say_use(self) -> None:
        """Write how sessions are used here, for the leader to know."""
        activity, store = self._parts.activity, self._parts.store
        uses = activity.take_uses()
        if not uses:
            return
        try:
            await store.add_use(uses)
        except StoreError as error:
            activity.untake(uses)
            self._parts.log.debug("How sessions are used here is said later: %s", error)
        for use in uses:
            row = store.get(use.session_id)
            if row is not None:
                activity.heard(None, row)
