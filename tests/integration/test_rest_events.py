"""Browsers hear what happens to sessions over Jupyter's own event socket."""

from __future__ import annotations

import json
import time

from websockets.sync.client import connect

ROOT = "https://events.jupyter.org/jupyter_sessmgr"


def test_a_session_is_heard_from_its_start_to_its_end(server):
    secret = "canary-77aa"
    url = f"ws{server.url.removeprefix('http')}api/events/subscribe"
    with connect(url, additional_headers={"Authorization": f"token {server.token}"}) as socket:
        made = server.create(name=f"name-{secret}", config={"environ": {"PASSWORD": secret}})
        server.ask("DELETE", f"sessmgr/session/{made['sessionId']}")
        statuses, phases = [], []
        deadline = time.monotonic() + 30
        while "TERMINATED" not in statuses:
            text = socket.recv(deadline - time.monotonic())
            event = json.loads(text)
            if not event["schema_id"].startswith(ROOT):
                continue
            assert event["session_id"] == made["sessionId"]
            assert secret not in text
            if event["schema_id"] == f"{ROOT}/session_status/v1":
                assert event.get("before") == (statuses[-1] if statuses else None)
                statuses.append(event["status"])
            else:
                phases.append(event["phase"])
    assert statuses == ["PENDING", "CREATING", "RUNNING", "TERMINATING", "TERMINATED"]
    assert phases[0] == "queued"
    assert "booting" in phases


def test_the_death_of_a_kernel_is_heard_with_its_reason(server):
    made = server.create(name="mortal")
    url = f"ws{server.url.removeprefix('http')}api/events/subscribe"
    with connect(url, additional_headers={"Authorization": f"token {server.token}"}) as socket:
        server.until_listed(made["sessionId"])
        server.tell(made["sessionId"], "import os; os.kill(os.getpid(), 9)")
        deadline = time.monotonic() + 30
        while True:
            event = json.loads(socket.recv(deadline - time.monotonic()))
            if event["schema_id"] == f"{ROOT}/kernel_died/v1":
                break
    assert event["session_id"] == made["sessionId"]
    assert event["code"] == -9
    assert event["reason"]
    assert event["oom"] is False
