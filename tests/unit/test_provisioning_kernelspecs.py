"""Kernelspecs of sessions, beside the local ones."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel
from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.model.images import with_tag
from jupyter_sessmgr.model.presets import Offer, Preset
from jupyter_sessmgr.provisioning.kernelspecs import (
    OTHER_SESSION,
    describe,
    install_kernelspecs,
    installed_kernelspecs,
    kernel_name_for,
    remote_kernelspecs,
)
from jupyter_sessmgr.provisioning.locate import register, unregister

PYTHON = Offer(
    kernel_name="sessmgr-python",
    display_name="Python (remote)",
    language="python",
    preset=Preset(name="python", title="Python (remote)", description="All."),
)
R = Offer(
    kernel_name="sessmgr-lab-r-1",
    display_name="r:1 (remote)",
    language="r",
    preset=Preset(name="python", title="r:1", description="All.", image="lab/r:1", kernel="ir"),
)


class Server(LoggingConfigurable):
    """As much of a ServerApp as `register` looks at."""

    root_dir = "/"
    io_loop = SimpleNamespace(asyncio_loop=None)


@pytest.fixture
def server():
    server = Server()
    register(server, SimpleNamespace(offers=(PYTHON, R)), owner="me")
    yield server
    unregister(server)


def test_remote_ones_stand_beside_the_local_ones(server):
    manager = remote_kernelspecs(KernelSpecManager)(parent=server)
    specs = manager.get_all_specs()
    assert {"python3", "sessmgr-python", "sessmgr-lab-r-1"} <= set(specs)
    assert OTHER_SESSION not in specs
    local = KernelSpecManager().get_all_specs()
    assert {name: specs[name] for name in local} == local


def test_each_has_a_short_name_and_a_logo(server):
    manager = remote_kernelspecs(KernelSpecManager)(parent=server)
    for name in ("sessmgr-python", "sessmgr-lab-r-1", OTHER_SESSION):
        spec = manager.get_kernel_spec(name)
        assert 0 < len(spec.display_name) <= 20
        files = {path.name for path in Path(spec.resource_dir).glob("logo-*")}
        assert files == {"logo-32x32.png", "logo-64x64.png", "logo-svg.svg"}


def test_they_name_our_provisioner_and_the_offer(server):
    spec = remote_kernelspecs(KernelSpecManager)(parent=server).get_kernel_spec("sessmgr-lab-r-1")
    assert spec.metadata["kernel_provisioner"] == {
        "provisioner_name": "sessmgr-provisioner",
        "config": {"preset": "python", "image": "lab/r:1", "kernel": "ir"},
    }
    assert spec.language == "r"
    assert spec.env == {}
    assert "supported_encryption" not in spec.metadata


def test_an_engine_that_is_away_leaves_no_dead_card():
    server = Server()
    sessions = SimpleNamespace(offers=(PYTHON,))
    register(server, sessions, owner="me")
    manager = remote_kernelspecs(KernelSpecManager)(parent=server)
    assert "sessmgr-python" in manager.find_kernel_specs()
    sessions.offers = ()
    assert "sessmgr-python" not in manager.find_kernel_specs()
    with pytest.raises(NoSuchKernel):
        manager.get_kernel_spec("sessmgr-python")


def test_the_admins_list_of_allowed_kernelspecs_counts(server):
    manager = remote_kernelspecs(KernelSpecManager)(
        parent=server, allowed_kernelspecs={"sessmgr-python"}
    )
    assert set(manager.find_kernel_specs()) == {"sessmgr-python"}
    with pytest.raises(NoSuchKernel):
        manager.get_kernel_spec("sessmgr-lab-r-1")


def test_without_our_server_there_is_nothing_of_ours():
    manager = remote_kernelspecs(KernelSpecManager)()
    assert set(manager.find_kernel_specs()) == set(KernelSpecManager().find_kernel_specs())
    with pytest.raises(NoSuchKernel):
        manager.get_kernel_spec(OTHER_SESSION)


def test_whatever_class_the_server_was_given_is_extended(server):
    class Theirs(KernelSpecManager):
        def find_kernel_specs(self):
            return {"theirs": "/nowhere"}

    manager = remote_kernelspecs(Theirs)(parent=server)
    assert isinstance(manager, Theirs)
    assert set(manager.find_kernel_specs()) == {"theirs", "sessmgr-python", "sessmgr-lab-r-1"}


def test_a_gateways_kernelspecs_are_left_alone():
    class Gateway(KernelSpecManager):
        async def get_kernel_spec(self, kernel_name):
            await asyncio.sleep(0)

    assert remote_kernelspecs(Gateway) is Gateway


@pytest.mark.parametrize(
    ("image", "preset", "kernel", "name"),
    [
        (PYTHON.preset.image, "python", "python3", "sessmgr-python"),
        (with_tag(PYTHON.preset.image), "python", "python3", "sessmgr-python"),
        ("lab/r:1", "python", "ir", "sessmgr-lab-r-1"),
        ("lab/r:1", "python", "python3", OTHER_SESSION),
        ("lab/r:2", "python", "ir", OTHER_SESSION),
        (PYTHON.preset.image, "isolated", "python3", OTHER_SESSION),
    ],
)
def test_a_session_is_listed_under_the_offer_it_matches(server, image, preset, kernel, name):
    manager = remote_kernelspecs(KernelSpecManager)(parent=server)
    assert kernel_name_for(manager, image, preset, kernel) == name
    assert manager.get_kernel_spec(name).display_name


def test_static_ones_say_the_same(tmp_path):
    (folder,) = install_kernelspecs([PYTHON], prefix=str(tmp_path))
    assert folder == str(tmp_path / "share" / "jupyter" / "kernels" / "sessmgr-python")
    content = json.loads(Path(folder, "kernel.json").read_text())
    del content["metadata"]["sessmgr"]  # who installed it
    assert content == describe(PYTHON)
    assert Path(folder, "logo-svg.svg").is_file()
    found = KernelSpecManager(kernel_dirs=[str(Path(folder).parent)])
    assert found.get_kernel_spec("sessmgr-python").display_name == "Python (remote)"


def test_static_ones_go_to_the_user_and_replace_old_ones(jp_environ):
    (folder,) = install_kernelspecs([PYTHON], user=True)
    Path(folder, "old").touch()
    assert install_kernelspecs([PYTHON], user=True) == [folder]
    assert not Path(folder, "old").exists()
    assert "sessmgr-python" in KernelSpecManager().find_kernel_specs()


@pytest.mark.parametrize(
    "content",
    [
        describe(PYTHON),  # somebody's own, with our provisioner
        {"metadata": {"kernel_provisioner": None}},
        {"metadata": {"sessmgr": "yes"}},
        {"metadata": None},
        [],
        None,
    ],
)
def test_only_those_that_were_installed_are_found_again(jp_environ, content):
    (folder,) = install_kernelspecs([PYTHON], user=True)
    other = Path(folder).with_name("other")
    other.mkdir()
    (other / "kernel.json").write_text(json.dumps(content))
    linked = Path(folder).with_name("linked")
    linked.symlink_to(folder)
    assert folder in installed_kernelspecs()
    assert not {str(other), str(linked)} & set(installed_kernelspecs())
