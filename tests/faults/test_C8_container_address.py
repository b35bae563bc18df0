"""C8 of FAULTS, D2 of THREATS: a running container gets another address, another one its old one."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import pytest
import requests
from websockets.exceptions import ConnectionClosed

from tests.plugins import webapp

pytestmark = pytest.mark.docker

PORT = 24690
#: Seconds between two looks at the engine, which says nothing of networks by itself.
SWEEP = 1.0
#: Says its name.
APP = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(NAME)))
        self.end_headers()
        self.wfile.write(NAME.encode())
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), App).serve_forever()
"""


@pytest.fixture(scope="module")
def server(module_servers, reference_image):
    config = {"SessionReconciler": {"sweep_interval": SWEEP}}
    return module_servers.start("docker", config=config)


class Boxed:
    """A session in a container, with an app that says whose it is."""

    def __init__(self, server, api, name):
        made = server.create(clientSessionToken=name, config={"preopen_ports": [PORT]})
        self.name = name
        self.id = made["sessionId"]
        self._server, self._api = server, api
        said = f"whose = {name!r}; import socket; print(socket.gethostname())"
        self.container = server.execute(self.id, said).strip()
        webapp.start_app(server, self.id, f"NAME = {name!r}" + APP, PORT)

    def networks(self):
        """Return the container's addresses by network."""
        seen = self._api.inspect_container(self.container)["NetworkSettings"]["Networks"]
        return {name: one["IPAddress"] for name, one in seen.items()}

    def says(self):
        """Ask the app whose it is; what else is answered, or nothing, is its own answer.

        An answer that is cut short is none.
        """
        path = f"sessmgr/session/{self.id}/service/{PORT}/"
        with suppress(requests.Timeout, requests.exceptions.ChunkedEncodingError):
            reply = self._server.ask("GET", path, timeout=2)
            return reply.text if reply.status_code == 200 else str(reply.status_code)
        return "nothing"


def until(condition, timeout=30):
    """Wait until a condition holds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_C8_a_container_that_moved_is_found_and_never_taken_for_another(server, docker_api):
    first = Boxed(server, docker_api, "first-box")
    until(lambda: first.says() == "first-box")
    ((network, before),) = first.networks().items()
    with server._channels(first.id) as browser:
        docker_api.disconnect_container_from_network(first.container, network)
        second = Boxed(server, docker_api, "second-box")
        assert second.networks()[network] == before, "the engine gives the address to the next"
        until(lambda: second.says() == "second-box")
        assert first.says() != "second-box"
        docker_api.connect_container_to_network(first.container, network)
        assert first.networks()[network] != before
        seen = set()

        def is_back():
            seen.add(first.says())
            return "first-box" in seen

        until(is_back)
        assert "second-box" not in seen
        # it connects again, and finds the kernel as it was
        with suppress(ConnectionClosed):
            while True:
                browser.recv(20)  # TimeoutError: nobody hung up
    assert server.execute(first.id, "print(whose)") == "first-box\n"
    assert server.info(first.id)["status"] == "RUNNING"
    kernel = server.ask("GET", f"api/kernels/{first.id}").json()
    assert kernel["id"] == first.id
    run = {"mode": "query", "code": "print(6 * 7)"}
    reply = server.ask("POST", f"sessmgr/session/{first.id}", json=run).json()
    assert "42" in str(reply)
    until(lambda: second.says() == "second-box")


def test_D2_a_container_that_is_gone_is_never_taken_for_its_heir(server, docker_api):
    gone = Boxed(server, docker_api, "gone-box")
    address, seen, over = gone.networks(), set(), threading.Event()

    def ask():
        while not over.is_set():
            seen.add(gone.says())

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        until(lambda: "gone-box" in seen)
        server.ask("DELETE", f"sessmgr/session/{gone.id}?forced=true")
        heir = Boxed(server, docker_api, "heir-box")
        assert heir.networks() == address, "the engine gives the address to the next"
        until(lambda: heir.says() == "heir-box")
        until(lambda: "404" in seen)
    finally:
        over.set()
        asking.join()
    assert "heir-box" not in seen
