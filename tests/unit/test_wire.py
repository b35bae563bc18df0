"""The Backend.AI dialect, read and written, without a server."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from jupyter_sessmgr.model.errors import InvalidRequest, Unsupported
from jupyter_sessmgr.model.ports import ServicePort
from jupyter_sessmgr.model.requests import Page
from jupyter_sessmgr.model.resources import Resources
from jupyter_sessmgr.model.session import ComputeSession, KernelExit, SessionSpec, StatusNote
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.model.usage import Usage
from jupyter_sessmgr.rest.backendai import wire
from jupyter_sessmgr.rest.backendai.known import Known
from jupyter_sessmgr.rest.backendai.params import parse_create, parse_statuses

DOCUMENT_EXAMPLE = {
    "image": "python:3.6-ubuntu18.04",
    "clientSessionToken": "mysession-01",
    "enqueueOnly": False,
    "maxWaitSeconds": 0,
    "reuseIfExists": True,
    "domain": "default",
    "group": "default",
    "config": {
        "clusterSize": 1,
        "environ": {"MYCONFIG": "XXX"},
        "mounts": ["mydata", "mypkgs"],
        "resources": {"cpu": "2", "mem": "4g", "cuda.devices": "1"},
    },
    "tag": "example-tag",
}


def make_session(**changes):
    session = ComputeSession(
        id="01234567-89ab-cdef-0123-456789abcdef",
        number=7,
        name="mysession-01",
        owner="alice",
        spec=SessionSpec(
            image="python:3.6",
            resources=Resources(cpu=Decimal(2), mem=4 * 2**30, devices={"cuda.device": 1}),
            service_ports=(ServicePort("jupyter", "http", (8080,)),),
        ),
        created_at=1000.0,
        status=SessionStatus.RUNNING,
        started_at=1001.5,
        language="python",
    )
    return replace(session, **changes)


def test_the_documents_example_is_understood():
    call = parse_create(DOCUMENT_EXAMPLE)
    assert call.request.image == "python:3.6-ubuntu18.04"
    assert call.request.name == "mysession-01"
    assert call.request.environ == {"MYCONFIG": "XXX"}
    assert call.request.mounts == ("mydata", "mypkgs")
    assert call.request.resources == {"cpu": "2", "mem": "4g", "cuda.devices": "1"}
    assert call.request.cluster_size == 1
    assert (call.request.domain, call.request.group) == ("default", "default")
    assert call.request.tag == "example-tag"
    assert call.request.reuse
    assert call.request.durable
    assert not call.enqueue_only
    assert call.max_wait is None


def test_an_empty_body_means_all_defaults():
    call = parse_create({})
    assert (call.request.image, call.request.name, call.request.kernel) == ("", None, None)
    assert call.request.reuse
    assert call.request.durable


@pytest.mark.parametrize(
    ("spelling", "field", "value"),
    [
        ("lang", "image", "python:3"),
        ("name", "name", "abcd"),
        ("session_name", "name", "abcd"),
        ("sessionName", "name", "abcd"),
        ("client_session_token", "name", "abcd"),
        ("groupName", "group", "physics"),
        ("group_name", "group", "physics"),
        ("domainName", "domain", "uni"),
        ("reuse_if_exists", "reuse", False),
        ("reuseIfExists", "reuse", False),
        ("durable", "durable", False),
        ("preset", "preset", "isolated"),
        ("kernel", "kernel", "ir"),
        ("kernel", "kernel", ""),
    ],
)
def test_aliases_that_clients_send(spelling, field, value):
    assert getattr(parse_create({spelling: value}).request, field) == value


def test_the_documented_name_of_the_image_wins_over_the_legacy_one():
    assert parse_create({"lang": "old:1", "image": "new:2"}).request.image == "new:2"


def test_nulls_are_absent_everywhere():
    body = dict.fromkeys([*DOCUMENT_EXAMPLE, "bootstrap_script", "startupCommand", "type"])
    assert parse_create(body) == parse_create({})
    config = dict.fromkeys(
        [*DOCUMENT_EXAMPLE["config"], "scalingGroup", "preopen_ports", "agentList"]
    )
    assert parse_create({"config": config}) == parse_create({})


def test_unknown_keys_are_ignored_at_top_level_only():
    assert parse_create({"clusterMode": "single-node"}) == parse_create({})
    for config in ({"agentList": ["i-1"]}, {"instanceTPUs": 1}):
        with pytest.raises(InvalidRequest, match="is not known to this server"):
            parse_create({"config": config})


@pytest.mark.parametrize(
    "body",
    [
        {"dependencies": ["other"]},
        {"starts_at": "10m"},
        {"callback_url": "http://example.test"},
        {"callbackURL": "http://example.test"},
        {"type": "inference"},
        {"sessionType": "SYSTEM"},
    ],
)
def test_what_upstream_has_and_we_do_not_is_refused_by_name(body):
    with pytest.raises(Unsupported) as caught:
        parse_create(body)
    assert caught.value.data["field"] in str(caught.value)


def test_what_upstream_has_and_we_do_not_may_be_empty():
    body = {"dependencies": [], "starts_at": None, "callback_url": ""}
    assert parse_create(body) == parse_create({})


def test_an_owner_may_be_named_by_access_key():
    assert parse_create({"owner_access_key": "AKIAOTHER"}).owner_access_key == "AKIAOTHER"
    assert parse_create({"owner_access_key": None}).owner_access_key == ""


def test_a_batch_session_has_a_command():
    for kind in ("type", "sessionType", "session_type"):
        request = parse_create({kind: "batch", "startupCommand": "make"}).request
        assert (request.session_type, request.startup_command) == ("batch", "make")
    for command in (None, "", " "):
        with pytest.raises(InvalidRequest, match="startupCommand: say what"):
            parse_create({"type": "batch", "startupCommand": command})
    with pytest.raises(InvalidRequest, match="startupCommand: only sessions of type batch"):
        parse_create({"startupCommand": "make"})


def test_a_bootstrap_script_comes_as_it_is():
    assert parse_create({"bootstrap_script": "echo é\n"}).request.bootstrap_script == "echo é\n"
    with pytest.raises(InvalidRequest, match="bootstrap_script"):
        parse_create({"bootstrap_script": "x" * (64 * 1024 + 1)})


@pytest.mark.parametrize("ports", [[8080, 9000], ["8080", "9000"]])
def test_ports_may_be_opened_beforehand(ports):
    request = parse_create({"config": {"preopen_ports": ports}}).request
    assert request.preopen_ports == (8080, 9000)


@pytest.mark.parametrize(
    "ports",
    [
        [80],
        [65535],
        [8080, 8080],
        ["x"],
        ["8080 "],
        [True],
        [8080.0],
        [-1],
        "8080",
        [[1]],
        {},
        list(range(2000, 2033)),
    ],
)
def test_ports_that_are_none_are_refused(ports):
    with pytest.raises(InvalidRequest, match="preopen_ports"):
        parse_create({"config": {"preopen_ports": ports}})


def test_legacy_amounts_become_slots_with_memory_in_gib():
    config = {"instanceMemory": 2, "instanceCores": 1, "instanceGPUs": 3}
    request = parse_create({"config": config}).request
    assert request.resources == {"mem": "2g", "cpu": 1, "cuda.device": 3}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("RUNNING", {"RUNNING"}),
        ("RUNNING, PENDING,", {"RUNNING", "PENDING"}),
        ("PREPARING,RUNNING_DEGRADED", {"CREATING"}),
        ("ALL", set(SessionStatus)),
        ("SCHEDULED", set()),
    ],
)
def test_statuses_are_ours_and_those_that_only_upstream_has(text, found):
    assert parse_statuses(text) == found


def test_a_status_that_is_none_is_told():
    with pytest.raises(InvalidRequest, match="'running' is none"):
        parse_statuses("RUNNING,running")


def test_shared_memory_comes_from_the_options():
    assert parse_create({"config": {"resource_opts": {"shmem": "1g"}}}).request.shmem == "1g"


def test_a_mount_map_gives_other_names_inside():
    config = {"mounts": ["data", "pkgs"], "mount_map": {"data": "here"}}
    assert parse_create({"config": config}).request.mounts == ("data:here", "pkgs")
    with pytest.raises(InvalidRequest, match="'other' is not in mounts"):
        parse_create({"config": {"mounts": ["data"], "mount_map": {"other": "x"}}})


@pytest.mark.parametrize(("given", "seconds"), [(0, None), (5, 5.0), (Decimal("0.5"), 0.5)])
def test_waits(given, seconds):
    assert parse_create({"maxWaitSeconds": given}).max_wait == seconds


@pytest.mark.parametrize(
    "body",
    [
        {"image": 5},
        {"image": "x" * 256},
        {"clientSessionToken": ["abcd"]},
        {"enqueueOnly": "yes"},
        {"reuseIfExists": 1},
        {"durable": "true"},
        {"maxWaitSeconds": -1},
        {"maxWaitSeconds": True},
        {"maxWaitSeconds": "5"},
        {"maxWaitSeconds": 10**7},
        {"tag": {}},
        {"group": 1},
        {"config": []},
        {"config": {"environ": ["A=B"]}},
        {"config": {"environ": {"A": 1}}},
        {"config": {"mounts": "data"}},
        {"config": {"mounts": [1]}},
        {"config": {"mount_map": ["data"]}},
        {"config": {"resources": ["cpu"]}},
        {"config": {"resource_opts": {"other": 1}}},
        {"config": {"scalingGroup": "gpu-farm"}},
        {"image": "a:1", "Image": "b:1"},
        {"session_name": 5},
    ],
)
def test_malformed_parameters_are_invalid(body):
    with pytest.raises(InvalidRequest):
        parse_create(body)


def test_an_error_never_repeats_the_value_of_a_variable():
    with pytest.raises(InvalidRequest) as caught:
        parse_create({"config": {"environ": {"PASSWORD": ["hunter2"]}}})
    assert "hunter2" not in str(caught.value)
    assert "PASSWORD" in str(caught.value)


def test_a_created_session_has_one_body_for_all_clients():
    body = wire.render_created(make_session(), status="RUNNING", fresh=True, base_url="/base/")
    ports = [
        {
            "name": "jupyter",
            "protocol": "http",
            "ports": [8080],
            "url": "/base/sessmgr/session/01234567-89ab-cdef-0123-456789abcdef/service/jupyter/",
            "running": False,
        }
    ]
    assert body["sessId"] == body["kernelId"] == body["sessionName"] == "mysession-01"
    assert body["sessionId"] == "01234567-89ab-cdef-0123-456789abcdef"
    assert body["sessionNumber"] == 7
    assert (body["status"], body["created"]) == ("RUNNING", True)
    assert body["servicePorts"] == body["service_ports"] == ports


@pytest.mark.parametrize("status", ["PENDING", "TIMEOUT", "ERROR", "TERMINATED"])
def test_service_ports_are_told_only_of_a_running_session(status):
    body = wire.render_created(make_session(), status=status, fresh=True, base_url="/")
    assert body["servicePorts"] == []


def test_ports_that_were_opened_beforehand_are_services_too():
    session = make_session(spec=SessionSpec(image="python:3.6", preopen_ports=(8081,)))
    (port,) = wire.render_ports(session, "/", Known(running=frozenset({"8081"})))
    assert (port["name"], port["protocol"], port["ports"]) == ("8081", "preopen", [8081])
    assert port["running"]


def test_info_has_the_documents_keys_and_ours():
    body = wire.render_session(make_session(queries=3, cpu_ms=250), now=1011.75, base_url="/")
    documented = {
        "lang": "python",
        "age": 10250,
        "memoryLimit": 4 * 2**20,
        "numQueriesExecuted": 3,
        "cpuCreditUsed": 250,
    }
    assert {key: body[key] for key in documented} == documented
    assert body["status"] == "RUNNING"
    assert body["createdAt"] == "1970-01-01T00:16:40+00:00"
    assert body["resources"] == {
        "cpu": "2",
        "mem": 4 * 2**30,
        "shmem": 64 * 2**20,
        "cuda.device": 1,
    }


def test_age_is_never_negative_and_stops_with_the_session():
    assert wire.render_session(make_session(), now=0.0, base_url="/")["age"] == 0
    assert wire.render_session(make_session(started_at=None), now=2000.0, base_url="/")["age"] == 0
    ended = make_session(ended_at=1003.5, status=SessionStatus.TERMINATED)
    assert wire.render_session(ended, now=9000.0, base_url="/")["age"] == 2000


def test_a_failure_is_what_the_status_info_says():
    body = wire.render_session(
        make_session(failure="No such bridge.", status_info="x"), now=0, base_url="/"
    )
    assert body["statusInfo"] == "No such bridge."


def test_what_a_kernel_wrote_last_is_not_in_info():
    ended = KernelExit(generation=1, code=-9, oom=True, reason="Out of memory.", tail="secret")
    body = wire.render_session(make_session(kernel_exit=ended), now=0, base_url="/")
    assert body["kernelExit"] == {
        "generation": 1,
        "code": -9,
        "oom": True,
        "reason": "Out of memory.",
    }


def test_what_only_memory_knows_is_told_beside_the_row():
    known = Known(
        queue_position=2, queue_reason="The server is full.", idle_timeout_at=0.0, cpu_percent=12.5
    )
    session = make_session(usage=Usage(mem_bytes=5, mem_max_bytes=7))
    body = wire.render_session(session, now=0, base_url="/", known=known)
    assert (body["queuePosition"], body["queueReason"]) == (2, "The server is full.")
    assert body["idleTimeoutAt"] == "1970-01-01T00:00:00+00:00"
    usage = body["usage"]
    assert (usage["cpuPercent"], usage["memBytes"], usage["memMaxBytes"]) == (12.5, 5, 7)
    assert wire.render_session(make_session(), now=0, base_url="/")["usage"] is None


def test_a_history_tells_each_status_with_its_time_and_reason():
    notes = (
        StatusNote(status=SessionStatus.PENDING, at=0.0, info="queued"),
        StatusNote(status=SessionStatus.PULLING, at=1.0),
        StatusNote(status=SessionStatus.CREATING, at=2.0),
        StatusNote(status=SessionStatus.RUNNING, at=3.0),
        StatusNote(status=SessionStatus.RESTARTING, at=4.0),
        StatusNote(status=SessionStatus.RUNNING, at=5.0),
    )
    session = make_session(history=notes)
    told = wire.render_session(session, now=0, base_url="/")["history"]
    first = {"status": "PENDING", "at": "1970-01-01T00:00:00+00:00", "info": "queued"}
    assert (told[0], len(told)) == (first, 6)
    times = wire.render_status_history(session)["result"]
    assert times["RUNNING"] == times["running"] == "1970-01-01T00:00:05+00:00"
    assert times["preparing"] == times["PULLING"] == "1970-01-01T00:00:01+00:00"
    assert "terminated" not in times


def test_a_page_says_where_the_next_begins():
    sessions = tuple(make_session(number=number) for number in (7, 6, 5))
    page = Page(items=sessions, total=7, next=5)
    body = wire.render_page(page, lambda one: wire.render_session(one, 0, base_url="/"))
    assert [item["sessionNumber"] for item in body["items"]] == [7, 6, 5]
    assert (body["total"], body["next"]) == (7, 5)


def test_stats_are_the_last_measurement_or_what_the_row_knows():
    usage = Usage(cpu_ms=9, mem_max_bytes=11, scratch_bytes=1, scratch_max_bytes=2)
    stats = wire.stats_of(make_session(cpu_ms=5, usage=usage))
    assert (stats["cpu_used"], stats["mem_max_bytes"]) == (9, 11)
    assert (stats["io_cur_scratch_size"], stats["io_max_scratch_size"]) == (1, 2)
    assert wire.stats_of(make_session(cpu_ms=5))["cpu_used"] == 5


def test_stats_are_in_info_once_a_session_ended():
    running = wire.render_session(make_session(), now=0, base_url="/")
    ended = make_session(status=SessionStatus.TERMINATED, stop_reason="idle-timeout")
    body = wire.render_session(ended, now=0, base_url="/")
    assert running["stats"] is None
    assert body["stats"] == wire.stats_of(ended)
    assert (body["stopReason"], body["statusInfo"]) == ("idle-timeout", "idle-timeout")
