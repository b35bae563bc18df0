"""Puts together what an agent is told when it starts: its secrets, its kernel, its lease."""

from __future__ import annotations

from typing import Any

from jupyter_sessmgr.engines.base import Layout
from jupyter_sessmgr.manager.agents.boot import make_boot
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.manager.loop.claims import make_claim
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.model.naming import service_path
from jupyter_sessmgr.model.ports import KERNEL_CHANNELS
from jupyter_sessmgr.model.session import ComputeSession, Place

#: Seconds without any server after which a session ends by itself.
DURABLE_LEASE = 24 * 3600.0
INTERACTIVE_LEASE = 90.0
#: The same of a spare, which is nobody's session yet.
SPARE_LEASE = 90.0
#: Seconds that a session's bootstrap script may take; its kernel's own time begins after.
BOOTSTRAP_DEADLINE = 600.0
#: Of a session's memory, one part may be its journal.
_JOURNAL_PART = 16


def boot_bytes(session: ComputeSession, place: Place, parts: Parts) -> bytes:
    """Make what the engine feeds to the agent's standard input."""
    spec, secrets = session.spec, parts.secrets
    layout = parts.engine.layout(place, spec)
    certificate, private_key = secrets.agent_certificate(place.id)
    return make_boot(
        {
            "protocol": 1,
            "place_id": place.id,
            "install_id": secrets.install_id,
            "claim": make_claim(session, secrets),
            "token": secrets.agent_token(place.id),
            "certificate": certificate,
            "private_key": private_key,
            "listen": {
                "transport": layout.agent_transport,
                "address": layout.agent_address,
                "port": layout.agent_port,
            },
            "runtime_dir": layout.runtime_dir,
            "landing": layout.landing,
            "home": layout.home,
            "workdir": spec.workdir or layout.workdir,
            "owns_pids": layout.owns_pids,
            "environ": {**layout.environ, **spec.environ},
            "lease": lease_of(session, place),
            "limits": _limits(session, parts),
            "journal": _journal(session, layout, parts),
            "bootstrap": spec.bootstrap_script,
            "bootstrap_deadline": BOOTSTRAP_DEADLINE,
            "kernel": kernel_config(session, place, layout, secrets, parts.memory.base_url)
            if spec.kernel or spec.session_type == "batch"
            else None,
        }
    )


def lease_of(session: ComputeSession, place: Place) -> float:
    """Say how long a place lives without a word from a server, in seconds."""
    if place.session_id is None:
        return SPARE_LEASE
    return DURABLE_LEASE if session.spec.durable else INTERACTIVE_LEASE


def _journal(session: ComputeSession, layout: Layout, parts: Parts) -> dict[str, Any] | None:
    """Say where the kernel's output is kept, and how much of it; None: there is no kernel."""
    if not session.spec.kernel or session.spec.session_type == "batch":
        return None
    size, age = parts.memory.journal_bounds
    memory = session.spec.resources.mem
    if memory is not None and not layout.journal_dir:  # it lies in the session's own memory
        size = min(size, memory // _JOURNAL_PART)
    folder = layout.journal_dir or f"{layout.runtime_dir}/journal"
    return {"folder": folder, "max_bytes": size, "max_age": age}


def _limits(session: ComputeSession, parts: Parts) -> dict[str, Any]:
    can, resources = parts.engine.capabilities, session.spec.resources
    return {
        "mem": resources.mem,
        "pids": resources.pids,
        "rlimits": not can.pids,
        "watchdog": not can.hard_memory,
    }


def kernel_config(
    session: ComputeSession,
    place: Place,
    layout: Layout,
    secrets: InstallationSecrets,
    base_url: str = "/",
) -> dict[str, Any]:
    """Say which kernel the agent is to run, or which command in its place.

    The same words again are harmless. `base_url` is the path of the server whose pages show
    services.
    """
    spec = session.spec
    if spec.session_type == "batch":
        return {
            "generation": session.generation,
            "name": "",
            "argv": ["/bin/sh", "-c", spec.startup_command],
            "workdir": spec.workdir or layout.workdir,
        }
    connection: dict[str, Any] = {
        "transport": layout.kernel_transport,
        "ip": layout.kernel_address,
        "key": secrets.kernel_key(place.id),
        "signature_scheme": "hmac-sha256",
        "kernel_name": spec.kernel,
        "jupyter_session": spec.jupyter_session,
    }
    for channel, port in zip(KERNEL_CHANNELS, layout.kernel_ports, strict=True):
        connection[f"{channel}_port"] = port
    curve = None
    if spec.encryption != "disabled":
        public, secret = secrets.curve_keys(place.id)
        curve = {"public": public, "secret": secret}
    return {
        "generation": session.generation,
        "name": spec.kernel,
        "environ": volatile_environ(session, base_url) if place.session_id else {},
        "connection": connection,
        "curve": curve,
        "encryption": spec.encryption,
        "workdir": spec.workdir or layout.workdir,
        "spare": place.session_id is None,
    }


def volatile_environ(session: ComputeSession, base_url: str) -> dict[str, str]:
    """Name what a kernel is told of its very session; a spare is told when it is claimed."""
    spec = session.spec
    environ = {"JPY_SESSION_NAME": spec.jupyter_session} if spec.jupyter_session else {}
    if any(one.name == "tensorboard" for one in spec.service_ports):
        # Where the frame is from that `%tensorboard` shows; it fills in the port.
        shown = service_path(base_url, session.id, "").rstrip("/") + "/%PORT%/"
        environ["TENSORBOARD_PROXY_URL"] = spec.environ.get("TENSORBOARD_PROXY_URL", shown)
    return environ


def connection_info(session: ComputeSession, secrets: InstallationSecrets) -> dict[str, Any]:
    """Say how a client of Jupyter reaches the session's kernel, in Jupyter's own terms."""
    endpoints = {name: session.endpoint(name) for name in KERNEL_CHANNELS}
    shell = endpoints["shell"]
    info: dict[str, Any] = {
        "transport": "ipc" if shell is not None and shell.transport == "ipc" else "tcp",
        "ip": shell.host if shell is not None else "",
        "key": secrets.kernel_key(session.place_id).encode(),
        "signature_scheme": "hmac-sha256",
    }
    for name, endpoint in endpoints.items():
        info[f"{name}_port"] = endpoint.port if endpoint is not None else 0
    if session.encrypted:
        public, secret = secrets.curve_keys(session.place_id)
        info["curve_publickey"] = public.encode()
        info["curve_secretkey"] = secret.encode()
    return info
