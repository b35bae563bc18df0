"""What an open process engine works with, and how a session is fitted into it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from jupyter_sessmgr.engines import bubblewrap
from jupyter_sessmgr.engines.base import Capabilities, Layout, Signer, agent_command
from jupyter_sessmgr.engines.process import sandboxing, spawn
from jupyter_sessmgr.engines.process.book import Book, unknown_when_unreadable
from jupyter_sessmgr.engines.process.environments import Environment, Environments
from jupyter_sessmgr.engines.process.keeper import Keeper, Launch
from jupyter_sessmgr.engines.process.machine import this_machine
from jupyter_sessmgr.engines.process.processes import MARKER
from jupyter_sessmgr.engines.process.records import AGENT_SOCKET, KERNEL_PREFIX, PlaceFolder
from jupyter_sessmgr.engines.process.sandboxing import Isolation
from jupyter_sessmgr.model.errors import EngineError
from jupyter_sessmgr.model.session import Network, Place, SessionSpec

T = TypeVar("T")
_THREADS = 8
#: How often a starting or ending agent is looked at, in seconds.
LOOK = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Made by `open_workshop`; belongs to one engine."""

    keeper: Keeper
    environments: Environments
    isolation: Isolation
    #: The installation's folder, which no session may see.
    folder: Path
    #: Threads of its own: a busy default pool of the server must not hold up the look at places.
    pool: ThreadPoolExecutor

    async def run(self, work: Callable[..., T], *args: object) -> T:
        """Do blocking work in a thread. When cancelled, what was begun goes on to its end."""
        return await asyncio.get_running_loop().run_in_executor(self.pool, partial(work, *args))

    def capabilities(self) -> Capabilities:
        """Say what sessions get here."""
        sandbox = self.isolation.sandbox
        networks: frozenset[Network] = frozenset({"egress"})
        if sandbox is not None and sandbox.own_network:
            networks = frozenset({"egress", "isolated"})
        return Capabilities(
            images=False,
            shmem=sandbox is not None and sandbox.sizes,
            networks=networks,
            shares_network=True,
            isolation=sandbox is not None,
            kernel_transport="ipc",
        )

    def layout(self, place: Place, spec: SessionSpec) -> Layout:
        """Say where things are inside a place; paths are those of the machine."""
        book = self.keeper.book
        made = book.remembered(place.id)
        isolated = self.isolation.sandbox is not None if made is None else made.isolated
        sockets = book.sockets(place.id)
        home = _home(spec, book.folder(place.id))
        return Layout(
            kernel_transport="ipc",
            kernel_address=str(sockets / KERNEL_PREFIX),
            kernel_ports=(1, 2, 3, 4, 5),
            agent_transport="unix",
            agent_address=str(sockets / AGENT_SOCKET),
            agent_port=0,
            runtime_dir=bubblewrap.INSIDE_RUN if isolated else str(sockets),
            journal_dir=str(book.folder(place.id).journal),
            home=home,
            workdir=spec.workdir or home,
            owns_pids=isolated,
            landing=str(sockets),
            landing_here=sockets,
            environ={MARKER: place.id},
        )

    def launch(self, place: Place, spec: SessionSpec, orders: bytes) -> Launch:
        """Put together how a place's agent is started. Blocks.

        Raises
        ------
        ImageNotFound
            when its environment cannot be used.
        EngineError
            naming what was asked for and is not to be had here.
        """
        self._check(spec)
        environment = self.environments.get(spec.image)
        sandboxed = self.isolation.sandbox is not None
        environ = {**spawn.inherited_environ(environment.python), MARKER: place.id}
        environ["HOME"] = _home(spec, self.keeper.book.folder(place.id))
        return Launch(
            command=partial(self._command, spec, environment),
            environ=environ,
            isolated=sandboxed,
            orders=orders,
        )

    async def until_ready(self, place_id: str, timeout: float) -> None:
        """Wait until a place's agent listens.

        Raises
        ------
        EngineError
            when it ended, or did not listen within `timeout` seconds.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        while asyncio.get_running_loop().time() < deadline:
            if await self.run(self.keeper.is_ready, place_id):
                return
            await asyncio.sleep(LOOK)
        words = await self.run(spawn.last_words, self.keeper.book.folder(place_id).log)
        raise EngineError(
            f"The session's agent did not listen within {timeout:g} seconds. "
            f"Raise c.ProcessEngine.start_timeout if the machine is slow. {words}".strip()
        )

    def _command(
        self, spec: SessionSpec, environment: Environment, place: PlaceFolder, info: int
    ) -> Sequence[str]:
        command = agent_command(environment.python)
        if self.isolation.sandbox is None:
            return command
        own = (self.keeper.book.sockets(place.place_id), place.home, place.journal)
        shown = sandboxing.view(spec, environment, place, own, (self.folder,))
        return bubblewrap.arguments(self.isolation.sandbox, shown, command, info)

    def _check(self, spec: SessionSpec) -> None:
        """Refuse what would otherwise be dropped without a word."""
        can = self.capabilities()
        if spec.network not in can.networks:
            raise EngineError(
                f"A session without network cannot be had here. {self.isolation.reason}"
            )
        if spec.command or spec.resources.devices or spec.cluster_size > 1:
            raise EngineError(
                "Sessions that are local processes have no command of their own, no devices and "
                "no second container; use the docker engine for them."
            )
        for mount in spec.mounts:
            if not Path(mount.source).is_dir():
                raise EngineError(f"The folder to be mounted as {mount.name!r} is not there.")
            if not can.isolation and mount.source != mount.target:
                raise EngineError(
                    f"The folder {mount.name!r} cannot appear as {mount.target} without a "
                    f"sandbox. {self.isolation.reason}"
                )


def _home(spec: SessionSpec, place: PlaceFolder) -> str:
    targets = [mount.target for mount in spec.mounts if mount.name == "home"]
    return targets[0] if targets else str(place.home)


def open_workshop(
    signer: Signer, folder: Path, named: Mapping[str, str], isolation: str
) -> Workshop:
    """Learn where this is and what works here. Blocks for some tens of milliseconds.

    Raises
    ------
    EngineUnavailable
        when the folder cannot be used.
    """
    book = Book(folder / "places", this_machine(), signer)
    with unknown_when_unreadable(book.root):
        book.open()
        found = sandboxing.find_isolation(isolation)
    return Workshop(
        keeper=Keeper(book),
        environments=Environments(named),
        isolation=found,
        folder=folder,
        pool=ThreadPoolExecutor(_THREADS, thread_name_prefix="sessmgr-process"),
    )
