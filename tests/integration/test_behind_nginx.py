"""Services behind nginx, configured as the documents say: HTTPS, with and without a prefix."""

from __future__ import annotations

import json
import time
from contextlib import suppress

import psutil
import pytest
import requests
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.plugins import socketapp, webapp
from tests.plugins.nginx import HOST, PREFIX

#: What a client may say of itself, and nobody believes.
HOSTILE = {
    "X-Real-IP": "6.6.6.6",
    "X-Forwarded-For": "6.6.6.6",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "666",
    "X-Forwarded-Prefix": "/evil",
    "X-Forwarded-Proto": "ftp",
    "X-Forwarded-Server": "evil.example",
    "X-ProxyContextPath": "/evil",
    "X-Scheme": "http",
    "Forwarded": "for=6.6.6.6;proto=ftp;host=evil.example",
}
#: Base URL, whether Jupyter believes nginx, and the first of two ports inside: sessions that are
#: processes share the machine's.
LAYOUTS = {
    "prefix": (PREFIX, True, 24790),
    "root": ("/", True, 24792),
    "untrusting": (PREFIX, False, 24794),
}
#: An app that an admin trusts.
TRUSTED = {
    "command": ["{runtime_path}", "trusted.py", "{ports[0]}"],
    "trusted": True,
}
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


class Service:
    """Asks a service of a session through nginx."""

    def __init__(self, nginx, session_id, port):
        self.nginx = nginx
        self.port = port
        self.services = f"sessmgr/session/{session_id}/service/"
        self.path = f"{self.services}{port}/"
        #: As a browser sees it.
        self.prefix = nginx.prefix + self.path
        self.host = f"{HOST}:{nginx.port}"

    def ask(self, method, path, **kwargs):
        return self.nginx.ask(method, self.path + path, **kwargs)

    def open(self, path="echo", **kwargs):
        headers = {
            "Authorization": f"token {self.nginx.token}",
            **kwargs.pop("additional_headers", {}),
        }
        url = f"wss://{self.host}{self.prefix}{path}"
        return connect(
            url, additional_headers=headers, ssl=self.nginx.tls, max_size=2**28, **kwargs
        )


@pytest.fixture(scope="module")
def layouts(module_servers, nginxes):
    """Give, by layout, a web app and a websocket app in one session: each made once."""
    made = {}

    def make(name):
        if name not in made:
            prefix, trusting, first = LAYOUTS[name]
            ports = [first, first + 1]
            nginx = nginxes()
            config = nginx.config(prefix=prefix, trusting=trusting)
            config["SessionServices"] = {"definitions": {"trusted": TRUSTED}}
            if name == "root":  # a sibling of Jupyter's name, which is as good as none
                config["ServiceProxy"] = {"host_suffix": "apps.example.org"}
            server = module_servers.start("process", config=config)
            session = server.create(config={"preopen_ports": ports})["sessionId"]
            for app, port in zip((webapp, socketapp), ports, strict=True):
                webapp.start_app(server, session, app.source(), port)
            wrote = f"print(open('trusted.py', 'w').write({webapp.source()!r}))"
            assert int(server.execute(session, wrote)) > 0
            nginx.start(server)
            made[name] = [Service(nginx, session, port) for port in ports]
        return made[name]

    return make


@pytest.fixture(params=LAYOUTS)
def layout(request):
    return request.param


@pytest.fixture
def app(layouts, layout):
    return layouts(layout)[0]


@pytest.fixture
def sockets(layouts, layout):
    return layouts(layout)[1]


def told(answer):
    """Return the headers that an echo was asked with, by name; each once."""
    pairs = json.loads(answer.partition(b"\r\n\r\n")[2])["headers"]
    names = [name.lower() for name, _ in pairs]
    assert len(names) == len(set(names)), names
    return dict(zip(names, (value for _, value in pairs), strict=True))


