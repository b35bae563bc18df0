"""Caddy in front of a Jupyter server, configured by the very text of the documents."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from urllib.parse import urlsplit

import pytest
import requests

from tests.plugins.nginx import HOST, PREFIX, START, SUFFIX, Nginx, blocks, replaced
from tests.plugins.server import Client

#: What the tests need besides: ports of their own, and nothing outside their folder.
_MAIN = """{{
	admin off
	storage file_system {folder}/storage
	auto_https disable_redirects
	default_bind 127.0.0.1
	servers {{
		protocols h1 h2
	}}
}}
{text}"""


class Caddy(Nginx):
    """A Caddy of its own, which gives services hosts of their own; else as an `Nginx`."""

    def __init__(self):
        super().__init__(suffix=True)
        self._socket.close()  # it cannot be given one; its port is free now

    def start(self, server):
        """Stand before a server, and return when that answers."""
        self.server = server
        self.prefix = urlsplit(server.url).path
        Client.__init__(self, f"https://{HOST}:{self.port}{self.prefix}", server.token)
        self.http.verify = str(self.certificate)
        text = _MAIN.format(folder=self.folder, text=self._text())
        (self.folder / "Caddyfile").write_text(text, encoding="utf-8")
        self._process = subprocess.Popen(
            ["caddy", "run", "--config", self.folder / "Caddyfile", "--adapter", "caddyfile"],
            env={"HOME": str(self.folder), "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "stderr.log").open("ab"),
            start_new_session=True,
        )
        self._wait()
        return self

    def _wait(self):
        """Wait until it answers; unlike nginx's, its socket is not there before it runs."""
        deadline = time.monotonic() + START
        while True:
            try:
                reply = self.ask("GET", "api/status", timeout=START)
            except requests.ConnectionError:
                assert self._process.poll() is None, self.errors()
                assert time.monotonic() < deadline, self.errors()
                time.sleep(0.05)
            else:
                assert reply.status_code == 200, self.errors()
                return

    def _text(self):
        (text,) = blocks("caddy")
        files = f"{self.certificate} {self._key}"
        return replaced(
            text,
            (f"{HOST} {{", f"{HOST}:{self.port} {{\n\ttls {files}"),
            (f"*.{SUFFIX} {{", f"*.{SUFFIX}:{self.port} {{"),
            ("/etc/ssl/apps.pem /etc/ssl/apps.key", files),
            ("127.0.0.1:8888", urlsplit(self.server.url).netloc),
            (f"{PREFIX}*", f"{self.prefix}*"),
        )


@pytest.fixture(scope="module")
def caddy(public_names):
    """Make a Caddy, and end it after the module's tests."""
    if shutil.which("caddy") is None:
        assert not os.environ.get("CI"), "CI must have Caddy: scripts/test-needs.sh"
        pytest.skip("no caddy here: scripts/test-needs.sh")
    made = Caddy()
    yield made
    made.close()
