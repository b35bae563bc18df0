"""What is asked of the engine for one place. Pure; `answers` is its counterpart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jupyter_sessmgr.engines.base import Layout, Signer
from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.model.mounts import Mount
from jupyter_sessmgr.model.naming import place_name
from jupyter_sessmgr.model.ports import (
    ServicePort,
)
from jupyter_sessmgr.model.session import Place, SessionSpec

#: Labels of a container; labels of its image are merged into them, so all are always set.
INSTALL = "jupyter-sessmgr.install"
PLACE = "jupyter-sessmgr.place"
PURPOSE = "jupyter-sessmgr.purpose"
SIGNATURE = "jupyter-sessmgr.signature"
#: Its service ports, as the image label ``ai.backend.service-ports`` spells them.
SERVICES = "jupyter-sessmgr.services"
#: One run of `Engine.start`; a container of an earlier run may hold half an agent in its input.
ATTEMPT = "jupyter-sessmgr.attempt"

#: Below the range from which the system takes ports by itself: on a network of its own the engine
#: listens for names on such a port inside the container, and might have been first.
AGENT_PORT = 21000
KERNEL_PORTS = (21001, 21002, 21003, 21004, 21005)
HOME, RUNTIME_DIR = "/home/work", "/run/sessmgr"
#: Room in `RUNTIME_DIR` for what the kernel said, in bytes; it takes half of all at most.
JOURNAL_SIZE = 48 * 2**20
#: Where the server's sockets are; see `landings`.
LANDING = "/run/sessmgr-landing"
LAYOUT = Layout(
    kernel_transport="tcp",
    kernel_address="0.0.0.0",  # noqa: S104 - inside the container's own network
    kernel_ports=KERNEL_PORTS,
    agent_transport="tcp",
    agent_address="0.0.0.0",  # noqa: S104 - as above
    agent_port=AGENT_PORT,
    runtime_dir=RUNTIME_DIR,
    home=HOME,
    workdir=HOME,
    owns_pids=True,
)

#: Where ports are published, if they must be: nowhere but here.
LOOPBACK = "127.0.0.1"
_CPU = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardening:
    """What every container of ours gets; see the traits of `DockerEngine`."""

    user: tuple[int, int]
    tmp_size: int
    home_size: int
    run_size: int = 16 * 2**20
    nofile: int
    core_size: int = 0
    log_max_size: int
    log_max_files: int
    cap_add: tuple[str, ...] = ()
    read_only_root: bool = True
    no_new_privileges: bool = True
    swap: bool = False
    #: A seccomp profile as JSON; "" means the engine's own.
    seccomp: str = ""
    runtime: str = ""
    #: Processes of the user on the whole machine; None leaves it to the engine.
    nproc: int | None = None
    #: The engine is Podman, which spells some things in another way.
    podman: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What one container is made from, besides its spec."""

    network: str
    #: Publish ports on the loopback address, since the container's own cannot be reached.
    published: bool
    #: Entry point: an interpreter by its absolute path, and what it runs.
    command: Sequence[str]
    labels: Mapping[str, str]
    #: Folder of the host that becomes `LANDING`; "" for none.
    landing: str = ""
    #: Folders that the image declares as volumes.
    volumes: Sequence[str] = ()
    #: How processors of ``cuda.device`` are asked for.
    gpus: Sequence[str] = ()


def make_labels(signer: Signer, place: Place, spec: SessionSpec, attempt: str) -> dict[str, str]:
    """Make all of our labels (THREATS F7)."""
    purpose = "session"
    signature = signer.sign("place", signer.install_id, place.id, purpose)
    return {
        INSTALL: signer.install_id,
        PLACE: place.id,
        PURPOSE: purpose,
        SIGNATURE: signature,
        SERVICES: ",".join(_spell(service) for service in spec.service_ports),
        ATTEMPT: attempt,
    }


def is_ours(signer: Signer, name: str, labels: Mapping[str, str]) -> bool:
    """Tell whether a container is provably one of this installation's places."""
    install, place = labels.get(INSTALL, ""), labels.get(PLACE, "")
    words = ("place", install, place, labels.get(PURPOSE, ""))
    return (
        install == signer.install_id
        and name == place_name(install, place)
        and signer.verify(labels.get(SIGNATURE, ""), *words)
    )


def make_config(spec: SessionSpec, shape: Shape, hardening: Hardening) -> dict[str, Any]:
    """Make the body of ``POST /containers/create``.

    Raises
    ------
    InvalidRequest
        naming what of the spec a container cannot have.
    """
    _refuse_unsupported(spec)
    ports = _all_ports(spec) if shape.published else ()
    uid, gid = hardening.user
    return {
        "Image": spec.image,
        "Entrypoint": list(shape.command),
        "Cmd": [],
        "User": f"{uid}:{gid}",
        # Session variables and secrets travel by standard input; this one is for the interpreter.
        "Env": [f"HOME={HOME}"],
        "WorkingDir": "/",
        "Labels": dict(shape.labels),
        "StopSignal": "SIGTERM",
        "Healthcheck": {"Test": ["NONE"]},
        "Tty": False,
        "OpenStdin": True,
        "StdinOnce": True,
        "AttachStdin": True,
        "AttachStdout": False,
        "AttachStderr": False,
        "ExposedPorts": {f"{port}/tcp": {} for port in ports},
        "HostConfig": _host_config(spec, shape, hardening, ports),
    }


