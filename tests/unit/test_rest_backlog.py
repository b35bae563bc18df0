"""Connections that come at once find room at the door."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from jupyter_sessmgr.rest.backlog import accept_bursts


async def test_a_burst_can_wait_while_the_server_is_busy():
    server = HTTPServer(lambda _request: None)
    (listening,) = bind_sockets(0, "127.0.0.1", backlog=1)
    server.add_socket(listening)
    accept_bursts(server)
    with ExitStack() as stack:
        # Nothing is accepted meanwhile: this loop is ours until the next await.
        for _ in range(300):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            assert client.connect_ex(listening.getsockname()) in {0, 115}
            client.setblocking(True)
            client.settimeout(0.5)
            assert client.getpeername() == listening.getsockname()
    server.stop()
    await server.close_all_connections()


def test_without_a_server_there_is_nothing_to_do():
    accept_bursts(None)
