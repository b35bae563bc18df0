"""``%tensorboard`` in a remote kernel: its frame is the session's service."""

from __future__ import annotations

import json

import pytest

WRITE = """
from tensorboardX import SummaryWriter
with SummaryWriter("runs/mine") as writer:
    writer.add_scalar("loss", 1, 0)
"""


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def server(request, servers):
    if request.param == "docker":
        request.getfixturevalue("reference_image")
    return servers.start(request.param)


def test_what_a_kernel_starts_is_shown_where_it_looks_for_it(server):
    session = server.create()["sessionId"]
    path = f"sessmgr/session/{session}/service/"
    told = server.execute(session, "import os; print(os.environ['TENSORBOARD_PROXY_URL'])")
    assert told.strip() == f"/base/{path}%PORT%/"
    server.execute(session, WRITE)
    shown = server.execute(session, "%load_ext tensorboard\n%tensorboard --logdir runs --port 6006")
    assert "Launching TensorBoard" in shown
    frame = server.ask("GET", f"{path}6006/data/runs?a=%2F")
    assert frame.status_code == 302
    assert frame.headers["Location"] == f"/base/{path}tensorboard/data/runs?a=%2F"
    runs = server.ask("GET", f"{path}tensorboard/data/runs")
    assert json.loads(runs.text) == ["mine"], "not one that was started anew"
    (state,) = (
        one
        for one in server.ask("GET", f"sessmgr/session/{session}/services").json()["items"]
        if one["name"] == "tensorboard"
    )
    assert (state["running"], state["port"]) == (True, 6006)
    assert server.ask("GET", f"{path}6007/").status_code == 404, "nobody promised it"
