"""How the manager opens and closes, and what it stands on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import secrets as random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir
from traitlets import Bool, Float, Type, Unicode, default
from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.engines.base import Engine
from jupyter_sessmgr.engines.choose import choose_engine
from jupyter_sessmgr.manager.admission import AdmissionControl
from jupyter_sessmgr.manager.bus import Listener
from jupyter_sessmgr.manager.files import SessionFiles
from jupyter_sessmgr.manager.inside import Inside
from jupyter_sessmgr.manager.keypairs import KeyPairs
from jupyter_sessmgr.manager.leftovers import Leftovers
from jupyter_sessmgr.manager.offers import OfferBoard
from jupyter_sessmgr.manager.opening import Opening, open_parts, remarks
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.pool import WarmPool
from jupyter_sessmgr.manager.queue import StartQueue
from jupyter_sessmgr.manager.reconciler import SessionReconciler
from jupyter_sessmgr.manager.secrets import InstallationSecrets
from jupyter_sessmgr.manager.services import SessionServices
from jupyter_sessmgr.manager.watching import Watching
from jupyter_sessmgr.manager.wishes import Wishes
from jupyter_sessmgr.model.errors import SessionNotFound, Standby
from jupyter_sessmgr.model.events import EngineHealthChanged, Event
from jupyter_sessmgr.model.presets import Offer
from jupyter_sessmgr.model.requests import Health
from jupyter_sessmgr.model.session import ComputeSession

NOT_OPEN = "The session manager is not open (yet); try again soon."


class Lifecycle(LoggingConfigurable):
    """The part of the manager that opens, closes, and knows how the whole is."""

    engine = Unicode(
        "auto",
        config=True,
        help="""Where sessions run: "docker", "process", the import path of another engine class,
        or "auto": docker when an engine answers and has an allowed image, else process.""",
    )
    state_dir = Unicode(
        config=True,
        help="""Folder for the state: database, secrets, home folders. One per host, on a local
        disk. Default: `sessmgr/<host name>` in Jupyter's data folder.""",
    )
    destroy_timeout = Float(
        30.0,
        config=True,
        help="""Seconds that a request to destroy a session waits for its end. The session is
        ended all the same when it takes longer.""",
    )
    close_timeout = Float(
        15.0,
        config=True,
        help="""Seconds that a stopping server gives sessions which are not durable to end.""",
    )
    store_class = Type(
        "jupyter_sessmgr.store.sqlite.SqliteStore",
        klass="jupyter_sessmgr.store.base.Store",
        config=True,
        help="""What remembers sessions. Change it only for another kind of database.""",
    )
    shared = Bool(
        False,
        help="""Use the state folder's homes beside the server that leads it, under an identity
        that ends with this process; for managers that keep nothing (tools without a server).""",
    )

    @default("state_dir")
    def _default_state_dir(self) -> str:
        return str(Path(jupyter_data_dir()) / "sessmgr" / socket.gethostname())

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.admission = AdmissionControl(parent=self)
        #: Who waits to be started.
        self.queue = StartQueue(parent=self)
        #: Spares, which most starts need no place made for.
        self.pool = WarmPool(parent=self)
        #: Who may sign requests; also while the rest is not open.
        self.keypairs = KeyPairs(Path(self.state_dir), self.log)
        #: Names this run; sessions that are not durable end with it.
        self.server_id = random.token_hex(8)
        self._watching = Watching(self)
        #: Who uses sessions now and when they were used; doors note it there.
        self.activity = self._watching.activity
        #: Limits of time.
        self.idle = self._watching.idle
        self.idle.is_there = lambda server_id: server_id == self.server_id
        #: What running sessions use.
        self.meter = self._watching.meter
        self._inside = inside = Inside(self._open_parts, self._session, self._open_wishes)
        #: Files inside sessions.
        self.files = SessionFiles(inside, parent=self)
        #: Apps inside sessions, and streams to them.
        self.services = SessionServices(inside, parent=self)
        self._opening: Opening | None = None
        self._board: OfferBoard | None = None
        self._reconciler: SessionReconciler | None = None
        self._wishes: Wishes | None = None
        self._leftovers: Leftovers | None = None
        self._standby = ""
        self._unavailable = ""
        self._opens = asyncio.Lock()
        self._parts: Parts | None = None

    @property
    def offers(self) -> tuple[Offer, ...]:
        """What can be picked now; from memory. Called when kernelspecs are listed."""
        return self._board.offers if self._board is not None else ()

    async def open(self) -> None:
        """Open the state folder, the store and the engine, and begin to reconcile.

        Called by the extension when the server starts, and by doors before their first use;
        harmless when open. When another server holds the folder it stays closed, and `health`
        says who that is.

        Raises
        ------
        StoreRefused
            when the state folder must not be used as it is.
        """
        async with self._opens:
            if self._parts is not None or self._standby:
                return
            try:
                await self._open()
            except Standby as error:
                self._standby = error.message
                self.log.warning("No remote kernels here: %s", error.message)

    async def _open(self) -> None:
        self._opening = opening = await open_parts(
            Path(self.state_dir),
            shared=self.shared,
            store=self.store_class(parent=self),
            choose=lambda secrets, _: self._make_engine(self.engine, secrets),
            on_change=self._place_changed,
            autorestart=self._autorestart,
            activity=self.activity,
            log=self.log,
        )
        self._parts = parts = opening.parts
        parts.memory.base_url = self.services.base_url
        parts.bus.subscribe(self._on_event)
        self._reconciler = SessionReconciler(parts, self.queue.may_start, self.pool, parent=self)
        if not self.shared:  # spares outlive one program's only kernel
            self.pool.start(parts, self.admission, self.queue.room)
        self._reconciler.start()
        self._wishes = Wishes(parts, self._reconciler)
        self._leftovers = Leftovers(parts.folder, opening.installation, self._make_engine, self.log)
        self._leftovers.start()
        self._board = OfferBoard(self.admission, parts.engine, self.log)
        await self._board.start()
        if not self.shared:  # what tools without a server use ends with them
            self._watching.start(parts, self._reconciler, self._wishes)
        await self.queue.start(parts, self._reconciler.poke, self.admission.most_running)

    async def _make_engine(self, name: str, secrets: InstallationSecrets) -> Engine:
        patterns, folder = self.admission.image_patterns(), Path(self.state_dir)
        return await choose_engine(name, patterns, self, signer=secrets, folder=folder)

    async def close(self) -> None:
        """End what is not durable, and let go of the rest. Harmless when closed."""
        async with self._opens:
            if self._opening is None or self._reconciler is None or self._parts is None:
                return
            await self.pool.stop()
            await self._watching.stop()
            await self.queue.stop()
            if self._leftovers is not None:
                await self._leftovers.stop()
            live = [one for one in self._parts.store.sessions() if not one.spec.durable]
            mine = [one for one in live if one.server_id == self.server_id]
            with contextlib.suppress(TimeoutError):  # the next server ends what is left
                async with asyncio.timeout(self.close_timeout):
                    await self._open_wishes().stop_all(mine)
            if self._board is not None:
                await self._board.stop()
            await self._reconciler.stop()
            await self._watching.write_down(self._parts)
            left = any(one.is_live for one in self._parts.store.sessions())
            self._parts = None
            await self._opening.close(clean=not left)
            self._opening = self._reconciler = self._wishes = None

    def health(self) -> Health:
        """Say how the whole is; from memory. Called by the health route and ``check``."""
        if self._parts is None:
            reason = self._standby or "The session manager is not open."
            return Health(engine="", available=False, reason=reason, standby=self._standby)
        strangers = [
            f"{name} is left alone: {why}." for name, why in self._parts.memory.quarantine.items()
        ]
        engine = self._parts.engine
        silent = f"The {engine.name} engine has not answered yet; it is asked again and again."
        wrong = self._unavailable or engine.trouble or silent * (not engine.engine_id)
        return Health(
            engine=engine.name,
            available=not wrong,
            reason=wrong,
            notes=(*remarks(engine), *self.queue.notes(), *self.pool.notes(), *strangers),
        )

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with every event from now on; returns what ends that."""
        return self._open_parts().bus.subscribe(listener)

    def _open_parts(self) -> Parts:
        if self._parts is None:
            raise Standby(self._standby or NOT_OPEN)
        return self._parts

    def _session(self, session_id: str) -> ComputeSession:
        """Find any session by id, as it is known now."""
        parts = self._open_parts()
        session = parts.memory.unsaved_ends.get(session_id) or parts.store.get(session_id)
        if session is None:
            raise SessionNotFound(f"There is no session {session_id}.", session=session_id)
        return session

    def _open_wishes(self) -> Wishes:
        if self._wishes is None:
            raise Standby(self._standby or NOT_OPEN)
        return self._wishes

    async def _autorestart(self, session: ComputeSession) -> None:
        await self._open_wishes().restart(session)

    def _place_changed(self, place_id: str) -> None:
        place = self._parts.store.place(place_id) if self._parts is not None else None
        if place is None or self._reconciler is None:
            return
        if place.session_id is None:
            self.pool.place_changed(place_id)
        else:
            self._reconciler.poke(place.session_id)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, EngineHealthChanged):
            self._unavailable = "" if event.available else event.reason
            if self._board is not None:
                self._board.refresh_soon()
