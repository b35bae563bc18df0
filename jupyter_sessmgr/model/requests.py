"""What a door asks of the manager."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from jupyter_sessmgr.model.session import ComputeSession, Encryption, Origin, SessionType


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateRequest:
    """A wish for a session, as asked: gaps are filled and values are judged by admission.

    A door checks only the *shape* of what it was given (a text is a text).
    """

    #: "" means: the preset's.
    image: str = ""
    #: None means: make one up.
    name: str | None = None
    #: "" means: the default one.
    preset: str = ""
    #: Kernelspec inside the image; None means: the preset's; "" means: no kernel.
    kernel: str | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    #: Names of the admin's mount table, ``name`` or ``name:alias``; never paths (THREATS E4).
    mounts: tuple[str, ...] = ()
    #: Slots as written: ``{"cpu": "2", "mem": "4g", "cuda.device": 1}``.
    resources: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    shmem: object = None
    cluster_size: object = 1
    domain: str = "default"
    group: str = "default"
    tag: str = ""
    durable: bool = True
    #: "batch" runs `startup_command` instead of a kernel, and ends with it.
    session_type: SessionType = "interactive"
    startup_command: str = ""
    #: A shell script that runs inside before anything else.
    bootstrap_script: str = ""
    #: Ports of apps that the user will open inside, besides the image's.
    preopen_ports: tuple[int, ...] = ()
    encryption: Encryption | None = None
    #: Seconds after which it is to end when nobody uses it, as written; None: as the server says.
    idle_timeout: object = None
    #: Return a live session of this name and image instead of failing.
    reuse: bool = True
    origin: Origin = "rest"
    #: The kernel door knows the id beforehand; None means: make one up.
    session_id: str | None = None
    #: The notebook's folder on the host, absolute; only for those who may start kernels in it.
    notebook_folder: str = ""
    #: The same, relative to the server's root folder, with ``/``.
    notebook_path: str = ""
    #: JPY_SESSION_NAME as Jupyter gives it; only the kernel door may say one.
    jupyter_session: str = ""
    #: Seconds that the engine may take to say what it has; None: as long as it is given anyway.
    patience: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Some of an owner's sessions, newest first."""

    items: tuple[ComputeSession, ...]
    #: How many there are on all pages.
    total: int
    #: The next page has what comes before this number; None: there is none.
    next: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the whole is; for the health route, ``check`` and the log."""

    #: ``docker``, ``process``; "" when none could be chosen.
    engine: str
    available: bool
    #: When not available: the cause and the remedy.
    reason: str
    #: One sentence each: why this engine, and what it does not enforce.
    notes: tuple[str, ...] = ()
    #: Who leads on the state folder, when this server follows: ``process 123``.
    follows: str = ""
    #: Whether sessions can be suspended.
    suspends: bool = False
    #: Seconds for which people may have a session kept at a time; 0: not at all.
    max_extension: float = 0.0
