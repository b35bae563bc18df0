"""The session management document on a real server: create, info, restart, destroy, list."""

from __future__ import annotations

import pytest


@pytest.fixture
def server(shared_server):
    yield shared_server
    shared_server.destroy_sessions()


def assert_problem(reply, status, slug):
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"] == "application/problem+json"
    body = reply.json()
    assert body["type"] == f"https://api.backend.ai/probs/{slug}"
    assert body["title"]
    assert body["msg"]
    return body


@pytest.mark.parametrize("path", ["sessmgr", "sessmgr/"])
def test_the_version_probe_is_open_and_does_not_redirect(server, path):
    del server.http.headers["Authorization"]
    try:
        reply = server.ask("GET", path)
    finally:
        server.http.headers["Authorization"] = f"token {server.token}"
    assert reply.status_code == 200
    assert reply.json()["version"] == "v5.20191215"
    assert reply.json()["manager"]


@pytest.mark.parametrize("prefix", ["sessmgr/session", "sessmgr/kernel", "session"])
def test_create_info_restart_destroy(server, prefix):
    name = f"path-{prefix.replace('/', '-')}"
    reply = server.ask("POST", f"{prefix}/create", json={"clientSessionToken": name, "tag": "t"})
    assert reply.status_code == 201, reply.text
    created = reply.json()
    assert (created["sessId"], created["kernelId"], created["created"]) == (name, name, True)
    assert created["status"] == "RUNNING", created

    for reference in (name, created["sessionId"], created["sessionNumber"]):
        info = server.ask("GET", f"{prefix}/{reference}").json()
        assert info["sessionId"] == created["sessionId"]
    assert info["lang"] == "python"
    assert info["tag"] == "t"
    assert info["age"] > 0
    assert {"memoryLimit", "numQueriesExecuted", "cpuCreditUsed"} <= set(info)

    server.execute(created["sessionId"], "x = 41")
    assert server.execute(created["sessionId"], "x + 1") == "42"
    assert server.ask("PATCH", f"{prefix}/{name}").status_code == 204
    again = server.info(name)
    assert (again["sessionId"], again["status"]) == (created["sessionId"], "RUNNING")
    assert again["age"] > info["age"]
    assert "NameError" in server.execute(created["sessionId"], "x")

    reply = server.ask("DELETE", f"{prefix}/{name}")
    assert (reply.status_code, reply.content) == (204, b"")
    assert server.ask("GET", f"{prefix}/{name}").status_code == 404
    ended = server.info(created["sessionId"])
    assert (ended["status"], ended["sessionName"]) == ("TERMINATED", name)
    assert server.ask("DELETE", f"{prefix}/{created['sessionId']}").status_code == 404
    assert server.ask("PATCH", f"{prefix}/{created['sessionId']}").status_code == 404


def test_a_session_without_a_name_gets_one(server):
    created = server.create(enqueueOnly=True)
    assert created["sessId"] == server.info(created["sessionId"])["sessionName"]


def test_enqueue_only_answers_at_once(server):
    created = server.create(clientSessionToken="enqueued", enqueueOnly=True)
    assert (created["status"], created["servicePorts"]) == ("PENDING", [])
    assert server.until("enqueued", "RUNNING", "ERROR")["status"] == "RUNNING"


def test_a_wait_that_is_over_says_timeout_and_the_start_goes_on(server):
    reply = server.ask(
        "POST", "sessmgr/session", json={"clientSessionToken": "impatient", "maxWaitSeconds": 0.001}
    )
    assert (reply.status_code, reply.json()["status"]) == (201, "TIMEOUT")
    assert server.until("impatient", "RUNNING", "ERROR")["status"] == "RUNNING"


def test_the_same_name_and_image_is_reused_and_another_image_is_refused(server):
    first = server.create(clientSessionToken="reused")
    reply = server.ask(
        "POST", "sessmgr/session", json={"name": "reused", "config": {"environ": {}}}
    )
    assert (reply.status_code, reply.json()["created"]) == (200, False)
    assert reply.json()["sessionId"] == first["sessionId"]
    assert reply.json()["status"] == "RUNNING"
    for body in ({"image": "other/image:1"}, {"reuseIfExists": False}):
        reply = server.ask("POST", "sessmgr/session", json={"name": "reused", **body})
        problem = assert_problem(reply, 409, "session-already-exists")
        assert problem["data"]["existingSessionId"] == first["sessionId"]


def test_a_destroyed_name_is_free_again(server):
    first = server.create(clientSessionToken="again")
    server.ask("DELETE", "sessmgr/session/again")
    second = server.create(clientSessionToken="again")
    assert second["created"]
    assert second["sessionId"] != first["sessionId"]
    assert second["sessionNumber"] > first["sessionNumber"]


