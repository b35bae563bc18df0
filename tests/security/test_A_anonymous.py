"""THREATS A: what somebody without credentials must not be able to do."""

from __future__ import annotations

import json

import psutil
import pytest
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import JupyterServerAuthWarning
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from jupyter_sessmgr.engines.docker.container import INSTALL
from jupyter_sessmgr.manager.statefolder import INSTALL_FILE
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


async def test_A5_foreign_and_absent_are_the_same_answer(inside_people):
    app = inside_people
    alice, bob = {"X-Person": "alice"}, {"X-Person": "bob"}
    reply = await app.ask("POST", "sessmgr/session", body={"enqueueOnly": True}, headers=alice)
    foreign = json.loads(reply.body)["sessionId"]
    absent = foreign[::-1].translate(str.maketrans("0123456789abcdef-", "123456789abcdef0-"))

    async def seen(method, reference):
        answer = await app.ask(method, f"sessmgr/session/{reference}", headers=bob)
        headers = {k: v for k, v in answer.headers.get_all() if k not in {"Date", "Etag"}}
        return answer.code, headers, answer.body.replace(reference.encode(), b"ID")

    for method in ("GET", "PATCH", "DELETE"):
        assert await seen(method, foreign) == await seen(method, absent)
