"""Websockets of ours: nothing is upgraded before it is known who asks."""

from __future__ import annotations

import asyncio
import json
from urllib.parse import urlsplit

import pytest
from jupyter_server.auth.decorator import authorized
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.web import authenticated
from tornado.websocket import websocket_connect

from jupyter_sessmgr.model.errors import SessionNotFound
from jupyter_sessmgr.rest.base import SessionsHandler
from jupyter_sessmgr.rest.sockets import SocketMixin
from tests.plugins.people import ReadOnly
from tests.plugins.signing import signature


class Echo(SocketMixin, SessionsHandler):
    """Says who asks, then repeats."""

    @authenticated
    @authorized(action="execute")
    async def get(self, reference):
        if reference == "absent":
            raise SessionNotFound("There is no session 'absent'.")
        await super().get()

    def open(self):
        self.write_message(self.owner)

    def on_message(self, message):
        self.write_message(message)


@pytest.fixture
def make(inside):
    def make(**config):
        app = inside(**config)
        app.app.web_app.add_handlers(".*$", [(rf"{app.app.base_url}echo/([^/]+)", Echo)])
        return app

    return make


@pytest.fixture
def app(make):
    return make(SessMgrApp={"owner": "carol"})


def connect(app, headers, reference="here"):
    url = f"{app.base.replace('http:', 'ws:')}echo/{reference}"
    return websocket_connect(HTTPRequest(url, headers=headers))


async def refusal(app, headers, reference="here"):
    with pytest.raises(HTTPClientError) as refused:
        await connect(app, headers, reference)
    return refused.value.code


async def test_a_socket_opens_for_who_may(app):
    for headers in (app.token, {"Cookie": await app.log_in()}):
        socket = await connect(app, headers)
        assert await socket.read_message() == "carol"
        await socket.write_message("again")
        assert await socket.read_message() == "again"
        socket.close()


async def test_a_socket_opens_for_who_signs(app):
    pair, secret = await asyncio.to_thread(app.sessions.keypairs.add, "dave")
    url = urlsplit(f"{app.base}echo/here")
    signed = signature(
        {"access_key": pair.access_key, "secret_key": secret},
        target=url.path,
        host=url.netloc,
        content_type="application/octet-stream",
    )
    headers = signed.headers()
    del headers["Content-Type"]  # a websocket has none
    socket = await connect(app, headers)
    assert await socket.read_message() == "dave"
    socket.close()
    assert await refusal(app, {**headers, "Date": "2026-11-22"}) == 401


async def test_no_socket_opens_for_strangers_and_foreign_pages(app):
    cookie = await app.log_in()
    assert await refusal(app, {}) == 403
    assert await refusal(app, {"Authorization": "token wrong"}) == 403
    assert await refusal(app, {"Cookie": cookie, "Origin": "http://evil.test"}) == 403
    assert await refusal(app, {**app.token, "Host": "evil.test"}) == 403


async def test_what_is_wrong_before_the_upgrade_is_a_problem(app):
    assert await refusal(app, app.token, "absent") == 404
    reply = await app.ask("GET", "echo/here")
    assert reply.code == 400
    assert json.loads(reply.body)["msg"] == "Open a websocket here."


@pytest.fixture
def reading(make):
    return make(ServerApp={"authorizer_class": ReadOnly})


async def test_the_authorizer_is_asked(reading):
    assert await refusal(reading, reading.token) == 403
