"""Programs that sign their requests, behind nginx."""

from __future__ import annotations

import pytest
import requests
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.plugins import webapp
from tests.plugins.clients import add_pair
from tests.plugins.nginx import HOST
from tests.plugins.signing import signature

PORT = 24803
#: What proxies do that are not told otherwise.
OTHER_HOST = ("proxy_set_header Host $http_host", "proxy_set_header Host $proxy_host")


class Program:
    """Signs what it asks, for the host and the path that it sees."""

    def __init__(self, nginx):
        self.nginx = nginx
        self.pair = add_pair(nginx.server)
        self.http = requests.Session()
        self.http.trust_env = False
        self.http.verify = nginx.http.verify

    def signed(self, method, path):
        target = self.nginx.prefix + path
        host = f"{HOST}:{self.nginx.port}"
        return signature(self.pair, method=method, target=target, host=host).headers()

    def ask(self, method, path, headers=None, **kwargs):
        signed = {**self.signed(method, path), **(headers or {})}
        return self.http.request(
            method,
            self.nginx.url + path,
            headers=signed,
            timeout=30,
            allow_redirects=False,
            **kwargs,
        )


@pytest.fixture(scope="module")
def programs(module_servers, nginxes):
    """Give programs that reach one server: as documented, and by proxies that change its name."""
    nginx, known, unknown = nginxes(), *(nginxes(changes=[OTHER_HOST]) for _ in range(2))
    config = nginx.config()
    config["SessMgrApp"] = {"accepted_hosts": [f"{HOST}:{known.port}"]}
    server = module_servers.start("process", config=config)
    return [Program(one.start(server)) for one in (nginx, known, unknown)]


@pytest.fixture(scope="module")
def program(programs):
    return programs[0]


@pytest.fixture(scope="module")
def service(program):
    """Give the path of an app in a session of the program's owner."""
    server = program.nginx.server
    session = server.create(config={"preopen_ports": [PORT]})["sessionId"]
    webapp.start_app(server, session, webapp.source(), PORT)
    return f"sessmgr/session/{session}/service/{PORT}/"


def test_signed_requests_pass_by_the_public_name_and_prefix(program):
    assert program.ask("GET", "sessmgr/session?limit=5").status_code == 200
    made = program.ask("POST", "sessmgr/session", json={"enqueueOnly": True})
    assert made.status_code == 201, made.text
    gone = program.ask("DELETE", f"sessmgr/session/{made.json()['sessionId']}?forced=true")
    assert gone.status_code in {200, 204}, gone.text


def test_where_a_proxy_changes_the_host_its_public_name_must_be_known(programs):
    _, known, unknown = programs
    assert known.ask("GET", "sessmgr/session").status_code == 200
    named = {"X-Forwarded-Host": f"{HOST}:{unknown.nginx.port}"}  # is never believed
    refused = unknown.ask("GET", "sessmgr/session", named)
    assert refused.status_code == 401
    assert "accepted_hosts" in refused.json()["msg"]


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_A2_a_signature_opens_no_service(program, service, method):
    """It does not cover a body, so it is not taken where any app may take it for a wish."""
    before = program.nginx.ask("GET", service + "seen").json()
    reply = program.ask(method, service + "echo")
    assert reply.status_code == 403
    assert reply.headers["Content-Type"] == "application/problem+json"
    page = program.ask(method, service + "echo", {"Sec-Fetch-Mode": "navigate"})
    assert page.status_code == 302
    assert page.headers["Location"].startswith(f"{program.nginx.prefix}login")
    assert len(program.nginx.ask("GET", service + "seen").json()) == len(before) + 1


def test_A2_nor_its_websockets(program, service):
    url = f"wss{program.nginx.url.removeprefix('https')}{service}echo"
    headers = program.signed("GET", service + "echo")
    with pytest.raises(InvalidStatus) as refused:
        connect(url, additional_headers=headers, ssl=program.nginx.tls).__enter__()
    assert refused.value.response.status_code == 403


def test_C1_a_signature_is_never_passed_on(program, service):
    """Not even beside a good login."""
    with requests.Session() as browser:
        browser.trust_env = False
        browser.verify = program.nginx.http.verify
        url = f"{program.nginx.url}sessmgr/session?token={program.nginx.token}"
        assert browser.get(url, timeout=30).status_code == 200
        signed = program.signed("GET", service + "echo")
        reply = browser.get(program.nginx.url + service + "echo", headers=signed, timeout=30)
    assert reply.status_code == 200
    assert "Authorization" not in dict(reply.json()["headers"])
    assert program.pair["access_key"] not in reply.text
