"""C1: a server that a Hub started: the Hub's credentials stay away from services."""

from __future__ import annotations

import json

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.plugins import socketapp, webapp
from tests.plugins.people import HubLike

WEB, SOCKET, STRICT = 24800, 24801, 24802
PREFIX = "/user/ann/"
#: What a Hub tells the servers that it starts.
ENVIRON = {
    "JUPYTERHUB_API_TOKEN": "canary-api-token",
    "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api",
    "JUPYTERHUB_CLIENT_ID": "canary-client-id",
    "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
    "JUPYTERHUB_USER": "ann",
    "JPY_API_TOKEN": "canary-older-token",
}
#: What Ann's browser sends.
COOKIES = {
    "jupyterhub-session-id": "canary-session",
    "jupyterhub-user-ann": HubLike.COOKIE,
    "jupyterhub-user-ann-oauth-state-abc": "canary-state",
    "jupyterhub-hub-login": "canary-login",
    "other-hub-login": "canary-other",
    "_xsrf": "canary-xsrf",
    "mine": "1",
}
BROWSER = {"Cookie": "; ".join(f"{name}={value}" for name, value in COOKIES.items())}
NAVIGATION = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
TRUSTED = {"command": ["{runtime_path}", "trusted.py", "{ports[0]}"], "trusted": True}


def hub_config(nginx, **traits):
    config = nginx.config(prefix=PREFIX)
    config["ServerApp"]["identity_provider_class"] = "tests.plugins.people.HubLike"
    config["SessionServices"] = {"definitions": {"trusted": TRUSTED}}
    config["ServiceProxy"] = traits
    return config


class Hub:
    """One of a Hub's servers, behind the Hub's proxy."""

    def __init__(self, servers, nginx, *ports, **traits):
        self.server = servers.start("process", config=hub_config(nginx, **traits), environ=ENVIRON)
        self.nginx = nginx.start(self.server)
        self.session = self.server.create(config={"preopen_ports": list(ports)})["sessionId"]
        self.path = f"sessmgr/session/{self.session}/service/"
        wrote = f"print(open('trusted.py', 'w').write({webapp.source()!r}))"
        assert int(self.server.execute(self.session, wrote)) > 0
        for app, port in zip((webapp, socketapp), ports, strict=False):
            webapp.start_app(self.server, self.session, app.source(), port)

    def ask(self, method, path, headers=BROWSER, url="", **kwargs):
        """Ask as Ann's browser does."""
        return requests.request(
            method,
            f"{url or self.nginx.url}{self.path}{path}",
            headers=headers,
            timeout=60,
            verify=self.nginx.http.verify,
            allow_redirects=False,
            **kwargs,
        )


@pytest.fixture(scope="module")
def hub(module_servers, nginxes):
    return Hub(module_servers, nginxes(), WEB, SOCKET)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("authorization", ["", f"token {HubLike.TOKEN}", f"Bearer {HubLike.TOKEN}"])
def test_C1_no_credential_of_a_hub_reaches_the_app(hub, method, authorization):
    page = f"{hub.nginx.url}{hub.path}{WEB}/page?token={HubLike.TOKEN}&b=2"
    headers = {**BROWSER, "Referer": page, "X-XSRFToken": "canary-header"}
    if authorization:
        headers["Authorization"] = authorization
    reply = hub.ask(method, f"{WEB}/echo?token={HubLike.TOKEN}&a=1", headers)
    assert reply.status_code == 200
    told = reply.json()
    assert "canary" not in reply.text
    assert told["target"] == "/echo?a=1"
    received = dict(told["headers"])
    assert received["Cookie"] == "mine=1"
    assert received["Referer"].endswith("/page?b=2")
    assert "Authorization" not in received


def test_C1_nor_does_one_by_websocket(hub):
    url = f"wss{hub.nginx.url.removeprefix('https')}{hub.path}{SOCKET}/echo"
    origin = hub.nginx.url.removesuffix(PREFIX)
    query = f"?headers=1&token={HubLike.TOKEN}"
    with connect(url + query, additional_headers=BROWSER, origin=origin, ssl=hub.nginx.tls) as sock:
        told = sock.recv(20)
    assert "canary" not in told
    assert dict(json.loads(told))["Cookie"] == "mine=1"
    with pytest.raises(InvalidStatus) as refused:
        connect(url, additional_headers={"Cookie": "mine=1"}, ssl=hub.nginx.tls).__enter__()
    assert refused.value.response.status_code == 403


def test_C1_nor_by_the_environment(hub):
    code = (
        "import os; print([open(f'/proc/{one}/environ').read() for one in ('self', os.getppid())])"
    )
    told = hub.server.execute(hub.session, code)
    assert "PATH=" in told
    assert "canary" not in told


def test_C2_no_app_sets_a_cookie_of_the_hub(hub):
    told = hub.ask("GET", f"{WEB}/hostile")
    assert told.raw.headers.getlist("Set-Cookie") == [f"sid=1; Path={PREFIX}{hub.path}{WEB}/"]


def test_A2_strangers_are_refused(hub):
    for headers in ({}, {"Cookie": "jupyterhub-user-ann=guessed"}):
        assert hub.ask("GET", f"{WEB}/echo", headers).status_code == 403


def shown(hub, path, **kwargs):
    """Say how a page is shown to Ann."""
    reply = hub.ask("GET", path, {**BROWSER, **NAVIGATION}, **kwargs)
    if reply.status_code == 302:
        assert reply.headers["Location"].startswith(f"{PREFIX}sessmgr/s/")
        return "sandbox"
    assert reply.status_code == 200
    assert reply.headers["Content-Security-Policy"] == "frame-ancestors 'self'"
    return "same-origin"


def test_C3_a_hubs_server_shows_trusted_apps_beside_itself_and_says_so_once(hub):
    assert hub.ask("GET", "trusted/echo").status_code == 200
    for _ in range(2):
        assert shown(hub, "trusted/echo") == "same-origin"
        assert shown(hub, f"{WEB}/echo") == "sandbox"
    assert hub.server.log().count("Pages of trusted are shown at Jupyter's own origin") == 1


def test_C3_a_hubs_server_knows_no_hosts_below_localhost(hub):
    """Also to who reaches it by itself: the Hub's cookies are for all of localhost."""
    direct = hub.server.url.replace("127.0.0.1", "localhost")
    assert shown(hub, f"{WEB}/echo", url=direct) == "sandbox"


def test_C3_an_admin_can_forbid_it_altogether(module_servers, nginxes):
    hub = Hub(module_servers, nginxes(), STRICT, allow_same_origin=False)
    assert hub.ask("GET", "trusted/echo").status_code == 200
    assert shown(hub, "trusted/echo") == "sandbox"
