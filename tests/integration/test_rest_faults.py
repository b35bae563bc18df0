"""Clients that leave, retry, and come all at once; servers that die or stand by."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import pytest


@pytest.fixture
def server(shared_server):
    yield shared_server
    shared_server.destroy_sessions()


def leave_early(server, body, after):
    """Send a POST and close the socket without reading the answer."""
    url = urlsplit(server.url)
    data = json.dumps(body).encode()
    with socket.create_connection((url.hostname, url.port)) as client:
        client.sendall(
            f"POST {url.path}sessmgr/session HTTP/1.1\r\nHost: {url.netloc}\r\n"
            f"Authorization: token {server.token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(data)}\r\n\r\n".encode()
            + data
        )
        time.sleep(after)  # the fault: how long the client stays


def troubles(server):
    return [
        line
        for line in server.log().splitlines()
        if "Traceback" in line or line.startswith("[E ") or "never retrieved" in line
    ]


def test_T2_one_of_many_simultaneous_creates_makes_the_session(server):
    with ThreadPoolExecutor(32) as pool:
        replies = list(
            pool.map(
                lambda _: server.ask("POST", "sessmgr/session", json={"name": "crowded"}),
                range(32),
            )
        )
    assert sorted(reply.status_code for reply in replies) == [200] * 31 + [201]
    assert len({reply.json()["sessionId"] for reply in replies}) == 1
    assert {reply.json()["status"] for reply in replies} == {"RUNNING"}
    assert [item["sessionName"] for item in server.sessions()] == ["crowded"]


def test_T3_a_retried_create_finds_the_session_of_the_first(server):
    leave_early(server, {"name": "retried"}, after=0.1)
    second = server.create(name="retried")
    assert (second["created"], second["status"]) == (False, "RUNNING")
    assert len(server.sessions()) == 1


def test_T4_a_client_that_leaves_loses_nothing(server):
    leave_early(server, {"name": "deserted"}, after=0.2)
    assert server.until("deserted", "RUNNING", "ERROR")["status"] == "RUNNING"
    assert troubles(server) == []


def test_T6_destroy_while_it_is_created(server):
    server.create(name="young", enqueueOnly=True)
    with ThreadPoolExecutor(2) as pool:
        replies = [pool.submit(server.ask, "DELETE", "sessmgr/session/young") for _ in range(2)]
        codes = sorted(reply.result().status_code for reply in replies)
    assert codes == [204, 404]
    assert server.sessions() == []


def test_T6_destroy_while_it_is_restarted(server):
    server.create(name="busy")
    with ThreadPoolExecutor(2) as pool:
        restart = pool.submit(server.ask, "PATCH", "sessmgr/session/busy")
        destroy = pool.submit(server.ask, "DELETE", "sessmgr/session/busy")
    assert destroy.result().status_code == 204
    assert restart.result().status_code in {204, 404, 409}
    assert server.sessions() == []


def test_T6_restart_twice_at_once(server):
    created = server.create(name="twice")
    with ThreadPoolExecutor(2) as pool:
        replies = [pool.submit(server.ask, "PATCH", "sessmgr/session/twice") for _ in range(2)]
        assert [reply.result().status_code for reply in replies] == [204, 204]
    info = server.info("twice")
    assert (info["status"], info["sessionId"]) == ("RUNNING", created["sessionId"])
    assert server.execute(created["sessionId"], "1 + 1") == "2"


def test_P9_a_server_that_cannot_follow_says_why_and_leads_when_it_can(servers):
    first = servers.start()
    lock = first.state_dir / "leader.lock"
    lock.write_text(json.dumps(json.loads(lock.read_text()) | {"release": "0.0.1"}))
    second = servers.start(state_dir=first.state_dir)
    for method, path in (("GET", "session"), ("POST", "session"), ("GET", "session/abcd")):
        reply = second.ask(method, f"sessmgr/{path}")
        assert reply.status_code == 503, reply.text
        assert int(reply.headers["Retry-After"]) > 0
        problem = reply.json()
        assert problem["retryable"]
        assert str(first.pid) in problem["msg"]
        assert "0.0.1" in problem["msg"]
    health = second.ask("GET", "sessmgr/api/health").json()
    assert (health["available"], health["follows"]) == (False, "")
    assert str(first.pid) in health["reason"]
    specs = second.ask("GET", "api/kernelspecs").json()["kernelspecs"]
    assert not [name for name in specs if name.startswith("sessmgr-")]
    assert second.log().count(str(first.pid)) == 1
    first.kill()
    deadline = time.monotonic() + 30
    while not second.is_leader:
        assert time.monotonic() < deadline, second.log()
        time.sleep(0.05)
    assert second.create()["created"]


def test_P9_the_folder_of_a_killed_server_is_free(servers):
    first = servers.start()
    first.kill()
    second = servers.start(state_dir=first.state_dir)
    assert second.create(enqueueOnly=True)["created"]


def test_sessions_outlive_a_killed_server(servers):
    first = servers.start()
    made = first.create(name="survivor")
    first.execute(made["sessionId"], "x = 41")
    first.kill()
    second = servers.start(state_dir=first.state_dir)
    info = second.until("survivor", "RUNNING")
    assert info["sessionId"] == made["sessionId"]
    assert second.execute(made["sessionId"], "x + 1") == "42"
    assert second.ask("DELETE", "sessmgr/session/survivor").status_code == 204


def test_a_state_folder_that_others_may_read_is_refused_with_words(servers, tmp_path):
    folder = tmp_path / "open"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    server = servers.start(state_dir=folder)
    reply = server.ask("GET", "sessmgr/session")
    assert reply.status_code == 503, reply.text
    assert str(folder) in reply.json()["msg"]
    assert server.ask("GET", "api/kernelspecs").status_code == 200
    folder.chmod(0o700)
    assert server.ask("GET", "sessmgr/session").status_code == 200


def test_a_server_stops_at_once_after_a_destroy(servers):
    server = servers.start()
    made = server.create(name="short-lived")
    server.until_listed(made["sessionId"])
    assert server.ask("DELETE", "sessmgr/session/short-lived").status_code == 204
    server.stop()
    assert troubles(server) == []


@pytest.fixture
def small_disk(tmp_path):
    """Give a folder on a disk of its own, small enough to be filled."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder):
    """Write until there is no room for one more byte."""
    with (folder / "ballast").open("wb", buffering=0) as ballast:
        for size in (2**16, 1):
            with contextlib.suppress(OSError):
                while ballast.write(b"x" * size):
                    continue