def _host_config(
    spec: SessionSpec, shape: Shape, hardening: Hardening, ports: Sequence[int]
) -> dict[str, Any]:
    return {
        "NetworkMode": shape.network,
        "PortBindings": {f"{port}/tcp": [{"HostIp": LOOPBACK, "HostPort": ""}] for port in ports},
        "PublishAllPorts": False,
        "Privileged": False,
        "CapDrop": ["ALL"],
        "CapAdd": list(hardening.cap_add),
        "SecurityOpt": _security(hardening),
        "ReadonlyRootfs": hardening.read_only_root,
        "Tmpfs": _tmpfs(spec, shape, hardening),
        "Mounts": [
            {"Type": "bind", "Source": m.source, "Target": m.target, "ReadOnly": m.read_only}
            for m in (*spec.mounts, *_landing(shape))
        ],
        "IpcMode": "private",
        "Init": False,
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        "LogConfig": _log_config(hardening),
        **_limits(spec, hardening),
        **({"Runtime": hardening.runtime} if hardening.runtime else {}),
        **_devices(spec, shape),
    }


def _landing(shape: Shape) -> tuple[Mount, ...]:
    return (Mount(name="", source=shape.landing, target=LANDING),) if shape.landing else ()


def _limits(spec: SessionSpec, hardening: Hardening) -> dict[str, Any]:
    resources = spec.resources
    limits: dict[str, Any] = {
        "PidsLimit": resources.pids,
        "ShmSize": resources.shmem,
        "Ulimits": [
            {"Name": name, "Soft": limit, "Hard": limit}
            for name, limit in (
                ("nofile", hardening.nofile),
                ("core", hardening.core_size),
                ("nproc", hardening.nproc),
            )
            if limit is not None
        ],
    }
    if resources.mem is not None:
        limits["Memory"] = resources.mem
        # The same number means: no swap. 0 leaves it to the engine.
        limits["MemorySwap"] = 0 if hardening.swap else resources.mem
    if resources.cpu is not None:
        limits["NanoCpus"] = int(resources.cpu * _CPU)
    return limits


def _security(hardening: Hardening) -> list[str]:
    options = ["no-new-privileges"] if hardening.no_new_privileges else []
    if hardening.seccomp:
        options.append(f"seccomp={hardening.seccomp}")
    return options


def _log_config(hardening: Hardening) -> dict[str, Any]:
    size = {"max-size": str(hardening.log_max_size)}
    if hardening.podman:  # has one file, which it cuts
        return {"Type": "k8s-file", "Config": size}
    return {"Type": "json-file", "Config": {**size, "max-file": str(hardening.log_max_files)}}


def _tmpfs(spec: SessionSpec, shape: Shape, hardening: Hardening) -> dict[str, str]:
    """Say what is writable besides mounts; all of it counts as the session's memory."""
    uid, gid = hardening.user
    # A folder that the image has keeps its mode, so belonging to the user is what counts. Podman
    # knows no such option, so there a folder that no image has is open to all in the container.
    mine = "mode=1777" if hardening.podman else f"mode=0700,uid={uid},gid={gid}"
    # ``exec``: pip builds in /tmp, and installs libraries into the home folder.
    scratch = f"rw,exec,nosuid,nodev,size={hardening.home_size},{mine}"
    tmpfs = {
        "/tmp": f"rw,exec,nosuid,nodev,size={hardening.tmp_size},mode=1777",  # noqa: S108 - inside
        "/run": f"rw,noexec,nosuid,nodev,size={hardening.run_size},{mine}",
        RUNTIME_DIR: f"rw,noexec,nosuid,nodev,size={hardening.run_size + JOURNAL_SIZE},{mine}",
        HOME: scratch,
    }
    if hardening.read_only_root:
        # A volume would be as large as the disk, and would have to be found and removed.
        tmpfs = {**dict.fromkeys(shape.volumes, scratch), **tmpfs}
    mounted = {mount.target for mount in spec.mounts}
    return {target: options for target, options in tmpfs.items() if target not in mounted}


def _devices(spec: SessionSpec, shape: Shape) -> dict[str, Any]:
    count = spec.resources.devices.get("cuda.device", 0)
    if not count:
        return {}
    if shape.gpus:
        return {"DeviceRequests": [{"Driver": "cdi", "DeviceIDs": list(shape.gpus[:count])}]}
    return {"DeviceRequests": [{"Driver": "nvidia", "Count": count, "Capabilities": [["gpu"]]}]}


def _refuse_unsupported(spec: SessionSpec) -> None:
    if spec.command:
        raise InvalidRequest("command: a container runs the session's agent and nothing else.")
    if spec.cluster_size != 1:
        raise InvalidRequest("cluster: a session has one container on this engine.")
    unknown = [slot for slot, n in spec.resources.devices.items() if n and slot != "cuda.device"]
    if unknown:
        raise InvalidRequest(f"resources: this engine has no {unknown[0]!r:.60}.")
    taken = {AGENT_PORT, *KERNEL_PORTS}
    opened = ServicePort("preopen_ports", "preopen", spec.preopen_ports)
    for service in (*spec.service_ports, opened):
        if taken & set(service.ports):
            raise InvalidRequest(
                f"service ports: {service.name} wants a port between {AGENT_PORT} and "
                f"{max(KERNEL_PORTS)}, which the session needs itself."
            )


def _all_ports(spec: SessionSpec) -> tuple[int, ...]:
    services = (port for service in spec.service_ports for port in service.ports)
    return (AGENT_PORT, *KERNEL_PORTS, *services)


def _spell(service: ServicePort) -> str:
    ports = ",".join(map(str, service.ports))
    ports = ports if len(service.ports) == 1 else f"[{ports}]"
    return f"{service.name}:{service.protocol}:{ports}"
