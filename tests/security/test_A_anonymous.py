"""THREATS A: what somebody without credentials must not be able to do."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from statistics import median
from urllib.parse import urlsplit

import psutil
import pytest
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import JupyterServerAuthWarning
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from jupyter_sessmgr.engines.docker.container import INSTALL
from jupyter_sessmgr.manager.installation.statefolder import INSTALL_FILE
from tests.plugins.routes import METHODS, is_probe, our_paths
from tests.plugins.waiting import eventually


@pytest.fixture
def app(inside):
    return inside()


async def test_A1_no_route_answers_the_anonymous(app):
    for path in our_paths(app.app.web_app):
        for method in METHODS:
            if is_probe(path) and method == "GET":
                continue
            body = {} if method in {"POST", "PATCH", "PUT"} else None
            reply = await app.ask(method, path, body=body, anonymous=True)
            if method == "OPTIONS":
                assert (reply.code, reply.body) in {(200, b""), (204, b"")}, path
            else:
                assert reply.code in {401, 403, 405}, (method, path, reply.code)


async def test_A1_a_wrong_token_is_no_credential(app):
    for path in our_paths(app.app.web_app):
        if not is_probe(path):
            reply = await app.ask("GET", path, headers={"Authorization": "token wrong"})
            assert reply.code in {403, 405}, path


async def test_A1_the_walk_sees_what_it_should(app):
    answered = [await app.ask("GET", path) for path in our_paths(app.app.web_app)]
    assert 200 in {reply.code for reply in answered}


async def upgrade(app, path, headers):
    """Try to open a websocket; return the refusal's status."""
    url = app.base.replace("http:", "ws:") + path
    with pytest.raises(HTTPClientError) as refused:
        await websocket_connect(HTTPRequest(url, headers=headers))
    return refused.value.code


async def test_A2_no_websocket_opens_for_the_anonymous(app):
    made = await app.create(name="guarded")
    channels = f"api/kernels/{made['sessionId']}/channels"
    cookies = await app.log_in()
    await eventually(lambda: made["sessionId"] in app.app.kernel_manager)
    for headers in (
        {},
        {"Authorization": "token wrong"},
        {"Authorization": f"BackendAI signMethod=HMAC-SHA256, credential=A:{'0' * 64}"},
        {"Cookie": cookies, "Origin": "http://evil.test"},
    ):
        assert await upgrade(app, channels, headers) in {401, 403}
        for path in our_paths(app.app.web_app):
            if not is_probe(path):
                assert await upgrade(app, path, headers) in {401, 403, 404, 405}, path
    assert [kernel["connections"] for kernel in app.app.kernel_manager.list_kernels()] == [0]


async def test_A3_no_handler_is_open_unnoticed(inside_log, app):
    assert "Extension endpoints without" not in inside_log()

    class Open(JupyterHandler):
        def get(self):
            self.finish("hello")

    with pytest.warns(JupyterServerAuthWarning):
        app.app.web_app.add_handlers(".*$", [("/open", Open)])


def listeners():
    return {
        (one.laddr.ip, one.laddr.port)
        for one in psutil.net_connections("inet")
        if one.status == psutil.CONN_LISTEN and one.laddr.ip not in {"127.0.0.1", "::1"}
    }


def test_A4_sessions_listen_on_no_address_that_others_reach(servers):
    server = servers.start()
    before = listeners()
    names = [server.create(enqueueOnly=True)["sessId"] for _ in range(5)]
    for name in names:
        assert server.until(name, "RUNNING", "ERROR")["status"] == "RUNNING"
    assert listeners() - before == set()


@pytest.mark.docker
def test_A4_containers_publish_no_ports(docker_server, docker_api):
    before = listeners()
    for _ in range(20):
        docker_server.create(enqueueOnly=True, kernel="")
    for item in docker_server.sessions():
        assert docker_server.until(item["sessionId"], "RUNNING", "ERROR")["status"] == "RUNNING"
    install = (docker_server.state_dir / INSTALL_FILE).read_text().strip()
    ours = docker_api.containers(filters={"label": f"{INSTALL}={install}"})
    assert len(ours) == 20
    for container in ours:
        inspected = docker_api.inspect_container(container["Id"])
        assert not inspected["HostConfig"]["PortBindings"]
        assert not any((inspected["NetworkSettings"]["Ports"] or {}).values())
        assert inspected["HostConfig"]["NetworkMode"] != "host"
    assert listeners() - before == set()
    docker_server.destroy_sessions()
    assert docker_api.containers(all=True, filters={"label": f"{INSTALL}={install}"}) == []


def variants(made):
    """Give the forms of a session's id."""
    return [made["sessionId"], str(made["sessionNumber"]), made["sessionName"]]


