"""Many creations at once, on a real server: FAULTS T5 and T8; and the line that they make."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.plugins.floods import flood
from tests.plugins.kernels import KERNEL

#: Nobody is let in, so only the server itself is at work.
CLOSED = {"max_running": 0, "max_sessions": None, "max_sessions_per_owner": None}
MOST = 150


def test_T5_of_1000_creations_at_once_all_are_answered(servers):
    server = servers.start(config={"AdmissionControl": CLOSED | {"max_pending": MOST}})
    found = flood(server, 1000)
    assert found.statuses == {201: MOST - 1, 429: 1001 - MOST}
    assert found.unsaid == 0
    assert len(server.sessions()) == MOST
    assert found.grew < 100
    assert len(found.gets) > 1


def test_T8_of_50_creations_that_race_for_the_last_slot_one_is_admitted(servers):
    limits = CLOSED | {"max_sessions_per_owner": 2}
    server = servers.start(config={"AdmissionControl": limits})
    found = flood(server, 50)
    assert found.statuses == {201: 1, 406: 49}
    assert len(server.sessions()) == 2
    refused = server.ask("POST", "sessmgr/session", json={"enqueueOnly": True})
    assert refused.status_code == 406
    told = refused.json()
    assert told["data"] == {
        "limit": "sessions per owner",
        "most": 2,
        "used": 2,
        "asked": 1,
        "fits": 0,
    }
    assert told["msg"] == "You have 2 sessions, and 2 are allowed: destroy one first."


def test_P3_the_line_outlives_a_killed_server(servers):
    config = {"AdmissionControl": CLOSED}
    server = servers.start(config=config)
    names = [server.create(enqueueOnly=True)["sessionName"] for _ in range(3)]
    server.kill()
    again = servers.start(config={}, state_dir=server.state_dir)
    for name in names:
        assert again.until(name, "RUNNING", "ERROR")["status"] == "RUNNING"


@pytest.fixture
def narrow(servers):
    """Give a server that runs one session at a time."""
    return servers.start(config={"AdmissionControl": {"max_running": 1}})


def start(server):
    return server.ask("POST", "api/kernels", json={"name": KERNEL}, timeout=120)


def until(condition, timeout=20.0):
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.05)
    return answer


def queued(server):
    """Wait until a session knows why it waits."""

    def waiting():
        return [one for one in server.sessions() if "position" in one["statusInfo"]]

    (one,) = until(waiting)
    assert one["status"] == "PENDING"
    return one


def test_a_kernel_waits_its_turn_and_says_why(narrow):
    first = start(narrow).json()["id"]
    with ThreadPoolExecutor(2) as pool:
        second = pool.submit(start, narrow)
        waiting = queued(narrow)
        assert waiting["statusInfo"] == (
            "waits for another session to end: 1 run, the most allowed here (position 1)"
        )
        notes = narrow.ask("GET", "sessmgr/api/health").json()["notes"]
        assert any("1 session waits to be started" in note for note in notes)
        assert narrow.ask("DELETE", f"api/kernels/{first}").status_code == 204
        assert second.result(60).status_code == 201
        assert narrow.execute(waiting["sessionId"], "1+1") == "2"


def test_a_kernel_that_waits_can_be_cancelled(narrow):
    start(narrow)
    with ThreadPoolExecutor(2) as pool:
        second = pool.submit(start, narrow)
        waiting = queued(narrow)
        reply = narrow.ask("DELETE", f"sessmgr/session/{waiting['sessionId']}")
        assert reply.status_code in {200, 204}
        answer = second.result(60)
    assert answer.status_code >= 400
    assert "cancelled" in answer.text
    ended = narrow.info(waiting["sessionId"])
    assert ended["status"] == "CANCELLED"
    assert len(narrow.ask("GET", "api/kernels").json()) == 1


def sized(mem):
    return {"resources": {"mem": mem}}


@pytest.mark.docker
def test_a_full_docker_host_makes_sessions_wait_for_memory(servers, reference_image):
    host = psutil.virtual_memory().total
    config = {"StartQueue": {"memory_overcommit": 3.0001 * 2**30 / host}}
    server = servers.start("docker", config=config)
    first = server.create(config=sized("2g"))["sessionName"]
    big = server.create(config=sized("2g"), enqueueOnly=True)["sessionName"]
    small = server.create(config=sized("512m"), enqueueOnly=True)["sessionName"]
    assert server.until(small, "RUNNING", "ERROR")["status"] == "RUNNING"
    waiting = queued(server)
    assert waiting["sessionName"] == big
    assert waiting["statusInfo"].startswith("waits for 2 GiB of memory; ")
    refused = server.ask("POST", "sessmgr/session", json={"config": sized("4g")})
    assert refused.status_code == 406
    assert "this host can give a session at most 3 GiB of memory" in refused.json()["msg"]
    server.ask("DELETE", f"sessmgr/session/{first}?forced=true")
    assert server.until(big, "RUNNING", "ERROR")["status"] == "RUNNING"
