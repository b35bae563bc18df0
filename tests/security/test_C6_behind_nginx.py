"""C6: hosts of services behind nginx, with a wildcard name and HTTPS, as the documents say."""

from __future__ import annotations

import json
import re

import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.plugins import socketapp, webapp
from tests.plugins.nginx import HOST, PREFIX, SUFFIX

WEB, SOCKET = 24797, 24798
PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}


@pytest.fixture(scope="module", params=[True, False], ids=["trusting", "untrusting"])
def nginx(request, module_servers, nginxes):
    """Give a server with two apps in a session, behind nginx, which it believes or not."""
    nginx = nginxes(suffix=True)
    nginx.is_trusted = request.param
    server = module_servers.start("process", config=nginx.config(trusting=request.param))
    session = server.create(config={"preopen_ports": [WEB, SOCKET]})["sessionId"]
    for app, port in ((webapp, WEB), (socketapp, SOCKET)):
        webapp.start_app(server, session, app.source(), port)
    nginx.start(server).session = session
    yield nginx
    server.destroy_sessions()  # the next one's listen on the same ports


class Visitor:
    """Does what a browser does, step by step, by the public names."""

    def __init__(self, nginx, port, page="echo?a=1"):
        self.nginx = nginx
        self.jupyter = f"https://{HOST}:{nginx.port}"
        self.path = f"sessmgr/session/{nginx.session}/service/{port}/"
        reply = nginx.ask("GET", self.path + page, headers=PAGE)
        assert reply.status_code == 200, reply.text
        self.told = json.loads(re.search(r"const told = (\{.*?\});", reply.text)[1])
        self.origin = self.told["enter"].partition("/.sessmgr/")[0]
        self.host = self.origin.removeprefix("https://")

    def get(self, url, method="GET", **kwargs):
        verify = self.nginx.http.verify
        return requests.request(
            method, url, verify=verify, timeout=30, allow_redirects=False, **kwargs
        )

    def enter(self):
        """Go where the page leads; from then on the browser is known there."""
        reply = self.get(self.told["enter"], headers=PAGE)
        assert reply.status_code == 200, reply.text
        self.cookie = {"Cookie": reply.headers["Set-Cookie"].partition(";")[0]}
        return reply

    def ask(self, method, path, headers=None, **kwargs):
        return self.get(
            self.origin + path, method, headers={**self.cookie, **(headers or {})}, **kwargs
        )

    def open(self, path="/echo", origin=None, **kwargs):
        return connect(
            f"wss://{self.host}{path}",
            additional_headers=self.cookie,
            origin=origin or self.origin,
            ssl=self.nginx.tls,
            max_size=2**28,
            **kwargs,
        )


@pytest.fixture
def visitor(nginx):
    visitor = Visitor(nginx, WEB)
    visitor.enter()
    return visitor


def test_C6_a_browser_is_handed_over_by_the_public_names(nginx):
    visitor = Visitor(nginx, WEB, "echo?a=%2F&b")
    assert re.fullmatch(rf"sessmgr-[a-z2-7]{{26}}\.{SUFFIX}:{nginx.port}", visitor.host)
    assert visitor.get(visitor.told["probe"]).text == visitor.told["expected"]
    entered = visitor.enter()
    name, *flags = re.split(r"; ?", entered.headers["Set-Cookie"])
    assert name.startswith("__Host-sessmgr=")
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=None", "Partitioned"} < set(flags)
    assert visitor.get(visitor.told["enter"], headers=PAGE).status_code == 403, "a code works once"
    told = visitor.ask("GET", "/echo?a=%2F&b").json()
    assert told["target"] == "/echo?a=%2F&b"
    headers = dict(told["headers"])
    assert headers["X-Forwarded-Proto"] == ("https" if nginx.is_trusted else "http")
    assert headers["X-Forwarded-Host"] == visitor.host
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert "__Host-sessmgr" not in json.dumps(told)


def test_C6_only_jupyters_public_origin_frames_it(visitor):
    policy = visitor.ask("GET", "/echo").headers["Content-Security-Policy"]
    assert f"frame-ancestors 'self' {visitor.jupyter}" in policy
    assert "sandbox" not in policy


def test_C6_a_tab_without_its_cookie_is_sent_to_the_public_jupyter(visitor):
    reply = visitor.get(f"{visitor.origin}/echo?b=2", headers=PAGE)
    assert reply.status_code == 302
    assert reply.headers["Location"] == f"{visitor.jupyter}{PREFIX}{visitor.path}echo?b=2"
    assert visitor.get(f"{visitor.origin}/echo").status_code == 403


def test_C6_origins_are_judged_by_their_public_names(visitor):
    sibling = visitor.origin.replace("https://sessmgr-", "https://sessmgr-a")
    for origin, status in {
        visitor.origin: 200,
        visitor.jupyter: 403,
        sibling: 403,
        f"https://{SUFFIX}": 403,
        "http://127.0.0.1:8888": 403,
        "null": 403,
    }.items():
        reply = visitor.ask("POST", "/echo", {"Origin": origin}, data=b"x")
        assert reply.status_code == status, origin


def test_C6_websockets_are_judged_so_too(nginx):
    visitor = Visitor(nginx, SOCKET)
    visitor.enter()
    with visitor.open() as sock:
        for message in ("hé", b"x" * (8 << 20)):
            sock.send(message)
            assert sock.recv(30) == message
        sock.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            sock.recv(20)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "as you wish")
    for origin in (visitor.jupyter, "https://evil.example"):
        with pytest.raises(InvalidStatus) as refused:
            visitor.open(origin=origin)
        assert refused.value.response.status_code == 403


def test_C6_bodies_stream_both_ways_and_paths_stay(visitor):
    assert len(visitor.ask("GET", "/big?32").content) == 32 << 20
    assert visitor.ask("POST", "/echo", data=bytes(32 << 20)).json()["size"] == 32 << 20
    odd = f"{visitor.origin}/a%2Fb//c?x=%26&y"
    prepared = requests.Request("GET", odd, headers=visitor.cookie).prepare()
    prepared.url = odd
    with requests.Session() as session:
        sent = session.send(prepared, verify=visitor.nginx.http.verify, timeout=30)
    assert sent.json()["target"] == "/a%2Fb//c?x=%26&y"
    moved = visitor.ask("GET", f"/redirect?http://127.0.0.1:{WEB}/there")
    assert moved.headers["Location"] == "/there"


def test_C6_other_names_below_the_suffix_are_nobodys(visitor):
    for name in ("evil", "jupyter", "sessmgr-x", f"sessmgr-{'a' * 26}"):
        url = f"https://{name}.{SUFFIX}:{visitor.nginx.port}"
        for path in ("/echo", f"{PREFIX}api/status", "/.sessmgr/enter?x"):
            headers = {"Authorization": f"token {visitor.nginx.token}", **visitor.cookie}
            assert visitor.get(url + path, headers=headers).status_code == 403


def test_C6_programs_go_on_with_the_path(visitor):
    assert visitor.nginx.ask("GET", visitor.path + "echo").json()["target"] == "/echo"


def test_C6_codes_and_cookies_are_in_no_log(nginx):
    visitor = Visitor(nginx, WEB)
    visitor.enter()
    visitor.ask("GET", "/echo")
    secrets = (visitor.told["enter"].rpartition("?")[2], visitor.cookie["Cookie"].partition("=")[2])
    for log in (nginx.log(), nginx.errors(), nginx.server.log()):
        assert [secret for secret in secrets if secret in log] == []
