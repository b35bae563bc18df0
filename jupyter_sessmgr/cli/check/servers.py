"""Look at the Jupyter servers that run, and at whether sessions can reach them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from jupyter_sessmgr.cli.check.findings import Finding
from jupyter_sessmgr.cli.failures import CommandFailed
from jupyter_sessmgr.cli.servers import (
    Server,
    find_server,
    has_extension,
    request,
    running_servers,
    token_for,
)

_RELOAD = (
    "Start it again, from this environment; `jupyter server extension list` says what it loads."
)


def look_at_servers(url: str | None) -> Iterator[Finding]:
    """Check each running server, or the one that was named."""
    if url is not None:
        try:
            named = find_server(url, None)
        except CommandFailed as error:
            yield Finding("fail", "server", error.message)
            return
        if named is not None:
            yield health_of(named)
        return
    infos = running_servers()
    if not infos:
        yield Finding("ok", "server", "none runs at the moment")
    for info in infos:
        yield from _look_at(info)


def _look_at(info: dict[str, Any]) -> Iterator[Finding]:
    server = Server(str(info.get("url", "")), token_for(info), info.get("pid"))
    if not has_extension(server):
        yield Finding("warn", "server", f"{server.url} runs without this extension", _RELOAD)
        return
    yield health_of(server)
    if is_reachable_from_outside(str(info.get("hostname", ""))):
        yield Finding(
            "warn",
            "server address",
            f"{server.url} listens on {info.get('hostname') or 'all addresses'}, so other machines "
            "can connect to it, and so can code in sessions where no packet filter prevents it "
            "(all still need its token)",
            "Start it with --ServerApp.ip=127.0.0.1 unless that is wanted; see "
            "docs/how-to/security.md.",
        )


def health_of(server: Server) -> Finding:
    """Ask a server how its manager is."""
    try:
        reply = request(server, "GET", "sessmgr/api/health")
    except CommandFailed as error:
        return Finding("fail", "server", error.message)
    health = reply.json()
    if reply.status != HTTPStatus.OK or not isinstance(health, dict):
        return Finding(
            "warn",
            "server",
            f"{server.url} does not tell how it is ({reply.status})",
            "Set JUPYTER_TOKEN to its token.",
        )
    if not health.get("available"):
        return Finding("fail", "server", f"{server.url}: {health.get('reason')}")
    if health.get("follows"):
        return Finding(
            "ok",
            "server",
            f"{server.url} follows {health['follows']}: it uses the same sessions, and takes over "
            "when that one ends",
        )
    return Finding("ok", "server", f"{server.url} runs sessions on {health.get('engine')}")


def is_reachable_from_outside(host: str) -> bool:
    """Tell whether a server that listens on `host` can be reached from other machines."""
    if host.startswith("/") or urlsplit(host).scheme == "http+unix":
        return False
    if host in {"", "*"}:
        return True
    try:
        return not ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host != "localhost" and not host.endswith(".localhost")
