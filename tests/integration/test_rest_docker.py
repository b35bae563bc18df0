"""The session management document with the Docker engine: the same path, in real containers."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

pytestmark = pytest.mark.docker


@pytest.fixture
def server(docker_server):
    yield docker_server
    docker_server.destroy_sessions()


def test_create_info_restart_destroy(server):
    created = server.create(
        clientSessionToken="contained", config={"resources": {"cpu": "1.5", "mem": "512m"}}
    )
    session_id = created["sessionId"]
    assert (created["status"], created["created"]) == ("RUNNING", True)
    ports = [(port["name"], port["protocol"]) for port in created["servicePorts"]]
    assert ("tensorboard", "http") in ports
    info = server.info("contained")
    assert info["lang"] == "python"
    assert info["memoryLimit"] == 512 * 1024
    assert info["resources"]["cpu"] == "1.5"
    where = "import socket; x = 41; print(socket.gethostname())"
    host = server.execute(session_id, where)
    assert host != server.execute(session_id, "print(x + 1)") == "42\n"

    assert server.ask("PATCH", "sessmgr/session/contained").status_code == 204
    assert "NameError" in server.execute(session_id, "x")
    assert server.execute(session_id, where) == host
    again = server.info("contained")
    assert again["servicePorts"] == info["servicePorts"]
    assert again["age"] > info["age"]

    reply = server.ask(
        "DELETE", "sessmgr/session/contained", headers={"Prefer": "return=representation"}
    )
    assert reply.json()["stats"]["mem_max_bytes"] > 2**20
    assert server.ask("GET", "sessmgr/session/contained").status_code == 404
    assert server.info(session_id)["status"] == "TERMINATED"


def test_what_the_image_says_and_what_the_container_used(server):
    created = server.create(clientSessionToken="measured")
    info = server.info("measured")
    assert info["resources"]["cpu"] == "1"  # the image's minimum
    (url,) = (port["url"] for port in created["servicePorts"] if port["name"] == "tensorboard")
    assert url == f"/base/sessmgr/session/{created['sessionId']}/service/tensorboard/"
    code = "import time\nwhile time.process_time() < 0.7: pass\nprint('done', flush=True)"
    server.execute(created["sessionId"], code)
    deadline = time.monotonic() + 30
    while (used := server.info("measured"))["cpuCreditUsed"] < 500:
        assert time.monotonic() < deadline, used
        time.sleep(0.2)
    assert used["usage"]["memMaxBytes"] > 2**20
    assert server.ask("PATCH", "sessmgr/session/measured").status_code == 204
    assert server.info("measured")["cpuCreditUsed"] >= used["cpuCreditUsed"]
    headers = {"X-BackendAI-Version": "v5.20191215"}
    stats = server.ask("DELETE", "sessmgr/session/measured", headers=headers).json()["stats"]
    assert stats["cpu_used"] >= used["cpuCreditUsed"]
    assert stats["net_rx_bytes"] > 0
    ended = server.info(created["sessionId"])
    assert ended["stats"] == stats
    assert [note["status"] for note in ended["history"]] == [
        *("PENDING", "CREATING", "RUNNING", "RESTARTING", "RUNNING"),
        *("TERMINATING", "TERMINATED"),
    ]
    assert server.ask("GET", f"sessmgr/session/{created['sessionId']}/logs").status_code == 200


def test_over_the_images_or_the_engines_limits(server):
    reply = server.ask(
        "POST", "sessmgr/session", json={"config": {"resources": {"cuda.device": 1}}}
    )
    assert reply.status_code == 406, reply.text
    reply = server.ask("POST", "sessmgr/session", json={"image": "sessmgr-test/absent:1"})
    assert reply.status_code == 404, reply.text
    assert server.sessions() == []


def test_T2_one_of_many_simultaneous_creates_makes_the_container(server):
    with ThreadPoolExecutor(32) as pool:
        replies = list(
            pool.map(
                lambda _: server.ask("POST", "sessmgr/session", json={"name": "crowded"}),
                range(32),
            )
        )
    assert sorted(reply.status_code for reply in replies) == [200] * 31 + [201]
    assert len({reply.json()["sessionId"] for reply in replies}) == 1


def test_T6_destroy_while_it_is_created(server):
    server.create(name="young", enqueueOnly=True)
    assert server.ask("DELETE", "sessmgr/session/young").status_code == 204
    assert server.ask("DELETE", "sessmgr/session/young").status_code == 404
    assert server.sessions() == []
