"""What a server says that somebody may still ask for, and the folder that a page asks for."""

from __future__ import annotations

import json

import pytest

from tests.plugins.people import PeopleAndToken, ReadOnly
from tests.plugins.waiting import eventually

GIB = 2**30
ALICE, BOB = {"X-Person": "alice"}, {"X-Person": "bob"}
#: Whose server it is.
CAROL = {"X-Person": "carol"}


async def limits(app, query="", **kwargs):
    reply = await app.ask("GET", f"sessmgr/api/limits{query}", **kwargs)
    assert reply.code == 200, reply.body
    return json.loads(reply.body)


async def refused(app, body, code, **kwargs):
    reply = await app.ask("POST", "sessmgr/session", body=body, **kwargs)
    assert reply.code == code, reply.body
    return json.loads(reply.body)


@pytest.fixture
def shared(inside):
    admission = {
        "max_sessions_per_owner": 3,
        "max_mem_per_owner": 4 * GIB,
        "max_cpu": 4.0,
        "total_mem": 100 * GIB,
        "mounts": {"data": {"path": "/srv/secret-path"}},
    }
    return inside(
        SessMgrApp={"owner": "carol"},
        ServerApp={"identity_provider_class": PeopleAndToken},
        AdmissionControl=admission,
        IdleCuller={"idle_timeout": 600.0},
    )


async def test_E1_limits_count_ones_own_sessions_only(shared):
    await eventually(lambda: shared.sessions.offers)
    before = await limits(shared, headers=BOB)
    assert before["sessions"] == {"most": 3, "used": 0}
    assert (before["mem"]["most"], before["mem"]["left"]) == (4 * GIB, 4 * GIB)
    assert before["idleTimeout"] == {"least": 60, "durable": None, "interactive": 600}
    assert before["mounts"] == [{"name": "data", "writable": False}]
    assert "secret-path" not in json.dumps(before)
    preset = before["presets"][0]
    assert (preset["name"], preset["usual"]["mem"]) == ("python", 2 * GIB)
    assert preset["image"] in {one["name"].removesuffix(":latest") for one in before["images"]}

    body = {"config": {"resources": {"mem": "3g", "cpu": "2"}}, "enqueueOnly": True}
    reply = await shared.ask("POST", "sessmgr/session", body=body, headers=ALICE)
    assert reply.code == 201
    assert await limits(shared, headers=BOB) == before
    alices = await limits(shared, headers=ALICE)
    assert alices["sessions"] == {"most": 3, "used": 1}
    assert (alices["mem"]["left"], alices["mem"]["used"]) == (GIB, 3 * GIB)
    assert (alices["cpu"]["used"], alices["cpu"]["left"]) == (2, None)

    # What the figures say is what the server then holds to.
    more = {"config": {"resources": {"mem": str(GIB + 1)}}, "enqueueOnly": True}
    problem = await refused(shared, more, 406, headers=ALICE)
    assert problem["data"]["fits"] == GIB
    more["config"]["resources"]["mem"] = str(GIB)
    reply = await shared.ask("POST", "sessmgr/session", body=more, headers=ALICE)
    assert reply.code == 201


async def test_a_working_folder_is_for_those_who_may_start_kernels_there(shared, tmp_path):
    root = tmp_path / "notebooks"
    (root / "some" / "folder").mkdir(parents=True)
    shared.app.web_app.settings["server_root_dir"] = str(root)
    for folder in ("some/folder", ""):
        body = {"folder": folder, "enqueueOnly": True}
        reply = await shared.ask("POST", "sessmgr/session", body=body, headers=CAROL)
        assert reply.code == 201, reply.body
        spec = shared.sessions._session(json.loads(reply.body)["sessionId"]).spec
        assert spec.workdir == str(root / folder)

    (root / "loop").symlink_to("pool")
    (root / "pool").symlink_to("loop")
    for folder in ("../", "some/../..", "no-such", "x" * 300, "/etc/passwd", "loop/in"):
        problem = await refused(shared, {"folder": folder}, 401, headers=CAROL)
        assert "no folder" in problem["msg"], problem
    assert (await limits(shared, headers=CAROL))["folders"] is True
    assert (await limits(shared, headers=ALICE))["folders"] is False
    problem = await refused(shared, {"folder": ""}, 403, headers=ALICE)
    assert "may start kernels" in problem["msg"]


async def test_an_idle_timeout_is_at_most_the_servers(shared):
    body = {"durable": False, "idleTimeout": 601, "enqueueOnly": True}
    problem = await refused(shared, body, 406)
    assert (problem["data"]["field"], problem["data"]["fits"]) == ("idleTimeout", "600")
    assert "601 s are too long" in problem["msg"]
    made = await shared.create(**body | {"idleTimeout": 600})
    assert shared.sessions._session(made["sessionId"]).spec.idle_timeout == 600
    await refused(shared, {"idleTimeout": "soon"}, 401)


@pytest.fixture
def reading(inside):
    return inside(ServerApp={"authorizer_class": ReadOnly})


async def test_who_may_read_may_know_the_limits_and_groups_that_are_none_are_refused(reading):
    assert (await limits(reading))["group"] == "default"
    reply = await reading.ask("GET", "sessmgr/api/limits", anonymous=True)
    assert reply.code == 403
    reading.sessions.admission.group_limits = {"a": {"max_cpu": 1}, "b": {"owners": ["x"]}}
    told = await limits(reading)
    assert (told["group"], told["groups"], told["cpu"]["most"]) == ("a", ["a"], 1)
    reply = await reading.ask("GET", "sessmgr/api/limits?group=b")
    assert reply.code == 400
