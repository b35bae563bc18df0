"""A websocket app to run inside a session. Needs tornado, which every ipykernel image has."""

from __future__ import annotations

import asyncio
import inspect
import json
import sys

from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler


class Echo(WebSocketHandler):
    """Sends back what it gets, or does what it is told."""

    opened = 0
    closed = ()

    def check_origin(self, origin):
        return True

    def select_subprotocol(self, subprotocols):
        return "second" if "second" in subprotocols else None

    def open(self, *args):
        Echo.opened += 1
        if self.get_argument("headers", ""):
            self.write_message(json.dumps(list(self.request.headers.get_all())))

    async def on_message(self, message):
        if message == "close":
            self.close(4321, "as you wish")
        elif message == "flood":
            try:
                for _ in range(400):
                    await self.write_message(b"x" * (1 << 20), binary=True)
            except WebSocketClosedError:
                pass
        else:
            await self.write_message(message, binary=isinstance(message, bytes))

    def on_close(self):
        Echo.closed = (self.close_code, self.close_reason)


class Told(RequestHandler):
    """Tells what the websockets saw."""

    def get(self):
        self.write({"opened": Echo.opened, "closed": list(Echo.closed)})


class Refusing(RequestHandler):
    """Refuses websockets."""

    def get(self):
        self.set_status(418)


async def serve(port):
    """Run until killed."""
    routes = [("/echo", Echo), ("/told", Told), ("/no", Refusing)]
    Application(routes, websocket_max_message_size=1 << 28).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))


def source():
    """Return this program's text."""
    return inspect.getsource(sys.modules[__name__])
