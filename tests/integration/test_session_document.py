"""Every row of the session management document, each a test, on a real server.

A test is named after its row: ``create``, ``info``, ``destroy`` or ``restart``, then the
parameter, the status or the field.
"""

from __future__ import annotations

import sys
import threading
import time

import pytest

from jupyter_sessmgr.model.images import REFERENCE_IMAGE
from tests.plugins.labelled import MIN_CPU, MIN_MEM, SHMEM

#: An image that this server has besides its usual one.
OTHER_IMAGE = "other/python:1"


@pytest.fixture(scope="module")
def site(module_servers):
    """Start a server that measures often and has two images."""
    return module_servers.start(
        "tests.plugins.labelled.LabelledEngine",
        config={
            "AdmissionControl": {
                "allowed_images": [OTHER_IMAGE],
                "max_sessions_per_owner": 50,
                "default_mem": "128m",
                "max_mem": "8g",
            },
            "ProcessEngine": {
                "environments": dict.fromkeys((REFERENCE_IMAGE, OTHER_IMAGE), sys.executable)
            },
            "UsageMeter": {"interval": 0.1},
        },
    )


@pytest.fixture
def server(site):
    yield site
    for item in site.sessions():
        if item["sessId"] not in {"lasting", "restarted"}:
            site.ask("DELETE", f"sessmgr/session/{item['sessionId']}?forced=true")


@pytest.fixture(scope="module")
def lasting(site):
    """Give the answer to the creation of one session that most tests only read."""
    return site.create(clientSessionToken="lasting")


def post(server, **body):
    """Create a session that starts as quickly as it can, and do not wait for it."""
    return server.ask("POST", "session", json={"enqueueOnly": True, "kernel": "", **body})


def problem(reply, status, slug):
    assert reply.status_code == status, reply.text
    told = reply.json()
    assert told["type"].endswith(f"/{slug}"), told
    return told


def until(server, reference, condition, timeout=20):
    """Wait until a session's info fulfils a condition."""
    deadline = time.monotonic() + timeout
    while not condition(info := server.info(reference)):
        assert time.monotonic() < deadline, info
        time.sleep(0.05)
    return info


# Creating Session


def test_create_uri_is_session(server):
    assert post(server).status_code == 201


def test_create_uri_for_legacy_is_session_create(server):
    assert server.ask("POST", "session/create", json={"enqueueOnly": True}).status_code == 201


def test_create_image_is_what_runs(server):
    created = post(server, image=OTHER_IMAGE).json()
    assert server.info(created["sessId"])["image"] == OTHER_IMAGE


def test_create_lang_is_the_image_when_that_is_not_present(server):
    created = post(server, lang=OTHER_IMAGE).json()
    assert server.info(created["sessId"])["image"] == OTHER_IMAGE
    problem(post(server, lang=OTHER_IMAGE, image="no/such:1"), 404, "image-not-found")


def test_create_clientSessionToken_is_unique_among_those_that_live(server):
    first = post(server, clientSessionToken="unique-1").json()
    again = post(server, clientSessionToken="unique-1", reuseIfExists=False)
    told = problem(again, 409, "session-already-exists")
    assert told["data"]["existingSessionId"] == first["sessionId"]


def test_create_clientSessionToken_may_be_used_again_after_the_end(server):
    first = post(server, clientSessionToken="again-1").json()
    server.ask("DELETE", "session/again-1?forced=true")
    second = post(server, clientSessionToken="again-1", reuseIfExists=False)
    assert second.status_code == 201
    assert second.json()["sessionId"] != first["sessionId"]


@pytest.mark.parametrize("token", ["abcd", "a-b-c", "A1z9", "0000", "x" * 64, "a" + "-" * 62 + "z"])
def test_create_clientSessionToken_has_letters_numbers_and_inner_hyphens(server, token):
    assert post(server, clientSessionToken=token).json()["sessId"] == token


@pytest.mark.parametrize("token", ["", "abc", "x" * 65, "-abc", "abc-", "a b c", "äbcd", "ab/cd"])
def test_create_clientSessionToken_may_not_be_anything_else(server, token):
    reply = post(server, clientSessionToken=token)
    if token:
        told = problem(reply, 401, "invalid-api-params")
        assert told["data"]["field"] == "clientSessionToken"
    else:  # as if it were not given
        assert reply.status_code == 201


def test_create_clientSessionToken_is_an_alias_of_the_session(server):
    created = post(server, clientSessionToken="friendly").json()
    assert server.info("friendly")["sessionId"] == created["sessionId"]


