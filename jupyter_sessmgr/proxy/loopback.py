"""Keeps both loopback addresses in one hand: browsers try either for names below localhost."""

from __future__ import annotations

import errno
import socket
from typing import Any

from tornado.netutil import bind_sockets

_EVERYWHERE = frozenset({"127.0.0.1", "0.0.0.0"})  # noqa: S104 - what Jupyter listens on
_NO_IPV6 = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})


def hold_loopback(http_server: Any) -> str:
    """Listen on ``[::1]``, too, where Jupyter listens on the loopback address of IPv4 alone.

    Called once the server listens. Another program there would be sent the codes that open
    services. Returns "", or why hosts below ``localhost`` are not safe.
    """
    listening = [one.getsockname() for one in _sockets(http_server)]
    for address in listening:
        port = address[1]
        if address[0] not in _EVERYWHERE or any(
            other[0] in {"::", "::1"} and other[1] == port for other in listening
        ):
            continue
        try:
            http_server.add_sockets(bind_sockets(port, "::1", family=socket.AF_INET6))
        except OSError as error:
            if error.errno in _NO_IPV6:
                return ""  # then nobody else is there either
            return (
                f"another program listens on [::1]:{port} ({error.strerror}), where browsers may "
                "go for names below localhost"
            )
    return ""


def _sockets(http_server: Any) -> list[socket.socket]:
    """List the TCP sockets of the server; tornado has no public way to them."""
    found = getattr(http_server, "_sockets", {}).values()
    return [one for one in found if one.family in {socket.AF_INET, socket.AF_INET6}]
