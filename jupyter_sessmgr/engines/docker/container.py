"""What is asked of the engine for one place, and what its answers mean. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jupyter_sessmgr.engines.base import Found, Layout, Observation, Signer
from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.model.naming import place_name
from jupyter_sessmgr.model.ports import (
    AGENT,
    KERNEL_CHANNELS,
    Endpoint,
    ServicePort,
    parse_service_ports,
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

AGENT_PORT = 41000
KERNEL_PORTS = (41001, 41002, 41003, 41004, 41005)
HOME, RUNTIME_DIR = "/home/work", "/run/sessmgr"
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
_SIGNALS = 128
_OOM_CODE = 137
_NOT_FOUND = (126, 127)

#: States that the engine lists and that a container does not leave by itself. Every other one,
#: those not known here included, counts as running.
TERMINAL = frozenset({"exited", "dead", "stopped"})


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
            for m in spec.mounts
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


def _limits(spec: SessionSpec, hardening: Hardening) -> dict[str, Any]:
    resources = spec.resources
    limits: dict[str, Any] = {
        "PidsLimit": resources.pids,
        "ShmSize": resources.shmem,
        "Ulimits": [
            {"Name": "nofile", "Soft": hardening.nofile, "Hard": hardening.nofile},
            {"Name": "core", "Soft": hardening.core_size, "Hard": hardening.core_size},
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
    # A folder that the image has keeps its mode, so belonging to the user is what counts.
    mine = f"uid={uid},gid={gid}"
    # ``exec``: pip builds in /tmp, and installs libraries into the home folder.
    scratch = f"rw,exec,nosuid,nodev,size={hardening.home_size},{mine},mode=0700"
    tmpfs = {
        "/tmp": f"rw,exec,nosuid,nodev,size={hardening.tmp_size},mode=1777",  # noqa: S108 - inside
        "/run": f"rw,noexec,nosuid,nodev,size={hardening.run_size},{mine},mode=0755",
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
    for service in spec.service_ports:
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


def item_name(item: Mapping[str, Any]) -> str:
    """Return the name of a container, of a list or an inspection."""
    names = item.get("Names") or [item.get("Name") or ""]
    return str(names[0]).removeprefix("/")


def item_labels(item: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the labels of a container, of a list or an inspection."""
    return item.get("Labels") or (item.get("Config") or {}).get("Labels") or {}


def item_state(item: Mapping[str, Any]) -> str:
    """Return the state of a container, of a list or an inspection, in lower case."""
    state = item.get("State")
    return str(state.get("Status", "") if isinstance(state, Mapping) else state or "").lower()


def found(signer: Signer, item: Mapping[str, Any]) -> Found:
    """Say what one item of a list of containers is to us."""
    labels, name = item_labels(item), item_name(item)
    state = item_state(item)
    return Found(
        name=name,
        key=str(item.get("Id", "")),
        install_id=labels.get(INSTALL, ""),
        place_id=labels.get(PLACE, ""),
        signed=is_ours(signer, name, labels),
        running=state not in TERMINAL | {"created", "configured"},
        created_at=_seconds(item.get("Created")),
    )


def endpoints(item: Mapping[str, Any]) -> tuple[Endpoint, ...]:
    """Say where a container is reached, by an item of a list or an inspection.

    Empty as long as it has no address.
    """
    wanted = [(AGENT, AGENT_PORT), *zip(KERNEL_CHANNELS, KERNEL_PORTS, strict=True)]
    try:
        services = parse_service_ports(item_labels(item).get(SERVICES, ""))
    except InvalidRequest:
        services = ()
    wanted += [(service.name, port) for service in services for port in service.ports]
    published = _published(item)
    address = _address(item)
    if published:
        return tuple(
            Endpoint(name, LOOPBACK, published[port]) for name, port in wanted if port in published
        )
    return tuple(Endpoint(name, address, port) for name, port in wanted) if address else ()


def _address(item: Mapping[str, Any]) -> str:
    networks = (item.get("NetworkSettings") or {}).get("Networks") or {}
    addresses = (str((network or {}).get("IPAddress") or "") for network in networks.values())
    return next(filter(None, addresses), "")


def _published(item: Mapping[str, Any]) -> dict[int, int]:
    """Map ports inside to ports on the loopback address."""
    listed = item.get("Ports")
    if listed is not None:
        return {one["PrivatePort"]: one["PublicPort"] for one in listed if one.get("PublicPort")}
    ports = (item.get("NetworkSettings") or {}).get("Ports") or {}
    return {
        int(inside.partition("/")[0]): int(outside[0]["HostPort"])
        for inside, outside in ports.items()
        if outside and outside[0].get("HostPort")
    }


def observation(
    item: Mapping[str, Any], inspection: Mapping[str, Any] | None = None
) -> Observation:
    """Say how a place is, by an item of a list.

    `inspection` is needed of one that does not run, for its exit code and why it ended.
    """
    state, details = item_state(item), (inspection or {}).get("State") or {}
    error = str(details.get("Error") or "")
    created = state in ("created", "configured")
    ended = state in TERMINAL or (created and bool(error))
    code = details.get("ExitCode") if ended else None
    oom = bool(details.get("OOMKilled")) and code == _OOM_CODE and state in TERMINAL
    return Observation(
        exists=True,
        running=not ended,
        paused=state == "paused",
        exit_code=code,
        oom=oom,
        reason=why_ended(code, oom=oom, error=error) if ended else "",
        endpoints=() if ended else endpoints(item),
        key=str(item.get("Id", "")),
    )


def needs_inspection(item: Mapping[str, Any]) -> bool:
    """Tell whether a list does not say enough of a container: it ended, or never began."""
    return item_state(item) in TERMINAL | {"created", "configured"}


def why_ended(code: int | None, *, oom: bool, error: str) -> str:
    """Say for people why a container does not run any more."""
    if oom:
        return "The session was ended because it used more memory than it may have."
    if error:
        return f"The session could not be started: {error[:300]}"
    if code in _NOT_FOUND:
        return (
            f"The image's Python could not be run (exit code {code}). The image needs Python 3.8 "
            "or later, in its PATH or named by its label ai.backend.runtime-path."
        )
    if code is not None and code > _SIGNALS:
        return (
            f"The session's container was ended by signal {code - _SIGNALS} from outside: by "
            "somebody, or because the engine was restarted."
        )
    return f"The session's container ended by itself with exit code {code}."


def _seconds(created: object) -> float:
    return float(created) if isinstance(created, int | float) else 0.0
