"""C4: what opens something is in no log, whatever goes wrong while it is shown."""

from __future__ import annotations

import json
import logging
import re
from urllib.parse import urlsplit

import pytest

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.proxy.handover import Handovers
from jupyter_sessmgr.proxy.target import Starts

PAGE = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
PORT = 24796


class Forced(Exception):
    """Nobody expects it."""


@pytest.fixture
def app(inside, caplog):
    caplog.set_level(logging.DEBUG)
    return inside()


async def opened(app, **isolation):
    """Make a session; give the path of its service."""
    app.extension.proxy.settings.service_isolation = {str(PORT): isolation["mode"]}
    made = await app.create(name="logged", config={"preopen_ports": [PORT]})
    await app.sessions.settled(made["sessionId"], 60)
    return f"sessmgr/session/{made['sessionId']}/service/{PORT}/"


def fail(monkeypatch, where, name):
    def forced(*args, **kwargs):
        raise Forced(f"in {name}")

    monkeypatch.setattr(where, name, forced)


def assert_logged_without(log, *secrets):
    assert "Forced: in" in log, "the failure itself is told"
    for secret in secrets:
        assert secret not in log


async def test_C4_a_ticket_is_in_no_log(app, monkeypatch, inside_log):
    path = await opened(app, mode="sandbox")
    sent = await app.ask("GET", path, headers=PAGE)
    place = sent.headers["Location"].removeprefix(app.app.base_url)
    ticket = place.split("/")[2]
    fail(monkeypatch, Starts, "reach")
    for method, body in (("GET", None), ("POST", b"x"), ("POST", bytes(2 << 20))):
        reply = await app.ask(method, place + "page?x", body=body, anonymous=True)
        assert reply.code == 500
        assert ticket.encode() not in reply.body
    assert_logged_without(inside_log(), ticket)


async def test_C4_the_servers_token_is_in_no_log(app, monkeypatch, inside_log):
    path = await opened(app, mode="sandbox")
    token = app.app.identity_provider.token
    foreign = {"Origin": "https://evil.test", "Cookie": await app.log_in()}
    reply = await app.ask("POST", f"{path}?token=x{token}", headers=foreign, body=b"x")
    assert reply.code == 403
    fail(monkeypatch, Starts, "reach")
    fail(monkeypatch, ComputeSessionManager, "find")
    for place in (path, "sessmgr/session/logged"):
        reply = await app.ask("GET", f"{place}?token={token}", anonymous=True)
        assert reply.code == 500
    assert_logged_without(inside_log(), token)


async def test_C4_a_handovers_code_and_cookie_are_in_no_log(app, monkeypatch, inside_log):
    path = await opened(app, mode="subdomain")
    page = await app.ask("GET", path, headers=PAGE)
    told = json.loads(re.search(r"const told = (\{.*?\});", page.body.decode())[1])
    enter = urlsplit(told["enter"])
    there = {"Host": enter.netloc, **PAGE}

    async def on_host(target, **headers):
        base, app.base = app.base, f"http://127.0.0.1:{urlsplit(app.base).port}"
        try:
            return await app.ask("GET", target, headers={**there, **headers}, anonymous=True)
        finally:
            app.base = base

    with monkeypatch.context() as broken:
        fail(broken, Handovers, "redeem")
        assert (await on_host(f"{enter.path}?{enter.query}")).code == 500
    entered = await on_host(f"{enter.path}?{enter.query}")
    assert entered.code == 200
    cookie = entered.headers["Set-Cookie"].partition(";")[0]
    assert (await on_host(f"{enter.path}?{enter.query}")).code == 403
    fail(monkeypatch, Starts, "reach")
    assert (await on_host("/page", Cookie=cookie)).code == 500
    assert_logged_without(inside_log(), enter.query, cookie.partition("=")[2])
