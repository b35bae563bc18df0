"""P1 for tools without a server (nbclient and others): killed, they leave nothing for long."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path

from jupyter_sessmgr.manager.installation.leftovers import MARKS
from tests.plugins.docker import containers_of, networks_of
from tests.plugins.managers import managed, run_code
from tests.plugins.processes import processes_of
from tests.plugins.waiting import eventually

ROOT = Path(__file__).parents[2]
TOOL = """
import asyncio, json, sys
from tests.plugins.managers import managed, running

async def main():
    state, engine = sys.argv[1:]
    memory = "jupyter_sessmgr.store.memory.MemoryStore"
    async with managed(state, engine, shared=True, store_class=memory) as manager:
        session = await running(manager)
        told = {"install": manager._parts.secrets.install_id, "place": session.place_id}
        told |= {k: v for k, v in manager.connection_info(session.id).items() if k != "key"}
        told["key"] = manager.connection_info(session.id)["key"].decode()
        told = {k: v.decode() if isinstance(v, bytes) else v for k, v in told.items()}
        print(json.dumps(told), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


async def a_tool(state, engine):
    """Run a tool until it has a session; returns its process and what it says."""
    command = (sys.executable, "-c", TOOL, str(state), engine)
    tool = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=subprocess.PIPE)
    return tool, json.loads(await asyncio.wait_for(tool.stdout.readline(), 60))


async def end(tool):
    tool.kill()
    assert await tool.wait() == -signal.SIGKILL


async def test_P1_what_a_killed_tool_left_is_removed_by_the_next_manager(
    tmp_path, engine_name, request
):
    state = tmp_path / "s"
    api = request.getfixturevalue("docker_api") if engine_name == "docker" else None

    def left(told):
        found = [*processes_of(told["place"])] if api is None else []
        # Not below those: what is being removed cannot be walked through.
        found += [path for path in state.glob("*/*") if told["place"] in path.name]
        if api is not None:
            found += containers_of(api, told["install"]) + networks_of(api, told["install"])
        return [*found, *(state / MARKS).glob(told["install"])]

    living, its = await a_tool(state, engine_name)
    try:
        killed, gone = await a_tool(state, engine_name)
        await end(killed)
        assert len(await asyncio.to_thread(left, gone)) >= 2
        async with managed(state, engine_name):
            await eventually(lambda: asyncio.to_thread(lambda: not left(gone)), timeout=30)
            # The other tool, which lives, is none of its business.
            place = {name: its.pop(name) for name in ("install", "place")}
            its["key"] = its["key"].encode()
            _, written = await run_code(its, "print('alive')")
            assert "alive" in written
    finally:
        await end(living)
    async with managed(state, engine_name):
        await eventually(lambda: asyncio.to_thread(lambda: not left(place)), timeout=30)
