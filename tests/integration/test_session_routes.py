"""What stock clients ask of the session API besides its document: the contract's other pages."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import traceback
from datetime import datetime

import psutil
import pytest

from jupyter_sessmgr.manager.agents.link import AgentLink
from jupyter_sessmgr.model.errors import EngineUnavailable
from jupyter_sessmgr.model.images import REFERENCE_IMAGE
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.rest.backendai.unsupported import MAKERS, PARTS, VERBS
from jupyter_sessmgr.testing import make_session
from tests.plugins.server import ROOT

INFO_KEYS = {
    *("lang", "age", "memoryLimit", "numQueriesExecuted", "cpuCreditUsed"),
    *("status", "statusInfo", "queuePosition", "queueReason", "image", "sessionNumber"),
    *("sessionId", "durable", "group", "domain", "tag", "createdAt", "startedAt"),
    *("idleTimeoutAt", "resources", "usage", "servicePorts", "history"),
}
#: As clients 19.9, 20.9 and 23.9 write them, with v5 of the API.
LIST_QUERY = """query($limit:Int!, $offset:Int!, $status: String, $access_key: String) {
  compute_session_list(
      limit:$limit, offset:$offset, status:$status, access_key:$access_key) {
    items { name group_name main_kernel_id image type status status_info status_changed result }
    total_count
  }
}"""
ONE_QUERY = (
    "query($id: UUID!) {  compute_session(id: $id) {    name image tag created_at terminated_at "
    "status status_info status_data occupying_slots idle_checks containers { id session_id role "
    "agent image status status_info status_data status_changed occupied_slots live_stat last_stat "
    "} dependencies { name id }  }}"
)
OLD_ONE_QUERY = (
    "query($sess_id: String!) {  compute_session(sess_id: $sess_id) { sess_id role image tag "
    "created_at terminated_at agent status status_info occupied_slots cpu_used mem_cur_bytes "
    "mem_max_bytes num_queries net_rx_bytes net_tx_bytes io_read_bytes io_write_bytes "
    "io_max_scratch_size io_cur_scratch_size cpu_using }}"
)
KEYPAIR_QUERY = "query {  keypair {    user_id user_info { full_name } access_key is_admin  }}"


@pytest.fixture(scope="module")
def site(module_servers):
    return module_servers.start(config={"AdmissionControl": {"max_sessions_per_owner": 50}})


@pytest.fixture
def server(site):
    yield site
    site.destroy_sessions()


def post(server, **body):
    """Create a session that starts as quickly as it can, and do not wait for it."""
    reply = server.ask("POST", "sessmgr/session", json={"enqueueOnly": True, "kernel": "", **body})
    assert reply.status_code in {200, 201}, reply.text
    return reply.json()


def refused(server, status, **body):
    reply = server.ask("POST", "sessmgr/session", json={"enqueueOnly": True, **body})
    assert reply.status_code == status, reply.text
    return reply.json()


def query(server, text, path="sessmgr/admin/graphql", **variables):
    reply = server.ask("POST", path, json={"query": text, "variables": variables})
    assert reply.status_code == 200, reply.text
    return reply.json()


# Create


@pytest.mark.parametrize("root", ["sessmgr/session", "sessmgr/kernel", "session", "kernel"])
@pytest.mark.parametrize("end", ["", "/create", "/_/create"])
def test_the_paths_of_all_generations_create(server, root, end):
    reply = server.ask("POST", root + end, json={"enqueueOnly": True, "kernel": ""})
    assert reply.status_code == (404 if root == "kernel" else 201)


@pytest.mark.parametrize("key", ["name", "session_name", "sessionName", "client_session_token"])
def test_a_name_may_be_spelled_as_clients_do(server, key):
    assert post(server, **{key: "spelled-1"})["sessionName"] == "spelled-1"


def test_the_reply_is_one_body_for_all_clients(server):
    created = post(server, name="one-body")
    info = server.info("one-body")
    assert created["sessId"] == created["kernelId"] == created["sessionName"] == "one-body"
    assert created["sessionId"] == info["sessionId"]
    assert created["sessionNumber"] == info["sessionNumber"]
    assert created["servicePorts"] == created["service_ports"]


def test_nulls_are_as_absent(server):
    keys = ("image", "clientSessionToken", "enqueueOnly", "config", "tag", "type", "group")
    config = dict.fromkeys(("environ", "mounts", "resources", "mount_map", "preopen_ports"))
    body = {**dict.fromkeys(keys), "config": {**config, "resource_opts": {"shmem": None}}}
    created = server.ask("POST", "sessmgr/session", json=body).json()
    assert created["status"] == "RUNNING"


def test_unknown_keys_are_ignored_at_top_level_and_refused_in_config(server):
    post(server, clusterMode="single-node", architecture="x86_64", something={"new": 1})
    told = refused(server, 401, config={"agentList": ["i-1"]})
    assert told["data"]["field"] == "agentList"


def test_an_unknown_resource_slot_is_an_error(server):
    told = refused(server, 401, config={"resources": {"tpu": 1}})
    assert told["data"]["field"] == "tpu"


@pytest.mark.parametrize("slot", ["cuda.device", "cuda.devices", "cuda.shares"])
def test_gpus_are_known_by_name_and_refused_where_there_are_none(server, slot):
    told = refused(server, 406, config={"resources": {slot: "1"}})
    assert "GPU" in told["msg"]


def test_a_cluster_is_over_the_limit_which_is_named(server):
    for body in ({"config": {"clusterSize": 2}}, {"clusterSize": 2}):
        told = refused(server, 406, **body)
        assert (told["data"]["field"], told["data"]["limit"]) == ("clusterSize", 1)


@pytest.mark.parametrize(
    "body",
    [{"type": "inference"}, {"dependencies": ["x"]}, {"starts_at": "1h"}, {"callback_url": "u"}],
)
def test_what_upstream_has_and_we_do_not_is_501(server, body):
    told = refused(server, 501, **body)
    assert told["type"].endswith("/not-implemented")
    assert told["data"]["field"] in body


def test_ports_opened_beforehand_are_services_with_a_url(server):
    created = post(server, config={"preopen_ports": [18080]})
    *_, port = server.info(created["sessId"])["servicePorts"]
    path = f"/base/sessmgr/session/{created['sessionId']}/service/18080/"
    assert port == {
        "name": "18080",
        "protocol": "preopen",
        "ports": [18080],
        "url": path,
        "running": False,
    }


# Info, list, history, logs, names


def test_info_has_all_that_the_contract_lists(server):
    created = server.create(name="listed")
    info = server.info("listed")
    assert set(info) >= INFO_KEYS
    assert [note["status"] for note in info["history"]] == ["PENDING", "CREATING", "RUNNING"]
    times = [datetime.fromisoformat(note["at"]) for note in info["history"]]
    assert times == sorted(times)
    assert (info["queuePosition"], info["queueReason"]) == (None, "")
    server.ask("DELETE", "sessmgr/session/listed")
    ended = server.info(created["sessionId"])
    assert ended["stopReason"] == ended["statusInfo"] == "user-requested"
    assert [note["status"] for note in ended["history"]][-2:] == ["TERMINATING", "TERMINATED"]


def test_reading_is_no_use_of_a_session(server):
    server.create(name="unread")
    before = server.info("unread")["lastActiveAt"]
    for path in ("", "/logs", "/status-history"):
        server.ask("GET", f"sessmgr/session/unread{path}")
    server.sessions()
    assert server.info("unread")["lastActiveAt"] == before


@pytest.fixture
def plain(inside):
    return inside()


async def test_info_and_list_ask_neither_agent_nor_engine(plain, monkeypatch):
    created = await plain.create(name="silent")
    parts = plain.sessions._open_parts()
    asked = []

    def refuse(*_args, **_kwargs):
        asked.append("".join(traceback.format_stack()))
        raise EngineUnavailable("Nobody answers.")

    with monkeypatch.context() as patch:
        for name in ("look", "survey", "logs", "image", "images", "capacity"):
            patch.setattr(parts.engine, name, refuse)
        patch.setattr(AgentLink, "call", refuse)
        for path in ("silent", created["sessionId"], "silent/status-history"):
            assert (await plain.ask("GET", f"sessmgr/session/{path}")).code == 200
        page = json.loads((await plain.ask("GET", "sessmgr/session?all=true")).body)
    assert [item["sessionId"] for item in page["items"]] == [created["sessionId"]]
    assert not [stack for stack in asked if "rest/backendai" in stack]


def test_the_list_has_pages_and_filters(server):
    numbers = [post(server)["sessionNumber"] for _ in range(5)]
    ended = numbers.pop(2)
    server.ask("DELETE", f"sessmgr/session/{ended}?forced=true")

    def pages(where):
        before = ""
        while True:
            page = server.ask("GET", f"sessmgr/session?limit=2{where}{before}").json()
            yield [item["sessionNumber"] for item in page["items"]], page["total"]
            if page["next"] is None:
                return
            before = f"&before={page['next']}"

    found = list(pages(""))
    assert [number for page, _ in found for number in page] == numbers[::-1]
    assert {total for _, total in found} == {4}
    assert ended in next(pages("&status=TERMINATED,CANCELLED"))[0]
    everything = [number for page, _ in pages("&all=true") for number in page]
    assert everything[:5] == [numbers[3], numbers[2], ended, numbers[1], numbers[0]]


async def test_pages_of_10000_ended_sessions_cost_at_most_twice_those_of_100(plain):
    await plain.ask("GET", "sessmgr/session")  # opens the manager
    mirror = plain.sessions._open_parts().store._mirror
    owner = plain.extension.owner

    def fill(numbers):
        for number in numbers:
            ended = make_session(number=number, owner=owner, status=SessionStatus.TERMINATED)
            mirror.put(ended)

    async def cost(before):
        """Return the least seconds of several requests, which other programs disturb least."""
        least = float("inf")
        for _ in range(15):
            began = time.perf_counter()
            reply = await plain.ask("GET", f"sessmgr/session?all=true&limit=50&before={before}")
            least = min(least, time.perf_counter() - began)
        page = json.loads(reply.body)
        assert [item["sessionNumber"] for item in page["items"]] == [*range(before - 50, before)][
            ::-1
        ]
        return least

    fill(range(1, 101))
    usual = await cost(101)
    fill(range(101, 10_001))
    for before in (10_001, 5_000, 51):
        assert await cost(before) <= 2 * usual, before


@pytest.mark.parametrize("asked", ["status=running", "limit=x", "limit=1001", "before=-1", "all=2"])
def test_the_list_refuses_what_it_cannot_read(server, asked):
    reply = server.ask("GET", f"sessmgr/session?{asked}")
    assert reply.status_code == 401
    assert reply.json()["data"]["field"] == asked.partition("=")[0]


@pytest.mark.parametrize("how", ["query", "body"])
def test_a_session_can_be_renamed(server, how):
    created = post(server, name="old-name")
    new = {"params": {"name": "new-name"}} if how == "query" else {"json": {"name": "new-name"}}
    reply = server.ask("POST", "sessmgr/session/old-name/rename", **new)
    assert (reply.status_code, reply.content) == (204, b"")
    assert server.ask("GET", "sessmgr/session/old-name").status_code == 404
    assert server.info("new-name")["sessionId"] == created["sessionId"]


def test_a_new_name_is_a_free_name(server):
    post(server, name="first-one")
    post(server, name="second-one")
    path = "sessmgr/session/second-one/rename"
    assert server.ask("POST", path, params={"name": "first-one"}).status_code == 409
    for name in ({}, {"name": "no/name"}, {"name": "create"}):
        assert server.ask("POST", path, params=name).status_code == 401
    assert server.ask("POST", "sessmgr/session/nobody/rename?name=abcd").status_code == 404


def test_a_status_history_is_read_by_the_command_line(server):
    server.create(name="historic")
    times = server.ask("GET", "sessmgr/session/historic/status-history").json()["result"]
    assert {"PENDING", "CREATING", "RUNNING", "preparing"} <= set(times)
    assert datetime.fromisoformat(times["preparing"]).tzinfo is not None


def test_logs_are_there_after_the_end_by_id_and_as_a_task(server):
    created = server.create(name="talking")
    server.execute(created["sessionId"], "import os; os.write(2, b'last words\\n')")
    server.ask("DELETE", "sessmgr/session/talking")
    told = server.ask("GET", f"sessmgr/session/{created['sessionId']}/logs")
    assert "last words" in told.json()["result"]["logs"]
    for root in ("session", "kernel"):
        told = server.ask("GET", f"sessmgr/{root}/_/logs?taskId={created['sessionId']}")
        assert "last words" in told.text
        assert told.headers["Content-Type"].startswith("text/plain")
    for task in ("talking", "", "no-uuid"):
        assert server.ask("GET", f"sessmgr/session/_/logs?taskId={task}").status_code == 401


@pytest.fixture(scope="module")
def full(module_servers):
    """Give a server with room for one session, which is taken."""
    fits = 3 * 2**30 / psutil.virtual_memory().total
    full = module_servers.start(config={"StartQueue": {"memory_overcommit": fits}})
    full.create(name="first-come", config={"resources": {"mem": "2g"}})
    return full


def test_who_waits_sees_place_and_reason_and_is_cancelled_by_delete(full):
    created = full.create(name="waits-long", enqueueOnly=True, config={"resources": {"mem": "2g"}})
    deadline = time.monotonic() + 20
    while (info := full.info("waits-long"))["queuePosition"] is None:
        assert time.monotonic() < deadline, info
        time.sleep(0.05)
    assert (info["status"], info["queuePosition"]) == ("PENDING", 1)
    assert info["queueReason"]
    headers = {"Prefer": "return=representation"}
    reply = full.ask("DELETE", "sessmgr/session/waits-long", headers=headers)
    assert reply.json()["stats"]["cpu_used"] == 0
    ended = full.info(created["sessionId"])
    assert (ended["status"], ended["stopReason"]) == ("CANCELLED", "user-requested")
    assert ended["statusInfo"] == "user-requested"
    assert [note["status"] for note in ended["history"]] == ["PENDING", "CANCELLED"]
    assert ended["queuePosition"] is None
    assert full.ask("GET", f"sessmgr/session/{created['sessionId']}/logs").status_code == 200


# What command lines ask by GraphQL


def test_command_lines_list_sessions(server):
    names = [post(server, name=f"gql-{n}")["sessId"] for n in range(3)]
    variables = {"status": "PENDING,PREPARING,RUNNING", "access_key": None}
    found = query(server, LIST_QUERY, limit=2, offset=0, **variables)["compute_session_list"]
    rest = query(server, LIST_QUERY, limit=2, offset=2, **variables)["compute_session_list"]
    assert found["total_count"] == 3
    items = [*found["items"], *rest["items"]]
    assert [item["name"] for item in items] == names[::-1]
    assert items[0]["group_name"] == "default"
    assert items[0]["type"] == "INTERACTIVE"
    wrapped = query(server, LIST_QUERY, "sessmgr/admin/gql", limit=9, offset=0)
    assert wrapped["data"]["compute_session_list"]["total_count"] == 3


def test_command_lines_show_a_session(server):
    created = server.create(name="shown-1")
    shown = query(server, ONE_QUERY, id=created["sessionId"])["compute_session"]
    assert (shown["name"], shown["image"]) == ("shown-1", f"{REFERENCE_IMAGE}:latest")
    assert json.loads(shown["occupying_slots"])["mem"].isdigit()
    assert shown["containers"][0]["id"] == created["sessionId"]
    assert json.loads(shown["containers"][0]["last_stat"])["cpu_used"] >= 0
    old = query(server, OLD_ONE_QUERY, sess_id="shown-1")["compute_session"]
    assert (old["sess_id"], old["status"]) == ("shown-1", "RUNNING")
    assert query(server, ONE_QUERY, id="0" * 36)["compute_session"] is None


def test_command_lines_ask_who_they_are(server):
    caller = query(server, KEYPAIR_QUERY)["keypair"]
    assert caller["is_admin"] is True
    assert caller["user_info"]["full_name"] == caller["user_id"] != ""


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("query { users { id } }", 501),
        ("mutation { delete_user(id: 1) { ok } }", 501),
        ('query { compute_session_list(limit: 1, offset: 0, filter: "a") { total_count } }', 501),
        ("query { compute_session_list(limit: 101, offset: 0) { total_count } }", 401),
        ("query { compute_session_list(limit: 1, offset: -1) { total_count } }", 401),
        ("query { compute_session_list(limit: 1, status: nope) { total_count } }", 401),
        ("query { compute_session_list(limit: 1) { colour } }", 401),
        ("query { compute_session(id: 5) { id } }", 401),
        ("query {", 401),
        (None, 401),
    ],
)
def test_other_queries_are_refused_with_words(server, text, status):
    reply = server.ask("POST", "sessmgr/admin/graphql", json={"query": text})
    assert reply.status_code == status, reply.text
    assert reply.json()["msg"]


# Other owners' sessions, by access key


@pytest.fixture(scope="module")
def pairs(site):
    """Add a key pair for each of two owners."""

    def add(owner):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "jupyter_sessmgr.cli",
                "keypair",
                "add",
                "--json",
                "--owner",
                owner,
                f"--ComputeSessionManager.state_dir={site.state_dir}",
            ],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)["access_key"]

    return {owner: add(owner) for owner in ("ada", "bob")}


def test_an_admin_speaks_for_another_owner(server, pairs):
    as_ada = f"owner_access_key={pairs['ada']}"
    created = post(server, name="adas-own", owner_access_key=pairs["ada"])
    assert server.ask("GET", f"sessmgr/session/{created['sessionId']}").status_code == 404
    told = server.ask("GET", f"sessmgr/session/adas-own?{as_ada}")
    assert told.json()["sessionId"] == created["sessionId"]
    listed = server.ask("GET", f"sessmgr/session?{as_ada}").json()
    assert [item["sessId"] for item in listed["items"]] == ["adas-own"]
    found = query(server, LIST_QUERY, limit=9, offset=0, access_key=pairs["ada"])
    assert found["compute_session_list"]["total_count"] == 1
    as_bob = f"owner_access_key={pairs['bob']}"
    assert server.ask("GET", f"sessmgr/session/adas-own?{as_bob}").status_code == 404
    assert server.ask("DELETE", f"sessmgr/session/adas-own?forced=true&{as_ada}").status_code == 204


def test_an_access_key_that_there_is_not_is_refused(server, pairs):
    reply = server.ask("GET", "sessmgr/session?owner_access_key=NOBODY")
    assert reply.status_code == 403
    assert refused(server, 403, owner_access_key="NOBODY")["data"]["field"] == "owner_access_key"


# What is not here


@pytest.mark.parametrize(
    "path",
    [
        *PARTS,
        *(f"{part}/more/of/it" for part in PARTS),
        *(f"session/some-name/{verb}" for verb in VERBS),
        *(f"kernel/_/{maker}" for maker in MAKERS),
    ],
)
def test_parts_of_the_upstream_api_that_are_not_here_say_so(server, path):
    for method in ("GET", "POST", "DELETE"):
        reply = server.ask(method, f"sessmgr/{path}")
        assert reply.status_code == 501, (method, reply.text)
        assert "does not have" in reply.json()["msg"]


def test_there_is_no_announcement(server):
    reply = server.ask("GET", "sessmgr/manager/announcement")
    assert reply.json() == {"enabled": False, "message": ""}