def test_create_enqueueOnly_returns_at_once(server):
    began = time.monotonic()
    created = post(server, enqueueOnly=True).json()
    assert created["status"] == "PENDING"
    assert time.monotonic() - began < 5
    assert server.until(created["sessId"], "RUNNING", "ERROR")["status"] == "RUNNING"


@pytest.mark.parametrize("value", [False, None])
def test_create_enqueueOnly_is_false_by_default_and_waits(server, value):
    body = {} if value is None else {"enqueueOnly": value}
    assert server.ask("POST", "session", json=body).json()["status"] == "RUNNING"


def test_create_maxWaitSeconds_is_the_longest_wait(server):
    hurried = {"clientSessionToken": "hurried", "maxWaitSeconds": 0.001}
    reply = server.ask("POST", "session", json=hurried)
    assert (reply.status_code, reply.json()["status"]) == (201, "TIMEOUT")
    assert server.until("hurried", "RUNNING", "ERROR")["status"] == "RUNNING"


def test_create_maxWaitSeconds_zero_waits_for_good(server):
    reply = server.ask("POST", "session", json={"maxWaitSeconds": 0})
    assert reply.json()["status"] == "RUNNING"


def test_create_reuseIfExists_returns_the_session_of_that_token_and_image(server, lasting):
    reply = post(server, clientSessionToken="lasting", reuseIfExists=True)
    assert reply.status_code == 200
    assert reply.json()["sessionId"] == lasting["sessionId"]


def test_create_reuseIfExists_is_true_by_default(server, lasting):
    assert post(server, clientSessionToken="lasting").json()["created"] is False


def test_create_reuseIfExists_ignores_the_config(server, lasting):
    before = server.info("lasting")["resources"]
    reply = post(server, clientSessionToken="lasting", config={"resources": {"mem": "1g"}})
    assert reply.status_code == 200
    assert server.info("lasting")["resources"] == before


def test_create_reuseIfExists_false_is_an_error_that_says_session_already_exists(server, lasting):
    reply = post(server, clientSessionToken="lasting", reuseIfExists=False)
    told = problem(reply, 409, "session-already-exists")
    assert "session already exists" in told["msg"]


def test_create_reuseIfExists_does_not_reuse_another_image(server, lasting):
    reply = post(server, clientSessionToken="lasting", image=OTHER_IMAGE)
    problem(reply, 409, "session-already-exists")


def test_create_group_is_the_one_given_or_default(server):
    assert server.info(post(server, group="physics").json()["sessId"])["group"] == "physics"
    assert server.info(post(server).json()["sessId"])["group"] == "default"


def test_create_domain_is_the_one_given_or_default(server):
    assert server.info(post(server, domain="uni").json()["sessId"])["domain"] == "uni"
    assert server.info(post(server).json()["sessId"])["domain"] == "default"


def test_create_config_says_resources(server):
    config = {"resources": {"cpu": "2", "mem": "1g"}, "resource_opts": {"shmem": "48m"}}
    info = server.info(post(server, config=config).json()["sessId"])
    assert info["resources"]["cpu"] == "2"
    assert info["resources"]["mem"] == 2**30
    assert info["resources"]["shmem"] == 48 * 2**20


def test_create_config_left_out_means_the_images_minimum(server):
    info = server.info(post(server).json()["sessId"])
    resources = info["resources"]
    assert resources == {"cpu": str(MIN_CPU), "mem": MIN_MEM, "shmem": SHMEM}


def test_create_tag_is_kept(server):
    assert server.info(post(server, tag="of alice's").json()["sessId"])["tag"] == "of alice's"


def test_create_status_200_the_session_is_running_already_and_reused(server, lasting):
    assert server.ask("POST", "session", json={"name": "lasting"}).status_code == 200


def test_create_status_201_the_session_is_created(server):
    assert post(server).status_code == 201


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"image": 5}, "image"),
        ({"clientSessionToken": 5}, "clientSessionToken"),
        ({"enqueueOnly": "yes"}, "enqueueOnly"),
        ({"enqueue_only": "yes"}, "enqueue_only"),
        ({"maxWaitSeconds": -1}, "maxWaitSeconds"),
        ({"reuseIfExists": 1}, "reuseIfExists"),
        ({"group": []}, "group"),
        ({"domain": {}}, "domain"),
        ({"config": 5}, "config"),
        ({"tag": 5}, "tag"),
    ],
)
def test_create_status_401_invalid_api_parameters(server, body, field):
    reply = post(server, **body)
    assert problem(reply, 401, "invalid-api-params")["data"]["field"] == field
    assert "WWW-Authenticate" not in reply.headers


