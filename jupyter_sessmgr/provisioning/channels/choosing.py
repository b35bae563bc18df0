"""Which class the websockets of a server's kernels are of."""

from __future__ import annotations

from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

from jupyter_sessmgr.provisioning.channels.connection import session_channels


def channels_class(server: Any) -> type:
    """Choose the websocket class for a Jupyter server's kernels.

    Called by the extension, which puts the answer into the server's settings. It extends the
    class that is there; one that cannot be extended, of another extension, is left in place and
    named in the log: remote kernels work with it, with less.
    """
    there = server.web_app.settings.get("kernel_websocket_connection_class")
    there = there or server.kernel_websocket_connection_class
    if isinstance(there, type) and issubclass(there, ZMQChannelsWebsocketConnection):
        return session_channels(there)
    server.log.warning(
        "Another extension's kernel websockets (%s.%s) are in use, so notebooks do not get the "
        "output that they missed, do not learn why a remote kernel died, and do not count as "
        "users of their session. The sessions go on as ever: missed output is kept, and is at "
        "sessmgr/session/<id>/output.",
        getattr(there, "__module__", ""),
        getattr(there, "__qualname__", repr(there)),
    )
    return there  # type: ignore[no-any-return]
