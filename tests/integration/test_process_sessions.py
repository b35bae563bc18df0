"""Whole sessions on the process engine: manager, agent, kernel and sandbox together."""

from __future__ import annotations

import json
import socket

import pytest
from traitlets.config import Config

from jupyter_sessmgr.model.errors import NotRunning
from jupyter_sessmgr.model.naming import service_path
from tests.plugins.managers import managed, run_code, running
from tests.plugins.processes import ISOLATIONS, nothing_left

LOOK = """
import json, os, socket, sys
def can(what):
    try:
        what()
        return True
    except OSError:
        return False
print(json.dumps({
    "pid": os.getpid(), "cwd": os.getcwd(), "home": os.path.expanduser("~"),
    "python": sys.executable, "pids": sum(name.isdigit() for name in os.listdir("/proc")),
    "interfaces": [name for _, name in socket.if_nameindex()],
    "writes": can(lambda: open("made-inside.txt", "w").close()),
    "reads secret": can(lambda: open(SECRET).close()),
}))
"""


def configured(isolation):
    return Config({"ProcessEngine": {"isolation": isolation}})


async def look(manager, session, state_dir):
    code = LOOK.replace("SECRET", repr(str(state_dir / "master-secret")))
    reply, text = await run_code(manager.connection_info(session.id), code)
    assert reply["status"] == "ok", reply
    return json.loads(text)


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_the_notebooks_folder_is_the_working_folder(state_dir, tmp_path, isolation):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    async with managed(state_dir, config=configured(isolation)) as manager:
        session = await running(manager, notebook_folder=str(folder), notebook_path="")
        assert session.encrypted
        said = await look(manager, session, state_dir)
        assert (said["cwd"], said["writes"]) == (str(folder), True)
        assert (folder / "made-inside.txt").exists()
        assert said["home"].startswith(str(state_dir / "homes"))
        assert said["reads secret"] == (isolation == "none")
        assert (said["pids"] < 10) == (isolation == "auto")
        place_id = session.place_id
        await manager.destroy(session.id)
        nothing_left(state_dir, place_id)


async def test_an_isolated_session_computes_without_any_network(state_dir):
    async with managed(state_dir) as manager:
        session = await running(manager, preset="isolated")
        said = await look(manager, session, state_dir)
        assert said["interfaces"] == ["lo"]
        assert not said["reads secret"]
        usage = await manager.usage(session.id)
        assert usage.mem_bytes > 10 * 2**20
        restarted = await manager.restart(session.id, timeout=60)
        assert restarted.place_id == session.place_id
        assert (await look(manager, restarted, state_dir))["interfaces"] == ["lo"]


async def test_streams_reach_a_session_that_has_no_network(state_dir):
    definition = {"command": ["{runtime_path}", "-m", "http.server", "{ports[0]}"]}
    async with managed(state_dir) as manager:
        manager.services.definitions = {"web": definition}
        session = await running(manager, preset="isolated")
        state = await manager.services.start(session.id, "web")
        assert state.running, state
        reader, writer = await manager.services.open_stream(session.id, state.port)
        writer.write(b"GET / HTTP/1.0\r\n\r\n")
        assert b"200 OK" in await reader.read()
        writer.close()


async def test_the_built_in_jupyter_asks_for_its_own_token(state_dir):
    async with managed(state_dir) as manager:
        session = await running(manager)
        state = await manager.services.start(session.id, "jupyter")
        assert state.running, state
        token = manager.services.token(session.id, "jupyter")
        assert token not in state.log_tail
        path = service_path("/", session.id, "jupyter")
        for given, status in (("wrong", b"403"), (token, b"200")):
            reader, writer = await manager.services.open_stream(session.id, state.port)
            head = f"GET {path}api/status HTTP/1.0\r\nAuthorization: token {given}\r\n\r\n"
            writer.write(head.encode())
            assert status in (await reader.read()).split(b"\r\n")[0]
            writer.close()


async def test_a_strangers_port_is_not_taken_for_the_sessions_own(state_dir):
    """Without a network of its own a session shares that of its host, and of everybody on it."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        async with managed(state_dir) as manager:
            session = await running(manager, preopen_ports=(port,))
            with pytest.raises(NotRunning, match="Nothing of the session listens"):
                await manager.services.open_stream(session.id, port)


async def test_without_a_sandbox_the_isolated_preset_is_refused_in_words(state_dir):
    async with managed(state_dir, config=configured("none")) as manager:
        with pytest.raises(Exception, match="isolated network"):
            await running(manager, preset="isolated")
        assert "not isolated" in " ".join(manager.health().notes)
