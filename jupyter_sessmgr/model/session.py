"""The compute session: what was asked for, what is wished, what is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

from jupyter_sessmgr.model.mounts import Mount
from jupyter_sessmgr.model.ports import Endpoint, ServicePort, preopened
from jupyter_sessmgr.model.resources import Resources
from jupyter_sessmgr.model.status import Goal, SessionStatus
from jupyter_sessmgr.model.usage import Usage

#: Whether a session may talk to the outside ("egress") or to nobody but the server ("isolated").
Network = Literal["egress", "isolated"]
#: CurveZMQ on the kernel's channels: "auto" is on whenever the kernel can.
Encryption = Literal["auto", "required", "disabled"]
#: Which door a session came in by.
Origin = Literal["rest", "kernel"]
#: "interactive" sessions have a kernel, "batch" ones run a command and end with it.
SessionType = Literal["interactive", "batch"]

_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSpec:
    """What was asked for, complete: defaults, minima and presets are filled in. Never changes."""

    image: str
    #: Name of the preset it was made from, for people to read.
    preset: str = ""
    #: Name of a kernelspec inside the image; "" when the session has no kernel.
    kernel: str = "python3"
    command: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    mounts: tuple[Mount, ...] = ()
    #: Working folder inside the session; "" means the home folder.
    workdir: str = ""
    resources: Resources = field(default_factory=Resources)
    service_ports: tuple[ServicePort, ...] = ()
    network: Network = "egress"
    encryption: Encryption = "auto"
    cluster_size: int = 1
    durable: bool = True
    session_type: SessionType = "interactive"
    #: What a batch session runs, by a shell.
    startup_command: str = ""
    #: A shell script that runs inside before kernel or command.
    bootstrap_script: str = ""
    #: Ports of apps that the user will open inside, besides `service_ports`.
    preopen_ports: tuple[int, ...] = ()
    #: What Jupyter calls the notebook; ipykernel shows it as ``__session__``.
    jupyter_session: str = ""
    #: Seconds after which it ends when nobody uses it; None: as the server says, never longer.
    idle_timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelExit:
    """How a kernel of a session ended, as its agent saw it."""

    #: The session's generation whose kernel this was.
    generation: int
    #: Exit code; negative: killed by this signal. None: unknown.
    code: int | None
    #: Whether the kernel of the operating system killed it for want of memory.
    oom: bool = False
    #: One sentence for people: why it ended.
    reason: str = ""
    #: Last lines it wrote, at most 4 KiB.
    tail: str = ""
    #: Whether it was asked to end, so that this is no death to tell of.
    expected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusNote:
    """When a session came to a status, and why."""

    status: SessionStatus
    #: Seconds since the epoch.
    at: float
    info: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComputeSession:
    """One session. Frozen: a change is `dataclasses.replace` and a word to the store.

    Wishes are written by the manager and facts by the reconciler, in separate columns, so the
    two never overwrite each other.
    """

    #: UUID; also the id of its Jupyter kernel.
    id: str
    #: Small and never used again; 0 until the store has given one.
    number: int = 0
    #: Unique among the owner's live sessions.
    name: str
    owner: str
    domain: str = "default"
    group: str = "default"
    tag: str = ""
    origin: Origin = "rest"
    #: Which run of a server made it; a session that is not durable ends with that run.
    server_id: str = ""
    spec: SessionSpec
    created_at: float

    # wishes
    goal: Goal = Goal.RUN
    #: +1 means: restart. A number, so a wish that is lost, repeated or replayed does no harm.
    generation: int = 1
    #: Skip the grace period when stopping.
    forced: bool = False
    #: Why it is to end, for people; "" until then.
    stop_reason: str = ""
    #: An admin excepted it from the idle and lifetime limits.
    idle_exempt: bool = False
    #: Its owner asked that want of use does not end it before this, in seconds since the epoch.
    kept_until: float | None = None
    #: Ports of apps that its owner opened inside while it ran, besides `spec.preopen_ports`.
    opened_ports: tuple[int, ...] = ()
    #: The latest generation whose kernel somebody asked to end: its end is no death. Written by
    #: servers that follow; the one that leads just remembers.
    exit_wished: int = 0

    # facts
    status: SessionStatus = SessionStatus.PENDING
    #: What is happening, for people: ``pulling 43 %``.
    status_info: str = ""
    #: Why it failed, for people. Once set, the session ends as ERROR.
    failure: str = ""
    observed_generation: int = 0
    place_id: str = ""
    endpoints: tuple[Endpoint, ...] = ()
    #: Whether the kernel's channels are encrypted.
    encrypted: bool = False
    #: The language the kernel speaks; "" until known.
    language: str = ""
    kernel_exit: KernelExit | None = None
    started_at: float | None = None
    ended_at: float | None = None
    #: When the first client came; None: nobody ever did.
    connected_at: float | None = None
    last_active_at: float | None = None
    queries: int = 0
    cpu_ms: int = 0
    #: What it used in all, once it ended; while it runs, memory knows more.
    usage: Usage | None = None
    #: Every status it had, oldest first.
    history: tuple[StatusNote, ...] = ()
    #: Last lines of a session that ended, at most 64 KiB.
    log_tail: str = ""
    #: +1 on every change.
    revision: int = 0

    @property
    def is_live(self) -> bool:
        """Whether anything of the session may still exist."""
        return not self.status.is_final

    @property
    def why(self) -> str:
        """Why it is as it is, for people: its failure, what is happening, or why it ends."""
        if self.status.is_final:  # what was happening before is over
            return self.failure or self.stop_reason or self.status_info
        ending = self.status is SessionStatus.TERMINATING
        return self.failure or self.status_info or (self.stop_reason if ending else "")

    @property
    def promised(self) -> tuple[ServicePort, ...]:
        """All that is said to listen inside: by the image, and by its user."""
        by_user = preopened((*self.spec.preopen_ports, *self.opened_ports))
        return (*self.spec.service_ports, *by_user)

    def service_at(self, name: str) -> str:
        """Return what a service is called; one that was promised can be named by its port, too."""
        return next((one.name for one in self.promised if name in map(str, one.ports)), name)

    def endpoint(self, name: str) -> Endpoint | None:
        """Find where `name` is reachable now; None when it is not."""
        return next((one for one in self.endpoints if one.name == name), None)


class PlaceState(StrEnum):
    """What is known of a place."""

    #: Its row is written; the engine may or may not have been asked to make it.
    INTENDED = "INTENDED"
    #: The engine said that it exists.
    MADE = "MADE"
    #: It is to be removed, and its row after it.
    DOOMED = "DOOMED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a session lives: one container or process tree, with an agent in it.

    Container name, labels, secrets and endpoints belong to the place; a container that replaces
    another is a new place, so a place that was replaced never comes back (FAULTS I9).
    """

    id: str
    #: Which engine made it. Another engine's answer says nothing about it.
    engine_id: str
    #: The engine's own handle: container id, process id. "" until known.
    key: str = ""
    image_digest: str = ""
    session_id: str | None = None
    state: PlaceState = PlaceState.INTENDED
    created_at: float = 0.0
    #: Of a spare of the warm pool, and of what was one: which sessions it fits. "" for all others.
    pool_key: str = ""