def test_a_service_is_told_who_asked_by_the_proxy_and_not_by_the_client(app, layout):
    hostile = "".join(f"{name}: {value}\r\n" for name, value in HOSTILE.items())
    head = f"GET {app.prefix}echo HTTP/1.1\r\n{hostile}".removesuffix("\r\n")
    headers = told(app.nginx.raw(head, source="127.0.0.2"))
    believed = LAYOUTS[layout][1]
    assert headers["x-forwarded-for"] == ("127.0.0.2" if believed else "127.0.0.1")
    assert headers["x-forwarded-proto"] == ("https" if believed else "http")
    assert headers["x-forwarded-host"] == app.host
    assert headers["x-forwarded-prefix"] == app.prefix.rstrip("/")
    assert headers["x-proxycontextpath"] == app.prefix.rstrip("/")
    assert "evil" not in json.dumps(headers)
    assert "6.6.6.6" not in json.dumps(headers)
    assert not {"forwarded", "x-scheme", "x-real-ip", "x-forwarded-port"} & set(headers)


@pytest.mark.parametrize(
    "target",
    [
        "a%2Fb",
        "a%3Fb%23c",
        "%FFx",
        "a//b//",
        "a/../b",
        "a/%2e%2E/b",
        "a;b@c",
        "x?q=%26&e=&f",
        "?x=%ZZ",
    ],
)
def test_the_target_arrives_byte_for_byte(app, target):
    answer = app.nginx.raw(f"GET {app.prefix}{target} HTTP/1.1")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["target"] == "/" + target


def test_what_nginx_refuses_and_changes_is_as_the_page_says(layouts):
    app, _ = layouts("prefix")
    for target in ("%00", "../" * 20):
        assert app.nginx.raw(f"GET {app.prefix}{target} HTTP/1.1").startswith(b"HTTP/1.1 400 ")
    assert app.nginx.raw(f"TRACE {app.prefix} HTTP/1.1").startswith(b"HTTP/1.1 405 ")
    headers = told(app.nginx.raw(f"GET {app.prefix}echo HTTP/1.1\r\nX_Odd: 1\r\nX-Usual: 1"))
    assert "x-usual" in headers
    assert "x_odd" not in headers


def test_other_names_are_refused(app):
    """nginx passes whatever name leads to it; Jupyter answers to its own."""
    for path in ("api/status", app.path, "sessmgr/session"):
        reply = app.nginx.ask("GET", path, headers={"Host": "evil.example"})
        assert reply.status_code == 403, path


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE", "PROPFIND"])
def test_every_method_passes_with_its_body(app, method):
    answer = app.ask(method, "echo?a=1&b=", data=b"hello").json()
    assert (answer["method"], answer["target"], answer["body"]) == (method, "/echo?a=1&b=", "hello")


def test_redirects_stay_below_the_public_prefix(app):
    own = f"https://{app.host}"
    for sent, seen in {
        "/there": app.prefix + "there",
        f"http://127.0.0.1:{app.port}/there": app.prefix + "there",
        f"{own}/there": app.prefix + "there",
        f"{own}{app.prefix}there": app.prefix + "there",
        "https://elsewhere.example/x": "https://elsewhere.example/x",
        "there": "there",
    }.items():
        assert app.ask("GET", f"redirect?{sent}").headers["Location"] == seen
    slash = app.nginx.ask("GET", app.path.rstrip("/"))
    assert (slash.status_code, slash.headers["Location"]) == (302, app.prefix)


def test_a_login_leads_back_to_the_public_place(app):
    """Whoever is not logged in is sent to Jupyter's page under the prefix, and by no http link."""
    url = f"https://{app.host}{app.prefix}"
    headers = {"Accept": "text/html"}
    reply = requests.get(
        url, headers=headers, timeout=30, verify=app.nginx.http.verify, allow_redirects=False
    )
    assert reply.status_code == 302
    assert reply.headers["Location"].startswith(f"{app.nginx.prefix}login?next=")


def test_C2_cookies_are_confined_to_the_public_prefix(app):
    reply = app.ask("GET", "hostile")
    assert reply.raw.headers.getlist("Set-Cookie") == [f"sid=1; Path={app.prefix}"]
    for name in ("Clear-Site-Data", "Service-Worker-Allowed", "Strict-Transport-Security"):
        assert name not in reply.headers


def test_a_service_cannot_have_nginx_send_files_of_its_host(app):
    """nginx would obey X-Accel-Redirect, and send what nobody else may ask for."""
    reply = app.ask("GET", "accel?/people/ann/api/status")
    assert (reply.status_code, reply.text) == (200, "mine")
    assert "X-Accel-Redirect" not in reply.headers


@pytest.mark.parametrize(
    "path", ["echo", "status?206", "status?304", "redirect?/x", "status?404", "events?1", "garbage"]
)
def test_C7_every_kind_of_answer_is_isolated(app, path):
    assert "sandbox allow-scripts" in app.ask("GET", path).headers["Content-Security-Policy"]


