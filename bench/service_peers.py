"""Ways to one upstream: through a session of ours, jupyter-server-proxy, nginx, and directly."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from tests.plugins.server import ROOT, Servers
from tests.plugins.webapp import start_app

UPSTREAM = Path(__file__).with_name("service_upstream.py")
NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/log;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s;
  map $http_upgrade $wanted {{ default upgrade; "" ""; }}
  upstream service.test {{ server 127.0.0.1:{upstream}; keepalive 64; }}
  proxy_http_version 1.1; proxy_buffering off; proxy_request_buffering off;
  proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $wanted;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://service.test; }}
  }}
}}
"""


@dataclass(frozen=True)
class Way:
    """How the upstream is reached, in one way."""

    name: str
    port: int
    #: What comes before the upstream's own paths.
    path: str = "/"
    token: str = ""
    #: The Jupyter server that it leads through.
    server: object = None

    @property
    def headers(self):
        return {"Authorization": f"token {self.token}"} if self.token else {}

    def head(self, method, target, **headers):
        """Make a request's head."""
        lines = {"Host": f"127.0.0.1:{self.port}", **self.headers, **headers}
        told = "".join(f"{name.replace('_', '-')}: {said}\r\n" for name, said in lines.items())
        return f"{method} {self.path}{target} HTTP/1.1\r\n{told}\r\n".encode()


@contextmanager
def ways(folder, engines):
    """Give the ways by name; ends all that it started."""
    port = free_port()
    with ExitStack() as stack:
        start(stack, [sys.executable, str(UPSTREAM), str(port)], port)
        servers = Servers(folder)
        stack.callback(servers.clean)
        found = [ours(servers, engine) for engine in engines]
        if find_spec("jupyter_server_proxy"):
            found.append(jupyter_server_proxy(servers, port))
        else:
            print("jupyter-server-proxy is not installed (make bench does): no ratios")
        if shutil.which("nginx"):
            found.append(nginx(stack, folder, port))
        else:
            print("nginx is not installed: no figures of it")
        found.append(Way("direct", port))
        yield {way.name: way for way in found}


def ours(servers, engine):
    """A session of a server with our extension, and the upstream inside it."""
    config = {"ServerApp": {"jpserver_extensions": {"bench.lagmeter": True}}}
    server = servers.start(engine, config=config, environ={"PYTHONPATH": str(ROOT)})
    port = free_port()
    one = server.create(config={"preopen_ports": [port]})["sessionId"]
    start_app(server, one, UPSTREAM.read_text(encoding="utf-8"), port)
    return through(server, f"ours, {engine}", f"sessmgr/session/{one}/service/{port}/")


def jupyter_server_proxy(servers, port):
    """A server with jupyter-server-proxy alone."""
    extensions = {"jupyter_sessmgr": False, "jupyter_server_proxy": True, "bench.lagmeter": True}
    config = {"ServerApp": {"jpserver_extensions": extensions}}
    server = servers.start(config=config, environ={"PYTHONPATH": ":".join([str(ROOT), *sys.path])})
    return through(server, "jupyter-server-proxy", f"proxy/{port}/")


def through(server, name, path):
    """A way through a Jupyter server, by a path under its base URL."""
    base = urlsplit(server.url)
    return Way(name, base.port, base.path + path, server.token, server)


def nginx(stack, folder, upstream):
    """Debian's nginx, one worker, configured to stream."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, upstream=upstream))
    start(stack, ["nginx", "-c", str(config), "-e", str(folder / "log")], port)
    return Way("nginx", port)


def start(stack, command, port):
    """Run a program until the end, and wait until it listens."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    deadline = time.monotonic() + 30
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return


def free_port():
    """Find a port that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
