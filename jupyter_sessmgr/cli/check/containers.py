"""Look at why a container engine does not answer: each cause has a remedy of its own."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

from traitlets.config import Config

from jupyter_sessmgr.cli.check.findings import Finding, Level
from jupyter_sessmgr.engines.docker.address import host_of, socket_path

#: Seconds to wait for the engine's socket to take a connection.
CONNECT_TIMEOUT = 3.0
_TOPIC = "container engine"


def look_at_containers(config: Config) -> Iterator[Finding]:
    """Check the engine's socket, unless the configuration wants no container engine."""
    wanted = _configured(config, "ComputeSessionManager", "engine") or "auto"
    if wanted not in {"auto", "docker"}:
        return
    host = host_of(config)
    path = socket_path(host)
    if path is None:
        yield Finding("ok", _TOPIC, f"at {host}")
        return
    yield socket_of(path, "fail" if wanted == "docker" else "warn")


def socket_of(path: Path, level: Level) -> Finding:
    """Say whether an engine listens on a socket file; `level` is how grave it is when not."""
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(CONNECT_TIMEOUT)
            probe.connect(str(path))
    except FileNotFoundError:
        return _missing(path, level)
    except PermissionError:
        return Finding(
            level,
            _TOPIC,
            f"you may not use {path}",
            f"Run `sudo usermod -aG docker {_user()}` and log in again (that is as much as being "
            "root), or use a rootless engine: see docs/how-to/podman.md.",
        )
    except OSError as error:
        return Finding(
            level,
            _TOPIC,
            f"nothing answers at {path} ({error.strerror or error})",
            "Start the engine: `sudo systemctl start docker`.",
        )
    return Finding("ok", _TOPIC, f"listens on {path}")


def _missing(path: Path, level: Level) -> Finding:
    programs = [name for name in ("dockerd", "docker", "podman") if shutil.which(name)]
    if not programs:
        return Finding(
            level,
            _TOPIC,
            "none is installed",
            "Install Docker or Podman (`sudo apt-get install docker.io`) to have containers.",
        )
    if "podman" in programs and len(programs) == 1:
        remedy = "Run `systemctl --user enable --now podman.socket`; see docs/how-to/podman.md."
    else:
        remedy = "Start the engine (`sudo systemctl start docker`), or set DOCKER_HOST."
    return Finding(level, _TOPIC, f"installed, but {path} is not there", remedy)


def _configured(config: Config, section: str, trait: str) -> str:
    value = config.get(section, {}).get(trait, "")
    return str(value) if value else ""


def _user() -> str:
    return os.environ.get("USER") or os.environ.get("LOGNAME") or "$USER"
