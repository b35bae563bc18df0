"""A web app to run inside a session: echoes, streams, breaks off. Plain Python, for any image.

Run as ``python webapp.py PORT``; tests paste it into a kernel by `start_webapp`.
"""

from __future__ import annotations

import inspect
import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HOSTILE = [
    ("Set-Cookie", "_xsrf=evil; Path=/"),
    ("Set-Cookie", "sid=1; Path=/; Domain=127.0.0.1"),
    ("Clear-Site-Data", '"cookies"'),
    ("Service-Worker-Allowed", "/"),
    ("Strict-Transport-Security", "max-age=99"),
    ("Access-Control-Allow-Origin", "*"),
]
#: Targets of requests, as they came.
SEEN = []
#: Sizes of a body's pieces, as they come.
PIECES = []
#: Set by the request that lets another's answer end.
LET_GO = threading.Event()


class App(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def log_message(self, *args):
        """Say nothing."""

    def body(self):
        """Read the request's body, chunked or not."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = bytearray()
        while size := int(self.rfile.readline(), 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return bytes(data)

    def answer(self, status, body=b"", headers=()):
        """Answer at once."""
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if not any(name == "Content-Length" for name, _ in headers) and status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def echo(self):
        """Tell everything that was received."""
        body = self.body()
        told = {
            "method": self.command,
            "target": self.path,
            "headers": self.headers.items(),
            "size": len(body),
            "body": body[:1000].decode("latin1"),
        }
        self.answer(200, json.dumps(told).encode(), [("Content-Type", "application/json")])

    def do(self):
        """Find what is asked for."""
        SEEN.append(self.path)
        path, _, query = self.path.partition("?")
        page = path.strip("/").split("/")[0]
        method = getattr(self, "page_" + page, None)
        if method is None:
            self.echo()
        else:
            method(query)

    def page_status(self, query):
        """Answer with a status."""
        self.body()
        self.answer(int(query), b"" if query in ("204", "304") else b"<b>x</b>", [("X-Mine", "1")])

    def page_redirect(self, query):
        """Send somewhere."""
        self.answer(302, headers=[("Location", query)])

    def page_hostile(self, query):
        """Try to reach beyond."""
        self.answer(200, b"<html>", [("Content-Type", "text/html"), *HOSTILE])

    def page_big(self, query):
        """Send so many MiB."""
        size = int(query) << 20
        self.send_response(200)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command == "HEAD":
            return
        piece = b"x" * (1 << 20)
        for _ in range(int(query)):
            self.wfile.write(piece)

    def page_events(self, query):
        """Send events, one at a time."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for number in range(int(query)):
            self.wfile.write(b"data: %d\n\n" % number)
            self.wfile.flush()
            time.sleep(0.2)
        self.close_connection = True

    def page_accel(self, query):
        """Ask a web server before us to send something else, and to take its time."""
        self.answer(200, b"mine", [("X-Accel-Redirect", query), ("X-Accel-Limit-Rate", "1")])

    def page_collect(self, query):
        """Note the pieces of a chunked body as they come."""
        PIECES.clear()
        while size := int(self.rfile.readline(), 16):
            self.rfile.read(size + 2)
            PIECES.append(size)
        self.rfile.readline()
        self.page_pieces(query)

    def page_pieces(self, query):
        """Tell which pieces came so far."""
        self.answer(200, json.dumps(PIECES).encode())

    def page_held(self, query):
        """Send an event, and the last one when another request says so."""
        LET_GO.clear()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"data: first\n\n")
        self.wfile.flush()
        LET_GO.wait(30)
        self.wfile.write(b"data: last\n\n")
        self.close_connection = True

    def page_let(self, query):
        """Let it end."""
        LET_GO.set()
        self.answer(204)

    def page_short(self, query):
        """Break off in the middle."""
        self.send_response(200)
        self.send_header("Content-Length", "1000")
        self.end_headers()
        self.wfile.write(b"only this")
        self.wfile.flush()
        self.connection.close()
        self.close_connection = True

    def page_garbage(self, query):
        """Speak something else."""
        self.wfile.write(b"SSH-2.0-hello\r\n\r\n")
        self.wfile.flush()
        self.close_connection = True

    def page_page(self, query):
        """Send this very page, made of a script beside it."""
        text = b"<!doctype html><title>page</title><h1>A page</h1><script src=script></script>"
        self.answer(200, text, [("Content-Type", "text/html")])

    def page_script(self, query):
        """Send whatever script the app was given."""
        script = Path("script.js").read_bytes()
        self.answer(200, script, [("Content-Type", "text/javascript")])

    def page_seen(self, query):
        """Tell which requests came so far."""
        self.answer(200, json.dumps(SEEN).encode())

    def page_early(self, query):
        """Answer without reading the body."""
        self.close_connection = True
        self.answer(413, b"too much", [("Connection", "close")])
        # As good servers do: a close with unread input would take the answer back.
        self.connection.shutdown(socket.SHUT_WR)
        while self.connection.recv(65536):
            pass

    def page_headers(self, query):
        """Send a header of so many KiB."""
        self.answer(200, b"", [("X-Long", "x" * (int(query) << 10))])


for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
    setattr(App, "do_" + name, App.do)


if __name__ == "__main__":
    ThreadingHTTPServer.daemon_threads = True
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App).serve_forever()


def source():
    """Return this program's text."""
    return inspect.getsource(sys.modules[__name__])


def start_app(server, kernel_id, text, port):
    """Have a kernel start a program inside its session, and wait until it listens."""
    code = f"""
import socket, subprocess, sys, time
open("app{port}.py", "w").write({text!r})
app{port} = subprocess.Popen([sys.executable, "app{port}.py", "{port}"])
for _ in range(200):
    try:
        socket.create_connection(("127.0.0.1", {port})).close()
        print("listens")
        break
    except OSError:
        time.sleep(0.05)
"""
    assert "listens" in server.execute(kernel_id, code)
