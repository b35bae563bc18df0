"""Tools without a server beside a server of the same person: neither touches the other's."""

from __future__ import annotations

import asyncio
import json

import pytest
from jupyter_client import AsyncKernelManager

from tests.plugins.kernels import ENGINES, KERNEL


@pytest.mark.parametrize("engine", ENGINES)
async def test_P8_a_tool_and_a_server_leave_each_others_sessions_alone(outside, servers, engine):
    sweep = {"SessionReconciler": {"sweep_interval": 0.5}}
    server = await asyncio.to_thread(servers.start, engine, state_dir=outside.state, config=sweep)
    reply = await asyncio.to_thread(server.ask, "POST", "api/kernels", json={"name": KERNEL})
    assert reply.status_code == 201, reply.text
    config = {**outside.config, **sweep}
    outside.config_path.write_text(json.dumps(config))
    manager = AsyncKernelManager(kernel_name=KERNEL, config=outside.config)
    await manager.start_kernel()
    await asyncio.sleep(2)  # four sweeps of each
    assert [one.id for one in outside.live()] == [manager.kernel_id]
    listed = await asyncio.to_thread(server.sessions)
    assert [one["sessionId"] for one in listed] == [reply.json()["id"]]
    assert await manager.is_alive()
    await manager.shutdown_kernel(now=True)
    await asyncio.to_thread(outside.end)
    info = await asyncio.to_thread(server.info, reply.json()["id"])
    assert info["status"] == "RUNNING"
    text = await asyncio.to_thread(server.execute, reply.json()["id"], "print(1)")
    assert text == "1\n"
    await asyncio.to_thread(server.ask, "DELETE", f"api/kernels/{reply.json()['id']}")