@pytest.mark.parametrize(
    "headers", [{"Prefer": "return=representation"}, {"X-BackendAI-Version": "v5.20191215"}]
)
def test_stats_come_with_the_end_for_who_wants_them(server, headers):
    server.create(clientSessionToken="stats")
    reply = server.ask("DELETE", "sessmgr/session/stats", headers=headers)
    assert reply.status_code == 200, reply.text
    stats = reply.json()["stats"]
    assert stats["cpu_used"] > 0
    assert stats["mem_max_bytes"] > 2**20
    assert stats["status"] == "TERMINATED"
    assert set(stats) == {
        "status",
        "cpu_used",
        "mem_max_bytes",
        "mem_cur_bytes",
        "net_rx_bytes",
        "net_tx_bytes",
        "io_read_bytes",
        "io_write_bytes",
        "io_max_scratch_size",
        "io_cur_scratch_size",
    }


def test_a_starting_session_can_be_destroyed(server):
    server.create(clientSessionToken="cancelled", enqueueOnly=True)
    assert server.ask("DELETE", "sessmgr/session/cancelled?forced=true").status_code == 204
    assert server.ask("GET", "sessmgr/session/cancelled").status_code == 404


def test_the_list_has_pages(server):
    names = [server.create(enqueueOnly=True)["sessId"] for _ in range(3)]
    first = server.ask("GET", "sessmgr/session?limit=2").json()
    assert [item["sessionName"] for item in first["items"]] == names[:0:-1]
    assert first["total"] == 3
    second = server.ask("GET", f"sessmgr/session?limit=2&before={first['next']}").json()
    assert [item["sessionName"] for item in second["items"]] == names[:1]
    assert second["next"] is None
    server.destroy_sessions()
    assert server.sessions() == []
    assert {item["sessionName"] for item in server.sessions(ended=True)} >= set(names)


@pytest.mark.parametrize(
    "body",
    [
        {"clientSessionToken": "ab"},
        {"config": {"resources": {"mem": "much"}}},
        {"config": {"resources": {"flux.capacitor": 1}}},
        {"config": {"environ": {"A=B": "1"}}},
        {"maxWaitSeconds": -1},
        {"type": "batch"},
    ],
)
def test_invalid_parameters_are_a_401_that_asks_for_no_login(server, body):
    reply = server.ask("POST", "sessmgr/session", json=body)
    assert_problem(reply, 401, "invalid-api-params")
    assert "WWW-Authenticate" not in reply.headers
    assert server.sessions() == []


def test_over_the_limits_says_what_would_fit(server):
    reply = server.ask("POST", "sessmgr/session", json={"config": {"resources": {"mem": "900t"}}})
    problem = assert_problem(reply, 406, "quota-exceeded")
    assert problem["data"]
    reply = server.ask("POST", "sessmgr/session", json={"config": {"clusterSize": 2}})
    assert_problem(reply, 406, "quota-exceeded")


def test_an_unknown_image_is_not_found(server):
    reply = server.ask("POST", "sessmgr/session", json={"image": "no/such:image"})
    assert_problem(reply, 404, "image-not-found")


@pytest.mark.parametrize(
    "reference", ["absent", "0", "99999", "create", "_", "%00", "a%2fb", "%c3%a4", "x" * 2000]
)
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_absent_sessions(server, reference, method):
    reply = server.ask(method, f"sessmgr/session/{reference}")
    if reference == "create":
        assert_problem(reply, 405, "method-not-allowed")
    else:
        assert_problem(reply, 404, "session-not-found")


def test_logs_are_there_after_the_end_too(server):
    created = server.create(clientSessionToken="logged")
    server.execute(created["sessionId"], "import os; os.write(2, b'to the log\\n')")
    assert "result" in server.ask("GET", "sessmgr/session/logged/logs").json()
    server.ask("DELETE", "sessmgr/session/logged")
    reply = server.ask("GET", f"sessmgr/session/{created['sessionId']}/logs")
    assert isinstance(reply.json()["result"]["logs"], str)


def test_interrupt_stops_a_cell_and_keeps_the_kernel(server):
    created = server.create(clientSessionToken="interrupted")
    server.execute(created["sessionId"], "x = 7")
    reply = server.ask("POST", "sessmgr/session/interrupted/interrupt")
    assert reply.status_code == 204, reply.text
    assert server.execute(created["sessionId"], "x") == "7"


def test_a_session_made_by_rest_is_a_kernel_in_jupyter(server):
    created = server.create(clientSessionToken="listed")
    server.until_listed(created["sessionId"])
    kernels = server.ask("GET", "api/kernels").json()
    assert created["sessionId"] in {kernel["id"] for kernel in kernels}


def test_health_and_offers(server):
    health = server.ask("GET", "sessmgr/api/health").json()
    assert (health["engine"], health["available"], health["follows"]) == ("process", True, "")
    assert (health["suspends"], health["maxExtension"]) == (False, 86400.0)
    offers = server.ask("GET", "sessmgr/api/offers").json()["items"]
    specs = server.ask("GET", "api/kernelspecs").json()["kernelspecs"]
    assert {offer["kernelName"] for offer in offers} <= set(specs)
    assert "python" in {offer["preset"] for offer in offers}
