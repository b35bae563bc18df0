"""How remote kernels end, or do not: culled, given up, with their server, by other doors."""

from __future__ import annotations

import asyncio
import json
import socket
import time

import pytest
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.httpclient import HTTPRequest
from tornado.web import HTTPError
from tornado.websocket import websocket_connect

from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.provisioning import adopt
from tests.plugins.kernels import KERNEL
from tests.plugins.notebooks import Notebook, is_status
from tests.plugins.waiting import eventually

#: Kernels that are picked end with their server.
INTERACTIVE = {"SessionProvisioner": {"durable": False}}


def wait_for(condition, timeout=20.0):
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.05)
    return answer


def start(server):
    reply = server.ask("POST", "api/kernels", json={"name": KERNEL})
    assert reply.status_code == 201, reply.text
    return reply.json()["id"]


def kernel_ids(server):
    return {kernel["id"] for kernel in server.ask("GET", "api/kernels").json()}


def test_a_kernel_that_dies_too_often_is_given_up_and_its_session_ends(servers):
    restarter = {"time_to_dead": 0.2, "restart_limit": 0}
    server = servers.start(config={"AsyncIOLoopKernelRestarter": restarter})
    kernel_id = start(server)
    with Notebook(server, kernel_id) as notebook:
        deadly = notebook.ask("import os; os._exit(3)")
        notebook.hear(lambda m: is_status(m, "dead"))
        assert "exit code 3" in notebook.output(deadly)
        assert "not started again" in notebook.output(deadly)
    wait_for(lambda: server.info(kernel_id)["status"] in {"TERMINATED", "ERROR"})
    assert kernel_id not in kernel_ids(server)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "sessmgr/session/{}?forced=true"),
        ("POST", "WindowsHpc/Session/{}/Close?api-version=2012-11-01.4.0"),
    ],
)
def test_a_notebook_that_is_opened_at_once_gets_another_kernel(shared_server, method, path):
    """Not the one of the session that was just destroyed, whose end Jupyter must hear of first."""
    wish = {"path": "a.ipynb", "name": "", "type": "notebook", "kernel": {"name": KERNEL}}
    before = set()
    for _ in range(4):
        opened = shared_server.ask("POST", "api/sessions", json=wish).json()["kernel"]["id"]
        assert opened not in before
        before.add(opened)
        ended = shared_server.ask(method, path.format(opened))
        assert ended.ok, ended.text
        assert opened not in kernel_ids(shared_server)


def test_an_idle_kernel_is_culled_with_its_session(servers):
    cull = {"cull_idle_timeout": 1, "cull_interval": 1, "cull_connected": True}
    server = servers.start(config={"MappingKernelManager": cull, **INTERACTIVE})
    kernel_id = start(server)
    wait_for(lambda: server.info(kernel_id)["status"] == "TERMINATED", timeout=30)
    wait_for(lambda: kernel_id not in kernel_ids(server))


def test_P4_a_stopped_server_ends_interactive_sessions_and_lets_durable_ones_go_on(servers):
    first = servers.start(config=INTERACTIVE)
    picked = start(first)
    durable = first.create(clientSessionToken="durable", image="jupyter-sessmgr/python")[
        "sessionId"
    ]
    wait_for(lambda: durable in kernel_ids(first))
    with Notebook(first, durable) as notebook:
        notebook.run("x = 41")
    first.stop()
    assert "These sessions go on without this server" in first.log()
    assert "Traceback" not in first.log()
    second = servers.start(state_dir=first.state_dir)
    assert second.info(picked)["status"] == "TERMINATED"
    assert second.info(durable)["status"] == "RUNNING"
    wait_for(lambda: durable in kernel_ids(second))
    with Notebook(second, durable) as notebook:
        assert notebook.run("print(x + 1)") == "42\n"


def test_a_kernel_that_is_busy_when_it_is_listed_is_not_culled(servers):
    first = servers.start()
    made = first.create(clientSessionToken="busy", image="jupyter-sessmgr/python")["sessionId"]
    wait_for(lambda: made in kernel_ids(first))
    with Notebook(first, made) as notebook:
        running = notebook.ask("import time; print('on', flush=True); time.sleep(60)")
        notebook.hear(lambda m: "on" in notebook.output(running))
        first.stop()
    cull = {"cull_idle_timeout": 1, "cull_interval": 1}
    second = servers.start(state_dir=first.state_dir, config={"MappingKernelManager": cull})
    wait_for(lambda: made in kernel_ids(second))
    time.sleep(2.5)  # two rounds of the culler
    kernel = second.ask("GET", f"api/kernels/{made}")
    assert kernel.json()["execution_state"] == "busy"
    assert second.info(made)["status"] == "RUNNING"


