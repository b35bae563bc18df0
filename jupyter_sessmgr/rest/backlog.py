"""Lets a burst of connections wait at the door, instead of being turned away."""

from __future__ import annotations

from typing import Any

#: Connections that may wait to be accepted. With tornado's 128, of a thousand clients that come
#: at once most try again only after a second or more, and some are reset.
BACKLOG = 4096


def accept_bursts(http_server: Any) -> None:
    """Listen again, with room for more; the operating system may allow less.

    Called once the server listens. Jupyter has no setting for it, and tornado no public way to its
    sockets, so where they are not found nothing happens.
    """
    for socket in getattr(http_server, "_sockets", {}).values():
        socket.listen(BACKLOG)
