"""Doubles for authors of engines and doors, and for our own tests.

They are told what to do, and when to fail; everything above them is the real thing.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from jupyter_sessmgr.engines.base import (
    MISSING,
    Capabilities,
    Capacity,
    Checkpoint,
    Engine,
    Found,
    Layout,
    Observation,
    Signer,
)
from jupyter_sessmgr.manager.agents.link import AgentLink
from jupyter_sessmgr.manager.agents.links import AgentLinks
from jupyter_sessmgr.manager.agents.words import KernelState, KernelStateName
from jupyter_sessmgr.model.errors import (
    AgentUnavailable,
    EngineUnavailable,
    ImageNotFound,
    NotRunning,
)
from jupyter_sessmgr.model.images import Image, with_tag
from jupyter_sessmgr.model.naming import place_name
from jupyter_sessmgr.model.ports import AGENT, KERNEL_CHANNELS, Endpoint
from jupyter_sessmgr.model.session import ComputeSession, KernelExit, Place, SessionSpec

FAKE_IMAGE = "fake/python:latest"
_STATELESS = KernelState(
    generation=0,
    name="",
    state="none",
    pid=None,
    encrypted=False,
    language="",
    interrupt_mode="signal",
    exit=None,
    error="",
    warning="",
)


def make_session(**changes: Any) -> ComputeSession:
    """Make a session for a test; any field can be given."""
    session = ComputeSession(
        id=str(uuid.uuid4()),
        name=f"session-{uuid.uuid4().hex[:8]}",
        owner="me",
        spec=SessionSpec(image=FAKE_IMAGE),
        created_at=time.time(),
    )
    return replace(session, **changes)


@dataclass
class FakePlace:
    """One place as the fake engine holds it."""

    place: Place
    name: str
    running: bool = True
    paused: bool = False
    exit_code: int | None = None
    kernel: KernelState = _STATELESS
    #: What its agent keeps of its session, sealed.
    claim: str = ""
    #: What its kernel was told after it had started.
    told: dict[str, str] = field(default_factory=dict)
    made_at: float = field(default_factory=time.time)


class FakeEngine(Engine):
    """An engine in memory.

    `before` and `after` map a verb (``open start stop look survey suspend resume``) to what is
    called at that moment: it may raise, or return an awaitable that hangs. `made` holds what
    exists, by place id.
    """

    name = "fake"
    capabilities = Capabilities(
        images=True,
        hard_memory=True,
        hard_cpu=True,
        pids=True,
        networks=frozenset({"egress", "isolated"}),
        isolation=True,
        host_mounts=False,
        suspend=True,
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.made: dict[str, FakePlace] = {}
        self.before: dict[str, Callable[[], Any]] = {}
        self.after: dict[str, Callable[[], Any]] = {}
        #: What new places' kernels become: "bound", or "starting" until told.
        self.kernel_becomes: KernelStateName = "bound"
        self._signer: Signer | None = None

    async def open(self, signer: Signer, folder: Path) -> None:
        """Be there."""
        await _moment(self.before, "open")
        self._signer = signer
        self.engine_id = "fake-engine"

    async def close(self) -> None:
        """Do nothing: what was made goes on."""

    async def images(self) -> Sequence[Image]:
        """Have one image."""
        return [Image(reference=FAKE_IMAGE, digest="sha256:fake")]

    async def image(self, reference: str) -> Image:
        """Know one image."""
        if with_tag(reference) != FAKE_IMAGE:
            raise ImageNotFound(f"There is no image {reference!r:.80} here.")
        return (await self.images())[0]

    def layout(self, place: Place, spec: SessionSpec) -> Layout:
        """Pretend to be a container."""
        return Layout(
            kernel_transport="tcp",
            kernel_address="0.0.0.0",  # noqa: S104 - inside a container that does not exist
            kernel_ports=(1, 2, 3, 4, 5),
            agent_transport="tcp",
            agent_address="0.0.0.0",  # noqa: S104 - as above
            agent_port=6,
            runtime_dir="/run",
            home="/home",
            workdir="/home",
            owns_pids=True,
        )

    async def start(
        self, place: Place, spec: SessionSpec, boot: bytes
    ) -> AsyncIterator[Checkpoint]:
        """Make a place, once for each place id."""
        yield Checkpoint(phase="creating")
        await _moment(self.before, "start")
        made = self.made.get(place.id)
        if made is None:
            made = FakePlace(place, self._name(place.id), claim=_claim_in(boot))
            self.made[place.id] = made
        made.kernel = replace(_STATELESS, generation=1, name=spec.kernel, state=self.kernel_becomes)
        await _moment(self.after, "start")
        yield Checkpoint(phase="booting", key=place.id, endpoints=_endpoints(place.id))

    async def stop(self, place: Place, grace: float) -> None:
        """Remove a place."""
        await _moment(self.before, "stop")
        self.made.pop(place.id, None)
        await _moment(self.after, "stop")

    async def suspend(self, place: Place) -> None:
        """Freeze a place."""
        await _moment(self.before, "suspend")
        self.made[place.id].paused = True
        await _moment(self.after, "suspend")

    async def resume(self, place: Place) -> None:
        """Let a frozen place go on."""
        await _moment(self.before, "resume")
        self.made[place.id].paused = False
        await _moment(self.after, "resume")

    async def look(self, places: Sequence[Place]) -> Mapping[str, Observation]:
        """Look at places."""
        await _moment(self.before, "look")
        return {place.id: _observe(place.id, self.made.get(place.id)) for place in places}

    async def survey(self) -> Sequence[Found]:
        """List everything."""
        await _moment(self.before, "survey")
        install_id = self._signer.install_id if self._signer is not None else ""
        return [
            Found(
                name=made.name,
                key=place_id,
                install_id=install_id,
                place_id=place_id,
                signed=made.name == self._name(place_id),
                running=made.running,
                created_at=made.made_at,
            )
            for place_id, made in self.made.items()
        ]

    async def logs(self, place: Place, tail: int) -> bytes:
        """Have nothing to tell."""
        return b""

    async def capacity(self) -> Capacity:
        """Know no bounds."""
        return Capacity()

    def _name(self, place_id: str) -> str:
        return place_name(self._signer.install_id if self._signer else "", place_id)


async def _moment(moments: Mapping[str, Callable[[], Any]], verb: str) -> None:
    await asyncio.sleep(0)
    wanted = moments.get(verb)
    answer = wanted() if wanted is not None else None
    if inspect.isawaitable(answer):
        await answer


def _claim_in(boot: bytes) -> str:
    """Find what an agent is to keep of its session; "" in what is no boot text."""
    head, newline, rest = boot.partition(b"\n")
    if not newline:
        return ""
    claim: str = json.loads(rest[-json.loads(head)["config"] :]).get("claim", "")
    return claim


def _observe(place_id: str, made: FakePlace | None) -> Observation:
    if made is None:
        return MISSING
    return Observation(
        exists=True,
        running=made.running,
        paused=made.paused,
        exit_code=made.exit_code,
        endpoints=_endpoints(place_id),
        key=place_id,
    )


def _endpoints(place_id: str) -> tuple[Endpoint, ...]:
    names = (AGENT, *KERNEL_CHANNELS)
    return tuple(Endpoint(name, place_id, port) for port, name in enumerate(names, 1))


class FakeLinks(AgentLinks):
    """Links to the agents that a `FakeEngine` pretends to run."""

    def __init__(self, engine: FakeEngine, on_change: Callable[[str], None], log: Any) -> None:
        super().__init__(None, on_change, log)  # type: ignore[arg-type] # derives nothing
        self._engine = engine
        self._changed = on_change
        self.connected: set[str] = set()
        #: Like `FakeEngine.before`, for what agents are asked (``personalise set_claim``).
        self.before: dict[str, Callable[[], Any]] = {}
        self.listeners: dict[str, Callable[[KernelState], None]] = {}
        #: Raised by the next connections, as long as it is set.
        self.refuses = False

    def kernel(self, place_id: str) -> KernelState | None:
        """Say what the fake place's kernel is."""
        made = self._engine.made.get(place_id)
        if made is None or not made.running or place_id not in self.connected:
            return None
        return made.kernel

    def get(self, place_id: str) -> AgentLink:
        """Return something that starts kernels."""
        if self.kernel(place_id) is None:
            raise NotRunning("not connected")
        return _FakeLink(self, place_id)  # type: ignore[return-value] # as much as is used

    async def connect(self, place_id: str, endpoint: Endpoint, timeout: float) -> AgentLink:
        """Connect to a place that runs."""
        await asyncio.sleep(0)
        made = self._engine.made.get(place_id)
        if self.refuses or made is None or not made.running or made.paused:
            raise AgentUnavailable("The agent does not answer.")
        self.connected.add(place_id)
        return self.get(place_id)

    async def drop(self, place_id: str) -> None:
        """Let go."""
        self.connected.discard(place_id)

    async def close(self) -> None:
        """Let go of all."""
        self.connected.clear()

    def tell(self, place_id: str, **changes: Any) -> None:
        """Let a kernel become something else, as its agent would tell."""
        made = self._engine.made[place_id]
        made.kernel = replace(made.kernel, **changes)
        if place_id in self.listeners:
            self.listeners[place_id](made.kernel)
        self._changed(place_id)

    def die(self, place_id: str, reason: str = "It died.", code: int = 1) -> None:
        """Let a kernel die."""
        generation = self._engine.made[place_id].kernel.generation
        ended = KernelExit(generation=generation, code=code, reason=reason)
        self.tell(place_id, state="exited", exit=ended)


