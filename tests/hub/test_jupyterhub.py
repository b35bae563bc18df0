"""A real hub with two people: what docs/how-to/jupyterhub.md says, seen."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.plugins import socketapp, webapp
from tests.plugins.browser import until
from tests.plugins.notebooks import Notebook, parent
from tests.plugins.server import Client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

WEB, SOCKET = 24810, 24811
KERNEL = "sessmgr-python"
#: Everything of a session's processes, and of whatever else it sees, that may hold a secret.
ENVIRONS = """
import glob
def read(path):
    try:
        return open(path, errors='replace').read()
    except OSError:
        return ''
print([read(path) for path in glob.glob('/proc/[0-9]*/environ')])
"""
#: Reads in somebody's home folder as whoever runs the session.
STEAL = """
import os
try:
    print(os.listdir({home!r}))
except OSError as error:
    print(type(error).__name__)
uids = set()
for one in filter(str.isdigit, os.listdir('/proc')):
    try:
        uids.add(os.stat(f'/proc/{{one}}').st_uid)
    except FileNotFoundError:
        continue  # it ended meanwhile
print(sorted(uids))
print(os.getuid())
"""


#: Tries sockets.
CONNECT = """
import socket
for path in {paths!r}:
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            print(sock.connect(path))
        except OSError as error:
            print(type(error).__name__)
"""


@pytest.fixture(scope="module")
def hub(hubs):
    return hubs()


@pytest.fixture(scope="module")
def ann(hub):
    return hub.person("ann")


@pytest.fixture(scope="module")
def ben(hub):
    return hub.person("ben")


@pytest.fixture(autouse=True)
def ended(ann, ben):
    """End every session after each test."""
    yield
    ann.destroy_sessions()
    ben.destroy_sessions()


def open_notebook(person, path="a.ipynb"):
    wish = {"path": path, "name": path, "type": "notebook", "kernel": {"name": KERNEL}}
    reply = person.ask("POST", "api/sessions", json=wish)
    assert reply.status_code == 201, reply.text
    return reply.json()["kernel"]["id"]


def notebooks(person):
    listed = person.ask("GET", "api/sessions").json()
    return {one["path"]: one["kernel"]["id"] for one in listed}


def state(person, kernel_id):
    return person.ask("GET", f"api/kernels/{kernel_id}").json()["execution_state"]


@pytest.fixture
def kernel(ann):
    """Ann's notebook's kernel."""
    return open_notebook(ann)


def test_sessions_outlive_the_persons_server(hub, ann, kernel):
    """Stopped by the hub's own button while a cell runs, and started again."""
    with Notebook(ann, kernel) as notebook:
        notebook.run("x = 41")
        asked = notebook.ask("import time\nfor n in range(10**6): print(n); time.sleep(0.05)")
        notebook.hear(lambda _message: "7" in notebook.output(asked))
    hub.stop_server("ann")
    hub.start_server("ann")
    assert notebooks(ann) == {"a.ipynb": kernel}
    assert state(ann, kernel) == "busy"
    assert ann.ask("POST", f"api/kernels/{kernel}/interrupt").status_code == 204
    until(lambda: state(ann, kernel) == "idle", what="the cell was interrupted")
    with Notebook(ann, kernel) as notebook:
        # The cell went on while no server ran: it counts each number once.
        assert notebook.run("print(x + 1, n > 7)") == "42 True\n"
    items = ann.ask("GET", f"sessmgr/session/{kernel}/output").json()["items"]
    said = [one["message"] for one in items]
    counts = [message for message in said if parent(message) == asked]
    text = "".join(message["content"].get("text", "") for message in counts)
    counted = [int(line) for line in text.split()]
    assert counted == list(range(max(counted) + 1))  # each number once, in order


def test_servers_and_sessions_outlive_the_hub(hub, ann, kernel):
    ann.execute(kernel, "x = 6")
    hub.stop()
    hub.start()
    assert ann.execute(kernel, "print(x * 7)") == "42\n"
    assert hub.person("ann").info(kernel)["status"] == "RUNNING"


