"""C6: hosts of services: who gets there, by what, and that nobody else does."""

from __future__ import annotations

import json
import re
import socket
from urllib.parse import urlsplit

import pytest
import requests

from tests.plugins import webapp

PORT = 24694
PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}


@pytest.fixture(scope="module")
def app(module_servers):
    """Give a browser by hand, and an app in a session."""
    server = module_servers.start("process")
    made = server.create(clientSessionToken="hosted", config={"preopen_ports": [PORT]})
    webapp.start_app(server, made["sessionId"], webapp.source(), PORT)
    return Visitor(server, f"sessmgr/session/{made['sessionId']}/service/{PORT}/")


class Visitor:
    """Does what a browser does, step by step; it reaches every host of the server."""

    def __init__(self, server, path):
        self.server = server
        self.path = path
        self.address = urlsplit(server.url)

    def ask(self, method, path, host="", headers=None, **kwargs):
        """Ask the server under another host name."""
        url = f"http://{self.address.hostname}:{self.address.port}{path}"
        sent = {"Host": host or self.address.netloc, **(headers or {})}
        return requests.request(
            method, url, headers=sent, timeout=30, allow_redirects=False, **kwargs
        )

    def leave(self, page="echo?a=1", **headers):
        """Open the service at Jupyter; returns what the page there is told."""
        login = {"Authorization": f"token {self.server.token}", **PAGE, **headers}
        reply = self.ask("GET", "/base/" + self.path + page, headers=login)
        assert reply.status_code == 200, reply.text
        return json.loads(re.search(r"const told = (\{.*?\});", reply.text)[1]), reply

    def enter(self, told):
        """Go where that page leads; returns the reply and its host."""
        place = urlsplit(told["enter"])
        return self.ask("GET", f"{place.path}?{place.query}", place.netloc, PAGE), place.netloc

    def visit(self):
        """Come in; returns the host and the cookie."""
        told, _ = self.leave()
        reply, host = self.enter(told)
        assert reply.status_code == 200
        return host, reply.headers["Set-Cookie"].partition(";")[0]


def test_C6_a_browser_is_handed_over(app):
    told, page = app.leave("echo?a=%2F&b")
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "no-store" in page.headers["Cache-Control"]
    assert app.server.token not in page.text
    probe = urlsplit(told["probe"])
    assert re.fullmatch(rf"sessmgr-[a-z2-7]{{26}}\.localhost:{app.address.port}", probe.netloc)
    assert app.ask("GET", f"{probe.path}?{probe.query}", probe.netloc).text == told["expected"]
    reply, host = app.enter(told)
    assert host == probe.netloc
    cookie = reply.headers["Set-Cookie"]
    name, *flags = re.split(r"; ?", cookie)
    assert name.startswith("__Host-sessmgr=")
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=None", "Partitioned"} < set(flags)
    assert not any(flag.lower().startswith("domain") for flag in flags)
    assert json.loads(re.search(r"told = (\{.*?\});", reply.text)[1])["page"] == "/echo?a=%2F&b"
    seen = app.ask("GET", "/echo?a=%2F&b", host, {"Cookie": name})
    assert seen.status_code == 200
    told = seen.json()
    assert told["target"] == "/echo?a=%2F&b"
    assert name.partition("=")[2] not in seen.text, "our cookie is none of the service's business"


def test_C6_a_code_works_once(app):
    told, _ = app.leave()
    assert app.enter(told)[0].status_code == 200
    again, _ = app.enter(told)
    assert again.status_code == 403
    assert "Set-Cookie" not in again.headers


def test_C6_a_code_opens_its_own_host_only(app):
    told, _ = app.leave()
    label = urlsplit(told["enter"]).netloc.partition(".")[0]
    other = label[:-1] + ("a" if label[-1] != "a" else "b")
    changed = {"enter": told["enter"].replace(label, other)}
    assert app.enter(changed)[0].status_code == 403
    assert app.enter(told)[0].status_code == 403, "it was used up by the attempt"


