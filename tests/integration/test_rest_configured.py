"""What an admin may choose, and how the extension sits in the server."""

from __future__ import annotations

import json

import pytest
from jupyter_client.kernelspec import KernelSpecManager

from tests.plugins.routes import our_paths
from tests.plugins.waiting import eventually


class OwnKernelSpecs(KernelSpecManager):
    """An admin's own class."""

    def find_kernel_specs(self):
        return {**super().find_kernel_specs(), "own": "/nowhere"}


@pytest.fixture
def plain(inside):
    return inside()


@pytest.fixture
def chosen(inside):
    return inside(
        SessMgrApp={
            "invalid_parameters_status": 400,
            "name_taken_status": 400,
            "document_routes": False,
            "owner": "carol",
        },
        ServerApp={"kernel_spec_manager_class": OwnKernelSpecs},
    )


async def test_statuses_can_be_chosen(chosen):
    reply = await chosen.ask("POST", "sessmgr/session", body={"name": "ab"})
    assert reply.code == 400
    await chosen.create(name="taken", enqueueOnly=True)
    reply = await chosen.ask(
        "POST", "sessmgr/session", body={"name": "taken", "reuseIfExists": False}
    )
    assert (reply.code, json.loads(reply.body)["type"].rpartition("/")[2]) == (
        400,
        "session-already-exists",
    )
    assert (await chosen.ask("POST", "sessmgr/session", body={"image": "no:1"})).code == 404


async def test_the_owner_can_be_chosen(chosen):
    made = await chosen.create(enqueueOnly=True)
    assert chosen.sessions._session(made["sessionId"]).owner == "carol"


async def test_the_documents_paths_can_be_left_out(chosen):
    others = ("sessmgr", "WindowsHpc/")
    assert all(path.startswith(others) for path in our_paths(chosen.app.web_app))
    assert (await chosen.ask("GET", "session")).code == 404


async def test_the_documents_paths_do_not_hide_jupyters_own(plain):
    assert (await plain.ask("GET", "session")).code == 200
    sessions = await plain.ask("GET", "api/sessions")
    assert (sessions.code, json.loads(sessions.body)) == (200, [])
    made = await plain.create(name="sessions", enqueueOnly=True)
    assert (
        json.loads((await plain.ask("GET", "session/sessions")).body)["sessionId"]
        == (made["sessionId"])
    )


async def test_an_admins_kernelspec_manager_is_extended_and_kept(chosen):
    await eventually(lambda: chosen.sessions.offers)
    assert isinstance(chosen.app.kernel_spec_manager, OwnKernelSpecs)
    names = set(chosen.app.kernel_spec_manager.find_kernel_specs())
    assert "own" in names
    assert {offer.kernel_name for offer in chosen.sessions.offers} <= names


async def test_traits_of_all_parts_are_read_from_the_servers_configuration(inside_small):
    assert inside_small.sessions.admission.max_sessions == 7
    assert inside_small.sessions.destroy_timeout == 11


@pytest.fixture
def inside_small(inside):
    return inside(
        AdmissionControl={"max_sessions": 7}, ComputeSessionManager={"destroy_timeout": 11}
    )


async def test_unknown_methods_and_paths_below_ours(plain):
    reply = await plain.ask("PUT", "sessmgr/session", body={})
    assert (reply.code, reply.headers["Allow"]) == (405, "GET, POST, OPTIONS")
    assert (await plain.ask("GET", "sessmgr/nothing-here")).code == 404
    assert (await plain.ask("GET", "sessmgr/session/some-name/nothing-here")).code == 404


async def test_an_engine_that_is_away_is_said_so(away):
    reply = await away.ask("POST", "sessmgr/session", body={})
    assert reply.code == 503, reply.body
    assert int(reply.headers["Retry-After"]) > 0
    assert json.loads(reply.body)["retryable"]
    assert away.sessions._open_parts().store.sessions() == []
    health = json.loads((await away.ask("GET", "sessmgr/api/health")).body)
    assert (health["engine"], health["available"]) == ("docker", False)
    assert health["reason"]
    specs = json.loads((await away.ask("GET", "api/kernelspecs")).body)["kernelspecs"]
    assert not [name for name in specs if name.startswith("sessmgr-")]


@pytest.fixture
def away(inside, monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-docker.sock")
    return inside("docker")