def test_S3_a_full_disk_stops_creates_and_nothing_else(small_disk, servers):
    server = servers.start(state_dir=small_disk)
    server.create(name="before")
    fill(small_disk)
    for _ in range(2):
        reply = server.ask("POST", "sessmgr/session", json={"name": "after"})
        assert reply.status_code == 503, reply.text
        assert int(reply.headers["Retry-After"]) > 0
        assert reply.json()["retryable"]
    assert server.ask("GET", "sessmgr/session/after").status_code == 404
    assert server.info("before")["status"] == "RUNNING"
    assert server.ask("DELETE", "sessmgr/session/before").status_code == 204
    assert server.ask("GET", "sessmgr/session/before").status_code == 404
    assert server.sessions() == []
    (small_disk / "ballast").unlink()
    assert server.create(name="after")["status"] == "RUNNING"
    server.destroy_sessions()
    server.stop()


@pytest.mark.slow
def test_an_engine_that_never_answers_does_not_keep_the_server_from_starting(servers, tmp_path):
    path = tmp_path / "hangs.sock"
    with socket.socket(socket.AF_UNIX) as hangs:
        hangs.bind(str(path))
        hangs.listen(64)
        server = servers.start("docker", environ={"DOCKER_HOST": f"unix://{path}"})
        assert server.ask("GET", "api/kernelspecs", timeout=3).status_code == 200
        reply = server.ask("POST", "sessmgr/session", timeout=30)
        assert reply.status_code == 503, reply.text
        health = server.ask("GET", "sessmgr/api/health").json()
        assert not health["available"]
        assert "docker engine" in health["reason"]
        server.stop()
