"""Websockets of services through a real server."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.plugins import socketapp, webapp

PORT = 24682


@pytest.fixture(scope="module")
def app(module_servers):
    """Give a client of a websocket app in a session."""
    server = module_servers.start("process")
    made = server.create(clientSessionToken="sockets", config={"preopen_ports": [PORT]})
    webapp.start_app(server, made["sessionId"], socketapp.source(), PORT)
    return App(server, f"sessmgr/session/{made['sessionId']}/service/{PORT}/")


class App:
    """Opens websockets through the proxy."""

    def __init__(self, server, path):
        self.server = server
        self.path = path

    def open(self, path="echo", *, token=True, headers=None, **kwargs):
        url = f"ws{self.server.url.removeprefix('http')}{self.path}{path}"
        told = {"Authorization": f"token {self.server.token}"} if token else {}
        kwargs.setdefault("max_size", 2**28)
        return connect(url, additional_headers={**told, **(headers or {})}, **kwargs)

    def told(self):
        return self.server.ask("GET", self.path + "told").json()


def test_text_and_bytes_pass_both_ways(app):
    with app.open() as sock:
        for message in ("hé", "", b"\x00\xff", b"x" * (8 << 20)):
            sock.send(message)
            assert sock.recv(30) == message


def test_a_message_in_pieces_arrives_whole(app):
    with app.open() as sock:
        sock.send(["one ", "two ", "three"])
        assert sock.recv(10) == "one two three"


def test_the_services_subprotocol_is_chosen(app):
    with app.open(subprotocols=["first", "second"]) as sock:
        assert sock.subprotocol == "second"
    with app.open(subprotocols=["first"]) as sock:
        assert sock.subprotocol is None


def test_a_refusal_is_passed_on(app):
    with pytest.raises(InvalidStatus) as refused:
        app.open("no")
    assert refused.value.response.status_code == 418


def test_close_code_and_reason_pass_to_the_browser(app):
    with app.open() as sock:
        sock.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            sock.recv(10)
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "as you wish")


def test_close_code_and_reason_pass_to_the_service(app):
    with app.open() as sock:
        sock.close(4001, "done")
    deadline = time.monotonic() + 10
    while app.told()["closed"] != [4001, "done"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_pings_are_answered(app):
    with app.open() as sock:
        assert sock.ping(b"x").wait(5)


def test_a_client_that_reads_nothing_does_not_fill_the_server(app):
    before = rss(app.server.pid)
    with app.open(close_timeout=0.5) as sock:
        sock.send("flood")
        most = 0
        for _ in range(20):
            time.sleep(0.1)  # the flood goes on meanwhile, if nobody holds it back
            most = max(most, rss(app.server.pid))
        assert most - before < 64 << 20


def test_C1_no_credential_of_jupyter_reaches_the_service(app):
    headers = {"Cookie": "_xsrf=canary; username-x=canary; mine=1"}
    with app.open(f"echo?headers=1&token={app.server.token}", headers=headers) as sock:
        text = sock.recv(10)
    assert "canary" not in text
    assert app.server.token not in text
    assert "mine=1" in text


@pytest.mark.parametrize(
    ("token", "headers"),
    [
        (False, {}),
        (False, {"Authorization": "token wrong"}),
        (False, {"Origin": "https://evil.example"}),
    ],
)
def test_A2_strangers_are_refused_before_anything_is_dialled(app, token, headers):
    before = app.told()["opened"]
    with pytest.raises(InvalidStatus) as refused:
        app.open(token=token, headers=headers)
    assert refused.value.response.status_code == 403
    assert app.told()["opened"] == before


def rss(pid):
    """Return the resident memory of a process in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * 4096
