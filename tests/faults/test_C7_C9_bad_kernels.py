"""Rows C7 and C9 of FAULTS: kernels that never get ready, and kernels that end at every start."""

from __future__ import annotations

import json
import time

import pytest
from traitlets.config import Config

from jupyter_sessmgr.manager.parts import FIRST_PAUSE
from jupyter_sessmgr.model.events import KernelDied, StatusChanged
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.model.status import SessionStatus
from tests.plugins.invariants import at_rest
from tests.plugins.kernels import KERNEL
from tests.plugins.managers import managed, places, run_code, running
from tests.plugins.waiting import eventually

S = SessionStatus
SPEC = "usr/local/share/jupyter/kernels/sleepy"
#: Says more than is kept, and waits.
SLEEPY = {
    "argv": ["sh", "-c", "seq 100000; echo I sleep; sleep 1000", "{connection_file}"],
    "display_name": "Sleepy",
    "language": "none",
}
MUTE = "#!/bin/sh\ncat >/dev/null\necho I have no kernel\nexec sleep 1000\n"
#: Ends a kernel as soon as it starts.
DEADLY = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"


def never_ready(state, image, **traits):
    config = Config(
        {
            "SessionReconciler": {"boot_timeout": 3.0},
            "AdmissionControl": {"allowed_images": [image]},
        }
    )
    return managed(state, "docker", config=config, **traits)


@pytest.mark.docker
async def test_C7_a_container_whose_kernel_is_never_ready_goes_and_leaves_its_words(
    tmp_path, build_image
):
    image = build_image(
        f"COPY kernel.json /{SPEC}/kernel.json", files={"kernel.json": json.dumps(SLEEPY)}
    )
    async with never_ready(tmp_path / "s", image) as manager:
        session, _ = await manager.create(CreateRequest(image=image, kernel="sleepy"), "me")
        ended = await manager.settled(session.id, 30)
        assert (ended.status, ended.place_id) == (S.ERROR, "")
        assert ended.failure == "The kernel was not ready within 3 seconds."
        assert await places(manager) == {}
        assert 60_000 < len(ended.log_tail.encode()) <= 65_536
        assert ended.log_tail.endswith("99999\n100000\nI sleep\n")
        assert await manager.logs(session.id, 10) == "0\nI sleep\n"
        await at_rest(manager, [session.id])


@pytest.mark.docker
async def test_C7_a_container_without_an_agent_goes_and_leaves_its_words(tmp_path, build_image):
    image = build_image(
        "COPY mute /bin/mute", "LABEL ai.backend.runtime-path=/bin/mute", files={"mute": MUTE}
    )
    async with never_ready(tmp_path / "s", image) as manager:
        session, _ = await manager.create(CreateRequest(image=image), "me")
        ended = await manager.settled(session.id, 30)
        assert ended.status is S.ERROR
        assert "agent did not answer within 3 seconds; its log says more" in ended.failure
        assert ended.log_tail == "I have no kernel\n"
        assert await places(manager) == {}
        await at_rest(manager, [session.id])


PLANT = (
    "import pathlib; p = pathlib.Path('~/.ipython/profile_default/startup').expanduser()\n"
    f"p.mkdir(parents=True, exist_ok=True); _ = (p / '00.py').write_text({DEADLY!r})"
)


async def test_C9_a_kernel_that_ends_at_every_start_is_given_up(tmp_path):
    config = Config({"SessionReconciler": {"max_deaths": 3}})
    async with managed(tmp_path / "s", config=config) as manager:
        session = await running(manager)
        reply, _ = await run_code(manager.connection_info(session.id), PLANT)
        assert reply["status"] == "ok"
        died, restarted = [], []

        def note(event):
            if isinstance(event, KernelDied):
                died.append(time.monotonic())
            elif isinstance(event, StatusChanged) and event.session.status is S.RESTARTING:
                restarted.append(time.monotonic())

        manager.subscribe(note)
        await manager.signal(session.id, 9)
        ended = await eventually(lambda: final(manager, session), 30)
        assert ended.status is S.ERROR
        assert "The kernel died 4 times in a row; at last:" in ended.failure
        assert (len(died), len(restarted), ended.generation) == (4, 3, 4)
        pauses = [back - gone for gone, back in zip(died, restarted, strict=False)]
        assert pauses[1] >= 0.9 * FIRST_PAUSE  # deaths are told a little after they are noted
        assert pauses[2] >= 0.9 * 2 * FIRST_PAUSE
        await at_rest(manager, [session.id])


def final(manager, session):
    now = manager._session(session.id)
    return now if now.status.is_final else None


def test_C9_one_that_jupyter_starts_again_in_vain_is_given_up_too(servers):
    config = {"KernelRestarter": {"time_to_dead": 0.3, "restart_limit": 3}}
    server = servers.start(config=config)
    kernel = server.ask("POST", "api/kernels", json={"name": KERNEL}).json()["id"]
    server.execute(kernel, PLANT)
    server.tell(kernel, "import os; os._exit(1)")
    info = server.until(kernel, "ERROR", "TERMINATED", timeout=40)
    assert (info["status"], info["statusInfo"]) == ("TERMINATED", "kernel-died")
    statuses = [note["status"] for note in info["history"]]
    assert statuses.count("RESTARTING") == 3
    assert server.ask("GET", f"api/kernels/{kernel}").status_code == 404
    assert server.log().count("restarting kernel (") == 3
