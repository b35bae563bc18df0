"""A short way to a port, for a server on the same machine: no encryption, no frames.

The server listens in a folder that the place sees. It asks for a port by the control port, and is
brought a connection, which shows the ticket that came with the question.
"""

from __future__ import annotations

import os
import re
import socket

from .refusals import Invalid
from .tunnel import check_port, dial

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from .pairs import Pairs
    from .premises import Premises

_NAME = re.compile(r"[0-9a-f]{8}\Z")
_TICKET = re.compile(r"[0-9a-f]{32}\Z")


async def land(args: Mapping[str, Any], premises: Premises, pairs: Pairs) -> dict[str, Any]:
    """Bring the server a connection to a port; tell whether there is a way to the server.

    Raises
    ------
    Refused
        when nothing of the place answers at the port.
    """
    port, name, ticket = check_port(args.get("port")), args.get("name"), args.get("ticket")
    if not isinstance(name, str) or not _NAME.match(name):
        raise Invalid("name: not eight digits")
    if not isinstance(ticket, str) or not _TICKET.match(ticket):
        raise Invalid("ticket: not 32 digits")
    app = await dial(port, premises)
    folder = premises.orders.get("landing")
    server = _reach(os.path.join(folder, name), ticket) if folder and not pairs.is_full() else None
    if server is None:
        app.close()
        return {"landed": False}
    pairs.join(app, server)
    return {"landed": True}


def _reach(path: str, ticket: str) -> socket.socket | None:
    """Connect to where the server listens and show the ticket; None where there is nobody."""
    made = socket.socket(socket.AF_UNIX)
    try:
        made.setblocking(False)  # the server's queue may be full
        made.connect(path)
        made.send(ticket.encode())
    except OSError:
        made.close()
        return None
    return made