@pytest.mark.parametrize("code", ["", "x", "é", "a" * 9000, "../..", "code=1&code=2"])
def test_C6_made_up_codes_open_nothing(app, code):
    told, _ = app.leave()
    place = urlsplit(told["enter"])
    reply = app.ask("GET", f"{place.path}?{requests.utils.quote(code)}", place.netloc, PAGE)
    assert reply.status_code == 403
    assert "Set-Cookie" not in reply.headers


@pytest.mark.parametrize("cookie", ["", "__Host-sessmgr=", "__Host-sessmgr=x.y", "a=b; =; é"])
def test_C6_without_its_cookie_a_host_shows_nothing(app, cookie):
    host, _ = app.visit()
    headers = {"Cookie": cookie.encode().decode("latin1")} if cookie else {}
    assert app.ask("GET", "/echo", host, headers).status_code == 403
    by_token = {"Authorization": f"token {app.server.token}"}
    assert app.ask("GET", "/echo", host, by_token).status_code == 403


def test_C6_a_tab_without_its_cookie_is_sent_to_jupyter(app):
    host, _ = app.visit()
    reply = app.ask("GET", "/echo?b=2", host, PAGE)
    assert reply.status_code == 302
    assert reply.headers["Location"] == f"http://{app.address.netloc}/base/{app.path}echo?b=2"


def test_C6_a_changed_cookie_is_none(app):
    host, cookie = app.visit()
    assert app.ask("GET", "/echo", host, {"Cookie": cookie}).status_code == 200
    for at in range(len("__Host-sessmgr="), len(cookie), 17):
        changed = cookie[:at] + ("A" if cookie[at] != "A" else "B") + cookie[at + 1 :]
        assert app.ask("GET", "/echo", host, {"Cookie": changed}).status_code == 403


def test_C6_a_ticket_of_a_path_is_no_cookie(app):
    """They are signed by other keys: what a page in the sandbox knows opens no host."""
    host, cookie = app.visit()
    value = cookie.partition("=")[2]
    assert app.ask("GET", f"/base/sessmgr/s/{value}/echo").status_code == 404
    assert app.ask("GET", "/echo", host, {"Cookie": cookie}).status_code == 200


HOSTS = [
    "{label}.localhost.evil",
    "{label}.localhost.",
    "{label}",
    "{label}.",
    "{LABEL}.LOCALHOST:{port}",
    "{label}.localhost:{port}:1",
    "{label}.127.0.0.1",
    "{label}.example.net",
    "{label}.localhost:99999999",
    "{label}.xn--localhost-9za",
]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("path", ["/echo", "/.sessmgr/enter", "/base/api/status", "/base/lab"])
def test_C6_confusing_hosts_reach_nothing(app, host, path):
    own, cookie = app.visit()
    label = own.partition(".")[0]
    spelled = host.format(label=label, LABEL=label.upper(), port=app.address.port)
    headers = {"Cookie": cookie, "Authorization": f"token {app.server.token}"}
    assert app.ask("GET", path, spelled, headers).status_code in {400, 403}


@pytest.mark.parametrize(
    "host", ["a.localhost.evil", "x@{own}", "évil.localhost", "{own}@localhost", "{own}/..", ""]
)
def test_C6_odd_hosts_reach_no_service(app, host):
    own, cookie = app.visit()
    request = (
        f"GET /echo HTTP/1.1\r\nHost: {host.format(own=own)}\r\nCookie: {cookie}\r\n"
        "Connection: close\r\n\r\n"
    )
    address = (app.address.hostname, app.address.port)
    with socket.create_connection(address, timeout=10) as connection:
        connection.sendall(request.encode())
        answer = connection.makefile("rb").read()
    assert answer.split(b" ", 2)[1] in {b"400", b"403", b"404"}


def test_C6_jupyters_pages_are_not_on_a_service_host(app):
    host, cookie = app.visit()
    headers = {"Cookie": cookie, "Authorization": f"token {app.server.token}"}
    for path in ("/base/api/contents", "/base/login", "/base/static/favicon.ico"):
        reply = app.ask("GET", path, host, headers)
        told = reply.json() if "json" in reply.headers.get("Content-Type", "") else {}
        assert told.get("target") == path or reply.status_code == 404, "only the service answers"


