"""Admission fills gaps and refuses with the limit named."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from traitlets import TraitError
from traitlets.config.loader import PyFileConfigLoader

from jupyter_sessmgr.engines.base import Capabilities
from jupyter_sessmgr.manager.admission import AdmissionControl
from jupyter_sessmgr.manager.admission.folders import home_mount, named_mounts, notebook_mount
from jupyter_sessmgr.manager.admission.groups import Group
from jupyter_sessmgr.manager.admission.offers import make_offers
from jupyter_sessmgr.manager.queue import StartQueue
from jupyter_sessmgr.manager.queue.order import MostRunning
from jupyter_sessmgr.model.errors import ImageNotFound, InvalidRequest, LimitExceeded
from jupyter_sessmgr.model.images import describe
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.store.quota import Ceiling
from jupyter_sessmgr.testing import FAKE_IMAGE, FakeEngine
from tests.meta.tree import ROOT


class LabelledEngine(FakeEngine):
    """Has one image with labels, and mounts folders."""

    capabilities = replace(FakeEngine.capabilities, host_mounts=True)
    labels = {  # noqa: RUF012 - read only
        "ai.backend.resource.min.cpu": "1",
        "ai.backend.resource.max.cpu": "4",
        "ai.backend.resource.min.mem": "256m",
        "ai.backend.resource.preferred.shmem": "128m",
        "ai.backend.service-ports": "jupyter:http:8081",
        "ai.backend.envs.corecount": "OMP_NUM_THREADS",
    }

    async def images(self):
        return [describe(FAKE_IMAGE, "sha256:x", self.labels)]


@pytest.fixture
def admission():
    presets = {name: {"image": FAKE_IMAGE} for name in ("python", "isolated")}
    return AdmissionControl(presets=presets, max_mem="8g", max_cpu=3.0)


async def admit(admission, state_dir, engine=None, **asked):
    asked.setdefault("image", FAKE_IMAGE)
    engine = engine or LabelledEngine()
    admitted = await admission.admit(CreateRequest(**asked), "me", engine, state_dir)
    return admitted.spec


async def test_the_image_fills_what_the_request_leaves_open(admission, state_dir):
    spec = await admit(admission, state_dir)
    assert spec.resources.cpu == Decimal(1)
    assert spec.resources.mem == 2 << 30
    assert spec.resources.shmem == 128 << 20
    assert spec.service_ports[0].name == "jupyter"
    assert spec.environ == {"OMP_NUM_THREADS": "1"}
    assert spec.mounts[0].name == "home"


async def test_what_is_asked_for_is_given(admission, state_dir):
    spec = await admit(
        admission,
        state_dir,
        resources={"cpu": "2.5", "mem": "4.5g"},
        shmem="1g",
        environ={"A": "b"},
    )
    assert (spec.resources.cpu, spec.resources.mem) == (Decimal("2.5"), 9 << 29)
    assert spec.environ == {"OMP_NUM_THREADS": "2", "A": "b"}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"resources": {"cpu": "0.5"}}, "the image needs at least 1"),
        ({"resources": {"cpu": "3.5"}}, "this server gives at most 3"),
        ({"resources": {"cpu": "5"}}, "the image takes at most 4"),
        ({"resources": {"mem": "100m"}}, "the image needs at least"),
        ({"resources": {"mem": "16g"}}, "this server gives at most"),
        ({"resources": {"cuda.device": "1"}}, "no GPU"),
        ({"resources": {"cuda.devices": 2}}, "no GPU"),
        ({"resources": {"cuda.shares": "0.5"}}, "parts of a GPU"),
        ({"cluster_size": 2}, "at most 1"),
    ],
)
async def test_E8_over_the_limits_is_refused_with_the_limit(admission, state_dir, asked, words):
    with pytest.raises(LimitExceeded, match=words):
        await admit(admission, state_dir, **asked)


@pytest.mark.parametrize(
    "asked",
    [
        {"resources": {"tpu": "1"}},
        {"resources": {"cpu": "-1"}},
        {"resources": {"mem": "0x10"}},
        {"resources": {"mem": "lots"}},
        {"resources": {"cuda.device": "0.5"}},
        {"shmem": "4g"},
        {"cluster_size": "NaN"},
        {"cluster_size": "0"},
        {"preset": "nosuch"},
        {"mounts": ("nosuch",)},
        {"mounts": ("/etc",)},
        {"environ": {"JPY_X": "1"}},
        {"tag": "x" * 300},
        {"tag": "\ud800"},
        {"encryption": "rot13"},
    ],
)
async def test_E8_what_makes_no_sense_is_refused(admission, state_dir, asked):
    with pytest.raises(InvalidRequest) as caught:
        await admit(admission, state_dir, **asked)
    assert len(caught.value.message) > 20


@pytest.mark.parametrize(
    "image", ["nosuch", "fake/python:other", "evil/fake/python", "fake/python@sha256:" + "0" * 64]
)
async def test_E7_unlisted_images_look_like_absent_ones(admission, state_dir, image):
    with pytest.raises(ImageNotFound):
        await admit(admission, state_dir, image=image)


async def test_no_devices_asked_is_no_devices(admission, state_dir):
    assert not (await admit(admission, state_dir, resources={"cuda.device": 0})).resources.devices


async def test_the_isolated_preset_has_neither_home_nor_notebook_folder(
    admission, state_dir, tmp_path
):
    spec = await admit(
        admission, state_dir, preset="isolated", notebook_folder=str(tmp_path), notebook_path="a"
    )
    assert spec.network == "isolated"
    assert not spec.mounts


async def test_an_engine_without_isolated_networks_says_so(admission, state_dir):
    engine = LabelledEngine()
    engine.capabilities = Capabilities(images=True)
    with pytest.raises(LimitExceeded, match="isolated network"):
        await admit(admission, state_dir, engine=engine, preset="isolated")


async def test_encryption_can_be_made_compulsory(admission, state_dir):
    admission.encryption_required = True
    assert (await admit(admission, state_dir, encryption="disabled")).encryption == "required"


async def test_offers_are_presets_whose_image_is_here(admission):
    admission.presets = {**admission.presets, "big": {"image": "not/here", "title": "Big"}}
    engine = LabelledEngine()
    offers = make_offers(admission, engine, await engine.images())
    assert [offer.kernel_name for offer in offers] == ["sessmgr-python", "sessmgr-isolated"]


async def test_kernelspecs_say_that_they_are_remote(admission):
    admission.presets = {"big": {"image": FAKE_IMAGE, "title": "Big"}}
    engine = LabelledEngine()
    offers = make_offers(admission, engine, await engine.images())
    assert [one.display_name for one in offers] == ["Big (remote)"]


def test_presets_are_checked_when_they_are_set():
    with pytest.raises(TraitError, match="unknown key 'imgae'"):
        AdmissionControl(presets={"x": {"imgae": "y"}})


def test_a_preset_can_be_removed():
    assert set(AdmissionControl(presets={"isolated": None}).all_presets()) == {"python"}


def test_the_notebooks_folder_is_mounted_at_its_own_path(tmp_path, state_dir):
    folder = tmp_path / "work" / "project"
    folder.mkdir(parents=True)
    found = notebook_mount(str(folder), "project", state_dir, same_paths=False)
    assert found.workdir == "/work/project"
    assert [(one.source, one.target, one.read_only) for one in found.mounts] == [
        (str(folder), "/work/project", False)
    ]
    assert notebook_mount(str(folder), "../x", state_dir, same_paths=False).workdir == "/work/x"
    assert notebook_mount(str(folder), "p", state_dir, same_paths=True).workdir == str(folder)


def test_E4_no_folder_is_mounted_by_which_a_session_could_become_the_server(tmp_path, state_dir):
    home = Path.home()
    inside_state = state_dir / "homes"
    inside_state.mkdir()
    for folder in (
        home,
        "/",
        "/etc",
        "/proc",
        sys.prefix,
        state_dir,
        state_dir.parent,
        inside_state,
    ):
        found = notebook_mount(str(folder), "", state_dir, same_paths=False)
        assert not found.mounts, folder
        assert "not mounted" in found.remark
    link = tmp_path / "innocent"
    link.symlink_to("/etc")
    assert not notebook_mount(str(link), "", state_dir, same_paths=False).mounts


def test_E4_the_servers_environment_inside_the_folder_is_read_only(
    tmp_path, state_dir, monkeypatch
):
    project = tmp_path / "project"
    (project / ".venv").mkdir(parents=True)
    monkeypatch.setattr(sys, "prefix", str(project / ".venv"))
    mounts = notebook_mount(str(project), "p", state_dir, same_paths=False).mounts
    assert [(one.target, one.read_only) for one in mounts] == [
        ("/work/p", False),
        ("/work/p/.venv", True),
    ]


def test_mounts_are_names_of_the_admins_table(tmp_path):
    table = {"data": {"path": str(tmp_path), "writable": True}, "gone": {"path": "/nosuch"}}
    mount = named_mounts(["data:mine"], table)[0]
    assert (mount.source, mount.target, mount.read_only) == (str(tmp_path), "/mnt/mine", False)
    for bad in ("data:../x", "data:.x", "data:a/b", "gone", "", "data:é"):
        with pytest.raises(InvalidRequest):
            named_mounts([bad], table)


def test_homes_are_private_and_one_per_owner(state_dir):
    mine = home_mount(state_dir, "me", "/home/work", None)
    assert home_mount(state_dir, "me", "/home/work", None) == mine
    assert home_mount(state_dir, "../you", "/home/work", None).source != mine.source
    assert Path(mine.source).stat().st_mode & 0o777 == 0o700


def test_a_folder_that_the_session_cannot_write_to_is_told(tmp_path, state_dir):
    folder = tmp_path / "work"
    folder.mkdir(mode=0o755)
    other = (os.geteuid() + 4321, os.getegid() + 4321)
    told = notebook_mount(str(folder), "", state_dir, same_paths=False, runs_as=other).remark
    assert f"chown {other[0]}:{other[1]}" in told
    folder.chmod(0o777)
    assert not notebook_mount(str(folder), "", state_dir, same_paths=False, runs_as=other).remark
    own = (os.geteuid(), os.getegid())
    assert not notebook_mount(str(folder), "", state_dir, same_paths=False, runs_as=own).remark


async def test_an_image_that_may_be_fetched_need_not_be_here(admission, state_dir):
    engine = LabelledEngine()
    admission.allowed_images = ["far/away"]
    with pytest.raises(ImageNotFound):
        await admit(admission, state_dir, engine=engine, image="far/away")
    engine.capabilities = replace(engine.capabilities, pull=True)
    engine.image = FakeEngine().image
    assert (await admit(admission, state_dir, engine=engine, image="far/away")).image == (
        "far/away:latest"
    )


async def test_E8_refusals_say_what_would_fit(admission, state_dir):
    for slots, fits, words in (
        ({"mem": "16g"}, str(8 << 30), "16 GiB is too much; this server gives at most 8 GiB"),
        (
            {"mem": "100m"},
            str(256 << 20),
            "100 MiB is too little; the image needs at least 256 MiB",
        ),
        ({"cpu": "3.5"}, "3.0", "3.5 is too much; this server gives at most 3.0"),
    ):
        with pytest.raises(LimitExceeded, match=words) as caught:
            await admit(admission, state_dir, resources=slots)
        assert caught.value.data["fits"] == fits


GROUPS = {
    "physics": {
        "max_sessions": 5,
        "max_running": 3,
        "max_pending": 4,
        "total_cpu": "7.5",
        "total_mem": "64g",
        "total_devices": 2,
        "max_cpu": 2,
        "max_mem": "4g",
        "presets": ["isolated"],
        "owners": ["m*"],
    },
    "chemistry": {"allowed_images": ["fake/other"], "owners": ["you"]},
    "open": {"allowed_images": ["fake/*"], "max_mem": None},
}


@pytest.fixture
def grouped(admission):
    admission.group_limits = GROUPS
    return admission


async def test_a_group_lowers_what_one_session_may_have(grouped, state_dir):
    await admit(grouped, state_dir, group="open", resources={"mem": "8g", "cpu": 3})
    for slots, words in (({"mem": "5g"}, "at most 4 GiB"), ({"cpu": "2.5"}, "at most 2")):
        with pytest.raises(LimitExceeded, match=words):
            await admit(grouped, state_dir, group="physics", resources=slots)


async def test_a_group_has_presets_and_images_of_its_own(grouped, state_dir):
    assert (await admit(grouped, state_dir, group="physics")).preset == "isolated"
    with pytest.raises(InvalidRequest, match="no preset 'python'; known: isolated"):
        await admit(grouped, state_dir, group="physics", preset="python")
    assert set(grouped.image_patterns()) >= {"fake/other", "fake/*", FAKE_IMAGE}
    with pytest.raises(ImageNotFound, match="may be used here"):
        await admit(grouped, state_dir, group="physics", image="fake/other")
    grouped.group_limits = {"strict": {"allowed_images": []}}
    with pytest.raises(ImageNotFound, match="may be used here"):
        await admit(grouped, state_dir, group="strict")


@pytest.mark.parametrize("group", ["nosuch", "chemistry", ""])
async def test_E1_a_group_of_others_looks_like_no_group(grouped, state_dir, group):
    with pytest.raises(InvalidRequest, match=r"no group .* you have: open, physics\."):
        await admit(grouped, state_dir, group=group)


async def test_where_there_are_groups_nobody_gets_around_them_by_naming_none(grouped, state_dir):
    with pytest.raises(InvalidRequest, match=r"Name a group of yours; you have: open, physics\."):
        await admit(grouped, state_dir)
    grouped.group_limits = {"chemistry": {"owners": ["you"]}}
    with pytest.raises(InvalidRequest, match="you have none; ask the administrator"):
        await admit(grouped, state_dir)
    grouped.group_limits = {"default": {"max_mem": "1g"}}
    assert await admit(grouped, state_dir, resources={"mem": "1g"})
    with pytest.raises(LimitExceeded):
        await admit(grouped, state_dir, resources={"mem": "2g"})


async def test_without_group_limits_every_group_will_do(admission, state_dir):
    assert await admit(admission, state_dir, group="whatever")


async def test_quotas_are_those_of_owner_group_and_server(grouped, state_dir):
    grouped.max_cpu_per_owner = 3.5
    grouped.max_mem_per_owner = "10g"
    grouped.total_devices = 6
    grouped.max_running_per_owner = 2
    request = CreateRequest(image=FAKE_IMAGE, group="physics")
    quota = (await grouped.admit(request, "me", LabelledEngine(), state_dir)).quota
    assert quota.owner == Ceiling(sessions=20, cpu=Decimal("3.5"), mem=10 << 30)
    assert quota.group == Ceiling(
        sessions=5, pending=4, cpu=Decimal("7.5"), mem=64 << 30, devices=2
    )
    assert quota.server == Ceiling(sessions=100, pending=1000, devices=6)
    assert grouped.most_running() == MostRunning(owner=2, groups={"physics": 3})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"max_session": 5}, "unknown key 'max_session'"),
        ({"max_sessions": "many"}, "max_sessions: 'many' is not a count"),
        ({"max_sessions": 1.5}, "whole number"),
        ({"total_mem": "lots"}, "total_mem: 'lots' is not a size"),
        ({"allowed_images": "fake/*"}, "a list of texts"),
        ({"owners": [1]}, "a list of texts"),
        (5, "not a dictionary"),
    ],
)
def test_group_limits_are_checked_when_they_are_set(values, words):
    with pytest.raises(TraitError, match=words):
        AdmissionControl(group_limits={"physics": values})


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"session_type": "inference"}, "sessionType"),
        ({"session_type": "batch"}, "startupCommand"),
        ({"startup_command": "x" * 70_000}, "startupCommand"),
        ({"bootstrap_script": "\0"}, "bootstrap_script"),
        ({"preopen_ports": (80,)}, "preopen_ports"),
        ({"preopen_ports": (8080, 8080)}, "preopen_ports"),
        ({"preopen_ports": (8081,)}, "preopen_ports"),
    ],
)
async def test_E8_what_runs_inside_is_judged(admission, state_dir, asked, field):
    with pytest.raises(InvalidRequest) as caught:
        await admit(admission, state_dir, **asked)
    assert caught.value.data["field"] == field


async def test_what_runs_inside_reaches_the_spec(admission, state_dir):
    spec = await admit(
        admission,
        state_dir,
        session_type="batch",
        startup_command="make",
        bootstrap_script="true",
        preopen_ports=(9090,),
    )
    assert (spec.session_type, spec.startup_command) == ("batch", "make")
    assert (spec.bootstrap_script, spec.preopen_ports) == ("true", (9090,))


def test_the_manuals_examples_can_be_loaded(tmp_path):
    text = (ROOT / "docs" / "how-to" / "presets-and-limits.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    (tmp_path / "all.py").write_text("\n".join(blocks), encoding="utf-8")
    config = PyFileConfigLoader("all.py", path=str(tmp_path)).load_config()
    admission, queue = AdmissionControl(config=config), StartQueue(config=config)
    for one, section in ((admission, config.AdmissionControl), (queue, config.StartQueue)):
        assert set(section) <= {name for name, trait in one.traits(config=True).items()}
    assert set(admission.all_presets()) == {"python", "big"}
    physics = admission.group_of("physics", "ada")
    assert physics == admission.group_of("physics", "eve@physics.example.org")
    assert (physics.ceiling.mem, physics.max_mem) == (200 << 30, 32 << 30)
    with pytest.raises(InvalidRequest):
        admission.group_of("physics", "eve")
    assert admission.quota(physics).owner.mem == 48 << 30
    assert admission.most_running() == MostRunning(owner=3, groups={"physics": 25})
    assert queue.memory_overcommit == 1.0


@pytest.mark.parametrize("setting", ["max_cpu_per_owner", "total_cpu", "default_cpu", "max_cpu"])
def test_an_infinite_number_of_processors_is_no_limit_and_nan_is_no_number(admission, setting):
    setattr(admission, setting, float("inf"))
    quota = admission.quota(Group())
    assert (quota.owner.cpu, quota.server.cpu) == (None, None)
    assert admission._limits(Group()).default_cpu is None
    with pytest.raises(TraitError, match="NaN"):
        setattr(admission, setting, float("nan"))