def test_nobody_sees_anothers_sessions(hub, ann, ben, kernel):
    """Neither by asking one's own server, nor by asking the other's, as whoever one is."""
    mine = ben.create(name="bens")["sessionId"]
    ben.until(mine, "RUNNING")
    assert [one["sessionId"] for one in ann.sessions()] == [kernel]
    assert [one["sessionId"] for one in ben.sessions()] == [mine]
    for path in (f"sessmgr/session/{kernel}", f"api/kernels/{kernel}"):
        assert ben.ask("GET", path).status_code == 404
        assert ben.ask("DELETE", path).status_code == 404
    assert kernel not in ben.ask("GET", "api/kernels").text
    assert "a.ipynb" not in ben.ask("GET", "api/sessions").text
    bens_token_at_anns = Client(ann.url, ben.token)
    for path in ("sessmgr/session", f"sessmgr/session/{kernel}", "api/kernels", "api/sessions"):
        assert bens_token_at_anns.ask("GET", path).status_code == 403
    with pytest.raises(InvalidStatus) as refused, Notebook(bens_token_at_anns, kernel):
        pass
    assert refused.value.response.status_code == 403
    stolen = ben.execute(mine, STEAL.format(home=str(hub.home("ann")))).split("\n")
    if hub.has_users:  # else nothing but a sandbox, where there is one, keeps them apart
        assert stolen[0] in {"PermissionError", "FileNotFoundError"}
        assert stolen[2] == str(hub.uid("ben"))
        assert str(hub.uid("ann")) not in stolen[1]
        places = list(hub.home("ann").glob(".local/share/jupyter/sessmgr/*/places/*"))
        assert {one.stat().st_uid for one in places} == {hub.uid("ann")}  # a spare's as well
        assert hub.home("ann").stat().st_mode & 0o077 == 0


def test_a_session_of_anothers_place_cannot_be_reached_on_the_machine(hub, ann, ben, kernel):
    """Sockets and processes of Ann's session, tried from inside one of Ben's."""
    if not hub.has_users:
        pytest.skip("all sessions are processes of one user here")
    folders = [hub.home("ann"), *Path("/tmp").glob(f"sessmgr-{hub.uid('ann')}-*")]
    sockets = [str(one) for folder in folders for one in folder.rglob("*") if one.is_socket()]
    assert sockets
    mine = ben.create()["sessionId"]
    ben.until(mine, "RUNNING")
    said = ben.execute(mine, CONNECT.format(paths=sockets))
    assert set(said.split()) <= {"PermissionError", "FileNotFoundError"}


def test_the_admins_limits_hold_for_each_person_by_themselves(hub, ann, ben):
    """What is in examples/jupyterhub/single-user; what people write for themselves is not read."""
    for home in map(hub.home, ("ann", "ben")):
        assert not (home / ".jupyter" / "jupyter_sessmgr_config.py").exists()
    for person in (ann, ann, ann, ben):
        person.create(enqueueOnly=True)
    refused = ann.ask("POST", "sessmgr/session", json={})
    assert refused.status_code == 406, refused.text
    assert "3 are allowed" in refused.json()["msg"]
    over = {"config": {"resources": {"mem": "5g"}}}
    assert ben.ask("POST", "sessmgr/session", json=over).status_code == 406


def test_nothing_of_the_hub_is_inside_a_session(hub, ann, kernel):
    said = ann.execute(kernel, ENVIRONS)
    assert "SESSMGR_PLACE" in said
    for name in ("JUPYTERHUB_", "JPY_API_TOKEN", "CONFIGPROXY_AUTH_TOKEN", ann.token, hub.token):
        assert name not in said


def test_services_are_reached_below_the_persons_prefix(ann, ben, hub):
    made = ann.create(config={"preopen_ports": [WEB, SOCKET]})["sessionId"]
    ann.until(made, "RUNNING")
    for app, port in ((webapp, WEB), (socketapp, SOCKET)):
        webapp.start_app(ann, made, app.source(), port)
    services = f"sessmgr/session/{made}/service"
    assert urlsplit(ann.url).path == "/user/ann/"
    told = ann.ask("GET", f"{services}/{WEB}/echo?a=1").json()
    assert told["target"] == "/echo?a=1"
    assert ann.token not in json.dumps(told)
    browser = hub.log_in("ann")
    told = browser.get(f"{ann.url}{services}/{WEB}/echo").json()
    assert "jupyterhub" not in json.dumps(told).lower()
    assert Client(ann.url, ben.token).ask("GET", f"{services}/{WEB}/echo").status_code == 403
    url = f"ws{ann.url.removeprefix('http')}{services}/{SOCKET}/echo"
    headers = {"Authorization": f"token {ann.token}"}
    with connect(url, additional_headers=headers) as sock:
        sock.send("hello")
        assert sock.recv(20) == "hello"


def test_who_has_logged_out_finds_it_again_after_logging_in(hub, ann, kernel):
    ann.execute(kernel, "x = 6")
    browser = hub.log_in("ann")
    url = f"{ann.url}sessmgr/session"
    assert browser.get(url).json()["total"] == 1
    browser.get(f"{hub.base}hub/logout")
    assert browser.get(url, allow_redirects=False).status_code == 403
    assert ann.info(kernel)["status"] == "RUNNING"
    assert hub.log_in("ann").get(url).json()["items"][0]["sessionId"] == kernel
    assert ann.execute(kernel, "print(x * 7)") == "42\n"
