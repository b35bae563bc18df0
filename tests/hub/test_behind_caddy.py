"""Kernels and services behind Caddy, configured as docs/how-to/behind-a-proxy.md says."""

from __future__ import annotations

import json
import time

import pytest
from websockets.exceptions import InvalidStatus

from tests.integration.test_behind_nginx import HOSTILE, Service, told
from tests.plugins import socketapp, webapp
from tests.plugins.nginx import HOST, SUFFIX
from tests.security.test_C6_behind_nginx import Visitor

WEB, SOCKET = 24814, 24815


@pytest.fixture(scope="module")
def apps(module_servers, caddy):
    """A web app and a websocket app in a session behind Caddy."""
    server = module_servers.start("process", config=caddy.config())
    session = server.create(config={"preopen_ports": [WEB, SOCKET]})["sessionId"]
    for app, port in ((webapp, WEB), (socketapp, SOCKET)):
        webapp.start_app(server, session, app.source(), port)
    caddy.start(server).session = session
    return [Service(caddy, session, port) for port in (WEB, SOCKET)]


def test_kernels_are_reached_through_it(caddy, apps):
    assert caddy.execute(caddy.session, "print(6 * 7)") == "42\n"


def test_a_service_is_told_who_asked_by_the_proxy_and_not_by_the_client(apps):
    app, _ = apps
    hostile = "".join(f"{name}: {value}\r\n" for name, value in HOSTILE.items())
    head = f"GET {app.prefix}echo HTTP/1.1\r\n{hostile}".removesuffix("\r\n")
    headers = told(app.nginx.raw(head, source="127.0.0.2"))
    assert headers["x-forwarded-for"] == "127.0.0.2"
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-host"] == app.host
    assert "6.6.6.6" not in json.dumps(headers)
    assert "evil" not in json.dumps(headers)


@pytest.mark.parametrize("target", ["a%2Fb", "%FFx", "a//b//", "a/%2e%2E/b", "a;b@c", "x?q=%26&e="])
def test_the_target_arrives_byte_for_byte(apps, target):
    app, _ = apps
    answer = app.nginx.raw(f"GET {app.prefix}{target} HTTP/1.1")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["target"] == "/" + target


def test_pieces_pass_as_they_come_both_ways(apps):
    app, _ = apps
    with app.ask("GET", "held", stream=True) as reply:
        pieces = reply.iter_content(None)
        assert next(pieces) == b"data: first\n\n"
        assert app.ask("GET", "let").status_code == 204
        assert b"".join(pieces) == b"data: last\n\n"

    def upload():
        for number in range(3):
            yield b"x" * 1000
            deadline = time.monotonic() + 20
            while len(app.ask("GET", "pieces").json()) <= number:
                assert time.monotonic() < deadline

    assert app.ask("POST", "collect", data=upload()).json() == [1000] * 3
    whole = bytes(50 << 20)
    assert app.ask("POST", "echo", data=whole).json()["size"] == len(whole)


def test_websockets_pass_and_only_those_of_the_public_origin(apps):
    _, sockets = apps
    own = f"https://{sockets.host}"
    with sockets.open(subprotocols=["first", "second"], origin=own) as sock:
        assert sock.subprotocol == "second"
        for message in ("hé", "", b"\x00\xff", b"x" * (4 << 20)):
            sock.send(message)
            assert sock.recv(30) == message
    with pytest.raises(InvalidStatus) as refused:
        sockets.open(additional_headers={"Authorization": "token wrong"})
    assert refused.value.response.status_code == 403


def test_other_names_are_not_answered(apps):
    app, _ = apps
    assert app.nginx.ask("GET", "api/status", headers={"Host": "evil.example"}).text == ""


def test_an_app_has_a_host_of_its_own(caddy, apps):
    visitor = Visitor(caddy, WEB)
    assert visitor.host.endswith(f".{SUFFIX}:{caddy.port}")
    assert HOST not in visitor.host
    visitor.enter()
    told_there = visitor.ask("GET", "/echo?a=1").json()
    assert told_there["target"] == "/echo?a=1"
    assert caddy.token not in json.dumps(told_there)
    assert visitor.get(f"{visitor.origin}/echo").status_code == 403
    socket_host = Visitor(caddy, SOCKET, "")
    socket_host.enter()
    with socket_host.open() as sock:
        sock.send("hello")
        assert sock.recv(20) == "hello"
