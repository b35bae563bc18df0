"""D1 of THREATS: nobody but the session's row says where the server connects to."""

from __future__ import annotations

import asyncio
import sys
from urllib.parse import quote

import pytest

PORT = 24721
#: What an attacker writes where the name of a service is wanted: as it is sent.
NAMES = [
    "169.254.169.254",
    "127.0.0.1:22",
    "localhost",
    "22",
    "6006@evil",
    "6006%40evil",
    f"{PORT}@evil.test",
    f"{PORT}%2f..%2f22",
    f"{PORT}:22",
    f"{PORT}%00",
    f"%00{PORT}",
    f"{PORT}%20",
    f"{PORT}%0d%0aHost:evil",
    f"{PORT};22",
    f"{PORT}%5c",
    f"0{PORT}",
    f"+{PORT}",
    f"{PORT}.0",
    hex(PORT),
    "..%2f..%2fapi",
    "%2e%2e",
    "%5cevil.test",
    "%2f%2fevil.test",
    "http:%2f%2fevil.test",
    "evil.test%23",
    "evil.test%3f",
    quote("".join(chr(0x660 + int(digit)) for digit in str(PORT))),
    quote("".join(chr(0xFF10 + int(digit)) for digit in str(PORT))),
    "%ff",
    "%",
    "x" * 2000,
]
#: Whole paths in which a host hides.
PATHS = [
    "proxy/169.254.169.254",
    "proxy/169.254.169.254:80/latest",
    "proxy/22",
    "proxy/absolute/22",
    "sessmgr/session/{session}/proxy/169.254.169.254",
    "sessmgr/session/{session}/service//evil.test/",
    "sessmgr/session/{session}/service/",
    "sessmgr/session/{session}/..%2f..%2fevil/service/{port}/",
    "sessmgr/session/{session}@evil.test/service/{port}/",
    "sessmgr/s/evil.test/",
    "sessmgr/s/{port}/",
]
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


class Connections:
    """Notes every connection that this process makes to anything."""

    def __init__(self):
        self.made = []
        self.watching = False
        sys.addaudithook(self._note)  # there is no way to take it off again

    def _note(self, event, args):
        if self.watching and event == "socket.connect":
            self.made.append(args[1])


@pytest.fixture(scope="module")
def connections():
    watch = Connections()
    yield watch
    watch.watching = False


async def answer(port, head):
    """Send a request as it is written to the server; return the answer's status.

    Jupyter takes a slash at the end of what it does not know away first: that is no answer yet.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(head)
        told = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
        status = int(told.split()[1])
        return 404 if status == 302 and b"\r\nLocation: /base/sessmgr/session/" in told else status
    finally:
        writer.close()


@pytest.fixture
def server(inside):
    return inside(ServerApp={"base_url": "/base/"})


async def test_D1_no_url_chooses_a_host_or_a_port(server, connections):
    made = await server.create(config={"preopen_ports": [PORT]})
    session, here = made["sessionId"], int(server.base.split(":")[2].split("/")[0])
    named = [f"sessmgr/session/{session}/service/{name}/x" for name in NAMES]
    paths = [path.format(session=session, port=PORT) for path in PATHS]
    agent = server.sessions._session(session).endpoint("agent")
    for path in [*named, *paths]:
        for upgrade in ("", UPGRADE):
            head = (
                f"GET /base/{path} HTTP/1.1\r\nHost: 127.0.0.1:{here}\r\n{upgrade}"
                f"Authorization: token {server.app.identity_provider.token}\r\n\r\n"
            )
            connections.made.clear()
            connections.watching = True
            status = await answer(here, head.encode())
            connections.watching = False
            assert status in {400, 404}, (path, upgrade, status)
            others = [
                one for one in connections.made if one not in {("127.0.0.1", here), agent.host}
            ]
            assert others == [], path
    # the right name is looked for where the session is, and nowhere else
    connections.watching = True
    head = (
        f"GET /base/sessmgr/session/{session}/service/{PORT}/ HTTP/1.1\r\n"
        f"Host: 127.0.0.1:{here}\r\nX-Forwarded-Host: evil.test\r\n"
        f"Authorization: token {server.app.identity_provider.token}\r\n\r\n"
    )
    assert await answer(here, head.encode()) in {409, 502}, "nobody listens there"
    connections.watching = False
    assert {one for one in connections.made if one != ("127.0.0.1", here)} <= {agent.host}