def test_a_blocking_kernel_manager_is_refused_in_words(servers):
    server = servers.start(
        config={
            "ServerApp": {
                "kernel_manager_class": "jupyter_server.services.kernels.kernelmanager.MappingKernelManager"
            }
        }
    )
    reply = server.ask("POST", "api/kernels", json={"name": KERNEL})
    assert reply.status_code == 403
    assert "AsyncMappingKernelManager" in reply.json()["message"]
    assert server.sessions() == []


@pytest.fixture
def one(inside):
    """Give a server on the test's own loop."""
    return inside()


async def running(sessions, owner, **wish):
    session, _ = await sessions.create(CreateRequest(**wish), owner)
    settled = await sessions.settled(session.id, timeout=60)
    assert settled.status is SessionStatus.RUNNING
    return settled


async def test_E1_another_owners_session_cannot_be_reached_by_its_id(one):
    await one.extension.opener.ready()
    foreign = await running(one.sessions, "somebody-else")
    listed = await running(one.sessions, one.extension.owner)
    await eventually(lambda: listed.id in one.app.kernel_manager)
    assert foreign.id not in one.app.kernel_manager
    body = {"name": KERNEL, "kernel_id": foreign.id}
    reply = await one.ask("POST", "api/kernels", body=body)
    assert reply.code in {400, 403, 500}, reply.body
    assert foreign.id not in one.app.kernel_manager
    assert one.sessions.find(foreign.id, "somebody-else").status is SessionStatus.RUNNING
    assert one.sessions.kernel_exit(foreign.id) is None


async def test_sessions_without_a_kernel_are_not_listed_and_refused_in_words(one):
    await one.extension.opener.ready()
    owner = one.extension.owner
    bare = await running(one.sessions, owner, kernel="")
    listed = await running(one.sessions, owner)
    await eventually(lambda: listed.id in one.app.kernel_manager)
    assert bare.id not in one.app.kernel_manager
    reply = await one.ask("POST", "api/kernels", body={"name": KERNEL, "kernel_id": bare.id})
    assert reply.code == 500
    assert "no kernel" in json.loads(reply.body)["message"]
    assert one.sessions.find(bare.id, owner).status is SessionStatus.RUNNING


@pytest.mark.parametrize("way", ["died", "restarted"])
async def test_a_kernel_that_comes_back_is_not_listed_as_busy_with_the_old_ones_cell(one, way):
    await one.extension.opener.ready()
    owner = one.extension.owner
    session = await running(one.sessions, owner)
    await eventually(lambda: session.id in one.app.kernel_manager)
    listed = one.app.kernel_manager.get_kernel(session.id)
    await eventually(lambda: listed.execution_state == "idle")
    asking = listed.client()
    asking.start_channels()
    try:
        asking.execute("import time; time.sleep(600)")
        await eventually(lambda: listed.execution_state == "busy")
        # Jupyter hears the next kernel only after its first words.
        ear = listed._activity_stream.socket
        address = ear.last_endpoint.decode()
        ear.disconnect(address)
        if way == "died":
            await one.sessions.signal(session.id, 9)
        else:
            await one.sessions.restart(session.id, 60)
        await eventually(lambda: one.sessions.find(session.id, owner).generation > 1)
        assert (await one.sessions.settled(session.id, 60)).status is SessionStatus.RUNNING
        await asking.kernel_info(reply=True, timeout=30)
        ear.connect(address)
        await eventually(lambda: listed.execution_state == "idle", timeout=20)
    finally:
        asking.stop_channels()


async def test_a_session_with_anothers_uuid_for_a_name_does_not_stand_in_its_way(one):
    await one.extension.opener.ready()
    owner, kernels = one.extension.owner, one.app.kernel_manager
    session = await running(one.sessions, owner)
    await eventually(lambda: session.id in kernels)
    namesake = await running(one.sessions, owner, name=session.id)
    assert one.sessions.find(session.id, owner).id == namesake.id  # as the REST API has it
    provisioner = kernels.get_kernel(session.id).provisioner
    assert provisioner.held.find().id == session.id
    await one.sessions.destroy(namesake.id)
    assert await provisioner.poll() is None
    await one.sessions.destroy(session.id)
    await eventually(lambda: session.id not in kernels)


