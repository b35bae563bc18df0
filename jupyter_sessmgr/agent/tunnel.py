"""A stream to a port inside the place."""

from __future__ import annotations

import asyncio
import os
import socket

from .listening import held_hosts
from .refusals import Invalid, Refused
from .relay import Relay

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from .frames import Frames
    from .premises import Premises

#: How long one attempt to connect inside may take, in seconds.
_DIAL = 5.0
_MAX_PORT = 65535
LOOPBACKS = ("127.0.0.1", "::1")


async def serve(args: Mapping[str, Any], frames: Frames, premises: Premises) -> None:
    """Join the client to a port, until either side is gone."""
    port = check_port(args.get("port"))
    app = await dial(port, premises)
    loop = asyncio.get_running_loop()
    _, relay = await loop.create_connection(lambda: Relay(frames), sock=app)
    frames.open(relay, port=port)
    try:
        await frames.gone
    finally:
        relay.lost()


def find_port(args: Mapping[str, Any]) -> dict[str, Any]:
    """Tell at which loopback addresses a port is the place's; nowhere in another's network."""
    port = check_port(args.get("port"))
    return {"hosts": held_hosts(port, LOOPBACKS) if args.get("network") == network() else []}


def network() -> str:
    """Name the network that the place has; "" where the system does not tell."""
    try:
        return os.readlink("/proc/self/ns/net")
    except OSError:
        return ""


def check_port(value: object) -> int:
    """Return `value` when it is a port's number."""
    if type(value) is not int or not 0 < value <= _MAX_PORT:
        raise Invalid("port: not a number from 1 to 65535")
    return value


async def dial(port: int, premises: Premises) -> socket.socket:
    """Connect to a port at the loopback, or at the place's own address.

    Raises
    ------
    Refused
        when nothing of the place answers there.
    """
    hosts = held_hosts(port, [*LOOPBACKS, *await own_addresses(premises)])
    if not hosts:
        raise Refused("Nothing of the session listens on port %d." % port)
    loop = asyncio.get_running_loop()
    problem = ""
    for host in hosts:
        made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            made.setblocking(False)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.wait_for(loop.sock_connect(made, (host, port)), _DIAL)
        except (OSError, asyncio.TimeoutError) as error:
            made.close()
            problem = getattr(error, "strerror", None) or "it takes too long"
        except BaseException:
            made.close()
            raise
        else:
            return made
    raise Refused("Port %d inside the session does not answer: %s." % (port, problem))


async def own_addresses(premises: Premises) -> list[str]:
    """Find the addresses of the place's own name; [] where it shares those of its host."""
    if not premises.orders.get("owns_pids"):
        return []
    loop = asyncio.get_running_loop()
    try:
        found = await asyncio.wait_for(
            loop.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM), _DIAL
        )
    except (OSError, asyncio.TimeoutError):
        return []
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    return [address for address in addresses if "%" not in address]  # not those of one link
