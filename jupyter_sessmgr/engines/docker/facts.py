"""What kind of engine answers: its identity, what it can do, and how near it is."""

from __future__ import annotations

import hashlib
import ipaddress
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

_MACHINE_ID = Path("/etc/machine-id")
_GPUS = Path("/proc/driver/nvidia/gpus")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What an engine says of itself."""

    engine_id: str
    #: ``Docker 20.10.24`` or ``Podman 4.3.1``, for people.
    title: str
    podman: bool
    #: It runs without root: its user 0 is the person who runs it.
    rootless: bool
    #: Its containers' users are not the host's.
    remapped: bool
    cpus: Decimal | None
    mem: int | None
    hard_memory: bool
    swap_limit: bool
    hard_cpu: bool
    pids: bool
    #: The NVIDIA runtime is there, or devices by name (CDI).
    gpu_runtime: bool
    gpu_names: tuple[str, ...]
    host_name: str
    root_folder: str


def read_facts(info: Mapping[str, Any], version: Mapping[str, Any]) -> Facts:
    """Read the answers to ``GET /info`` and ``GET /version``. Pure but for `podman_id`."""
    components = version.get("Components") or ()
    podman = any("podman" in str(one.get("Name", "")).lower() for one in components)
    security = [str(option) for option in info.get("SecurityOptions") or ()]
    number = str(info.get("ServerVersion") or version.get("Version") or "")
    return Facts(
        engine_id=podman_id(info) if podman else str(info.get("ID") or ""),
        title=f"{'Podman' if podman else 'Docker'} {number}".strip(),
        podman=podman,
        rootless=bool(info.get("Rootless")) or "name=rootless" in security,
        remapped="name=userns" in security,
        cpus=Decimal(info["NCPU"]) if info.get("NCPU") else None,
        mem=int(info["MemTotal"]) if info.get("MemTotal") else None,
        hard_memory=bool(info.get("MemoryLimit", True)),
        swap_limit=bool(info.get("SwapLimit", True)),
        hard_cpu=bool(info.get("CpuCfsQuota", True)),
        pids=bool(info.get("PidsLimit", True)),
        gpu_runtime=not podman and "nvidia" in (info.get("Runtimes") or {}),
        gpu_names=_gpu_names(info),
        host_name=str(info.get("Name") or ""),
        root_folder=str(info.get("DockerRootDir") or ""),
    )


def podman_id(info: Mapping[str, Any]) -> str:
    """Make an identity of an engine that tells another one in each answer.

    The same host and the same storage are the same engine.
    """
    try:
        machine = _MACHINE_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        machine = ""
    words = (machine, str(info.get("Name") or ""), str(info.get("DockerRootDir") or ""))
    return f"podman-{hashlib.sha256(chr(0).join(words).encode()).hexdigest()[:24]}"


def _gpu_names(info: Mapping[str, Any]) -> tuple[str, ...]:
    devices = info.get("DiscoveredDevices") or ()
    names = [str(one.get("ID", "")) for one in devices if one.get("Source") == "cdi"]
    return tuple(
        name for name in names if name.startswith("nvidia.com/gpu=") and not name.endswith("=all")
    )


def count_gpus(facts: Facts, *, local: bool) -> int:
    """Say how many GPUs sessions can have; 0 when the engine cannot give any. Reads /proc."""
    if facts.gpu_names:
        return len(facts.gpu_names)
    if not facts.gpu_runtime or not local:
        return 0
    try:
        return sum(1 for _ in _GPUS.iterdir())
    except OSError:
        return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearness:
    """How this server and an engine's containers can meet."""

    #: Containers are reached by their own addresses; otherwise by ports on the loopback address.
    by_address: bool
    #: The engine is on this machine, and its interfaces are this server's.
    local_network: bool
    #: The engine is on this machine, as far as its address tells.
    near: bool
    #: The engine mounts the folders that this server sees.
    same_files: bool


