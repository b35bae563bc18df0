"""Sessions as processes of the server's own machine; no other program is needed."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from traitlets import Dict, Enum, Float, TraitError, Unicode, validate

from jupyter_sessmgr.engines.base import (
    Capabilities,
    Capacity,
    Checkpoint,
    Engine,
    Found,
    Layout,
    Observation,
    Signer,
)
from jupyter_sessmgr.engines.process import spawn
from jupyter_sessmgr.engines.process.book import unknown_when_unreadable
from jupyter_sessmgr.engines.process.workshop import LOOK, Workshop, open_workshop
from jupyter_sessmgr.model.errors import (
    EngineError,
    EngineUnavailable,
    ImageNotFound,
    InvalidRequest,
)
from jupyter_sessmgr.model.images import REFERENCE_IMAGE, Image, check_reference
from jupyter_sessmgr.model.session import Place, SessionSpec


class ProcessEngine(Engine):
    """Runs each session as a process tree of the server's user, in a sandbox where there is one.

    An image is a local Python environment here. Sessions outlive the server.
    """

    environments = Dict(
        value_trait=Unicode(),
        key_trait=Unicode(),
        default_value={REFERENCE_IMAGE: sys.executable},
        config=True,
        help="""Local Python environments by the image name that people choose them by, each the
        path of its Python: `{"team/stats": "/opt/stats/bin/python"}`. Add those that people may
        use; allow them in AdmissionControl.allowed_images too.""",
    )
    isolation = Enum(
        ("auto", "required", "none"),
        default_value="auto",
        config=True,
        help="""Whether sessions run in a sandbox (bubblewrap): "auto" where one works, "required"
        refuses to start any without, "none" never. Choose "required" where a session must not see
        the server's files; "none" when it must see all of the machine.""",
    )
    start_timeout = Float(
        30.0,
        config=True,
        help="""Seconds from the start of a session's process until it must listen. Raise it where
        Python lies on a slow disk.""",
    )

    name = "process"
    capabilities = Capabilities(images=False, kernel_transport="ipc")
    _open_workshop: Workshop | None = None

    @validate("environments")
    def _check_environments(self, proposal: Any) -> Any:
        for name, python in proposal["value"].items():
            try:
                check_reference(name)
            except InvalidRequest as error:
                raise TraitError(f"environments: {error.message}") from error
            if not python.startswith("/"):
                raise TraitError(f"environments: {python!r} is not the absolute path of a Python.")
        return proposal["value"]

    @property
    def _workshop(self) -> Workshop:
        if self._open_workshop is None:
            raise EngineUnavailable("The process engine is not open.")
        return self._open_workshop

    async def open(self, signer: Signer, folder: Path) -> None:
        """Learn which machine this is, what runs here already, and whether a sandbox works."""
        await self.close()
        self._open_workshop = shop = await asyncio.to_thread(
            open_workshop, signer, folder, dict(self.environments), self.isolation
        )
        self.capabilities = shop.capabilities()
        self.inherited = spawn.inherited_environ(sys.executable)
        self.engine_id = f"process-{shop.keeper.book.machine.id}"

    async def close(self) -> None:
        """Let go of the threads; sessions go on."""
        shop, self._open_workshop = self._open_workshop, None
        if shop is not None:
            await asyncio.to_thread(shop.pool.shutdown)

    async def images(self) -> Sequence[Image]:
        """List the environments that work."""
        found = []
        for reference in self._workshop.environments.references:
            try:
                found.append(await self.image(reference))
            except ImageNotFound as error:
                self.log.warning("%s", error)
        return found

    async def image(self, reference: str) -> Image:
        """Describe an environment.

        Raises
        ------
        ImageNotFound
            when no environment has this name, or it is broken; the message says which.
        """
        shop = self._workshop
        return await shop.run(lambda: shop.environments.get(reference).image())

    def layout(self, place: Place, spec: SessionSpec) -> Layout:
        """Say where things will be: sockets in the place's folder, files where they are."""
        return self._workshop.layout(place, spec)

    async def start(
        self, place: Place, spec: SessionSpec, boot: bytes
    ) -> AsyncIterator[Checkpoint]:
        """Start the agent as a process of its own, or find it running."""
        shop = self._workshop
        if self.isolation == "required" and not self.capabilities.isolation:
            raise EngineError(
                "Sessions are to be isolated (ProcessEngine.isolation), which does not work here. "
                + shop.isolation.reason
            )
        digest = (await self.image(spec.image)).digest
        yield Checkpoint(phase="creating", image_digest=digest)
        launch = await shop.run(shop.launch, place, spec, boot)
        running, is_new = await shop.run(shop.keeper.start, place.id, launch)
        yield Checkpoint(phase="booting", key=str(running.agent.pid), image_digest=digest)
        try:
            await shop.until_ready(place.id, self.start_timeout)
        except EngineError:
            if is_new:
                raise
            # Found as it ended: its server was killed before it had all its orders.
            running, _ = await shop.run(shop.keeper.start, place.id, launch)
            await shop.until_ready(place.id, self.start_timeout)
        yield Checkpoint(
            phase="booting",
            key=str(running.agent.pid),
            image_digest=digest,
            endpoints=shop.keeper.book.endpoints(place.id),
        )

    async def stop(self, place: Place, grace: float) -> None:
        """Ask the agent to end, then kill all that is left and remove the place's folders."""
        shop = self._workshop
        deadline = asyncio.get_running_loop().time() + grace
        if grace > 0 and await shop.run(shop.keeper.ask_to_end, place.id):
            while not await shop.run(shop.keeper.has_ended, place.id):
                if asyncio.get_running_loop().time() > deadline:
                    break
                await asyncio.sleep(LOOK)
        await shop.run(shop.keeper.end, place.id)

    async def look(self, places: Sequence[Place]) -> Mapping[str, Observation]:
        """Look at the processes of these places."""
        shop = self._workshop
        return await shop.run(shop.keeper.look, [place.id for place in places])

    async def survey(self) -> Sequence[Found]:
        """List the places of this machine; those of another one that shares the folder are its."""
        shop = self._workshop
        return await shop.run(shop.keeper.survey)

    async def watch(self) -> AsyncIterator[str]:
        """Yield the ids of places that came, went or died since the last look."""
        before = {one.place_id: one for one in await self.survey()}
        while True:
            await asyncio.sleep(self.poll_interval)
            now = {one.place_id: one for one in await self.survey()}
            for place_id in before | now:
                if before.get(place_id) != now.get(place_id):
                    yield place_id
            before = now

    async def logs(self, place: Place, tail: int) -> bytes:
        """Return the end of what the agent printed."""
        shop = self._workshop
        log = shop.keeper.book.folder(place.id).log
        with unknown_when_unreadable(log):
            return await shop.run(spawn.tail, log, tail)

    async def capacity(self) -> Capacity:
        """Say what the machine has, used or not."""
        processors = (
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        )
        return Capacity(
            cpu=None if processors is None else Decimal(processors),
            mem=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        )

    def notes(self) -> Sequence[str]:
        """Say what holds for sessions here and what does not."""
        limits = (
            "Limits are advisory: a session's memory is watched and a kernel that takes too much "
            "is ended, processors and processes are not limited."
        )
        shop = self._open_workshop
        if shop is None:
            isolation = ""
        elif self.capabilities.isolation:
            isolation = (
                "Sessions run in a sandbox (bubblewrap): they see only their own processes, their "
                "Python environment (read-only) and their mounts. With network access they reach "
                "what listens on this machine, as every program here does."
            )
        else:
            isolation = (
                "Sessions are not isolated: they see all files and processes of this user, the "
                f"server's secrets included. {shop.isolation.reason}"
            )
        return tuple(filter(None, (isolation, limits)))
