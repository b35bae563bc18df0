"""A web app whose page does what a script says; it runs in a kernel's own loop.

`listen` makes a session's kernel serve it, and `Page` asks it what it saw.
"""

from __future__ import annotations

import inspect
import json
import sys

from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

#: What the page finds at ``facts``, and the script that it runs.
FACTS = {}
SCRIPT = ["// none yet"]
#: Target and headers of every request and websocket, as they came, by port.
SEEN = {}


class Seeing(RequestHandler):
    """Writes down what comes, whatever it is for."""

    def prepare(self):
        port = int(self.request.host.rpartition(":")[2])
        told = [self.request.method, self.request.uri, list(self.request.headers.get_all())]
        SEEN.setdefault(port, []).append(told)

    def check_xsrf_cookie(self):
        pass


class Page(Seeing):
    """The page, made of the script beside it."""

    def get(self):
        text = "<!doctype html><title>app</title><h1>{}</h1><script src=script></script>"
        self.write(text.format(self.get_argument("title", "An app")))

    post = get


class Script(Seeing):
    """The script."""

    def get(self):
        self.set_header("Content-Type", "text/javascript")
        self.write(SCRIPT[0])


class Facts(Seeing):
    """What the page should know."""

    def get(self):
        self.write(FACTS)


class Echo(Seeing):
    """Answers with what was sent."""

    def get(self):
        port = self.request.host.rpartition(":")[2]
        body = self.request.body.decode()
        self.write({"target": self.request.uri, "body": body, "port": int(port)})

    post = get


class Reaching(Seeing):
    """Sends headers that browsers take for a whole host, or for its parent."""

    def get(self):
        for cookie in ("_xsrf=evil; Path=/", "_xsrf=evil; Path=/base/; Domain=localhost"):
            self.add_header("Set-Cookie", cookie)
        self.set_header("Clear-Site-Data", '"cookies", "storage"')
        self.set_header("Service-Worker-Allowed", "/")
        self.write("sent")


class Download(Seeing):
    """A file to keep."""

    def get(self):
        self.set_header("Content-Disposition", "attachment; filename=kept.txt")
        self.write("kept")


class Socket(Seeing, WebSocketHandler):
    """Sends back what it gets."""

    def check_origin(self, origin):
        return True

    async def on_message(self, message):
        await self.write_message(message)


def serve(*ports):
    """Listen, with one and the same app, on these ports of the session's loopback."""
    routes = [
        ("/script", Script),
        ("/facts", Facts),
        ("/echo", Echo),
        ("/reaching", Reaching),
        ("/download", Download),
        ("/socket", Socket),
        ("/.*", Page),
    ]
    for port in ports:
        Application(routes).listen(port, "127.0.0.1")
    print("listens")


class PageApp:
    """The app in a session, as a test sees it."""

    def __init__(self, server, session, *ports):
        self.server = server
        self.session = session
        source = inspect.getsource(sys.modules[__name__])
        assert "listens" in server.execute(session, f"{source}\nserve(*{ports})")

    def path(self, port):
        """Where the service is opened, below Jupyter's base URL."""
        return f"sessmgr/session/{self.session}/service/{port}/"

    def run(self, script, **facts):
        """Let the page run a script from now on, which asks for these facts; forget what came."""
        code = f"SCRIPT[:] = [{script!r}]\nFACTS.clear()\nFACTS.update({facts!r})\nSEEN.clear()"
        assert self.server.execute(self.session, code) == ""

    def seen(self, port):
        """List method, target and headers of what came to a port."""
        told = self.server.execute(self.session, f"print(json.dumps(SEEN.get({port}, [])))")
        return json.loads(told)
