"""Services that are started by whoever asks for their page first."""

from __future__ import annotations

import html
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.plugins import webapp
from tests.plugins.server import Client

PORT = 24684
HTML = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}
#: Notes each start in the working folder; slow enough that somebody meets it starting.
SLOW = "import runpy, sys, time; open('starts', 'a').write('x'); time.sleep(2); "
COMMAND = [
    "{runtime_path}",
    "-c",
    SLOW + "runpy.run_path('app.py', run_name='__main__')",
    "{ports[0]}",
]
DEFINITIONS = {
    "slow": {"command": COMMAND},
    "broken": {"command": ["{runtime_path}", "-c", "import sys; sys.exit('no <b>data</b> here')"]},
    "missing": {"command": ["/no/such/program"]},
}


@pytest.fixture(scope="module")
def server(module_servers):
    config = {
        "SessionServices": {"definitions": DEFINITIONS},
        "ServiceProxy": {"isolation": "sandbox"},
    }
    return module_servers.start("process", config=config)


def a_session(server, name):
    """Make a session with the app's program in its working folder."""
    made = server.create(clientSessionToken=name)
    wrote = server.execute(
        made["sessionId"], f"print(open('app.py', 'w').write({webapp.source()!r}))"
    )
    assert int(wrote) > 0
    return made["sessionId"]


def test_a_service_starts_once_for_all_who_ask(server):
    session = a_session(server, "slow-one")
    path = f"sessmgr/session/{session}/service/slow/"
    with ThreadPoolExecutor(50) as people:
        replies = list(people.map(lambda _: server.ask("GET", path + "echo"), range(50)))
    assert [reply.status_code for reply in replies] == [200] * 50
    assert server.execute(session, "print(open('starts').read())").strip() == "x"
    assert server.ask("GET", path + "echo").json()["target"] == "/echo"


def test_a_person_sees_a_page_that_tries_again(server):
    session = a_session(server, "slow-two")
    path = f"sessmgr/session/{session}/service/slow/"
    ticket = server.ask("GET", path, headers=HTML).headers["Location"]
    page = server.ask("GET", ticket.removeprefix("/base/"), headers=HTML)
    assert page.status_code == 503
    assert page.headers["Retry-After"] == "2"
    assert 'http-equiv="refresh"' in page.text
    assert "slow is starting" in page.text
    deadline = time.monotonic() + 30
    while server.ask("GET", ticket.removeprefix("/base/"), headers=HTML).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("service", "words"), [("broken", "no <b>data</b> here"), ("missing", "/no/such/program")]
)
def test_a_service_that_fails_says_its_last_lines(server, service, words):
    session = a_session(server, f"fails-{service}")
    path = f"sessmgr/session/{session}/service/{service}/"
    reply = server.ask("GET", path)
    assert reply.status_code == 502
    problem = reply.json()
    assert f"{service} does not run" in problem["msg"]
    assert problem["title"] == "The service failed."
    assert problem["type"].endswith("/service-error")
    assert not problem["retryable"]
    page = server.ask("GET", path + "x", headers={"Accept": "text/html"})
    if page.status_code == 302:
        page = server.ask("GET", page.headers["Location"].removeprefix("/base/"), headers=HTML)
    assert page.status_code == 502
    assert words in html.unescape(page.text)
    assert "<b>data" not in page.text


def test_C5_a_service_in_a_container(docker_server):
    made = docker_server.create(clientSessionToken="boxed", config={"preopen_ports": [PORT]})
    webapp.start_app(docker_server, made["sessionId"], webapp.source(), PORT)
    path = f"sessmgr/session/{made['sessionId']}/service/{PORT}/"
    told = docker_server.ask("POST", path + "echo?a=1", data=b"x" * (4 << 20)).json()
    assert (told["target"], told["size"]) == ("/echo?a=1", 4 << 20)
    assert len(docker_server.ask("GET", path + "big?32").content) == 32 << 20
    docker_server.ask("DELETE", f"sessmgr/session/{made['sessionId']}?forced=true")
    assert docker_server.ask("GET", path + "echo").status_code == 404


def test_D2_what_was_replaced_is_never_reached(server):
    """Another session on the very same port is another place."""
    first = a_session(server, "first-one")
    path = f"sessmgr/session/{first}/service/slow/"
    assert server.ask("GET", path + "echo").status_code == 200
    server.ask("DELETE", f"sessmgr/session/{first}?forced=true")
    second = a_session(server, "second-one")
    assert server.ask("GET", f"sessmgr/session/{second}/service/slow/echo").status_code == 200
    assert server.ask("GET", path + "echo").status_code == 404


@pytest.fixture(scope="module")
def trusting(module_servers, reference_image):
    """Give a server that trusts the built-in apps."""
    trust = dict.fromkeys(("jupyter", "tensorboard"), "same-origin")
    return module_servers.start("docker", config={"ServiceProxy": {"service_isolation": trust}})


def test_a_nested_jupyter_works_behind_its_url(trusting):
    """It gets its own credentials: kernels start, files are written, without another login."""
    made = trusting.create(clientSessionToken="nested")
    (url,) = (port["url"] for port in made["servicePorts"] if port["name"] == "jupyter")
    path = url.removeprefix("/base/")
    status = trusting.ask("GET", path + "api/status")
    assert status.json()["kernels"] == 0
    note = {"type": "file", "format": "text", "content": "hello"}
    assert trusting.ask("PUT", path + "api/contents/note.txt", json=note).status_code == 201
    kernel = trusting.ask("POST", path + "api/kernels", json={"name": "python3"})
    assert kernel.status_code == 201
    inner = Nested(trusting, path)
    assert inner.execute(kernel.json()["id"], "print(open('note.txt').read())") == "hello\n"
    assert trusting.ask("GET", path).headers["Location"].startswith(url), "to its first page"
    assert trusting.token not in str(status.headers)


class Nested(Client):
    """Asks the Jupyter inside the session."""

    def __init__(self, server, path):
        super().__init__(server.url + path, server.token)

    def until_listed(self, kernel_id, timeout=10):
        assert self.ask("GET", f"api/kernels/{kernel_id}").status_code == 200


def test_real_tensorboard_answers_behind_its_url(trusting):
    made = trusting.create(clientSessionToken="board")
    (url,) = (port["url"] for port in made["servicePorts"] if port["name"] == "tensorboard")
    path = url.removeprefix("/base/")
    assert "TensorBoard" in trusting.ask("GET", path).text
    assert trusting.ask("GET", path + "data/environment").json()["version"]
