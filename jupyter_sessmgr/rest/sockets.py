"""What every websocket handler of ours is: asked who it is before anything is upgraded."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from jupyter_server.base.websocket import WebSocketMixin
from tornado.web import HTTPError
from tornado.websocket import WebSocketHandler


class SocketMixin(WebSocketMixin, WebSocketHandler):
    """Makes a websocket of a REST handler.

    It stands before the handler among the bases::

        class ExecuteSocket(SocketMixin, BackendAIHandler):
            @authenticated
            @authorized(action="execute")
            @operation(replies={101: Reply("Messages in both directions.")})
            async def get(self, reference: str) -> None:
                \"\"\"Run code, over a websocket.\"\"\"
                self.session = self.sessions.find(reference, self.owner)
                await super().get()

            def open(self) -> None: ...

    Credentials (Jupyter's, or a signature) and the ``Origin`` are checked in `prepare`, the
    authorizer is asked by ``@authorized``, and what `get` raises before ``super().get()`` is
    answered as every REST handler answers it: no websocket was opened then (THREATS A2, E3).
    """

    async def prepare(self) -> None:
        """Check who asks, and from which page, as every handler of ours does."""
        # Jupyter's own mixin hands arguments on that only handlers of pages know.
        handler: Any = super(WebSocketMixin, self)
        await handler.prepare()

    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Open the websocket."""
        if self.request.headers.get("Upgrade", "").lower() != "websocket":
            raise HTTPError(HTTPStatus.BAD_REQUEST, "Open a websocket here.")
        await super().get(*args, **kwargs)

    def check_origin(self, origin: str | None = None) -> bool:
        """Let pages of this server open websockets, and those that the server allows.

        Raises
        ------
        HTTPError
            403 for any other page.
        """
        if super().check_origin(origin):
            return True
        raise HTTPError(HTTPStatus.FORBIDDEN, "Pages of another site may not open this websocket.")
