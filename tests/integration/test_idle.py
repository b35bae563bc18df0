"""Limits of time on real servers; FAULTS T1 and P6."""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.plugins.notebooks import Notebook
from tests.plugins.server import ROOT

#: What Python's sleep calls fails below libfaketime 0.9.10 now and then.
SLEEP = """
import select, time
sleep = time.sleep
def patient(seconds):
    try:
        sleep(seconds)
    except OSError:
        select.select([], [], [], seconds)
time.sleep = patient
"""


def limits(**traits):
    return {"IdleCuller": {"check_interval": 0.2, **traits}}


def ended(server, session_id, timeout=30):
    return server.until(session_id, "TERMINATED", timeout=timeout)


def stays(server, session_id, seconds):
    """Ask for a session until `seconds` have passed; it runs all the time."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        assert server.info(session_id)["status"] == "RUNNING"
        time.sleep(0.05)


def test_B2_an_interactive_session_ends_after_its_last_client_and_its_last_cell_whoever_looks(
    servers,
):
    config = limits(idle_timeout=2.0, never_connected_timeout=300.0, warning_before=1.0)
    server = servers.start(config=config)
    session = server.create(durable=False)["sessionId"]
    server.until_listed(session)
    with Notebook(server, session) as notebook:
        stays(server, session, 3)
        notebook.ask("import time; time.sleep(4)")
        notebook.hear(lambda message: message["header"]["msg_type"] == "execute_input")
    stays(server, session, 3)  # busy, without a client
    before = server.info(session)["lastActiveAt"]
    info = ended(server, session)  # asking for it all the time is no use of it
    assert "idle-timeout" in info["statusInfo"]
    assert before is not None


def test_one_that_nobody_used_ends_and_a_durable_one_stays(servers):
    server = servers.start(config=limits(never_connected_timeout=1.0, idle_timeout=1.0))
    durable = server.create(durable=True)["sessionId"]
    never = server.create(durable=False)["sessionId"]
    assert "never-connected" in ended(server, never)["statusInfo"]
    assert server.info(durable)["status"] == "RUNNING"
    assert server.info(durable)["idleTimeoutAt"] is None


def test_jupyters_own_culler_lets_go_of_durable_sessions(servers):
    cull = {"MappingKernelManager": {"cull_idle_timeout": 4, "cull_interval": 1}}
    server = servers.start(config=cull)
    durable = server.create(durable=True)["sessionId"]
    assert "7" in server.execute(durable, "x = 3; x + 4")
    interactive = server.create(durable=False)["sessionId"]
    server.until_listed(interactive)
    ended(server, interactive)
    deadline = time.monotonic() + 20
    while server.ask("GET", f"api/kernels/{durable}").status_code != 404:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    info = server.info(durable)
    assert (info["status"], info["numQueriesExecuted"]) == ("RUNNING", 1)
    headers = {"api-version": "2012-11-01"}
    path = f"WindowsHpc/Session/{info['sessionNumber']}/Attach?durable=true"
    assert server.ask("GET", path, headers=headers).status_code == 200
    assert "3" in server.execute(durable, "x")  # its variables are there


def test_an_administrator_excepts_a_session(servers):
    server = servers.start(config=limits(idle_timeout=100.0))
    session = server.create(durable=False)["sessionId"]
    path = f"sessmgr/api/session/{session}"
    reply = server.ask("POST", f"{path}/exempt")
    assert reply.status_code == 200, reply.text
    assert (reply.json()["idleExempt"], reply.json()["endsAt"]) == (True, None)
    reply = server.ask("POST", f"{path}/exempt", json={"exempt": False})
    # Which comes first depends on whether its kernel was heard to be idle already.
    assert reply.json()["limit"] in {"never-connected", "idle"}
    assert reply.json()["idleExempt"] is False
    assert datetime.fromisoformat(reply.json()["endsAt"]).timestamp() > time.time()
    assert server.ask("POST", f"{path}/exempt", json={"exempt": "yes"}).status_code in {400, 401}
    assert server.ask("POST", f"{path}/suspend").status_code == 501
    assert server.ask("POST", f"{path}/resume").status_code == 200
    assert server.ask("POST", "sessmgr/api/session/none/resume").status_code == 404


def test_a_session_is_extended_by_its_owner_within_bounds(servers):
    server = servers.start(config=limits(idle_timeout=900.0, max_extension=3600.0))
    kept = server.create(durable=False)["sessionId"]
    before = server.info(kept)["idleTimeoutAt"]
    assert datetime.fromisoformat(before).timestamp() < time.time() + 900
    reply = server.ask("POST", f"sessmgr/api/session/{kept}/extend", json={"seconds": 3600})
    assert reply.status_code == 200, reply.text
    ends_at = datetime.fromisoformat(reply.json()["endsAt"]).timestamp()
    assert ends_at - time.time() == pytest.approx(3600, abs=60)
    info = server.info(kept)
    assert info["endsBy"] == reply.json()["limit"]
    assert info["idleTimeoutAt"] is not None

    def refused(reference, body):
        return server.ask("POST", f"sessmgr/api/session/{reference}/extend", json=body).status_code

    assert refused(kept, {"seconds": 3601}) == 406
    for wrong in ({}, {"seconds": 0}, {"seconds": -1}, {"seconds": True}, {"seconds": 1.5}):
        assert refused(kept, wrong) == 400, wrong
    for wrong in ({"seconds": "60"}, {"seconds": 2**62}, {"seconds": None}):
        assert refused(kept, wrong) == 400, wrong
    assert refused("00000000-0000-4000-8000-000000000000", {"seconds": 60}) == 404
    server.ask("DELETE", f"sessmgr/session/{kept}?forced=true")
    assert refused(kept, {"seconds": 60}) == 409


def faketime(tmp_path):
    """Make the environment of a server whose wall clock a file sets, while it runs."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        pytest.skip("libfaketime is not installed")
    clock = tmp_path / "clock"
    clock.write_text("+0")
    (tmp_path / "sitecustomize.py").write_text(SLEEP)
    return clock, {
        "PYTHONPATH": f"{tmp_path}:{ROOT}",
        "LD_PRELOAD": str(library),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


def test_T1_a_wall_clock_that_jumps_ends_nothing_and_makes_no_negative_age(servers, tmp_path):
    clock, environ = faketime(tmp_path)
    config = limits(idle_timeout=60.0, durable_idle_timeout=60.0, max_lifetime=120.0)
    server = servers.start(config=config, environ=environ)
    ids = [server.create(durable=durable)["sessionId"] for durable in (True, False)]
    for session in ids:
        server.execute(session, "1")
    for jump, seconds in (("+1h", 3600), ("-1d", -86400)):
        clock.write_text(jump)
        for session in ids:
            stays(server, session, 1)
            info = server.info(session)
            assert info["age"] >= 0
            ends_at = datetime.fromisoformat(info["idleTimeoutAt"]).timestamp()
            assert 30 < ends_at - (time.time() + seconds) <= 61, jump
    assert "ends:" not in server.log()
    clock.write_text("+0")


def test_P6_a_server_that_was_stopped_takes_nobody_for_idle(servers):
    config = limits(idle_timeout=5.0, warning_before=0.0)
    server = servers.start(config=config)
    session = server.create(durable=False)["sessionId"]
    server.execute(session, "1")
    os.kill(server.pid, signal.SIGSTOP)
    time.sleep(6)
    os.kill(server.pid, signal.SIGCONT)
    stays(server, session, 1)
    assert len(server.sessions()) == 1  # and none was made twice
    ended(server, session)
    assert "did not run for a while" in server.log()
