"""Where the Docker engine is. Does without Docker's library, which takes long to load."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from traitlets.config import Config

DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
NO_SOCKET: Final = "there is no such socket. Install or start Docker, or set DOCKER_HOST."
NO_ANSWER: Final = "No Docker engine answers at {host}: {cause}"
_UNIX = "unix://"


def host_of(config: Config) -> str:
    """Say where the engine is: as configured, else as Docker's own programs take it."""
    configured = config.get("DockerEngine", {}).get("docker_host", "")
    return str(configured or os.environ.get("DOCKER_HOST") or DEFAULT_HOST)


def socket_path(host: str) -> Path | None:
    """Return the file of an engine's Unix socket; None when it is reached otherwise."""
    return Path(host.removeprefix(_UNIX)) if host.startswith(_UNIX) else None


def absence(host: str) -> str:
    """Say that nobody can answer at an address; "" when somebody may. Blocks, shortly."""
    path = socket_path(host)
    if path is None or os.path.lexists(path):
        return ""
    return NO_ANSWER.format(host=host, cause=NO_SOCKET)
