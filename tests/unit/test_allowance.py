"""What people may still ask for is what admission then lets through, and one step more is not."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import pytest

from jupyter_sessmgr.engines.base import Capabilities, Capacity
from jupyter_sessmgr.manager.admission import AdmissionControl
from jupyter_sessmgr.manager.admission.allowance import Situation
from jupyter_sessmgr.manager.admission.idling import (
    check_idle_timeout,
    idle_timeout,
    read_idle_timeout,
)
from jupyter_sessmgr.manager.pool.keys import spare_spec
from jupyter_sessmgr.manager.queue.order import Room
from jupyter_sessmgr.manager.queue.room import most_for_one, room_of
from jupyter_sessmgr.model.errors import InvalidRequest, LimitExceeded
from jupyter_sessmgr.model.images import describe
from jupyter_sessmgr.model.requests import CreateRequest, Health
from jupyter_sessmgr.model.resources import MAX_SECONDS
from jupyter_sessmgr.model.session import SessionSpec
from jupyter_sessmgr.rest.api.limits_wire import render_limits
from jupyter_sessmgr.rest.api.wire import render_health
from jupyter_sessmgr.store.quota import Tally
from jupyter_sessmgr.testing import FAKE_IMAGE, FakeEngine

GIB = 2**30
LABELS = {"ai.backend.resource.min.cpu": "1", "ai.backend.resource.max.mem": "6g"}


class GpuEngine(FakeEngine):
    capabilities = replace(
        FakeEngine.capabilities, host_mounts=True, devices=frozenset({"cuda.device"})
    )

    async def images(self):
        return [describe(FAKE_IMAGE, "sha256:x", LABELS)]


@pytest.fixture
def admission():
    presets = {name: {"image": FAKE_IMAGE} for name in ("python", "isolated")}
    presets["big"] = {"image": FAKE_IMAGE, "resources": {"cpu": "64"}}
    presets["absent"] = {"image": "not/here"}
    return AdmissionControl(presets=presets, max_mem="8g", max_cpu=3.0, max_sessions_per_owner=4)


async def allowance(admission, owner="me", group="", *, engine=None, **now):
    engine = engine or GpuEngine()
    room = {"has": Capacity(), "host": Room(), "taken": Tally(), **now}
    situation = Situation(engine=engine, images=await engine.images(), **room)
    return admission.allowance(owner, group, situation)


async def test_what_is_most_is_let_through_and_more_is_not(admission, state_dir):
    told = await allowance(admission)
    assert (told.cpu.most, told.mem.most) == (3, 8 * GIB)
    assert told.devices["cuda.device"].most == 8
    engine = GpuEngine()
    for slots in ({"cpu": str(told.cpu.most)}, {"cuda.device": 8}):
        request = CreateRequest(image=FAKE_IMAGE, resources=slots)
        await admission.admit(request, "me", engine, state_dir)
    for slots in ({"cpu": "3.01"}, {"cuda.device": 9}):
        request = CreateRequest(image=FAKE_IMAGE, resources=slots)
        with pytest.raises(LimitExceeded):
            await admission.admit(request, "me", engine, state_dir)


async def test_presets_say_what_they_give_and_those_that_cannot_start_are_left_out(admission):
    told = await allowance(admission)
    assert [one.preset.name for one in told.presets] == ["python", "isolated"]
    assert told.presets[0].usual.cpu == 1  # the image's least
    assert told.presets[0].usual.mem == 2 * GIB
    assert [(one.reference, one.min_cpu, one.max_mem) for one in told.images] == [
        (FAKE_IMAGE, Decimal(1), 6 * GIB)
    ]
    admission.default_preset = "isolated"
    assert (await allowance(admission)).presets[0].preset.name == "isolated"


async def test_presets_whose_image_can_be_fetched_are_offered(admission):
    engine = GpuEngine()
    engine.capabilities = replace(engine.capabilities, pull=True)
    told = await allowance(admission, engine=engine)
    assert "absent" in {one.preset.name for one in told.presets}
    assert "not/here:latest" in {one.reference for one in told.images}


async def test_what_is_left_is_of_ones_own_and_never_below_zero(admission):
    admission.max_cpu_per_owner, admission.max_mem_per_owner = 2.5, 3 * GIB
    admission.total_mem = 2 * GIB
    taken = Tally(sessions=2, cpu=Decimal("1.5"), mem=5 * GIB)
    told = await allowance(admission, taken=taken)
    assert (told.most_sessions, told.sessions) == (4, 2)
    assert (told.cpu.most, told.cpu.left, told.cpu.used) == (Decimal("2.5"), 1, Decimal("1.5"))
    assert (told.mem.most, told.mem.left) == (2 * GIB, 0)
    assert told.devices["cuda.device"].left is None


@pytest.mark.parametrize(
    ("can", "most"),
    [
        (Capabilities(images=True, hard_cpu=True, hard_memory=True), (2, 8 * GIB)),
        (Capabilities(images=False), (3, 8 * GIB)),
        (Capabilities(images=True, hard_cpu=True, queues=True), (2, 8 * GIB)),
    ],
)
async def test_the_host_bounds_what_the_engine_enforces(admission, can, most):
    has = Capacity(cpu=Decimal(2), mem=4 * GIB, devices={"cuda.device": 1})
    host = most_for_one(has, can, room_of(has, can, cpu_factor=None, mem_factor=None))
    told = await allowance(admission, has=has, host=host)
    assert (told.cpu.most, told.mem.most) == most
    assert (told.cpu.there, told.mem.there) == (2, 4 * GIB)
    assert told.devices["cuda.device"].most == (8 if can.queues else 1)


async def test_groups_have_limits_presets_and_images_of_their_own(admission):
    admission.group_limits = {
        "small": {"max_cpu": 1, "presets": ["isolated"], "allowed_images": ["none/*"]},
        "ann's": {"owners": ["ann"], "max_mem": "1g"},
    }
    told = await allowance(admission, "bob")
    assert (told.group, told.groups) == ("small", ("small",))
    assert (told.cpu.most, told.presets, told.images) == (1, (), ())
    told = await allowance(admission, "ann", "ann's")
    assert (told.mem.most, told.groups) == (GIB, ("ann's", "small"))
    for group in ("ann's", "no-such"):
        with pytest.raises(InvalidRequest, match="There is no group"):
            await allowance(admission, "bob", group)


async def test_mounts_are_names_without_paths(admission):
    admission.mounts = {
        "data": {"path": "/srv/data"},
        "own": {"path": "/srv/own", "writable": True},
    }
    told = await allowance(admission)
    assert told.mounts == {"data": False, "own": True}
    assert (await allowance(admission, engine=FakeEngine())).mounts == {}  # on another machine


@pytest.mark.parametrize("asked", ["soon", "-1", True, 59, float("nan"), [], "1e3", 10**10])
async def test_a_senseless_idle_timeout_is_refused(admission, state_dir, asked):
    request = CreateRequest(image=FAKE_IMAGE, idle_timeout=asked)
    with pytest.raises(InvalidRequest, match="idleTimeout"):
        await admission.admit(request, "me", GpuEngine(), state_dir)


@pytest.mark.parametrize("asked", [60, "90.5", 30 * 86400, 2592000.0])
def test_the_longest_time_that_is_told_may_be_asked_for(asked):
    assert read_idle_timeout(asked) == float(asked)
    culler = SimpleNamespace(idle_timeout=0.0, durable_idle_timeout=30 * 86400.0)
    longer = SessionSpec(image=FAKE_IMAGE, idle_timeout=30 * 86400.0 + 1)
    with pytest.raises(LimitExceeded, match="2592001 s are too long") as caught:
        check_idle_timeout(longer, culler)
    assert read_idle_timeout(caught.value.data["fits"]) == 30 * 86400


async def test_a_session_may_go_unused_for_a_shorter_time_than_the_servers_and_no_longer():
    culler = SimpleNamespace(idle_timeout=600.0, durable_idle_timeout=0.0)
    short = SessionSpec(image=FAKE_IMAGE, durable=False, idle_timeout=600.0)
    check_idle_timeout(short, culler)
    with pytest.raises(LimitExceeded, match="end after 600 s") as caught:
        check_idle_timeout(replace(short, idle_timeout=601.0), culler)
    assert caught.value.data["fits"] == "600"
    check_idle_timeout(replace(short, idle_timeout=1e6, durable=True), culler)

    assert idle_timeout(replace(short, idle_timeout=60.0), culler) == 60
    assert idle_timeout(replace(short, idle_timeout=None), culler) == 600
    assert idle_timeout(replace(short, durable=True), culler) == 600
    assert idle_timeout(replace(short, durable=True, idle_timeout=None), culler) == 0
    culler.idle_timeout = 300.0  # shortened later: it holds for who is there
    assert idle_timeout(short, culler) == 300


def test_a_spare_serves_sessions_of_any_idle_timeout():
    spec = SessionSpec(image=FAKE_IMAGE)
    assert spare_spec(replace(spec, idle_timeout=60.0)) == spare_spec(spec)


async def test_what_is_told_of_limits_without_an_end_is_json(admission):
    endless = float("inf")
    admission.max_cpu = admission.max_cpu_per_owner = admission.default_cpu = endless
    culler = SimpleNamespace(idle_timeout=endless, durable_idle_timeout=endless)
    told = render_limits(await allowance(admission), culler, folders=False)
    assert json.loads(json.dumps(told, allow_nan=False))["cpu"]["most"] is None
    assert told["idleTimeout"]["durable"] is None
    health = Health(engine="fake", available=True, reason="", max_extension=endless)
    assert render_health(health, "")["maxExtension"] == MAX_SECONDS