async def test_small_messages_leave_the_server_at_once(one):
    await one.extension.opener.ready()
    reply = await one.ask("POST", "api/kernels", body={"name": KERNEL})
    kernel_id = json.loads(reply.body)["id"]
    url = f"ws{one.base.removeprefix('http')}api/kernels/{kernel_id}/channels?session_id=a"
    browser = await websocket_connect(HTTPRequest(url, headers=one.token))

    def connection():
        return next(
            (c for c in ZMQChannelsWebsocketConnection._open_sockets if c.kernel_id == kernel_id),
            None,
        )

    found = await eventually(connection)
    wire = found.websocket_handler.ws_connection.stream.socket
    assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    browser.close()
    await eventually(lambda: connection() is None)
    assert (await one.ask("DELETE", f"api/kernels/{kernel_id}")).code == 204


async def test_no_channels_are_kept_for_a_browser_that_leaves_while_its_kernel_ends(one):
    await one.extension.opener.ready()
    reply = await one.ask("POST", "api/kernels", body={"name": KERNEL})
    kernel_id = json.loads(reply.body)["id"]
    url = f"ws{one.base.removeprefix('http')}api/kernels/{kernel_id}/channels?session_id=a"
    browser = await websocket_connect(HTTPRequest(url, headers=one.token))
    kernels = one.app.kernel_manager
    header = {"msg_id": "1", "msg_type": "kernel_info_request", "session": "a", "version": "5.3"}
    empty = {"parent_header": {}, "metadata": {}, "content": {}}
    await browser.write_message(json.dumps({"channel": "shell", "header": header, **empty}))
    assert await browser.read_message()  # it is open whole; before, it would not close
    held = kernels.get_kernel(kernel_id).provisioner.held
    has_left, destroy = asyncio.Event(), held.destroy

    async def destroy_later():
        await has_left.wait()
        await destroy()

    held.destroy = destroy_later
    ending = asyncio.ensure_future(one.ask("DELETE", f"api/kernels/{kernel_id}"))
    await eventually(lambda: kernels.get_kernel(kernel_id).provisioner.held is None)
    browser.close()
    kept = await eventually(lambda: kernels._kernel_buffers.get(kernel_id))
    has_left.set()
    assert (await ending).code == 204
    assert kernel_id not in kernels._kernel_buffers
    assert all(channel.closed() for channel in kept["channels"].values())


async def test_nothing_is_kept_of_a_kernel_that_Jupyter_takes_for_dead(one):
    await one.extension.opener.ready()
    kernel_id = json.loads((await one.ask("POST", "api/kernels", body={"name": KERNEL})).body)["id"]
    kernels = one.app.kernel_manager
    manager = kernels.get_kernel(kernel_id)
    activity, shell = manager._activity_stream, manager.connect_shell()
    kernels.start_buffering(kernel_id, "a browser's", {"shell": shell})
    manager._restarter._fire_callbacks("dead")
    assert kernel_id not in kernels
    assert (activity.closed(), shell.closed()) == (True, True)
    await eventually(
        lambda: one.sessions.find(kernel_id, one.extension.owner).status.is_final, timeout=20
    )


async def test_no_kernel_is_started_again_when_its_session_ends(one):
    await one.extension.opener.ready()
    kernel_id = json.loads((await one.ask("POST", "api/kernels", body={"name": KERNEL})).body)["id"]
    kernels = one.app.kernel_manager
    manager = kernels.get_kernel(kernel_id)
    (adopter,) = adopt._adopters.values()
    async with adopter._looking:  # as when others are looked at for long
        assert manager._restarter._pcallback is not None
        await one.sessions.destroy(kernel_id)
        assert kernel_id in kernels
        assert manager._restarter._pcallback is None
    await eventually(lambda: kernel_id not in kernels)


async def test_a_failed_restart_tells_everybody_that_the_kernel_is_dead(one):
    await one.extension.opener.ready()
    kernel_id = json.loads((await one.ask("POST", "api/kernels", body={"name": KERNEL})).body)["id"]
    manager = one.app.kernel_manager.get_kernel(kernel_id)
    dead = []
    manager.add_restart_callback(lambda: dead.append(1), "dead")
    manager.provisioner.launch_timeout = 0.001
    with pytest.raises(HTTPError, match="restart"):
        await manager.restart_kernel(now=True)
    assert dead
    await eventually(lambda: kernel_id not in one.app.kernel_manager)
    await eventually(
        lambda: one.sessions.find(kernel_id, one.extension.owner).status.is_final, timeout=20
    )
    await asyncio.sleep(0)