def test_events_come_as_they_are_sent(app):
    """The last is sent when the first is here."""
    with app.ask("GET", "held", stream=True) as reply:
        pieces = reply.iter_content(None)
        assert next(pieces) == b"data: first\n\n"
        assert app.ask("GET", "let").status_code == 204
        assert b"".join(pieces) == b"data: last\n\n"


def test_an_upload_arrives_as_it_is_sent(app):
    """A client that waits for each answer's piece would wait for ever behind a buffer."""

    def pieces():
        for _ in range(3):
            yield b"x" * 1000
            before = len(app.ask("GET", "pieces").json())
            deadline = time.monotonic() + 20
            while len(app.ask("GET", "pieces").json()) == before and before < expected[0]:
                assert time.monotonic() < deadline
            expected[0] += 1

    expected = [1]
    assert app.ask("POST", "collect", data=pieces()).json() == [1000] * 3


def test_100_MiB_pass_both_ways(layouts):
    app, _ = layouts("prefix")
    with app.ask("GET", "big?100", stream=True) as reply:
        assert reply.headers["Content-Length"] == str(100 << 20)
        assert sum(map(len, reply.iter_content(1 << 20))) == 100 << 20
    whole = bytes(100 << 20)
    assert app.ask("POST", "echo", data=whole).json()["size"] == len(whole)
    parts = iter([whole[: 50 << 20]] * 2)
    assert app.ask("POST", "echo", data=parts).json()["size"] == len(whole)
    # Nothing of it was put aside.
    assert list((app.nginx.folder / "body").iterdir()) == []
    assert "temporary file" not in app.nginx.errors()


def test_long_headers_pass(app):
    assert len(app.ask("GET", "headers?60").headers["X-Long"]) == 60 << 10
    echoed = app.ask("GET", "echo", headers={"X-Long": "x" * (50 << 10)}).json()
    assert len(dict(echoed["headers"])["X-Long"]) == 50 << 10


def test_an_answer_that_breaks_off_is_never_taken_for_whole(app):
    """It is cut; where not even its head went out, nginx says so in our place."""
    with suppress(requests.RequestException):
        assert app.ask("GET", "short").status_code == 502


@pytest.mark.parametrize(
    ("path", "status"), [("garbage", 502), ("headers?300", 502), ("status?404", 404)]
)
def test_error_pages_are_ours_and_the_services_own(app, path, status):
    reply = app.ask("GET", path)
    assert reply.status_code == status
    assert "nginx" not in reply.text


def test_T9_clients_that_leave_take_their_connections_along(layouts):
    app, _ = layouts("prefix")
    process = psutil.Process(app.nginx.server.pid)
    app.ask("GET", "echo")
    before = process.num_fds()
    for _ in range(20):
        with app.ask("GET", "big?50", stream=True) as reply:
            next(reply.iter_content(1000))
    deadline = time.monotonic() + 10
    while process.num_fds() > before + 2:
        assert time.monotonic() < deadline, (before, process.num_fds())
        time.sleep(0.1)
    assert app.ask("GET", "echo").status_code == 200


def test_kernels_are_reached_through_it(app):
    session_id = app.services.split("/")[2]
    assert app.nginx.execute(session_id, "print(6 * 7)") == "42\n"


def test_websockets_pass_both_ways(sockets):
    with sockets.open(subprotocols=["first", "second"]) as sock:
        assert sock.subprotocol == "second"
        for message in ("hé", "", b"\x00\xff", b"x" * (8 << 20)):
            sock.send(message)
            assert sock.recv(30) == message
        sock.ping().wait(10)


def test_close_codes_pass_both_ways(sockets):
    with sockets.open() as sock:
        sock.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            sock.recv(20)
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "as you wish")
    with sockets.open() as sock:
        sock.close(4567, "my wish")
    deadline = time.monotonic() + 10
    while (seen := sockets.ask("GET", "told").json()["closed"]) != [4567, "my wish"]:
        assert time.monotonic() < deadline, seen


def test_a_refusal_keeps_its_status(sockets):
    with pytest.raises(InvalidStatus) as refused:
        sockets.open("no")
    assert refused.value.response.status_code == 418


