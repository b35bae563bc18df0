"""D11 of FAULTS: the engine itself is killed, and started again, under a session."""

from __future__ import annotations

import io
import shutil
import tarfile
from contextlib import asynccontextmanager

import pytest

from jupyter_sessmgr.model.errors import EngineUnavailable
from jupyter_sessmgr.model.session import SessionSpec
from tests.plugins.docker import DockerEngine, a_place
from tests.plugins.privateengine import a_private_engine
from tests.plugins.processes import secrets_of
from tests.plugins.waiting import eventually

pytestmark = pytest.mark.docker

IMAGE = "sessmgr-test/tiny:1"
#: Takes the agent and stays; there is no Python in so small an image.
STAY = "#!/bin/sh\ncat >/dev/null\nexec sleep 1000\n"


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
