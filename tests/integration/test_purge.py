"""`jupyter sessmgr purge`: what an installation made goes, and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import docker as sdk
import pytest

from jupyter_sessmgr.engines.docker.build import ImageBuilder, built_images, remove_image
from jupyter_sessmgr.engines.docker.container import INSTALL
from jupyter_sessmgr.manager.installation.statefolder import StateFolder
from jupyter_sessmgr.provisioning.kernelspecs import install_kernelspecs
from tests.plugins.kernels import OFFER
from tests.plugins.processes import processes_of
from tests.plugins.server import ROOT

PATIENCE = 120


class Person:
    """Runs commands with the folders of a server."""

    def __init__(self, server, tmp_path, **environ):
        self.state_dir = server.state_dir
        self.kernels = tmp_path / "data" / "kernels"
        self.options = [f"--ComputeSessionManager.state_dir={server.state_dir}"]
        self.environ = {
            **{name: os.environ[name] for name in ("PATH", "DOCKER_HOST") if name in os.environ},
            "HOME": str(tmp_path),
            "PYTHONPATH": str(ROOT),
            "JUPYTER_DATA_DIR": str(tmp_path / "data"),
            "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
            "JUPYTER_RUNTIME_DIR": str(tmp_path / "run"),
            **environ,
        }

    def run(self, *words, code=0):
        done = subprocess.run(
            [sys.executable, "-m", "jupyter_sessmgr.cli", *words, *self.options],
            env=self.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr
        return done.stdout, done.stderr

    def purge(self, *words, code=0):
        return json.loads(self.run("purge", "--json", *words, code=code)[0])


def place_of(server):
    """Start a durable session, end the server, and say which place goes on."""
    made = server.create()
    (place,) = [path.name for path in (server.state_dir / "places").glob("[!.]*")] or [""]
    server.stop()
    return made["sessionName"], place


def wait_for_the_end(place):
    deadline = time.monotonic() + 20
    while processes_of(place):
        assert time.monotonic() < deadline, processes_of(place)
        time.sleep(0.05)


def test_purge_removes_the_state_folder_and_what_still_runs(servers, tmp_path):
    server = servers.start()
    _, place = place_of(server)
    person = Person(server, tmp_path)
    mine = person.kernels / "mine"
    mine.mkdir(parents=True)
    (mine / "kernel.json").write_text('{"argv": ["x"], "display_name": "x", "language": "x"}')
    (folder,) = install_kernelspecs([OFFER], prefix=str(tmp_path / "prefix"))
    ours = Path(shutil.copytree(folder, person.kernels / "sessmgr-notebook"))
    places = [folder / "deep" for folder in (server.state_dir / "places").glob("[!.]*/home")]
    places[0].mkdir(mode=0)

    said, note = person.run("purge")  # without --yes it only tells
    assert str(server.state_dir) in said
    assert place in said
    assert "--yes" in note
    assert processes_of(place)

    told = person.purge()
    assert told["removed"] is False
    assert told["kernelspecs"] == [str(ours)]
    assert told["foreign"] == []
    assert len(told["sessions"]) == 1
    assert processes_of(place)

    assert person.purge("--yes")["removed"] is True
    assert not server.state_dir.exists()
    assert not ours.exists()
    assert mine.exists()
    wait_for_the_end(place)
    assert not [path for path in Path("/tmp").glob("sessmgr-*") if (path / place).exists()]

    assert "nothing to remove" in person.run("purge", "--yes")[1]


def test_purge_refuses_while_a_server_runs_unless_it_is_told_to(servers, tmp_path):
    server = servers.start()
    name, place = place_of(server)
    person = Person(server, tmp_path)
    holder = StateFolder(server.state_dir)
    holder.open(note="the server of a colleague")
    try:
        _, note = person.run("purge", "--yes", code=4)
        assert "the server of a colleague" in note
        assert "--forced" in note
        assert processes_of(place), name
        assert person.purge("--yes", "--forced")["removed"] is True
    finally:
        holder.close()
    assert not server.state_dir.exists()
    wait_for_the_end(place)


def test_purge_ends_what_is_stopped_and_what_was_left_by_a_crash(servers, tmp_path):
    server = servers.start()
    server.create()
    (place,) = [path.name for path in (server.state_dir / "places").glob("[!.]*")]
    server.kill()
    for pid in processes_of(place):
        os.kill(pid, signal.SIGSTOP)
    person = Person(server, tmp_path)
    assert person.purge("--yes")["removed"] is True
    wait_for_the_end(place)


@pytest.mark.docker
def test_purge_removes_containers_and_networks_and_waits_for_an_engine_that_is_away(
    servers, tmp_path, reference_image
):
    server = servers.start("docker")
    server.create()
    install = (server.state_dir / "install-id").read_text().strip()
    server.stop()
    engine = sdk.from_env()
    try:
        ours = {"label": f"{INSTALL}={install}"}
        assert len(engine.containers.list(all=True, filters=ours)) == 1
        away = Person(server, tmp_path, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
        told = away.purge("--yes", code=1)
        assert told["removed"] is False
        assert "does not answer" in " ".join(told["troubles"])
        assert server.state_dir.exists()
        assert len(engine.containers.list(all=True, filters=ours)) == 1

        assert Person(server, tmp_path).purge("--yes")["removed"] is True
        assert engine.containers.list(all=True, filters=ours) == []
        assert engine.networks.list(filters=ours) == []
        assert not server.state_dir.exists()
    finally:
        engine.close()


@pytest.mark.docker
def test_built_images_are_listed_and_can_be_removed(docker_host, tmp_path):
    tag = f"sessmgr-purged-{uuid.uuid4().hex[:8]}:latest"
    (tmp_path / "Dockerfile").write_text("FROM scratch\nLABEL nothing=else\n")
    with ImageBuilder(docker_host, lambda _text, _share: None) as engine:
        engine.build(tmp_path, tag, arguments={}, labels={"jupyter-sessmgr.inputs": "x"})
    child = f"{tag.partition(':')[0]}-child:latest"
    engine = sdk.APIClient(base_url=docker_host or None)
    try:
        engine.tag(tag, *child.split(":"))  # inherits all labels, as one made FROM it
        found = built_images(docker_host)
        assert (tag in found.ours, child in found.others) == (True, True)
        assert child not in found.ours
        remove_image(docker_host, tag)
        assert tag not in built_images(docker_host).ours
    finally:
        engine.remove_image(child)
        engine.close()