def absent_like(reference):
    """Make up an id of the same form, that nobody has."""
    digits = str.maketrans("0123456789abcdef-", "1234567890badcfe-")
    return reference.translate(digits) if len(reference) > 8 else f"9{reference}"


async def made_by_alice(app):
    body = {"enqueueOnly": True, "name": "0abc-of-alice"}
    reply = await app.ask("POST", "sessmgr/session", body=body, headers={"X-Person": "alice"})
    made = json.loads(reply.body)
    await app.sessions.settled(made["sessionId"], 60)
    return made


async def answer(app, method, path, reference):
    """Ask as Bob; give all that he can tell two answers apart by."""
    body = {} if method in {"POST", "PATCH", "PUT"} else None
    reply = await app.ask(method, path, body=body, headers={"X-Person": "bob"})
    own = {"Date", "Etag", "Content-Length"}
    headers = {name: text for name, text in reply.headers.get_all() if name not in own}
    # A number may stand for something else in an answer, except where it is called a session.
    named = reference if len(reference) > 8 else rf"session '{reference}(?!\d)"
    return reply.code, headers, re.sub(named.encode(), b"ID", reply.body)


async def test_A5_foreign_and_absent_are_the_same_answer_on_every_route(inside_people):
    app = inside_people
    made = await made_by_alice(app)
    row = app.sessions._open_parts().store.get
    before = row(made["sessionId"])
    seen = set()
    for foreign in variants(made):
        absent = absent_like(foreign)
        for theirs, nobodys in zip(
            our_paths(app.app.web_app, foreign), our_paths(app.app.web_app, absent), strict=True
        ):
            if theirs == nobodys or "Sessions/Create" in theirs:  # a cluster's name, there
                continue
            for method in METHODS:
                ours = await answer(app, method, theirs, foreign)
                assert ours == await answer(app, method, nobodys, absent), (method, theirs)
                seen.add(ours[0])
    assert 404 in seen
    assert not seen & {200, 201, 204} - {200}  # 200: what OPTIONS says to everybody
    assert row(made["sessionId"]) == before


async def test_A5_foreign_and_absent_take_the_same_time(inside_people):
    app = inside_people
    foreign = (await made_by_alice(app))["sessionId"]
    absent = absent_like(foreign)
    for method in ("GET", "DELETE"):
        times = {foreign: [], absent: []}
        for _ in range(60):
            for reference in (foreign, absent):
                began = time.perf_counter()
                await answer(app, method, f"sessmgr/session/{reference}", reference)
                times[reference].append(time.perf_counter() - began)
        first, second = (median(one) for one in times.values())
        assert abs(first - second) < 0.3 * max(first, second), (method, first, second)


LONG = "x" * 60_000
OVERLONG = "x" * 2**20
STRANGE = {
    "path": (f"/{LONG}", {}),
    "query": (f"?name={LONG}", {}),
    "Host": ("", {"Host": f"{LONG}.evil.test"}),
    "Origin": ("", {"Origin": f"http://{LONG}.evil.test", "Cookie": "a=b"}),
    "Referer": ("", {"Referer": f"http://{LONG}.evil.test", "Cookie": "a=b"}),
    "token": ("", {"Authorization": f"token {LONG}"}),
    "signature": ("", {"Authorization": f"BackendAI {LONG}"}),
    "cookie": ("", {"Cookie": f"_xsrf={LONG}"}),
}


@pytest.mark.parametrize("where", STRANGE)
async def test_A6_strangers_cannot_fill_the_log(app, caplog, where):
    more, headers = STRANGE[where]
    caplog.clear()
    for method in ("GET", "POST"):
        body = {} if method == "POST" else None
        path = f"sessmgr/session{more}"
        reply = await app.ask(method, path, body=body, headers=headers, anonymous=True)
        assert reply.code in {401, 403, 404, 405}
    lines = caplog.text.splitlines()
    assert lines
    assert max(len(line) for line in lines) < 1024


@pytest.mark.parametrize(
    "head",
    [
        f"GET /sessmgr/session/{OVERLONG} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        f"GET /sessmgr/session HTTP/1.1\r\nHost: localhost\r\nX-Long: {OVERLONG}\r\n\r\n",
    ],
    ids=["path", "header"],
)
async def test_A6_a_request_of_a_mebibyte_is_cut_off(app, caplog, head):
    url = urlsplit(app.base)
    caplog.clear()
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    with contextlib.suppress(ConnectionError):
        writer.write(head.encode())
        await writer.drain()
        reply = await asyncio.wait_for(reader.read(), 20)
        assert not reply or reply.split()[1].startswith(b"4")
    writer.close()
    assert max((len(line) for line in caplog.text.splitlines()), default=0) < 1024
