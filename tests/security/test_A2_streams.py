"""A2: whoever may not open a websocket into a session has nothing dialled there."""

from __future__ import annotations

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

#: Writes a line into its log for everybody who connects.
COUNTS = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    peer, _ = listener.accept()
    if peer.recv(1):
        print("spoken to", flush=True)
    peer.close()
"""
DEFINITIONS = {
    "counts": {
        "prestart": [{"action": "write_tempfile", "args": {"body": [COUNTS]}, "ref": "program"}],
        "command": ["{runtime_path}", "{program}", "{ports[0]}"],
    },
    "started": {"command": ["/bin/sh", "-c", "sleep 1000"], "timeout": 0.2},
}


@pytest.fixture(scope="module")
def server(module_servers):
    return module_servers.start(config={"SessionServices": {"definitions": DEFINITIONS}})


def listed(server, session):
    reply = server.ask("GET", f"sessmgr/session/{session}/services")
    return {one["name"]: one for one in reply.json()["items"]}


def test_A2_nothing_is_dialled_for_who_may_not(server):
    session = server.create()["sessionId"]
    token = {"Authorization": f"token {server.token}"}
    start = f"sessmgr/session/{session}/start-service"
    assert server.ask("POST", start, json={"app": "counts"}).status_code == 200
    cookies = server.ask("GET", f"api/status?token={server.token}").cookies.get_dict()
    cookie = "; ".join(f"{name}={value}" for name, value in cookies.items())
    attempts = [
        {},
        {"Authorization": "token wrong"},
        {"Authorization": "BackendAI signMethod=HMAC-SHA256, credential=AKIA:00"},
        {"Cookie": cookie, "Origin": "http://evil.test"},
        {"Cookie": cookie, "Origin": "null"},
    ]
    for verb in ("tcpproxy?app=counts", "httpproxy?app=started", "pty"):
        url = f"ws{server.url.removeprefix('http')}sessmgr/stream/session/{session}/{verb}"
        for headers in attempts:
            with (
                pytest.raises(InvalidStatus) as refused,
                connect(url, additional_headers=headers),
            ):
                pass
            assert refused.value.response.status_code in {401, 403}, (verb, headers)
    # what is no websocket at all, with good credentials
    for verb in ("tcpproxy?app=counts", "pty"):
        path = f"sessmgr/stream/session/{session}/{verb}"
        assert server.ask("GET", path).status_code == 400
    services = listed(server, session)
    assert services["counts"]["log"] == ""
    assert (services["started"]["running"], services["started"]["error"]) == (False, "")
    url = f"ws{server.url.removeprefix('http')}sessmgr/stream/session/{session}/tcpproxy?app=counts"
    with connect(url, additional_headers=token) as socket:
        socket.send(b"x")
        with pytest.raises(Exception, match="OK"):
            socket.recv(20)
    assert listed(server, session)["counts"]["log"] == "spoken to\n"
