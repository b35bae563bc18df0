"""Decides which spares there are: how many, of what, and when they are made and handed back."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from traitlets import Dict, Float, Integer, Unicode
from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.manager.admission import AdmissionControl
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.pool import plan
from jupyter_sessmgr.manager.pool.keys import can_be_spared, make_key, spare_spec, terms_of
from jupyter_sessmgr.manager.pool.machine import free_memory
from jupyter_sessmgr.manager.pool.nursery import Spare
from jupyter_sessmgr.manager.pool.stock import SPARE_STATES, Stock
from jupyter_sessmgr.manager.queue.order import Room
from jupyter_sessmgr.model.errors import EngineError, ImageNotFound
from jupyter_sessmgr.model.events import Event, StatusChanged
from jupyter_sessmgr.model.images import with_tag
from jupyter_sessmgr.model.session import ComputeSession, Place, PlaceState, SessionSpec
from jupyter_sessmgr.model.status import STARTING

#: Seconds between looks when nothing happens: images and free memory change by themselves.
INTERVAL = 10.0
#: Spares are made only while so much more of the memory is free than they have to leave.
MARGIN = 0.05


@dataclass(frozen=True, slots=True)
class Ties:
    """What the pool holds on to while it works."""

    parts: Parts
    admission: AdmissionControl
    #: Says how much of the host may be given away.
    room: Callable[[], Room]
    stock: Stock
    forget: Callable[[], None]

    def key_of(self, spec: SessionSpec, digest: str) -> str:
        """Say which spares a session fits."""
        parts = self.parts
        terms = terms_of(parts.engine, self.admission, parts.memory.journal_bounds)
        return make_key(spec, digest, terms, parts.secrets)

    async def key_now(self, spec: SessionSpec) -> str:
        """Say the same for the image as it is now; "" when it is not here."""
        try:
            digest = (await self.parts.engine.image(spec.image)).digest
        except ImageNotFound:
            return ""
        return self.key_of(spec, digest)


class WarmPool(LoggingConfigurable):
    """Keeps booted sessions ready that nobody asked for yet. Made by the manager, as its `pool`.

    Each is used once. What a start asked for is what it gets; where no spare is exactly that, the
    session is made as if there were no pool.
    """

    sizes = Dict(
        value_trait=Integer(min=0),
        key_trait=Unicode(),
        config=True,
        help="""How many spares are kept ready, by the name of a preset or an image, such as
        `{"python": 3, "isolated": 1}`; an image's number counts before its preset's, 0 means none.
        Raise a number where many people start kernels at the same time. Each spare takes the
        memory of an idle kernel.""",
    )
    default_size = Integer(
        1,
        min=0,
        config=True,
        help="""How many spares the default preset has, once it was used, where `sizes` does not
        name it. 0 turns them off; do that on machines with little memory.""",
    )
    min_free_memory = Float(
        0.15,
        min=0.0,
        max=1.0,
        config=True,
        help="""Part of the machine's memory that must be free for there to be spares; with less,
        all are removed. Raise it where other programs need memory at short notice.""",
    )
    refill_delay = Float(
        2.0,
        min=0.0,
        config=True,
        help="""Seconds after the last start until a spare is made. Raise it where the first cells
        of a new kernel should have the machine for themselves for longer.""",
    )
    refill_at_once = Integer(
        1,
        min=1,
        config=True,
        help="""How many spares are made at the same time. Raise it on machines with many
        processors.""",
    )

    def __init__(self, **kwargs: object) -> None:
        super().__init__(**kwargs)
        #: Starts that found a spare.
        self.hits = 0
        #: Starts that could have, and did not, by why.
        self.misses: Counter[str] = Counter()
        self._ties: Ties | None = None
        self._task: asyncio.Task[None] | None = None
        self._due = asyncio.Event()
        self._demand = plan.Demand()
        #: Which image the sessions that are about to start were let in for.
        self._digests: dict[str, str] = {}
        self._last_start = 0.0

    def start(self, parts: Parts, admission: AdmissionControl, room: Callable[[], Room]) -> None:
        """Begin to keep spares; those that an earlier server left are taken back or removed.

        Called before the first sweep, which removes what nobody keeps.
        """
        left = [one for one in parts.store.places() if _is_spare(one)]
        parts.memory.kept.update(one.id for one in left)
        forget = parts.bus.subscribe(self._on_event)
        self._ties = ties = Ties(parts, admission, room, Stock(parts, self._due.set), forget)
        self._task = asyncio.create_task(self._run(ties, left), name="sessmgr-pool")

    async def stop(self) -> None:
        """Remove all spares. Harmless when it ended."""
        ties, self._ties = self._ties, None
        if ties is None or self._task is None:
            return
        ties.forget()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await ties.stock.close()

    def counts(self) -> Mapping[str, int]:
        """Say how many spares are ready, and how many are being made; from memory."""
        stock = self._ties.stock if self._ties is not None else None
        return stock.count() if stock else dict.fromkeys(SPARE_STATES, 0)

    def notes(self) -> tuple[str, ...]:
        """Say in a sentence how many spares there are; nothing when there is none."""
        ready = self.counts()["ready"]
        words = "1 spare session is" if ready == 1 else f"{ready} spare sessions are"
        return (f"{words} ready for the next start.",) if ready else ()

    def note(self, session: ComputeSession, digest: str) -> None:
        """Note which image a session that is about to start was let in for: it saves a question."""
        if self._ties is not None:
            self._digests[session.id] = digest

    @contextlib.asynccontextmanager
    async def taking(
        self, session: ComputeSession, *, volatile: bool
    ) -> AsyncIterator[Spare | None]:
        """Reach for a spare that is exactly what a session asked for; None: there is none.

        Nobody else gets it. After the context it belongs to the session, if the store says so; if
        not, it is removed.

        Parameters
        ----------
        volatile
            The kernel must be able to take names that are known only now.
        """
        ties, digest = self._ties, self._digests.pop(session.id, "")
        if ties is None or not self._size(ties, session.spec):
            yield None
            return
        self._demand.note(spare_spec(session.spec))
        key = ties.key_of(session.spec, digest) if digest else await ties.key_now(session.spec)
        spare, why = await ties.stock.take(key, volatile=volatile)
        if spare is None:
            self.misses[why] += 1
            yield None
            return
        try:
            yield spare
        except asyncio.CancelledError:
            raise  # this server ends; what became of the claim the rows tell the next one
        except BaseException:
            ties.stock.settle(spare)
            raise
        self.hits += ties.stock.settle(spare)

    def remove(self, place: Place) -> None:
        """Remove what was a spare, and is of no use to its session."""
        if self._ties is not None:
            self._ties.stock.remove(place)

    def place_changed(self, place_id: str) -> None:
        """Look at a spare, since its agent said something, or hung up."""
        if self._ties is not None:
            self._ties.stock.look_at(place_id)

    def _on_event(self, event: Event) -> None:
        if not isinstance(event, StatusChanged):
            return
        if event.session.status in STARTING or event.before in STARTING:
            self._last_start = time.monotonic()
        if event.session.status.is_final:
            self._digests.pop(event.session.id, None)
        self._due.set()

    async def _run(self, ties: Ties, left: list[Place]) -> None:
        pause = 0.0
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._due.wait()
            self._due.clear()
            try:
                await self._take_back(ties, left)
                pause = await self._look(ties)
            except EngineError as error:
                pause = INTERVAL
                self.log.debug("Spares are not looked after now: %s", error)
            except Exception:
                pause = INTERVAL
                self.log.exception("The spare sessions could not be looked after")

    async def _take_back(self, ties: Ties, left: list[Place]) -> None:
        """Take back what an earlier server left, once the engine answers."""
        while left:
            spec = await ties.stock.take_back(left[-1], ties.key_now)
            left.pop()
            if spec is not None:
                self._demand.note(spec)

    async def _look(self, ties: Ties) -> float:
        """Remove what is too much and make what is missing; returns seconds until the next look."""
        stock = ties.stock
        free = await asyncio.to_thread(free_memory)
        stock.hand_back(plan.without_room(stock.kept(), _left(ties)), "sessions need what it takes")
        if free < self.min_free_memory:
            stock.hand_back(
                [one.place_id for one in stock.kept()], "the machine is short of memory"
            )
        wait = self._last_start + self.refill_delay - time.monotonic()
        if wait > 0 or any(one.status in STARTING for one in ties.parts.store.sessions()):
            return max(wait, 0.0) + 0.01 if wait > 0 else INTERVAL
        wishes = await self._wishes(ties)
        stock.hand_back(plan.too_many(stock.kept(), wishes), "sessions differ from it now")
        if free >= min(self.min_free_memory + MARGIN, 1.0):
            open_to = [wish for wish in wishes if stock.pauses.is_over(wish.key)]
            most = self.refill_at_once - stock.count()["booting"]
            for wish in plan.to_make(stock.kept(), open_to, _left(ties), most):
                stock.make(wish)
        return INTERVAL

    async def _wishes(self, ties: Ties) -> list[plan.Wish]:
        wishes = []
        for spec in self._demand.likely():
            key, size = await ties.key_now(spec), self._size(ties, spec)
            if key and size:
                wishes.append(plan.Wish(key=key, size=size, spec=spec))
        return wishes

    def _size(self, ties: Ties, spec: SessionSpec) -> int:
        """Say how many spares there are of what is asked for."""
        if not can_be_spared(spec):
            return 0
        sizes: Mapping[str, int] = {**self.sizes}
        for name in (spec.image, spec.image.removesuffix(":latest")):
            if name in sizes:
                return sizes[name]
        preset = ties.admission.all_presets().get(spec.preset)
        if preset is None or with_tag(preset.image) != spec.image:
            return 0
        usual = self.default_size if spec.preset == ties.admission.default_preset else 0
        return sizes.get(spec.preset, usual)


def _is_spare(place: Place) -> bool:
    doomed = place.state is PlaceState.DOOMED
    return bool(place.pool_key) and place.session_id is None and not doomed


def _left(ties: Ties) -> Room:
    """Say how much of the host sessions leave."""
    room = ties.room()
    for session in ties.parts.store.sessions():
        room = room.without(session.spec.resources)
    return room