@pytest.mark.parametrize(
    "config",
    [{"resources": {"mem": "9g"}}, {"resources": {"cpu": 1000}}, {"clusterSize": 2}],
)
def test_create_status_406_over_the_servers_own_limits(server, config):
    told = problem(post(server, config=config), 406, "quota-exceeded")
    assert "limit" in told["data"]


def test_create_sessId_is_the_token_or_made_up(server):
    assert post(server, clientSessionToken="given-1").json()["sessId"] == "given-1"
    made_up = post(server).json()["sessId"]
    assert server.info(made_up)["sessId"] == made_up


def test_create_status_is_PENDING_when_enqueued_only(server):
    assert post(server).json()["status"] == "PENDING"


def test_create_status_is_RUNNING_in_the_normal_case(lasting):
    assert lasting["status"] == "RUNNING"


def test_create_status_is_ERROR_when_the_start_failed(server):
    reply = server.ask("POST", "session", json={"kernel": "no-such-kernel"})
    assert (reply.status_code, reply.json()["status"]) == (201, "ERROR")
    assert "no-such-kernel" in reply.json()["statusInfo"]


def test_create_status_is_TERMINATED_when_it_was_ended_meanwhile(server):
    for attempt in range(5):  # it may run before it is ended; then it is tried again
        name = f"meanwhile-{attempt}"
        answers = []
        waiting = threading.Thread(
            target=lambda name=name, answers=answers: answers.append(server.create(name=name))
        )
        waiting.start()
        while server.ask("DELETE", f"session/{name}?forced=true").status_code == 404:
            time.sleep(0.01)
        waiting.join(60)
        if answers[0]["status"] != "RUNNING":
            break
    assert answers[0]["status"] in {"TERMINATED", "CANCELLED"}


def test_create_servicePorts_are_those_of_the_image(server, lasting):
    told = {port["name"]: port["protocol"] for port in lasting["servicePorts"]}
    assert told == {"jupyter": "http", "tensorboard": "http"}


def test_create_servicePorts_are_empty_when_enqueued_only(server):
    assert post(server).json()["servicePorts"] == []


def test_create_created_says_whether_it_is_fresh(server, lasting):
    assert lasting["created"] is True
    assert post(server, clientSessionToken="lasting").json()["created"] is False


# Getting Session Information


def test_info_uri_is_session_id(server, lasting):
    assert server.ask("GET", "session/lasting").status_code == 200


@pytest.mark.parametrize("key", ["sessId", "sessionId", "sessionNumber"])
def test_info_id_is_the_session_id(server, lasting, key):
    reply = server.ask("GET", f"session/{lasting[key]}")
    assert reply.json()["sessionId"] == lasting["sessionId"]


def test_info_may_be_a_few_seconds_old_and_asks_nobody(server, lasting):
    info = until(server, "lasting", lambda info: info["usage"])
    assert info["usage"]["memMaxBytes"] >= info["usage"]["memBytes"] > 0


def test_info_status_200_is_returned(server, lasting):
    assert (
        server.ask("GET", "session/lasting").headers["Content-Type"].startswith("application/json")
    )


def test_info_status_404_there_is_no_such_session(server):
    problem(server.ask("GET", "session/nobody"), 404, "session-not-found")


def test_info_lang_is_the_kernels_language(server, lasting):
    assert server.info("lasting")["lang"] == "python"


def test_info_age_counts_milliseconds_since_the_start(server, lasting):
    began = time.monotonic()
    first = server.info("lasting")["age"]
    grown = until(server, "lasting", lambda info: info["age"] >= first + 200)["age"] - first
    assert grown <= (time.monotonic() - began) * 1000 + 1


def test_info_memoryLimit_is_in_KiB(server, lasting):
    assert server.info("lasting")["memoryLimit"] == MIN_MEM // 1024


def test_info_numQueriesExecuted_counts_executions(server, lasting):
    before = server.info("lasting")["numQueriesExecuted"]
    server.execute(lasting["sessionId"], "1")
    until(server, "lasting", lambda info: info["numQueriesExecuted"] == before + 1)


def test_info_cpuCreditUsed_counts_milliseconds(server, lasting):
    before = server.info("lasting")["cpuCreditUsed"]
    burn(server, lasting, 0.3)
    until(server, "lasting", lambda info: info["cpuCreditUsed"] >= before + 200)


def burn(server, session, seconds):
    """Have a session's kernel use its processor for so long."""
    code = f"import time\nwhile time.process_time() - start < {seconds}: pass"
    server.execute(session["sessionId"], "import time; start = time.process_time()\n" + code)


# Destroying Session