def test_A2_websockets_need_credentials_and_the_public_origin(sockets):
    """The origin that counts is the one that the browser sees, not nginx's or Jupyter's own."""
    before = sockets.ask("GET", "told").json()["opened"]
    nobody = {"additional_headers": {"Authorization": "token wrong"}}
    with pytest.raises(InvalidStatus) as refused:
        sockets.open(**nobody)
    assert refused.value.response.status_code == 403
    cookie = log_in(sockets)
    for origin in (f"https://{HOST}", "http://127.0.0.1:8888", "https://evil.example"):
        with pytest.raises(InvalidStatus) as refused:
            sockets.open(additional_headers={"Authorization": "", **cookie}, origin=origin)
        assert refused.value.response.status_code == 403
    assert sockets.ask("GET", "told").json()["opened"] == before
    own = f"https://{sockets.host}"
    with sockets.open(additional_headers={"Authorization": "", **cookie}, origin=own) as sock:
        sock.send("hello")
        assert sock.recv(20) == "hello"


def log_in(service):
    """Log in as a browser does; return the header by which it is known from then on."""
    nginx = service.nginx
    url = f"{nginx.url}sessmgr/session?token={nginx.token}"
    browser = requests.Session()
    assert browser.get(url, timeout=30, verify=nginx.http.verify).status_code == 200
    return {"Cookie": "; ".join(f"{one.name}={one.value}" for one in browser.cookies)}


def test_B_writes_are_taken_from_pages_of_the_public_origin_only(app):
    cookie = log_in(app)
    headers = {**cookie, "Authorization": "", "Sec-Fetch-Mode": "cors"}
    for origin, status in {
        f"https://{app.host}": 200,
        "https://evil.example": 403,
        f"https://{HOST}.evil.example": 403,
        "null": 403,
    }.items():
        reply = app.ask("POST", "echo", data=b"x", headers={**headers, "Origin": origin})
        assert reply.status_code == status, origin
        if status == 200:
            assert "username-" not in reply.text
            told_origin = dict(reply.json()["headers"])["Origin"]
            assert told_origin == f"http://127.0.0.1:{app.port}"


def test_without_a_suffix_only_trusted_apps_leave_the_sandbox(app):
    trusted = f"{app.services}trusted/echo"
    assert app.nginx.ask("GET", trusted).status_code == 200  # programs wait for its start
    reply = app.nginx.ask("GET", trusted, headers=NAVIGATION)
    assert reply.json()["target"] == "/echo"
    assert reply.headers["Content-Security-Policy"] == "frame-ancestors 'self'"
    reply = app.ask("GET", "echo", headers=NAVIGATION)
    assert reply.status_code == 302
    assert reply.headers["Location"].startswith(f"{app.nginx.prefix}sessmgr/s/")


def test_nobody_is_sent_to_their_own_machine(layouts):
    """What nginx calls localhost is not what the browser calls so."""
    app, _ = layouts("prefix")
    headers = {**NAVIGATION, "Host": f"localhost:{app.nginx.port}"}
    reply = app.ask("GET", "echo", headers=headers)
    assert reply.status_code == 302
    assert reply.headers["Location"].startswith(f"{app.nginx.prefix}sessmgr/s/")


def test_C3_what_leaves_the_sandbox_is_told_once(app, layout):
    for _ in range(2):
        app.nginx.ask("GET", f"{app.services}trusted/echo", headers=NAVIGATION)
        app.ask("GET", "echo", headers=NAVIGATION)
    log = app.nginx.server.log()
    assert log.count("Pages of trusted are shown at Jupyter's own origin") == 1
    assert log.count("are both below example.org") == (1 if layout == "root" else 0)


def test_a_sandboxed_page_is_in_no_log(app):
    place = app.ask("GET", "echo", headers=NAVIGATION).headers["Location"]
    assert place.startswith(f"{app.nginx.prefix}sessmgr/s/")
    ticket = place.split("/sessmgr/s/")[1].split("/")[0]
    page = requests.get(f"https://{app.host}{place}", timeout=30, verify=app.nginx.http.verify)
    assert page.json()["target"] == "/echo"
    mark = f"/echo?mark={time.monotonic()}"
    app.ask("GET", mark)
    deadline = time.monotonic() + 10
    while mark not in app.nginx.log():
        assert time.monotonic() < deadline
    for log in (app.nginx.log(), app.nginx.errors(), app.nginx.server.log()):
        assert ticket not in log
