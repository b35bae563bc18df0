"""What the manager stands on while it is open."""

from __future__ import annotations

import asyncio
import secrets as random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jupyter_sessmgr.manager.admission import AdmissionControl
from jupyter_sessmgr.manager.admission.offers import OfferBoard
from jupyter_sessmgr.manager.bus import Listener
from jupyter_sessmgr.manager.inside.files import SessionFiles
from jupyter_sessmgr.manager.inside.reach import Inside
from jupyter_sessmgr.manager.inside.services import SessionServices
from jupyter_sessmgr.manager.installation.following import Following
from jupyter_sessmgr.manager.installation.leading import Leading
from jupyter_sessmgr.manager.installation.opening import Opening, remarks
from jupyter_sessmgr.manager.keypairs import KeyPairs
from jupyter_sessmgr.manager.loop.reconciler import SessionReconciler
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.pool import WarmPool
from jupyter_sessmgr.manager.queue import StartQueue
from jupyter_sessmgr.manager.recording.journal import OutputJournal
from jupyter_sessmgr.manager.settings import ManagerSettings
from jupyter_sessmgr.manager.use.watching import Watching
from jupyter_sessmgr.manager.wishes import Wishes
from jupyter_sessmgr.model.errors import SessionNotFound, Standby
from jupyter_sessmgr.model.events import EngineHealthChanged, Event
from jupyter_sessmgr.model.presets import Offer
from jupyter_sessmgr.model.requests import Health
from jupyter_sessmgr.model.session import ComputeSession

NOT_OPEN = "The session manager is not open (yet); try again soon."


class Standing(ManagerSettings):
    """The part of the manager that knows what it is made of, and how the whole is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.admission = AdmissionControl(parent=self)
        #: Who waits to be started.
        self.queue = StartQueue(parent=self)
        #: Spares, which starts may take instead of having a place made.
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
        #: What running sessions use.
        self.meter = self._watching.meter
        self._inside = inside = Inside(self._open_parts, self._session, self._open_wishes)
        #: Files inside sessions.
        self.files = SessionFiles(inside, parent=self)
        #: What kernels said.
        self.journal = OutputJournal(inside, parent=self)
        #: Apps inside sessions, and streams to them.
        self.services = SessionServices(inside, parent=self)
        self._opening: Opening | None = None
        self._board: OfferBoard | None = None
        self._reconciler: SessionReconciler | None = None
        self._role: Leading | Following | None = None
        self._standby = ""
        self._unavailable = ""
        self._taking_over: asyncio.Task[None] | None = None
        self._opens = asyncio.Lock()
        self._parts: Parts | None = None

    @property
    def offers(self) -> tuple[Offer, ...]:
        """What can be picked now; from memory. Called when kernelspecs are listed."""
        return self._board.offers if self._board is not None else ()

    @property
    def leader(self) -> bool:
        """Whether this server leads on its state folder; else it follows another, or is closed."""
        return self._role is not None and self._role.leads

    def health(self) -> Health:
        """Say how the whole is; from memory. Called by the health route and ``check``."""
        if self._parts is None:
            reason = self._standby or "The session manager is not open."
            return Health(engine="", available=False, reason=reason)
        strangers = [
            f"{name} is left alone: {why}." for name, why in self._parts.memory.quarantine.items()
        ]
        role_notes = self._role.notes() if self._role else ()
        lost = filter(None, (self._parts.memory.damage,))
        engine = self._parts.engine
        silent = f"The {engine.name} engine has not answered yet; it is asked again and again."
        wrong = self._unavailable or engine.trouble or silent * (not engine.engine_id)
        return Health(
            engine=engine.name,
            available=not wrong,
            reason=wrong,
            notes=(*remarks(engine), *role_notes, *lost, *strangers),
            follows=self._role.leader if isinstance(self._role, Following) else "",
            suspends=engine.capabilities.suspend,
            max_extension=self.idle.max_extension,
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
        if self._role is None:
            raise Standby(self._standby or NOT_OPEN)
        return self._role.wishes

    def _on_event(self, event: Event) -> None:
        if isinstance(event, EngineHealthChanged):
            self._unavailable = "" if event.available else event.reason
            if self._board is not None:
                self._board.refresh_soon()

    def _reaches(self, session_id: str) -> bool:
        return self._role is None or self._role.reaches(session_id)