def judge_nearness(
    host: str,
    facts: Facts,
    networks: Sequence[Mapping[str, Any]],
    reach: str,
    *,
    forced_files: bool | None = None,
) -> Nearness:
    """Judge from the engine's address and its own addresses on networks of containers.

    Parameters
    ----------
    host
        The engine's address.
    networks
        Bridge networks, as the engine lists them.
    reach
        What the administrator says: "auto", "address" or "published".
    forced_files
        What the administrator says of folders; None: judge.
    """
    by_socket = host.startswith(("unix:", "/"))
    near = by_socket or _is_loopback(host)
    gateways = [gateway for gateway in map(gateway_of, networks) if gateway]
    if facts.podman or not gateways:  # its interfaces come with the first container
        local = by_socket and not facts.rootless and _same_machine(facts)
    else:
        local = near and any(is_own_address(gateway) for gateway in gateways)
    by_address = local if reach == "auto" else reach == "address"
    same_files = by_socket and _same_machine(facts) if forced_files is None else forced_files
    return Nearness(by_address=by_address, local_network=local, near=near, same_files=same_files)


def gateway_of(network: Mapping[str, Any]) -> str:
    """Return the engine's own address on a network; "" when it has none."""
    for part in (network.get("IPAM") or {}).get("Config") or ():
        if part.get("Gateway"):
            return str(part["Gateway"]).partition("/")[0]
        if part.get("Subnet"):
            return _first_address(str(part["Subnet"]))
    return ""


def _first_address(subnet: str) -> str:
    """Return what the engine takes for itself when nothing else was said."""
    try:
        return str(ipaddress.IPv4Network(subnet, strict=False)[1])
    except (ValueError, IndexError):
        return ""


def is_own_address(address: str) -> bool:
    """Tell whether an address is one of this machine's own, as only those can be bound."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    name = host.partition("://")[2].rpartition(":")[0]
    return name in ("localhost", "127.0.0.1", "[::1]")


def _same_machine(facts: Facts) -> bool:
    """Tell whether the engine's files are ours: its host has our name, and its folder is here.

    A server that is itself in a container has another name, or does not see that folder.
    """
    try:
        return facts.host_name == socket.gethostname() and Path(facts.root_folder).is_dir()
    except OSError:
        return False


def make_notes(
    facts: Facts, nearness: Nearness, *, host: str, shut: bool, advice: str
) -> Sequence[str]:
    """Say what people should know, a sentence each."""
    how = "their own addresses" if nearness.by_address else "ports on 127.0.0.1"
    notes = [f"{facts.title} at {host}; sessions are reached by {how}."]
    if not nearness.by_address:
        notes.append(
            "Sessions without network access cannot be had here, because ports cannot be "
            "published on such a network."
        )
    if not nearness.same_files:
        notes.append(
            "The engine does not seem to see this machine's folders, so none is mounted; set "
            "DockerEngine.host_mounts if it does."
        )
    if shut:
        notes.append("Sessions reach neither this machine's own services nor 169.254.0.0/16.")
    else:
        notes.append(
            "Code in sessions can reach services on this machine that listen on other addresses "
            "than 127.0.0.1, and, with network access, a cloud's metadata service. To prevent "
            f"it, as root: {advice}"
        )
    notes += _shortcomings(facts)
    return tuple(notes)


def _shortcomings(facts: Facts) -> list[str]:
    notes = []
    if facts.podman:
        notes.append(
            "Podman cannot keep sessions of one network from connecting to each other; kernels "
            "are protected by their keys and by encryption."
        )
    if not facts.hard_memory:
        notes.append("The engine does not enforce memory limits.")
    elif not facts.swap_limit:
        notes.append("The engine does not limit swap, so sessions may use more than their memory.")
    if not facts.hard_cpu:
        notes.append("The engine does not enforce processor limits.")
    if facts.remapped:
        notes.append(
            "The engine maps users (userns-remap), so files in mounted folders belong to others."
        )
    return notes
