"""T7: the server goes while a client waits for its session; asking again comes to the same one."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

#: Runs before the kernel: long enough for the server to be killed and started again meanwhile.
SLOWLY = "sleep 4"
WISH = {"clientSessionToken": "over-restart", "maxWaitSeconds": 60, "bootstrap_script": SLOWLY}


def insist(server, ends):
    """Ask until there is an answer, as a client with a retry policy; return the answers."""
    failed = 0
    while time.monotonic() < ends:
        try:
            reply = server.ask("POST", "sessmgr/session", json=WISH, timeout=90)
        except requests.RequestException:
            failed += 1
            time.sleep(0.05)
            continue
        if reply.status_code in {200, 201}:
            return failed, reply.json()
        assert reply.status_code == 503, reply.text  # it is about to stop, or just came up
        failed += 1
        time.sleep(0.05)
    raise AssertionError("no answer")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_T7_I1_I6_a_client_that_insists_gets_one_session_over_a_restart(servers, how):
    server = servers.start()
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(insist, server, time.monotonic() + 90) for _ in range(4)]
        ends = time.monotonic() + 30
        while not (seen := server.sessions()):
            assert time.monotonic() < ends
        server.until(seen[0]["sessionId"], "CREATING")
        server.process.send_signal(how)
        server.process.wait(30)
        servers.again(server)
        answers = [one.result(120) for one in waiting]
    assert all(failed for failed, _ in answers), "somebody's request survived the server"
    assert {body["sessionId"] for _, body in answers} == {seen[0]["sessionId"]}
    assert {body["status"] for _, body in answers} == {"RUNNING"}
    live = server.sessions()
    assert [one["sessionId"] for one in live] == [seen[0]["sessionId"]]
