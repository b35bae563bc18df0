"""Service ports through a real server: a real app in a real session."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress

import pytest
import requests

from tests.plugins import webapp

PORT = 24680


@pytest.fixture(scope="module")
def app(module_servers):
    """Give a client of an app in a session: `app.ask(method, path)`."""
    server = module_servers.start("process", config={"ServiceProxy": {"isolation": "sandbox"}})
    made = server.create(clientSessionToken="apps", config={"preopen_ports": [PORT]})
    webapp.start_app(server, made["sessionId"], webapp.source(), PORT)
    return App(server, made["sessionId"])


class App:
    """Asks the app through the proxy."""

    def __init__(self, server, session_id):
        self.server = server
        self.session_id = session_id
        self.path = f"sessmgr/session/{session_id}/service/{PORT}/"

    def ask(self, method, path, **kwargs):
        return self.server.ask(method, self.path + path, **kwargs)

    def raw(self, head, body=b""):
        """Send a request byte by byte; return what comes back until the end."""
        host, port = self.server.url.split("/")[2].split(":")
        auth = f"Authorization: token {self.server.token}\r\nConnection: close\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            connection.sendall(head.encode() + auth.encode() + body)
            data = b""
            while piece := connection.recv(65536):
                data += piece
        return data


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"])
def test_every_method_passes_with_its_body(app, method):
    told = app.ask(method, "echo?a=1&b=", data=b"hello").json()
    assert (told["method"], told["target"], told["body"]) == (method, "/echo?a=1&b=", "hello")


def test_an_empty_patch_passes(app):
    assert app.ask("PATCH", "echo", data=b"").json()["size"] == 0


@pytest.mark.parametrize(
    "target",
    ["a%2Fb", "a%3Fb%23c", "%FF%00x", "a//b//", "a/../b", "a;b@c", "x?q=%26&empty=&flag", "?x=%ZZ"],
)
def test_the_target_arrives_byte_for_byte(app, target):
    head = f"GET /base/{app.path}{target} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    body = app.raw(head).partition(b"\r\n\r\n")[2]
    assert json.loads(body)["target"] == "/" + target


def test_C1_no_credential_of_jupyter_reaches_the_app(app):
    canary = app.server.token
    headers = {
        "Cookie": "_xsrf=canary-x; username-localhost-8888=canary-u; jupyterhub-session-id=canary-j; mine=1",
        "Referer": f"{app.server.url}{app.path}?token={canary}",
        "X-XSRFToken": "canary-t",
    }
    told = app.ask("POST", f"echo?token={canary}&a=1", data=b"x", headers=headers).json()
    text = json.dumps(told)
    assert canary not in text
    assert "canary" not in text
    assert dict(told["headers"])["Cookie"] == "mine=1"
    assert told["target"] == "/echo?a=1"


def test_C2_the_app_cannot_reach_beyond_its_path(app):
    reply = app.ask("GET", "hostile")
    prefix = "/base/" + app.path
    assert reply.raw.headers.getlist("Set-Cookie") == [f"sid=1; Path={prefix}"]
    for name in ("Clear-Site-Data", "Service-Worker-Allowed", "Strict-Transport-Security"):
        assert name not in reply.headers
    assert reply.headers.get("Access-Control-Allow-Origin") == "null"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "echo"),
        ("HEAD", "echo"),
        ("GET", "status?206"),
        ("GET", "status?304"),
        ("GET", "redirect?/x"),
        ("GET", "status?404"),
        ("GET", "status?500"),
        ("GET", "events?1"),
        ("GET", "garbage"),
    ],
)
def test_C7_every_kind_of_answer_is_isolated(app, method, path):
    reply = app.ask(method, path)
    assert "sandbox allow-scripts" in reply.headers["Content-Security-Policy"]
    assert "allow-same-origin" not in reply.headers["Content-Security-Policy"]


def test_answers_pass_as_they_are(app):
    head = app.ask("HEAD", "big?3")
    assert (head.headers["Content-Length"], head.content) == (str(3 << 20), b"")
    reply = app.ask("GET", "status?304")
    assert (reply.status_code, reply.content, reply.headers["X-Mine"]) == (304, b"", "1")
    assert "Etag" not in app.ask("GET", "echo").headers
    assert app.ask("GET", "redirect?/there").headers["Location"] == f"/base/{app.path}there"


def test_events_come_as_they_are_sent(app):
    began = time.monotonic()
    with app.ask("GET", "events?5", stream=True) as reply:
        pieces = reply.iter_content(None)
        assert next(pieces) == b"data: 0\n\n"
        assert time.monotonic() - began < 0.9
        assert b"".join(pieces).endswith(b"data: 4\n\n")


def test_big_bodies_pass_both_ways(app):
    assert len(app.ask("GET", "big?64").content) == 64 << 20
    data = b"y" * (32 << 20)
    assert app.ask("POST", "echo", data=data).json()["size"] == len(data)
    assert app.ask("POST", "echo", data=iter([data[:1000], data[1000:]])).json()["size"] == len(
        data
    )


def test_an_answer_that_breaks_off_is_cut(app):
    with pytest.raises(requests.RequestException):
        app.ask("GET", "short")


def test_an_answer_before_the_body_is_read_is_passed(app):
    assert app.ask("POST", "early", data=b"z" * 1000).status_code == 413
    # The proxy cannot take a flood back that nobody reads: the client may see its upload cut.
    with suppress(requests.ConnectionError):
        assert app.ask("POST", "early", data=b"z" * (8 << 20)).status_code == 413


@pytest.mark.parametrize(("path", "status"), [("garbage", 502), ("headers?300", 502)])
def test_nonsense_is_a_bad_gateway(app, path, status):
    reply = app.ask("GET", path)
    assert (reply.status_code, reply.json()["title"]) == (status, "The service failed.")


def test_long_headers_pass(app):
    assert len(app.ask("GET", "headers?60").headers["X-Long"]) == 60 << 10


@pytest.mark.parametrize(
    "service",
    [
        "nonsense",
        "6006@evil",
        "169.254.169.254",
        "..%2f..",
        "%00",
        "%5C",
        "80",
        "127.0.0.1:80",
        "1" * 300,
    ],
)
def test_D1_nobody_chooses_host_or_port(app, service):
    reply = app.server.ask("GET", f"sessmgr/session/{app.session_id}/service/{service}/")
    assert reply.status_code == 404


def test_C9_errors_repeat_nothing_raw(app):
    url = f"{app.server.url}sessmgr/session/{app.session_id}/service/<script>alert(1)</script>/"
    headers = {"Accept": "text/html", "Authorization": f"token {app.server.token}"}
    reply = requests.get(url, headers=headers, timeout=10)
    assert reply.status_code == 404
    assert "<script>" not in reply.text
    assert reply.headers["X-Content-Type-Options"] == "nosniff"


def test_A2_strangers_reach_nothing(app):
    url = app.server.url + app.path
    assert requests.get(url, timeout=10, allow_redirects=False).status_code == 403
    assert requests.post(url, timeout=10, data=b"x").status_code == 403
    wrong = {"Authorization": "token wrong"}
    assert requests.get(url, headers=wrong, timeout=10).status_code == 403
    page = requests.get(url, headers={"Accept": "text/html"}, timeout=10, allow_redirects=False)
    assert page.status_code == 302
    assert "/login?next=" in page.headers["Location"]


def test_a_browser_is_sent_into_the_sandbox(app):
    headers = {"Sec-Fetch-Mode": "navigate"}
    reply = app.ask("GET", "echo?a=%2F", headers=headers)
    assert reply.status_code == 302
    place = reply.headers["Location"]
    assert place.startswith("/base/sessmgr/s/")
    origin = app.server.url.removesuffix("/base/")
    page = requests.get(origin + place, timeout=10, headers={"Origin": "null"})
    assert page.json().get("target") == "/echo?a=%2F", app.server.log()
    assert "sandbox" in page.headers["Content-Security-Policy"]
    assert page.headers["Referrer-Policy"] == "no-referrer"
    forged = place.replace("/s/", "/s/x")
    assert requests.get(origin + forged, timeout=10).status_code == 404
    assert place.split("/")[4] not in app.server.log()


def test_the_slash_is_added(app):
    reply = app.server.ask("GET", app.path.rstrip("/"))
    assert (reply.status_code, reply.headers["Location"]) == (302, f"/base/{app.path}")


def test_B_a_foreign_page_changes_nothing(app):
    login = requests.Session()
    login.get(app.server.url + f"?token={app.server.token}", timeout=10)
    url = app.server.url + app.path + "echo"
    for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert login.post(url, data=b"x", headers=headers, timeout=10).status_code == 403
    own = {"Origin": app.server.url.removesuffix("/base/")}
    assert login.post(url, data=b"x", headers=own, timeout=10).status_code == 200


def test_C5_an_app_that_does_not_run_in_the_sandbox_says_so(app):
    path = f"sessmgr/session/{app.session_id}/service/tensorboard/"
    headers = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
    page = app.server.ask("GET", path, headers=headers)
    assert page.status_code == 403
    assert "do not run in the sandbox" in page.text
    assert "ServiceProxy.host_suffix" in page.text
