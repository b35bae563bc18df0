"""Sessions whose clock stands, in real containers behind a real server."""

from __future__ import annotations

import time

import pytest

from tests.plugins.notebooks import Notebook
from tests.plugins.server import DATABASE

pytestmark = pytest.mark.docker


def suspend(server, session_id):
    reply = server.ask("POST", f"sessmgr/api/session/{session_id}/suspend")
    assert (reply.status_code, reply.json()["status"]) == (200, "SUSPENDED"), reply.text


def test_a_suspended_session_wakes_for_whoever_uses_it(docker_server):
    session = docker_server.create()["sessionId"]
    docker_server.execute(session, "import time; x = 41")
    suspend(docker_server, session)
    suspend(docker_server, session)
    # by a notebook's websocket
    assert "42" in docker_server.execute(session, "x + 1")
    assert docker_server.info(session)["status"] == "RUNNING"
    # by a cell of a notebook that is open already
    with Notebook(docker_server, session) as notebook:
        suspend(docker_server, session)
        assert "42" in notebook.run("x + 1")
    suspend(docker_server, session)
    # by code over HTTP
    code = {"mode": "query", "code": "print(x + 2)", "runId": "r1"}
    reply = docker_server.ask("POST", f"sessmgr/session/{session}", json=code)
    assert reply.status_code == 200, reply.text
    assert "43" in reply.text
    suspend(docker_server, session)
    # by a file for it
    files = [("src", ("x.txt", b"here"))]
    reply = docker_server.ask("POST", f"sessmgr/session/{session}/upload", files=files)
    assert reply.status_code == 204, reply.text
    assert "here" in docker_server.execute(session, "print(open('x.txt').read())")
    suspend(docker_server, session)
    # by attaching
    number = docker_server.info(session)["sessionNumber"]
    path = f"WindowsHpc/Session/{number}/Attach?durable=true&api-version=2012-11-01"
    assert docker_server.ask("GET", path).status_code == 200
    assert docker_server.info(session)["status"] == "RUNNING"
    docker_server.ask("DELETE", f"sessmgr/session/{session}?forced=true")


def test_its_clock_stands(docker_server):
    session = docker_server.create()["sessionId"]
    docker_server.execute(
        session,
        "import threading, time; n = 0\n"
        "def count():\n global n\n while True: n += 1; time.sleep(0.01)\n"
        "threading.Thread(target=count, daemon=True).start()",
    )
    began = time.monotonic()
    first = int(docker_server.execute(session, "print(n)"))
    suspend(docker_server, session)
    time.sleep(2)
    counted = int(docker_server.execute(session, "before = n; print(before)")) - first
    # The engine is asked after the status was written, so half of it is certain.
    assert counted < 100 * (time.monotonic() - began - 1), "it went on counting"
    assert int(docker_server.execute(session, "time.sleep(0.5); print(n - before)")) > 0
    docker_server.ask("DELETE", f"sessmgr/session/{session}?forced=true")


def test_it_can_be_restarted_and_destroyed_through_every_door(docker_server):
    session = docker_server.create()["sessionId"]
    docker_server.execute(session, "x = 1")
    suspend(docker_server, session)
    assert docker_server.ask("PATCH", f"sessmgr/session/{session}").status_code == 204
    assert "NameError" in docker_server.execute(session, "x")
    suspend(docker_server, session)
    assert docker_server.ask("POST", f"api/kernels/{session}/restart").status_code == 200
    assert "1" in docker_server.execute(session, "1")
    suspend(docker_server, session)
    began = time.monotonic()
    assert docker_server.ask("DELETE", f"sessmgr/session/{session}").status_code == 204
    assert time.monotonic() - began < 20
    assert docker_server.info(session)["status"] == "TERMINATED"
    other = docker_server.create()["sessionId"]
    docker_server.until_listed(other)
    suspend(docker_server, other)
    assert docker_server.ask("DELETE", f"api/kernels/{other}").status_code == 204
    docker_server.until(other, "TERMINATED")


def test_it_stays_suspended_over_a_restart_of_the_server_and_is_listed(servers, reference_image):
    first = servers.start("docker")
    session = first.create()["sessionId"]
    first.execute(session, "x = 7")
    suspend(first, session)
    first.kill()
    second = servers.start("docker", state_dir=first.state_dir)
    second.until_listed(session, 30)
    assert second.info(session)["status"] == "SUSPENDED"
    assert "7" in second.execute(session, "x")
    assert second.info(session)["status"] == "RUNNING"


def test_what_nobody_uses_is_suspended_by_itself(servers, reference_image):
    config = {"IdleCuller": {"suspend_timeout": 1.0, "check_interval": 0.2}}
    server = servers.start("docker", config=config)
    session = server.create()["sessionId"]
    server.until(session, "SUSPENDED")
    code = {"mode": "query", "code": "import time; time.sleep(4)", "runId": "r1"}
    reply = server.ask("POST", f"sessmgr/session/{session}", json=code)
    assert reply.status_code == 200, reply.text
    ends = time.monotonic() + 1.5
    while time.monotonic() < ends:  # its cell is not done
        assert server.info(session)["status"] == "RUNNING"
    server.until(session, "SUSPENDED")


def test_S5_one_whose_row_was_lost_is_taken_back(servers, reference_image):
    first = servers.start("docker")
    session = first.create()["sessionId"]
    first.execute(session, "x = 7")
    suspend(first, session)
    first.kill()
    for path in first.state_dir.glob(f"{DATABASE}*"):
        path.unlink()
    second = servers.start("docker", state_dir=first.state_dir)
    second.until_listed(session, 40)
    assert "7" in second.execute(session, "x")
