"""A real manager on a real engine, and what may be left of it."""

from __future__ import annotations

import contextlib
import logging

import pytest
from jupyter_client.asynchronous import AsyncKernelClient
from traitlets.config import Config

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.requests import CreateRequest
from tests.plugins.waiting import eventually

#: Spares come and go by themselves; only tests of the pool have them.
NO_SPARES = {"WarmPool": {"default_size": 0}}


def without_spares(config=None):
    """Put a configuration over one without spares."""
    merged = Config(NO_SPARES)
    merged.merge(config or {})
    return merged


@contextlib.asynccontextmanager
async def managed(state_dir, engine="process", *, keep=False, config=None, **traits):
    """Open a manager; at the end destroy what it has (unless `keep`) and close it."""
    traits.setdefault("log", logging.getLogger("manager"))
    traits["config"] = without_spares(config)
    manager = ComputeSessionManager(state_dir=str(state_dir), engine=engine, **traits)
    await manager.open()
    try:
        yield manager
    finally:
        if not keep and manager._parts is not None:
            for session in manager._parts.store.sessions():
                await manager.destroy(session.id, forced=True)
            await manager.pool.stop()
            left = await places(manager) if manager.health().available else {}
            await manager.close()
            assert not left, f"places are left: {left}"
        else:
            await manager.close()


async def running(manager, owner="me", timeout=60, **asked):
    """Create a session and wait until it runs."""
    session, _ = await manager.create(CreateRequest(**asked), owner)
    settled = await manager.settled(session.id, timeout)
    assert settled.status == "RUNNING", f"{settled.failure}\n{settled.log_tail}"
    return settled


async def places(manager):
    """List our places as the engine has them: id -> whether it runs."""
    found = await manager._parts.engine.survey()
    mine = manager._parts.secrets.install_id
    return {one.place_id: one.running for one in found if one.install_id == mine}


async def run_code(connection, code, timeout=30, on=None):
    """Run code in a kernel by its connection info; returns the reply and what it wrote.

    `on` is set when it writes for the first time.
    """
    client = AsyncKernelClient()
    client.load_connection_info(connection)
    client.start_channels()
    written = []

    def collect(message):
        if message["msg_type"] == "stream":
            written.append(message["content"]["text"])
            if on is not None:
                on.set()

    try:
        await client.wait_for_ready(timeout=timeout)
        # else kernels drop for a moment what comes after an error
        reply = await client.execute_interactive(
            code, stop_on_error=False, timeout=timeout, output_hook=collect
        )
        return reply["content"], "".join(written)
    finally:
        client.stop_channels()


async def sweep_until(manager, condition, timeout=20):
    """Sweep until a condition holds."""

    async def swept():
        await manager._reconciler.sweep()
        return condition()

    return await eventually(swept, timeout, 0.1)


@pytest.fixture(
    params=["process", pytest.param("docker", marks=pytest.mark.docker)],
)
def engine_name(request):
    """Run a test on both engines."""
    if request.param == "docker":
        request.getfixturevalue("reference_image")
    return request.param
