"""The stock clients of the Backend.AI API, unmodified, on a real server with real containers."""

from __future__ import annotations

import json

import pytest

from jupyter_sessmgr.model.images import REFERENCE_IMAGE
from tests.plugins.clients import CLIENTS, add_pair

pytestmark = pytest.mark.docker
NAME = "stock-session"
#: As an image is spelled in replies.
IMAGE = f"{REFERENCE_IMAGE}:latest"
PORTS = ["jupyter", "jupyterlab", "tensorboard"]


@pytest.fixture(scope="module")
def pair(docker_server):
    """Add a key pair to the running server, as a person does."""
    return add_pair(docker_server)


@pytest.fixture(scope="module", params=CLIENTS)
def client(request, docker_server, stock_client, pair):
    """Give each client."""
    return stock_client(request.param, f"{docker_server.url}sessmgr", pair)


@pytest.fixture(scope="module")
def steps(client, docker_server):
    """Let the client do everything once, with one session."""
    try:
        return client.drive(REFERENCE_IMAGE, NAME)
    finally:
        docker_server.destroy_sessions()


def text(step, kind="stdout"):
    """Join what a run wrote."""
    return "".join(piece for stream, piece in step["console"] if stream == kind)


def test_create(steps):
    assert steps["create"] == {"created": True, "status": "RUNNING", "ports": PORTS}


def test_reuse(steps):
    assert steps["reuse"] == {"created": False, "status": "RUNNING", "ports": PORTS}


def test_conflict(steps):
    conflict = steps["conflict"]
    assert conflict["error"] == 409
    assert conflict["data"]["type"] == "https://api.backend.ai/probs/session-already-exists"
    assert conflict["data"]["data"]["existingSessionId"]


def test_info(steps):
    info = steps["info"]
    assert info["status"] == "RUNNING"
    assert info["lang"] == "python"
    assert info["image"] == IMAGE


def test_execute(steps):
    step = steps["execute"]
    assert (text(step), text(step, "stderr"), step["exitCode"]) == ("out\n42\n", "err\n", 0)


def test_execute_with_input(steps):
    assert text(steps["execute_input"]).endswith("hello Ada\n")


def test_execute_an_error(steps):
    assert "ZeroDivisionError" in text(steps["execute_error"], "stderr")


def test_execute_over_a_websocket(steps):
    assert text(steps["execute_stream"]).endswith("again 41 Bob\n")


def test_complete(steps):
    assert "print" in json.dumps(steps["complete"])


def test_upload(steps):
    assert steps["upload"] // 100 == 2
    assert text(steps["seen_inside"]) == "first 256000\n"


def test_list_files(steps):
    assert {one["filename"] for one in json.loads(steps["list_files"]["files"])} >= {
        "deep",
        "two.bin",
    }


def test_download(steps):
    assert steps["download"] == [["one.txt", 5], ["two.bin", 256000]]


def test_restart(steps):
    assert steps["restart"] is None
    assert text(steps["execute_after_restart"]) == "False first\n"


def test_logs(steps):
    assert isinstance(steps["logs"]["result"]["logs"], str)


def test_list(steps, client):
    key = "sess_id" if client.version.startswith("19.") else "name"
    assert steps["listed"]["compute_session_list"] == {
        "items": [{key: NAME, "status": "RUNNING", "image": IMAGE}],
        "total_count": 1,
    }


def test_destroy(steps):
    assert "stats" in steps["destroy"], steps["destroy"]
    stats = steps["destroy"]["stats"]
    assert stats["cpu_used"] > 0
    assert stats["mem_max_bytes"] > 0
    assert steps["destroy_again"]["error"] == 404


def test_events(steps):
    heard = steps["destroy"]["heard"]
    assert heard[-1] == "session_terminated"
    assert "kernel_terminating" in heard


@pytest.fixture(scope="module")
def backend_ai(docker_server, stock_client, pair):
    """Run the newest client's command line; returns its exit code and all that it printed."""
    client = stock_client(CLIENTS[-1], f"{docker_server.url}sessmgr", pair)

    def run(*words):
        done = client.run("backend.ai", *words)
        return done.returncode, done.stdout + done.stderr

    run.work = client.work
    yield run
    docker_server.destroy_sessions()


def test_the_command_line_through_a_sessions_life(backend_ai, docker_server):
    def works(*words):
        code, printed = backend_ai(*words)
        assert code == 0, (words, printed)
        return printed

    name = "by-command"
    assert "is created and ready" in works("session", "create", REFERENCE_IMAGE, "-t", name)
    assert "already running" in works("session", "create", REFERENCE_IMAGE, "-t", name)
    code, printed = backend_ai("session", "create", REFERENCE_IMAGE, "-t", name, "--no-reuse")
    assert code == 1
    assert "session-already-exists" in printed or "already exists" in printed
    for words in (("session", "list"), ("ps",)):
        printed = works(*words)
        assert name in printed
        assert "RUNNING" in printed
    reference = docker_server.info(name)["sessionId"]
    printed = works("session", "info", reference)
    assert IMAGE in printed
    code = "print('from', 'inside', 6 * 7)"
    assert "from inside 42" in works("run", REFERENCE_IMAGE, "-t", name, "-c", code)
    (backend_ai.work / "note.txt").write_text("noted")
    assert "Uploaded" in works("session", "upload", name, "note.txt")
    assert "note.txt" in works("session", "ls", name, ".")
    works("session", "download", name, "note.txt", "--dest", "down")
    assert (backend_ai.work / "down" / "note.txt").read_text() == "noted"
    assert "End of logs" in works("session", "logs", name)
    assert "Done" in works("session", "restart", name)
    assert "noted" in works(
        "run", REFERENCE_IMAGE, "-t", name, "-c", "print(open('note.txt').read())"
    )
    assert "Session renamed to other-name" in works("session", "rename", name, "other-name")
    assert "Actual Resource Allocation Time" in works("session", "status-history", "other-name")
    printed = works("session", "destroy", "--stats", "other-name")
    assert "Done" in printed
    assert "cpu_used_msec" in printed
    code, printed = backend_ai("session", "destroy", "other-name")
    assert code == 1
    assert "404" in printed
    _, printed = backend_ai("session", "list")  # the client calls an empty list a failure
    assert "other-name" not in printed


def test_the_command_line_runs_and_removes(backend_ai, docker_server):
    code, printed = backend_ai(
        "run", REFERENCE_IMAGE, "-t", "for-once", "--rm", "-s", "-c", "print('once')"
    )
    assert code == 0, printed
    assert "once" in printed
    assert "cpu_used_msec" in printed
    assert "for-once" not in {one["sessionName"] for one in docker_server.sessions()}


def test_the_command_line_refuses_a_wrong_secret(docker_server, stock_client, pair):
    wrong = {**pair, "secret_key": "0" * 64}
    client = stock_client(CLIENTS[-1], f"{docker_server.url}sessmgr", wrong)
    done = client.run("backend.ai", "session", "create", REFERENCE_IMAGE, "-t", NAME)
    assert done.returncode == 1
    assert "401" in done.stdout + done.stderr
