"""How the manager opens and closes, and takes over."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from jupyter_sessmgr.engines.base import Engine
from jupyter_sessmgr.engines.choose import choose_engine
from jupyter_sessmgr.manager.admission.offers import OfferBoard
from jupyter_sessmgr.manager.installation.following import Following
from jupyter_sessmgr.manager.installation.leading import Leading
from jupyter_sessmgr.manager.installation.leftovers import Leftovers
from jupyter_sessmgr.manager.installation.opening import Opening, note_loss, open_parts
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.manager.loop.reconciler import SessionReconciler
from jupyter_sessmgr.manager.standing import Standing
from jupyter_sessmgr.model.errors import Standby, StoreError

_NOT_TAKEN_OVER = (
    "The server that led ended, and this one could not take over; its log says why. Start it again."
)


class Lifecycle(Standing):
    """The part of the manager that opens and closes."""

    async def open(self) -> None:
        """Open the state folder, the store and the engine, and begin to reconcile.

        Called by the extension when the server starts, and by doors before their first use;
        harmless when open. When another server leads on the folder, this one follows it, and
        takes over when that one ends.

        Raises
        ------
        Standby
            when another server leads that this one cannot follow; says which, and why.
        StoreRefused
            when the state folder must not be used as it is.
        """
        async with self._opens:
            if self._parts is not None:
                return
            try:
                await self._open()
            except Standby as error:
                self._standby = error.message
                raise
            self._standby = ""

    async def _open(self) -> None:
        self._opening = opening = await open_parts(
            Path(self.state_dir),
            shared=self.shared,
            server_id=self.server_id,
            store=self.store_class(parent=self),
            choose=lambda secrets, _: self._make_engine(self.engine, secrets),
            on_change=lambda place_id: self._role.place_changed(place_id) if self._role else None,
            autorestart=lambda session: self._open_wishes().restart(session),
            activity=self.activity,
            log=self.log,
        )
        self._parts = parts = opening.parts
        parts.memory.base_url = self.services.base_url
        parts.memory.journal_bounds = (self.journal.max_bytes, self.journal.max_age)
        parts.bus.subscribe(self._on_event)
        self.idle.is_there = parts.others.is_there
        self._board = OfferBoard(self.admission, parts.engine, self.log)
        try:
            await self._board.start()
            await (self._lead(opening) if opening.leads else self._follow(opening))
        except BaseException:
            await self._give_up(opening)
            raise

    async def _lead(self, opening: Opening) -> None:
        parts = opening.parts
        reconciler = SessionReconciler(parts, self.queue.may_start, self.pool, parent=self)
        self._reconciler = reconciler
        self._role = role = Leading(
            parts,
            reconciler=reconciler,
            queue=self.queue,
            pool=self.pool,
            leftovers=Leftovers(parts.folder, opening.installation, self._make_engine, self.log),
            admission=self.admission,
            watching=None if self.shared else self._watching,
        )
        await role.start()

    async def _follow(self, opening: Opening) -> None:
        self._role = role = Following(
            opening.parts,
            folder=opening.folder,
            watching=self._watching,
            on_free=self._take_over_soon,
        )
        await role.start()
        self.log.warning(
            "%s leads on %s; this server follows: it uses the same sessions, and takes over "
            "when that one ends.",
            role.leader,
            self.state_dir,
        )

    def _take_over_soon(self) -> None:
        self._taking_over = asyncio.create_task(self._take_over(), name="sessmgr-take-over")

    async def _take_over(self) -> None:
        """Lead from now on: the lock is held. What is listed, connected or subscribed stays."""
        async with self._opens:
            opening, role = self._opening, self._role
            if opening is None or not isinstance(role, Following):
                return
            await role.stop()
            await role.finish()
            try:
                note_loss(await opening.parts.store.lead(), opening.parts.memory, self.log)
            except StoreError as error:
                self.log.error("The lead is not taken over yet: %s", error)  # noqa: TRY400 - for people
                await asyncio.to_thread(opening.folder.close)
                await self._follow(opening)
                return
            try:
                for change in await opening.parts.store.refresh():
                    role.take(change)  # what the other one did last
            except StoreError as error:
                self.log.warning("What the server before did last is not told: %s", error)
            try:
                await self._lead(opening)
            except Exception:
                await self._give_up(opening)
                self._standby = _NOT_TAKEN_OVER
                self.log.exception("The lead could not be taken over")
                return
        self.log.warning("The server that led ended; this one leads on %s now.", self.state_dir)

    async def _make_engine(self, name: str, secrets: InstallationSecrets) -> Engine:
        patterns, folder = self.admission.image_patterns(), Path(self.state_dir)
        return await choose_engine(name, patterns, self, signer=secrets, folder=folder)

    async def close(self) -> None:
        """End what is not durable, and let go of the rest. Harmless when closed."""
        async with self._opens:
            opening, role = self._opening, self._role
            if opening is None or role is None:
                return
            await role.stop()
            await self.journal.close()
            live = [one for one in opening.parts.store.sessions() if not one.spec.durable]
            mine = [one for one in live if one.server_id == self.server_id]
            with contextlib.suppress(TimeoutError):  # the next server ends what is left
                async with asyncio.timeout(self.close_timeout):
                    await role.wishes.stop_all(mine)
            await self._let_go(opening)

    async def _give_up(self, opening: Opening) -> None:
        """Close what was opened when the rest could not be: who asks next begins anew."""
        if self._role is not None:
            await self._role.stop()
        await self._let_go(opening)

    async def _let_go(self, opening: Opening) -> None:
        """Close what is open, once the role has stopped; what runs goes on."""
        if self._board is not None:
            await self._board.stop()
        if self._role is not None:
            await self._role.finish()
        left = any(one.is_live for one in opening.parts.store.sessions())
        self._parts = self._role = self._reconciler = None
        await opening.close(clean=not left)
        self._opening = None
