"""Makes spares, takes back those of an earlier server, and removes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from jupyter_sessmgr.manager.agents.bootconfig import boot_bytes
from jupyter_sessmgr.manager.agents.words import KernelState
from jupyter_sessmgr.manager.loop.claims import is_unclaimed, read_claim
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.model.errors import (
    AgentError,
    EngineError,
    EngineUnavailable,
    SessmgrError,
    StoreError,
)
from jupyter_sessmgr.model.naming import new_place_id
from jupyter_sessmgr.model.ports import AGENT, Endpoint
from jupyter_sessmgr.model.session import ComputeSession, Place, PlaceState, SessionSpec

#: Seconds from a spare's start until its kernel must be ready.
BOOT_TIMEOUT = 120.0
#: Seconds to reach the agent of a spare that an earlier server made.
ASK_TIMEOUT = 5.0


@dataclass(frozen=True, slots=True)
class Spare:
    """A place with a kernel that nobody used."""

    place: Place
    spec: SessionSpec
    endpoints: tuple[Endpoint, ...]
    #: When it was ready, on the monotonic clock.
    since: float


class Nursery:
    """Everything about spares that engine, agent and store are needed for.

    Places that are here are in `Memory.kept`, so that the sweep leaves them alone.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def make(self, spec: SessionSpec, key: str) -> Spare:
        """Make a place and boot it whole; what was made is removed when that fails.

        Raises
        ------
        SessmgrError, TimeoutError
            with the reason.
        """
        parts = self._parts
        place = Place(
            id=new_place_id(),
            engine_id=parts.engine.engine_id,
            created_at=time.time(),
            pool_key=key,
        )
        parts.memory.kept.add(place.id)
        try:
            await parts.store.save_place(place)
            async with asyncio.timeout(BOOT_TIMEOUT):
                place, endpoints = await self._start(place, spec)
                await self._until_bound(place, endpoints)
            await parts.store.save_place(place)
        except BaseException:
            await asyncio.shield(asyncio.ensure_future(self.remove(place)))
            raise
        return Spare(place, spec, endpoints, time.monotonic())

    async def _start(self, place: Place, spec: SessionSpec) -> tuple[Place, tuple[Endpoint, ...]]:
        parts, endpoints = self._parts, None
        nobody = nobodys_session(place, spec)
        steps = parts.engine.start(place, spec, boot_bytes(nobody, place, parts))
        async for checkpoint in steps:
            endpoints = checkpoint.endpoints or None
            place = replace(place, key=checkpoint.key, image_digest=checkpoint.image_digest)
        if endpoints is None:
            raise EngineError("The engine did not say where the spare is reached.")
        return replace(place, state=PlaceState.MADE), endpoints

    async def _until_bound(self, place: Place, endpoints: tuple[Endpoint, ...]) -> None:
        agent = next(one for one in endpoints if one.name == AGENT)
        link = await self._parts.links.connect(place.id, agent, BOOT_TIMEOUT)
        changed = asyncio.Event()
        link.on_kernel(lambda _kernel: changed.set())
        while link.kernel.state != "bound":
            if link.kernel.state in {"exited", "failed"}:
                ended = link.kernel.exit
                raise AgentError(link.kernel.error or (ended.reason if ended else "It ended."))
            await changed.wait()
            changed.clear()

    async def take_back(
        self, place: Place, key_of: Callable[[SessionSpec], Awaitable[str]]
    ) -> Spare | None:
        """Take a spare of an earlier server back, or remove it when it is not what it should be.

        Its agent keeps, sealed, what it was made for. One that is a session's by now (the rows are
        an old copy, FAULTS P10) loses its row, so that the sweep finds a session without one.

        Raises
        ------
        EngineUnavailable
            when the engine cannot be asked; then nothing was judged.
        """
        parts = self._parts
        try:
            claim, endpoints = await self._ask(place)
            if not is_unclaimed(claim, place.id):
                parts.log.warning("Place %s is a session's, and no spare any more.", place.id)
                await parts.links.drop(place.id)
                await parts.store.forget_place(place.id)
                parts.memory.kept.discard(place.id)
                return None
            made = place.state is PlaceState.MADE and is_fresh(parts.links.kernel(place.id))
            if made and await key_of(claim.spec) == place.pool_key:
                return Spare(place, claim.spec, endpoints, time.monotonic())
        except EngineUnavailable:
            raise
        except (EngineError, AgentError, StoreError, ValueError) as error:
            parts.log.debug("The spare %s is not taken back: %s", place.id, error)
        await self.remove(place)
        return None

    async def _ask(self, place: Place) -> tuple[ComputeSession, tuple[Endpoint, ...]]:
        """Ask an agent whose it is."""
        parts = self._parts
        seen = (await parts.engine.look([place])).get(place.id)
        agent = next((one for one in seen.endpoints if one.name == AGENT), None) if seen else None
        if seen is None or agent is None or not seen.running or seen.paused:
            raise EngineError("It does not run.")
        link = await parts.links.connect(place.id, agent, ASK_TIMEOUT)
        return read_claim(link.hello.claim, parts.secrets), seen.endpoints

    async def remove(self, place: Place) -> None:
        """Remove a spare. What cannot be done now is left to the sweep."""
        parts = self._parts
        try:
            await parts.links.drop(place.id)
            await parts.engine.stop(place, 0.0)
            await parts.store.save_place(replace(place, state=PlaceState.DOOMED, session_id=None))
        except (EngineError, StoreError) as error:
            parts.log.debug("The spare %s is removed by the next sweep: %s", place.id, error)
        finally:
            parts.memory.kept.discard(place.id)

    async def why_gone(self, place: Place) -> str:
        """Say, for people, what became of a spare that does not answer."""
        try:
            seen = (await self._parts.engine.look([place])).get(place.id)
        except SessmgrError as error:
            return error.message
        if seen is None or not seen.exists:
            return "it was removed from outside"
        return "its agent does not answer" if seen.running else seen.reason or "it ended"


def nobodys_session(place: Place, spec: SessionSpec) -> ComputeSession:
    """Make what stands for a spare's session as long as there is none; see `is_unclaimed`."""
    return ComputeSession(
        id=place.id, name=place.id, owner="", spec=spec, created_at=place.created_at
    )


def is_fresh(kernel: KernelState | None) -> bool:
    """Tell whether a spare's kernel is the first of its place, and ready."""
    return kernel is not None and kernel.state == "bound" and kernel.generation == 1