class _FakeLink:
    """As much of `AgentLink` as the manager uses."""

    def __init__(self, links: FakeLinks, place_id: str) -> None:
        self._links = links
        self._place_id = place_id

    async def start_kernel(self, kernel: Mapping[str, Any], *, grace: float) -> None:
        """Run the kernel of a generation."""
        await asyncio.sleep(0)
        state = self._links._engine.kernel_becomes  # noqa: SLF001 - one double serves the other
        self._links.tell(self._place_id, generation=kernel["generation"], state=state, exit=None)

    @property
    def kernel(self) -> KernelState:
        """Say what the kernel is."""
        return self._made.kernel

    @property
    def hello(self) -> Any:
        """Greet with the claim that the place was given."""
        return SimpleNamespace(claim=self._made.claim)

    def on_kernel(self, listener: Callable[[KernelState], None]) -> None:
        """Tell somebody of the kernel."""
        self._links.listeners[self._place_id] = listener

    async def personalise(self, environ: Mapping[str, str], workdir: str) -> None:
        """Tell the kernel its names."""
        await _moment(self._links.before, "personalise")
        self._made.told.update(environ)

    async def set_claim(self, claim: str, lease: float) -> None:
        """Give the place to a session."""
        await _moment(self._links.before, "set_claim")
        self._made.claim = claim

    @property
    def _made(self) -> FakePlace:
        return self._links._engine.made[self._place_id]  # noqa: SLF001 - as above

    async def usage(self) -> Any:
        """Have used nothing."""
        raise AgentUnavailable("A double uses nothing.")


def unavailable() -> None:
    """Fail as an engine that does not answer; for `FakeEngine.before` and `after`."""
    raise EngineUnavailable("The engine does not answer (as told).")