def test_destroy_uri_is_session_id(server):
    post(server, clientSessionToken="doomed-1")
    assert server.ask("DELETE", "session/doomed-1").status_code == 204
    problem(server.ask("GET", "session/doomed-1"), 404, "session-not-found")


@pytest.mark.parametrize("key", ["sessId", "sessionId", "sessionNumber"])
def test_destroy_id_is_the_session_id(server, key):
    created = post(server).json()
    assert server.ask("DELETE", f"session/{created[key]}").status_code == 204


def test_destroy_status_204_has_no_content(server):
    reply = server.ask("DELETE", f"session/{post(server).json()['sessId']}")
    assert (reply.status_code, reply.content) == (204, b"")


def test_destroy_status_404_there_is_no_such_session(server):
    problem(server.ask("DELETE", "session/nobody"), 404, "session-not-found")
    created = post(server).json()
    assert server.ask("DELETE", f"session/{created['sessionId']}").status_code == 204
    again = server.ask("DELETE", f"session/{created['sessionId']}")
    problem(again, 404, "session-not-found")


STATS = {
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


def test_destroy_stats_are_those_of_the_kernel_when_deleted(server):
    created = server.create()
    burn(server, created, 0.2)
    headers = {"Prefer": "return=representation"}
    reply = server.ask("DELETE", f"session/{created['sessId']}", headers=headers)
    assert reply.status_code == 200
    stats = reply.json()["stats"]
    assert set(stats) == STATS
    assert stats["cpu_used"] >= 200
    assert stats["mem_max_bytes"] >= stats["mem_cur_bytes"] > 2**20
    assert server.info(created["sessionId"])["stats"] == stats


def test_destroy_stats_of_what_never_ran_are_zero(server):
    created = post(server).json()
    headers = {"X-BackendAI-Version": "v5.20191215"}
    path = f"session/{created['sessId']}?forced=true"
    stats = server.ask("DELETE", path, headers=headers).json()["stats"]
    assert {stats[name] for name in STATS - {"status"}} == {0}


# Restarting Session


@pytest.fixture(scope="module")
def restarted(site):
    """Restart a session that has state, age and credit; tell of before and after."""
    created = site.create(name="restarted")
    site.execute(created["sessionId"], "import json as kept; x = 41")
    burn(site, created, 0.4)
    before = until(site, created["sessId"], lambda info: info["cpuCreditUsed"] >= 300)
    reply = site.ask("PATCH", f"session/{created['sessId']}")
    return {"reply": reply, "before": before, "after": site.info(created["sessId"])}


def test_restart_uri_is_session_id(restarted):
    assert restarted["before"]["status"] == restarted["after"]["status"] == "RUNNING"


def test_restart_status_204_no_content(restarted):
    assert (restarted["reply"].status_code, restarted["reply"].content) == (204, b"")


def test_restart_status_404_there_is_no_such_session(server):
    problem(server.ask("PATCH", "session/nobody"), 404, "session-not-found")
    created = post(server).json()
    server.ask("DELETE", f"session/{created['sessId']}?forced=true")
    problem(server.ask("PATCH", f"session/{created['sessionId']}"), 404, "session-not-found")


@pytest.mark.parametrize("key", ["sessId", "sessionId", "sessionNumber"])
def test_restart_id_is_the_session_id(server, lasting, key):
    assert server.ask("PATCH", f"session/{lasting[key]}").status_code == 204


def test_restart_resets_the_idle_time(restarted):
    assert restarted["after"]["lastActiveAt"] > restarted["before"]["lastActiveAt"]


def test_restart_lets_age_and_credit_accumulate(site, restarted):
    before, after = restarted["before"], restarted["after"]
    assert after["age"] > before["age"]
    assert after["cpuCreditUsed"] >= before["cpuCreditUsed"]
    assert after["startedAt"] == before["startedAt"]
    burn(site, after, 0.2)
    grown = before["cpuCreditUsed"] + 100
    until(site, after["sessId"], lambda info: info["cpuCreditUsed"] >= grown)


def test_restart_keeps_every_other_property(restarted):
    changing = {"age", "cpuCreditUsed", "usage", "lastActiveAt", "history", "idleTimeoutAt"}
    left = [
        {key: value for key, value in info.items() if key not in changing}
        for info in (restarted["before"], restarted["after"])
    ]
    assert left[0] == left[1]


def test_restart_resets_global_variables_and_imports(site, restarted):
    kernel = restarted["after"]["sessionId"]
    assert "NameError" in site.execute(kernel, "x")
    assert "NameError" in site.execute(kernel, "kept")
