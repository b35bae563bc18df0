"""The promise every engine keeps.

An engine only gets *the agent* running somewhere with the right limits, and says where it can be
reached. Everything inside a session goes through the agent.
"""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

from traitlets import Float

from jupyter_sessmgr.model.images import Image
from jupyter_sessmgr.model.ports import Endpoint, Transport
from jupyter_sessmgr.model.session import Network, Place, SessionSpec
from jupyter_sessmgr.traits import ConfigurableABC

#: What a start is doing, in this order; pulling happens only where an admin allows it.
Phase = Literal["pulling", "creating", "booting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What an engine can do: data, so nobody asks for its class. A "no" is told to people."""

    #: It runs images; otherwise an image is a named local environment.
    images: bool
    #: It can fetch images that are not here.
    pull: bool = False
    hard_memory: bool = False
    hard_cpu: bool = False
    pids: bool = False
    shmem: bool = False
    #: Device slots it can give, such as ``cuda.device``.
    devices: frozenset[str] = frozenset()
    #: Which networks it can give.
    networks: frozenset[Network] = frozenset({"egress"})
    #: Sessions with the network "egress" have that of the server, its loopback included.
    shares_network: bool = False
    #: Sessions cannot see each other's files and processes.
    isolation: bool = False
    #: Folders of the server's host can be mounted.
    host_mounts: bool = True
    suspend: bool = False
    #: Numbers of the user and group that sessions run as; None: those of the server.
    runs_as: tuple[int, int] | None = None
    #: How kernels are reached.
    kernel_transport: Transport = "tcp"
    #: How many containers one session may have.
    max_cluster_size: int = 1
    #: It has hosts of its own and a queue for them, so ours holds nobody back for want of room.
    queues: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What the engine's host has. None: unknown or not limited."""

    cpu: Decimal | None = None
    mem: int | None = None
    devices: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Where things are, as seen from *inside* a place. Known before the place exists."""

    #: How the kernel binds: "tcp" with an address and five ports, or "ipc" with a path prefix
    #: and five numbers, as jupyter's connection files write it.
    kernel_transport: Literal["tcp", "ipc"]
    kernel_address: str
    #: shell, iopub, stdin, hb, control.
    kernel_ports: tuple[int, int, int, int, int]
    #: Where the agent listens: an address and port, or the path of a socket file and 0.
    agent_transport: Literal["tcp", "unix"]
    agent_address: str
    agent_port: int
    #: A private folder for the connection file: on a tmpfs where there is one.
    runtime_dir: str
    home: str
    #: Default working folder, when the spec names none.
    workdir: str
    #: Whether the agent is PID 1 of its own PID namespace, so it must reap and may signal all.
    owns_pids: bool
    #: A private folder on a disk for what the kernel said; "": there is none, or it is memory.
    journal_dir: str = ""
    #: A folder for sockets of the server's, which goes with the place; "" where there is none.
    landing: str = ""
    #: The same as this machine names it.
    landing_here: Path | None = None
    #: Environment that the engine wants the kernel to have.
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """How far a start has come. Saved before the next step, so it can be undone."""

    phase: Phase
    #: For people: ``pulling 43 %``.
    info: str = ""
    progress: float | None = None
    #: The engine's handle of the place, as soon as it is known.
    key: str = ""
    image_digest: str = ""
    #: In the last one: the agent and the five kernel channels, as reachable from the server.
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What the engine says of one place."""

    #: False only when the engine answered and has no such place.
    exists: bool
    #: False only when the engine lists a terminal state; never for one it does not know.
    running: bool = False
    paused: bool = False
    exit_code: int | None = None
    oom: bool = False
    #: For people, when it does not run: what the engine says of its end.
    reason: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    key: str = ""


MISSING = Observation(exists=False)
#: What an agent exits with that heard no server for as long as its lease; and what that means.
LEASE_OVER = 75
LEASE_OVER_WORDS = "The session ended by itself, because no server was heard from for too long."


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Something on the engine that carries our label."""

    name: str
    key: str
    #: As labelled; believed only when `signed`.
    install_id: str
    place_id: str
    #: The label's signature is ours and the name is the one we give: it is provably ours.
    signed: bool
    running: bool
    created_at: float = 0.0
    #: Where it is reached now; empty: it is not, or the engine does not say so here.
    endpoints: tuple[Endpoint, ...] = ()


class Signer(Protocol):
    """The installation's name and signature; given to the engine by the manager."""

    install_id: str

    def sign(self, *words: str) -> str:
        """Return the signature of these words: ASCII, at most 64 characters."""

    def verify(self, signature: str, *words: str) -> bool:
        """Tell, in constant time, whether a signature is ours."""


class Engine(ConfigurableABC):
    """Where sessions run. All methods are called on the server's event loop and never block it.

    Errors: `EngineUnavailable` when no answer came (retryable; nothing is known), `EngineError`
    when the engine refused (the message is for people), `ImageNotFound`.
    """

    poll_interval = Float(
        2.0,
        config=True,
        help="""Seconds between looks at the engine, where it has no event stream. Raise it when
        an engine is slow to answer.""",
    )

    capabilities: Capabilities
    #: ``docker``, ``process``, …; for people and for configuration.
    name: str
    #: Which engine this is; see `Place`. "" until `open` succeeded.
    engine_id: str = ""
    #: What every place gets of this server's environment.
    inherited: Mapping[str, str] = MappingProxyType({})
    #: Why it was chosen, a sentence for people; set by `choose_engine`.
    why: str = ""
    #: Why sessions cannot be started though it answers, and what to do; "" when they can.
    trouble: str = ""

    @abstractmethod
    async def open(self, signer: Signer, folder: Path) -> None:
        """Connect, and learn `engine_id` and `capabilities`.

        `folder` is a private folder of the installation that the engine may use. Called again
        after `EngineUnavailable`, until it succeeds.
        """

    @abstractmethod
    async def close(self) -> None:
        """Let go of connections, threads, and of networks and the like that nothing uses.

        Places go on.
        """

    @abstractmethod
    async def images(self) -> Sequence[Image]:
        """List what could run here, allowed or not. Called when kernelspecs are made."""

    @abstractmethod
    async def image(self, reference: str) -> Image:
        """Describe one image.

        Raises
        ------
        ImageNotFound
            within a second and without any pull, when it is not here.
        """

    @abstractmethod
    def layout(self, place: Place, spec: SessionSpec) -> Layout:
        """Say where things will be inside a place. Pure; called before `start`."""

    @abstractmethod
    def start(self, place: Place, spec: SessionSpec, boot: bytes) -> AsyncIterator[Checkpoint]:
        """Make the place and start the agent in it, feeding it `boot` by standard input.

        The last checkpoint has the endpoints. May be called again for a place whose first start
        was interrupted anywhere: what exists is continued or replaced, never doubled. When it
        raises, or is closed or cancelled, the place may exist; `stop` removes it.
        """

    @abstractmethod
    async def stop(self, place: Place, grace: float) -> None:
        """End the place and remove all of it.

        Done when nothing is left; succeeds when nothing was there; works in any phase, paused
        ones included. `grace` is in seconds, 0 kills at once.
        """

    async def suspend(self, place: Place) -> None:
        """Stop the place's clock, keeping its memory. Only where `capabilities.suspend`."""
        raise NotImplementedError

    async def resume(self, place: Place) -> None:
        """Undo `suspend`."""
        raise NotImplementedError

    @abstractmethod
    async def look(self, places: Sequence[Place]) -> Mapping[str, Observation]:
        """Look at these places, in one call; answers by place id.

        `MISSING` comes only from a call that succeeded. A configurable may not have a method
        called ``observe``, hence the name.

        Raises
        ------
        EngineUnavailable
            when anything stood in the way of a full answer.
        """

    @abstractmethod
    async def survey(self) -> Sequence[Found]:
        """List everything that carries our label, whoever's it is."""

    async def watch(self) -> AsyncIterator[str]:
        """Yield place ids that may have changed: hints. Its end means: sweep, and watch again.

        An empty string means: something changed, look at all. This one polls.
        """
        while True:
            await asyncio.sleep(self.poll_interval)
            yield ""

    @abstractmethod
    async def logs(self, place: Place, tail: int) -> bytes:
        """Return the last `tail` bytes that the place's main process wrote; b"" when none."""

    @abstractmethod
    async def capacity(self) -> Capacity:
        """Say what the host has."""

    def notes(self) -> Sequence[str]:
        """Say what people should know of this engine, a sentence each.

        Why it was chosen, what it does not enforce. Shown by the log, ``check`` and the UI.
        """
        return ()


def agent_command(python: str) -> list[str]:
    """Make the command line of an agent: this Python reads the agent itself from its input.

    The agent travels by standard input with its secrets, so no image needs to be built for it.
    """
    return [python, "-I", "-c", _bootstrap()]


@cache
def _bootstrap() -> str:
    """Read the agent's beginning, once: the rest of it is of this version, after an upgrade too."""
    source = resources.files("jupyter_sessmgr.agent").joinpath("bootstrap.py")
    return source.read_text(encoding="utf-8")
