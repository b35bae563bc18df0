"""D11 of FAULTS: the engine itself is killed, and started again, under a session."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import docker
import pytest

from jupyter_sessmgr.model.errors import EngineUnavailable
from jupyter_sessmgr.model.session import SessionSpec
from tests.plugins.docker import DockerEngine, a_place, no_engine
from tests.plugins.processes import secrets_of
from tests.plugins.waiting import eventually

pytestmark = pytest.mark.docker

IMAGE = "sessmgr-test/tiny:1"
#: Takes the agent and stays; there is no Python in so small an image.
STAY = "#!/bin/sh\ncat >/dev/null\nexec sleep 1000\n"


class PrivateEngine:
    """A dockerd in a network namespace of its own, where it disturbs no other."""

    def __init__(self, folder):
        self.folder = folder
        self.host = f"unix://{folder}/s"
        self._process = None

    def start(self):
        program = (
            f"ip link set lo up && exec dockerd --host {self.host} --data-root {self.folder}/data "
            f"--exec-root {self.folder}/exec --pidfile {self.folder}/pid"
        )
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["unshare", "-n", "sh", "-c", program],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                api = docker.APIClient(base_url=self.host, version="auto", timeout=10)
            except docker.errors.DockerException:
                assert self._process.poll() is None, self.words()
                assert time.monotonic() < deadline, self.words()
                time.sleep(0.1)
            else:
                return api

    def kill(self):
        """Kill it and its containerd, as a crash of the machine's services would."""
        pids = [self._process.pid, self._containerd()]
        for pid in filter(None, pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(10)
        # A process that nobody collects would look alive to the next engine.
        for left in ("pid", "exec/containerd/containerd.pid"):
            (self.folder / left).unlink(missing_ok=True)

    def _containerd(self):
        with suppress(OSError, ValueError):
            return int((self.folder / "exec/containerd/containerd.pid").read_text())
        return None

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def words(self):
        return (self.folder / "log").read_text(errors="replace")[-2000:]


@contextmanager
def a_private_engine():
    missing = [one for one in ("dockerd", "unshare", "busybox") if shutil.which(one) is None]
    if missing or os.geteuid() != 0:
        no_engine(f"a private one needs root and {missing}")
    # Short, for the sockets below it; not in memory, for the overlay.
    folder = Path(tempfile.mkdtemp(prefix="sd", dir="/var/tmp"))
    engine = PrivateEngine(folder)
    try:
        yield engine
    finally:
        if engine._process is not None:
            engine.stop()
        _kill_below(folder)
        _unmount_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _kill_below(folder):
    """Kill what an engine that did not come back has left: minders of containers, and those."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and str(folder) in (entry / "cmdline").read_text():
                children = Path(f"/proc/{entry.name}/task/{entry.name}/children").read_text()
                for pid in (*children.split(), entry.name):
                    os.kill(int(pid), signal.SIGKILL)


def _unmount_below(folder):
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((one for one in mounts if one.startswith(str(folder))), reverse=True):
        subprocess.run(["umount", "-l", mount], check=False, timeout=20)


def import_tiny_image(api):
    """Make an image of two megabytes that runs what the engine starts."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for folder in ("bin", "usr", "usr/bin", "tmp", "run", "home", "home/work"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        tar.add(shutil.which("busybox"), "bin/busybox")
        for name, target in {"bin/sh": "busybox", "bin/cat": "busybox", "bin/sleep": "busybox",
                             "usr/bin/env": "../../bin/busybox"}.items():  # fmt: skip
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = tarfile.SYMTYPE, target
            tar.addfile(entry)
        entry = tarfile.TarInfo("bin/python3")
        entry.size, entry.mode = len(STAY), 0o755
        tar.addfile(entry, io.BytesIO(STAY.encode()))
    name, _, tag = IMAGE.partition(":")
    api.import_image_from_data(archive.getvalue(), repository=name, tag=tag)


@asynccontextmanager
async def an_engine_on(host, folder):
    # Its interfaces are in another namespace, so nothing can be reached, and nothing need be.
    engine = DockerEngine(docker_host=host, reach="address", firewall="off")
    await engine.open(secrets_of(folder), folder)
    try:
        yield engine
    finally:
        await engine.close()


@pytest.mark.slow
async def test_D11_engine_killed_and_started_again(state_dir):
    with a_private_engine() as private:
        import_tiny_image(private.start())
        async with an_engine_on(private.host, state_dir) as engine:
            identity = engine.engine_id
            place, spec = a_place(engine), SessionSpec(image=IMAGE, kernel="")
            async for _ in engine.start(place, spec, b"the agent"):
                pass
            assert (await engine.look([place]))[place.id].running

            private.kill()
            for asked in (engine.look([place]), engine.survey()):
                with pytest.raises(EngineUnavailable):
                    await asked

            private.start()

            async def judged():
                try:
                    return (await engine.look([place]))[place.id]
                except EngineUnavailable:
                    return None

            seen = await eventually(judged, timeout=30)
            assert engine.engine_id == identity
            # Without live-restore the new engine ends what the old one ran.
            assert (seen.exists, seen.running) == (True, False)
            assert "engine was restarted" in seen.reason
            await engine.stop(place, 1.0)
            assert not (await engine.look([place]))[place.id].exists
            async for _ in engine.start(a_place(engine), spec, b"the agent"):
                pass
            for found in await engine.survey():
                await engine.stop(type(place)(id=found.place_id, engine_id=identity), 0.0)
