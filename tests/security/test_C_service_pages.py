"""Rows of THREATS for services' pages: who reaches them, by what, and what hides in a request."""

from __future__ import annotations

import json
import socket
from contextlib import suppress

import pytest
import requests

from tests.plugins import webapp
from tests.security.test_A7_smuggling import CASES

PORT = 24686
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"]


@pytest.fixture(scope="module")
def app(module_servers):
    """Give an app in a session of Alice's."""
    people = {"identity_provider_class": "tests.plugins.people.PeopleAndToken"}
    sandboxed = {"ServerApp": people, "ServiceProxy": {"isolation": "sandbox"}}
    server = module_servers.start("process", config=sandboxed)
    made = ask(server, "POST", "sessmgr/session", json={"config": {"preopen_ports": [PORT]}}).json()
    session = made["sessionId"]
    code = f"""
import subprocess, sys
open("app.py", "w").write({webapp.source()!r})
app = subprocess.Popen([sys.executable, "app.py", "{PORT}"])
"""
    run = {"mode": "query", "code": code}
    assert ask(server, "POST", f"sessmgr/session/{session}", json=run).status_code == 200
    app = App(server, session)
    app.until_it_answers()
    yield app
    # The server's own clean-up sees the sessions of its token's owner, not Alice's.
    ask(server, "DELETE", f"sessmgr/session/{session}?forced=true", json={})


def ask(server, method, path, person="alice", **kwargs):
    headers = {"X-Person": person, **kwargs.pop("headers", {})}
    return requests.request(
        method, server.url + path, headers=headers, timeout=30, allow_redirects=False, **kwargs
    )


class App:
    """Asks the app through the proxy."""

    def __init__(self, server, session):
        self.server = server
        self.path = f"sessmgr/session/{session}/service/{PORT}/"

    def ask(self, method, path, **kwargs):
        return ask(self.server, method, self.path + path, **kwargs)

    def until_it_answers(self):
        for _ in range(300):
            if self.ask("GET", "echo").status_code == 200:
                return
        raise AssertionError("the app does not listen")

    def seen(self):
        return self.ask("GET", "seen").json()

    def ticket(self):
        """Get a page's path in the sandbox, as a browser does."""
        reply = self.ask("GET", "echo", headers={"Sec-Fetch-Mode": "navigate"})
        return reply.headers["Location"].removeprefix("/base/").removesuffix("echo")


@pytest.mark.parametrize("method", METHODS)
def test_A1_nobody_unknown_reaches_a_service(app, method):
    before = len(app.seen())
    reply = requests.request(method, app.server.url + app.path + "echo", timeout=10)
    assert reply.status_code == 403
    assert len(app.seen()) == before + 1, "only the question itself came"


@pytest.mark.parametrize("method", METHODS)
def test_E1_somebody_elses_service_is_absent(app, method):
    absent = app.path.replace(app.path.split("/")[2], "0" * 8 + app.path.split("/")[2][8:])
    theirs = ask(app.server, method, app.path + "echo", person="bob")
    nowhere = ask(app.server, method, absent + "echo", person="bob")
    assert theirs.status_code == nowhere.status_code == 404
    known = app.path.split("/")[2], absent.split("/")[2]
    assert theirs.text.replace(known[0], "") == nowhere.text.replace(known[1], "")


@pytest.mark.parametrize("where", ["path", "ticket"])
def test_B3_another_host_name_reaches_nothing(app, where):
    path = app.path if where == "path" else app.ticket()
    before = len(app.seen())
    reply = ask(app.server, "GET", path + "echo", headers={"Host": "evil.example"})
    assert reply.status_code == 403
    assert len(app.seen()) == before + 1


def test_C4_a_ticket_opens_its_service_and_nothing_else(app):
    ticket = app.ticket()
    url = app.server.url + ticket
    assert requests.get(url + "echo", timeout=10).json()["target"] == "/echo"
    body = {"Content-Type": "application/json", "Origin": "null"}
    assert requests.post(url + "echo", data=b"{}", headers=body, timeout=10).status_code == 200
    asked = {"Access-Control-Request-Method": "POST", "Origin": "null"}
    leave = requests.options(url + "echo", headers=asked, timeout=10)
    assert leave.status_code == 204
    assert leave.headers["Access-Control-Allow-Origin"] == "null"
    assert "Access-Control-Allow-Credentials" not in leave.headers
    for elsewhere in ("../../api/contents", "../../session", "../../../api/kernels"):
        head = f"GET /base/{ticket}{elsewhere} HTTP/1.1"
        assert json.loads(raw(app, [head])[-1])["target"] == "/" + elsewhere, "it stays inside"
    assert requests.get(app.server.url + "api/contents", timeout=10).status_code == 403


def test_C4_a_ticket_ends_with_its_session(app):
    other = ask(app.server, "POST", "sessmgr/session", json={"config": {"preopen_ports": [PORT]}})
    path = f"sessmgr/session/{other.json()['sessionId']}/service/{PORT}/"
    reply = ask(app.server, "GET", path, headers={"Sec-Fetch-Mode": "navigate"})
    url = app.server.url + reply.headers["Location"].removeprefix("/base/")
    assert requests.get(url, timeout=10).status_code in {200, 502, 409}
    gone = f"sessmgr/session/{other.json()['sessionId']}?forced=true"
    assert ask(app.server, "DELETE", gone, json={}).status_code == 204
    assert requests.get(url, timeout=10).status_code == 404


@pytest.mark.parametrize("name", CASES)
def test_A7_nothing_hides_in_a_request_to_a_service(app, name):
    head, body = CASES[name]
    told = (head.encode() + body).replace(b"{base}sessmgr/session", f"/base/{app.path}x".encode())
    told = told.replace(b"{base}", f"/base/{app.path}".encode())
    told = told.replace(b"{host}", app.server.url.split("/")[2].encode())
    told = told.replace(b"{token}", b"X-Person: alice")
    before = len(app.seen())
    statuses = [part[:3] for part in send(app, told).split(b"HTTP/1.1 ")[1:]]
    assert all(status < b"500" for status in statuses), statuses
    came = app.seen()[before:-1]
    assert len(came) <= 1, came
    assert not any("hidden" in target for target in came)


def raw(app, head):
    """Send a request as it is written; return the answer's head and body."""
    host = app.server.url.split("/")[2]
    lines = [*head, f"Host: {host}", "Connection: close", "", ""]
    return send(app, "\r\n".join(lines).encode()).split(b"\r\n\r\n", 1)


def send(app, data):
    host, port = app.server.url.split("/")[2].split(":")
    received = b""
    with socket.create_connection((host, int(port)), timeout=3) as connection:
        connection.sendall(data)
        # It may wait for more, or close in anger: both are answers.
        with suppress(TimeoutError, ConnectionError):
            while piece := connection.recv(65536):
                received += piece
    return received