def test_C6_a_jupyter_below_localhost_stays_reachable(app):
    reply = app.ask(
        "GET",
        "/base/api/status",
        f"jupyter.localhost:{app.address.port}",
        {"Authorization": f"token {app.server.token}"},
    )
    assert "__Host-sessmgr" not in reply.headers.get("Set-Cookie", "")
    assert reply.status_code in {200, 403}, "Jupyter's own rule on hosts says which"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://{jupyter}"},
        {"Origin": "http://sessmgr-{a}.localhost:{port}"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    ],
    ids=str,
)
def test_C6_what_other_sites_send_is_refused(app, headers):
    """The cookie travels with it: ``SameSite=None`` is what frames need."""
    host, cookie = app.visit()
    words = {"jupyter": app.address.netloc, "a": "a" * 26, "port": app.address.port}
    sent = {name: value.format(**words) for name, value in headers.items()}
    reply = app.ask("POST", "/echo", host, {"Cookie": cookie, **sent}, data=b"x")
    assert reply.status_code == 403
    own = {"Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert app.ask("POST", "/echo", host, {"Cookie": cookie, **own}, data=b"x").status_code == 200
    untold = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}
    assert app.ask("POST", "/echo", host, {"Cookie": cookie, **untold}, data=b"x").ok


def test_C6_a_page_cannot_lock_its_user_out_by_another_cookie(app):
    """Beside a partitioned cookie, a page can have one of that name that is not."""
    host, cookie = app.visit()
    for cookies in (
        f"__Host-sessmgr=x; {cookie}",
        f"__Host-sessmgr=a.b; {cookie}; __Host-sessmgr=y",
    ):
        seen = app.ask("GET", "/echo", host, {"Cookie": cookies})
        assert seen.status_code == 200
        assert "sessmgr=" not in seen.text


def test_C6_foreign_pages_do_not_frame_or_read(app):
    host, cookie = app.visit()
    framed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    for dest in ("iframe", "embed", "object"):
        headers = {"Cookie": cookie, **framed, "Sec-Fetch-Dest": dest}
        assert app.ask("GET", "/echo", host, headers).status_code == 403
    headers = {"Cookie": cookie, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}
    assert app.ask("GET", "/echo", host, headers).status_code == 403
    for method in ("GET", "HEAD", "OPTIONS"):  # as over plain http, where nothing more is told
        headers = {"Cookie": cookie, "Origin": "https://evil.example"}
        assert app.ask(method, "/echo", host, headers).status_code == 403
        headers = {"Cookie": cookie, "Origin": f"http://{host}"}
        assert app.ask(method, "/echo", host, headers).status_code == 200
    linked = {"Cookie": cookie, **framed, "Sec-Fetch-Dest": "document"}
    assert app.ask("GET", "/echo", host, linked).status_code == 200


def test_C6_headers_of_a_hosted_page(app):
    host, cookie = app.visit()
    reply = app.ask("GET", "/echo", host, {"Cookie": cookie})
    policy = reply.headers["Content-Security-Policy"]
    assert f"frame-ancestors 'self' http://{app.address.netloc}" in policy
    assert "sandbox" not in policy
    assert reply.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "Access-Control-Allow-Origin" not in reply.headers


def test_C6_a_session_that_ended_shows_nothing(module_servers):
    server = module_servers.start("process")
    made = server.create(clientSessionToken="ending", config={"preopen_ports": [PORT + 1]})
    webapp.start_app(server, made["sessionId"], webapp.source(), PORT + 1)
    visitor = Visitor(server, f"sessmgr/session/{made['sessionId']}/service/{PORT + 1}/")
    host, cookie = visitor.visit()
    assert visitor.ask("GET", "/echo", host, {"Cookie": cookie}).status_code == 200
    told, _ = visitor.leave()
    server.ask("DELETE", f"sessmgr/session/{made['sessionId']}?forced=true", json={})
    assert visitor.ask("GET", "/echo", host, {"Cookie": cookie}).status_code == 403
    assert visitor.enter(told)[0].status_code in {403, 404}
