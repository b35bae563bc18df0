"""Service ports (promised) and endpoints (reachable now)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from jupyter_sessmgr.model.errors import InvalidRequest

#: What an endpoint's `host` and `port` mean: an address, or a socket file.
Transport = Literal["tcp", "unix", "ipc"]

#: The five sockets of a kernel, in the order jupyter_client lists them.
KERNEL_CHANNELS = ("shell", "iopub", "stdin", "hb", "control")

#: The name of the endpoint where the agent of a place listens.
AGENT = "agent"

#: What a service port may be; below lie privileged ports, above nothing useful.
LOWEST_PORT, HIGHEST_PORT = 1025, 65534
PROTOCOLS = frozenset({"tcp", "http", "preopen", "pty"})
#: Ports that one session may have opened by its user.
MOST_PREOPEN = 32
_PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
_PORT_ITEM = re.compile(
    r"(?P<name>[a-z][a-z0-9_-]{0,31}):(?P<protocol>[a-z]+):(?:(?P<port>[0-9]{1,5})|\[(?P<ports>[0-9,]{1,80})\])",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port that the image or the request says will listen inside the session."""

    name: str
    protocol: str
    ports: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """How the pages of a service are shown to a browser."""

    #: "" of what has no pages.
    isolation: Literal["", "subdomain", "sandbox", "same-origin", "refused"] = ""
    #: The same in a sentence or two, with the reason.
    info: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where something of a session can be reached now, as seen from the server.

    `transport` "tcp": `host` and `port`. "unix": `host` is the socket file, `port` 0.
    "ipc" (ZeroMQ): `host` is the path's prefix, the socket file is ``{host}-{port}``.
    """

    name: str
    host: str
    port: int
    transport: Transport = "tcp"


def parse_service_ports(label: str) -> tuple[ServicePort, ...]:
    """Read the image label ``ai.backend.service-ports``: ``name:protocol:port``, joined by commas.

    Raises
    ------
    InvalidRequest
        for duplicates, trailing garbage, and ports outside 1025-65534.
    """
    services: list[ServicePort] = []
    position = 0
    while position < len(label):
        match = _PORT_ITEM.match(label, position)
        if match is None:
            raise InvalidRequest(f"service ports: cannot read {label[position:][:60]!r}.")
        services.append(_service(match))
        position = match.end()
        if position < len(label):
            if label[position] != "," or position + 1 == len(label):
                raise InvalidRequest(f"service ports: cannot read {label[position:][:60]!r}.")
            position += 1
    _refuse_duplicates(services)
    return tuple(service for service in services if service.protocol != "pty")


def preopened(ports: tuple[int, ...]) -> tuple[ServicePort, ...]:
    """Write ports that the user will open as services: each is named by its number."""
    return tuple(ServicePort(str(port), "preopen", (port,)) for port in ports)


def check_preopen_ports(ports: object) -> tuple[int, ...]:
    """Return the ports that a user will open inside; None means none.

    They may come as numbers or, from a command line, as digits.

    Raises
    ------
    InvalidRequest
        for what is no port between 1025 and 65534, one that is given twice, and too many.
    """
    if ports is None:
        return ()
    if not isinstance(ports, list | tuple) or len(ports) > MOST_PREOPEN:
        raise InvalidRequest(
            f"preopen_ports: not a list of at most {MOST_PREOPEN} ports.", field="preopen_ports"
        )
    found = tuple(check_user_port(port, "preopen_ports") for port in ports)
    if len(set(found)) != len(found):
        raise InvalidRequest("preopen_ports: a port is given twice.", field="preopen_ports")
    return found


def check_user_port(port: object, field: str = "port") -> int:
    """Return the number of a port that a user opens inside; it may come as digits.

    Raises
    ------
    InvalidRequest
        for what is no port between 1025 and 65534.
    """
    text = "" if isinstance(port, bool) or not isinstance(port, int | str) else str(port)
    if not _PORT.fullmatch(text) or not LOWEST_PORT <= int(text) <= HIGHEST_PORT:
        raise InvalidRequest(
            f"{field}: {port!r:.40} is not a port between {LOWEST_PORT} and {HIGHEST_PORT}.",
            field=field,
        )
    return int(text)


def _service(match: re.Match[str]) -> ServicePort:
    if match["protocol"] not in PROTOCOLS:
        raise InvalidRequest(f"service ports: unknown protocol {match['protocol']!r}.")
    texts = [match["port"]] if match["port"] else match["ports"].split(",")
    if not all(texts):
        raise InvalidRequest(f"service ports: cannot read {match[0]!r}.")
    ports = tuple(int(text) for text in texts)
    for port in ports:
        if not LOWEST_PORT <= port <= HIGHEST_PORT:
            raise InvalidRequest(f"service ports: {port} is not between 1025 and 65534.")
    return ServicePort(match["name"], match["protocol"], ports)


def _refuse_duplicates(services: list[ServicePort]) -> None:
    names = [service.name for service in services]
    ports = [str(port) for service in services for port in service.ports]
    for what, seen in (("name", names), ("port", ports)):
        for item in seen:
            if seen.count(item) > 1:
                raise InvalidRequest(f"service ports: the {what} {item} is given twice.")
