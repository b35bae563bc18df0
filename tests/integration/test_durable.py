"""A server that ends, however it does, and is started again: what was there is there."""

from __future__ import annotations

import os
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosed

from tests.plugins.kernels import ENGINES, KERNEL
from tests.plugins.notebooks import Notebook, is_status
from tests.plugins.processes import agent_pid
from tests.plugins.server import ROOT

STOPS = [signal.SIGTERM, signal.SIGKILL]
#: A cell that runs until it is interrupted, after it said that it runs.
FOREVER = "import time\nprint('on', flush=True)\ntime.sleep(600)"
#: Runs before the server's own code: it is another release.
OTHER_RELEASE = "import jupyter_sessmgr._version as its\nits.__version__ = '99.1.2'\n"


def open_notebook(server, path="a.ipynb", kernel=KERNEL):
    """Open a notebook as JupyterLab does; return its session."""
    wish = {"path": path, "name": path, "type": "notebook", "kernel": {"name": kernel}}
    reply = server.ask("POST", "api/sessions", json=wish)
    assert reply.status_code == 201, reply.text
    return reply.json()


def notebooks(server):
    """List Jupyter's notebook sessions: path -> (id, kernel's id)."""
    reply = server.ask("GET", "api/sessions")
    return {one["path"]: (one["id"], one["kernel"]["id"]) for one in reply.json()}


def end(server, how):
    server.process.send_signal(how)
    server.process.wait(30)


def kernel(server, kernel_id):
    reply = server.ask("GET", f"api/kernels/{kernel_id}")
    assert reply.status_code == 200, reply.text
    return reply.json()


def begin(notebook, code=FOREVER):
    """Ask for a cell that says "on"; return when it runs."""
    asked = notebook.ask(code)
    notebook.hear(lambda message: "on" in notebook.output(asked))
    return asked


def wait_for(condition, timeout=30.0):
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.05)
    return answer


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("how", STOPS)
def test_P4_P5_a_notebook_finds_its_kernel_and_its_variables_again(servers, engine, how):
    server = servers.start(engine)
    opened = open_notebook(server)
    kernel_id = opened["kernel"]["id"]
    with Notebook(server, kernel_id) as notebook:
        notebook.run("x = 41")
        end(server, how)
        with pytest.raises(ConnectionClosed):
            notebook.hear(lambda _message: False)
    for _ in range(2):  # adopted once, and once more
        servers.again(server)
        # The first answer already has it, or an open tab gives its kernel up.
        assert notebooks(server) == {"a.ipynb": (opened["id"], kernel_id)}
        assert kernel(server, kernel_id)["name"] == opened["kernel"]["name"]
        with Notebook(server, kernel_id) as notebook:
            assert notebook.run("print(x + 1)") == "42\n"
            asked = begin(notebook)
            assert server.ask("POST", f"api/kernels/{kernel_id}/interrupt").status_code == 204
            assert "KeyboardInterrupt" in notebook.finish(asked)
        end(server, how)
    servers.again(server)
    assert server.ask("POST", f"api/kernels/{kernel_id}/restart").status_code == 200
    with Notebook(server, kernel_id) as notebook:
        assert "NameError" in notebook.run("x")
    assert server.ask("DELETE", f"api/sessions/{opened['id']}").status_code == 204
    assert server.info(kernel_id)["status"] == "TERMINATED"
    assert notebooks(server) == {}
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("engine", ENGINES)
def test_a_kernel_adopted_in_a_silent_cell_is_busy_answers_and_is_not_culled(servers, engine):
    server = servers.start(engine)
    kernel_id = open_notebook(server)["kernel"]["id"]
    with Notebook(server, kernel_id) as notebook:
        begin(notebook, "import time; print('on', flush=True); time.sleep(60); x = 1")
    end(server, signal.SIGKILL)
    cull = {"cull_idle_timeout": 1, "cull_interval": 1}
    idle = {"durable_idle_timeout": 1.0, "idle_timeout": 1.0, "warning_before": 0.0}
    limits = {"MappingKernelManager": cull, "IdleCuller": {**idle, "check_interval": 0.2}}
    servers.again(server, config=limits)
    assert kernel(server, kernel_id)["execution_state"] == "busy"
    began = time.monotonic()
    with Notebook(server, kernel_id) as notebook:  # opening does not wait for the cell
        assert time.monotonic() - began < 30, "the websocket opened when the cell had ended"
    time.sleep(3)  # rounds of both cullers, with nobody connected
    assert kernel(server, kernel_id)["execution_state"] == "busy"
    assert server.info(kernel_id)["status"] == "RUNNING"
    assert server.ask("POST", f"api/kernels/{kernel_id}/interrupt").status_code == 204
    wait_for(lambda: server.info(kernel_id)["status"] == "TERMINATED")  # idle by now, and culled
    assert "idle-timeout" in server.info(kernel_id)["statusInfo"]


def test_a_notebook_opens_in_a_silent_cell_though_the_agent_is_reached_late(servers):
    server = servers.start()
    kernel_id = open_notebook(server)["kernel"]["id"]
    with Notebook(server, kernel_id) as notebook:
        begin(notebook)
    end(server, signal.SIGKILL)
    (place,) = (server.state_dir / "places").iterdir()
    agent = agent_pid(server.state_dir, place.name)
    os.kill(agent, signal.SIGSTOP)
    try:
        servers.again(server)
        assert kernel(server, kernel_id)["execution_state"] == "busy"
        with ThreadPoolExecutor(1) as pool:
            opening = pool.submit(Notebook, server, kernel_id)
            wait_for(lambda: "did not answer" in server.log())  # the first try was in vain
            os.kill(agent, signal.SIGCONT)
            with opening.result(40) as notebook:  # before Jupyter gives the kernel up, after 60 s
                server.ask("POST", f"api/kernels/{kernel_id}/interrupt")
                assert notebook.run("print(6 * 7)") == "42\n"
    finally:
        os.kill(agent, signal.SIGCONT)


def test_an_adopted_kernel_that_dies_is_started_again_and_its_cell_says_why(servers):
    server = servers.start()
    kernel_id = open_notebook(server)["kernel"]["id"]
    end(server, signal.SIGKILL)
    restarter = {"AsyncIOLoopKernelRestarter": {"time_to_dead": 0.2}}
    servers.again(server, config=restarter)
    with Notebook(server, kernel_id) as notebook:
        deadly = notebook.ask("import os; os._exit(3)")
        notebook.hear(lambda m: is_status(m, "restarting"))
        assert "exit code 3" in notebook.output(deadly)
    with Notebook(server, kernel_id) as notebook:
        assert notebook.run("print(6 * 7)") == "42\n"


def test_another_release_finds_what_was_there(servers, tmp_path):
    server = servers.start()
    opened = open_notebook(server)
    kernel_id = opened["kernel"]["id"]
    with Notebook(server, kernel_id) as notebook:
        notebook.run("x = 41")
    end(server, signal.SIGTERM)
    (tmp_path / "sitecustomize.py").write_text(OTHER_RELEASE)
    servers.again(server, environ={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert server.ask("GET", "sessmgr").json()["manager"].endswith("99.1.2")
    assert notebooks(server) == {"a.ipynb": (opened["id"], kernel_id)}
    assert server.execute(kernel_id, "print(x + 1)") == "42\n"


def test_a_stopping_server_says_what_goes_on_and_how_to_end_it(servers):
    server = servers.start()
    open_notebook(server)
    made = server.create(clientSessionToken="long-work")["sessionId"]
    server.create(clientSessionToken="passing-work", durable=False)
    server.until(made, "RUNNING")
    end(server, signal.SIGTERM)
    said = server.log().partition("These sessions go on without this server")[2]
    assert re.search(rf"session-\w+ \({server.folder}/root/a.ipynb\)\n", said)
    assert "long-work\n" in said
    assert "passing-work" not in said
    assert "jupyter sessmgr stop NAME" in said
    assert "Traceback" not in server.log()


def test_P5_interactive_sessions_of_a_killed_server_end_after_a_while(servers):
    server = servers.start()
    durable = server.create(durable=True)["sessionId"]
    passing = server.create(durable=False)["sessionId"]
    server.until(passing, "RUNNING")
    assert "3" in server.execute(passing, "x = 3; x")
    end(server, signal.SIGKILL)
    servers.again(server, config={"IdleCuller": {"orphan_timeout": 4.0, "check_interval": 0.2}})
    assert server.info(passing)["status"] == "RUNNING"
    assert "3" in server.execute(passing, "x")  # time to save what is in it
    assert "server-stopped" in server.until(passing, "TERMINATED")["statusInfo"]
    assert server.info(durable)["status"] == "RUNNING"


def test_a_damaged_file_of_notebook_sessions_costs_the_sessions_and_no_kernel(servers):
    server = servers.start()
    opened = open_notebook(server)
    end(server, signal.SIGKILL)
    (file,) = (server.state_dir / "notebooks").glob("*.db")
    for side in file.parent.glob("*.db-*"):  # else SQLite mends the file itself
        side.unlink()
    file.write_bytes(b"no database at all")
    servers.again(server)
    assert notebooks(server) == {}
    assert "was moved to" in server.log()
    kernel_id = opened["kernel"]["id"]
    assert kernel(server, kernel_id)["id"] == kernel_id
    wish = {"path": "a.ipynb", "name": "", "type": "notebook", "kernel": {"id": kernel_id}}
    again = server.ask("POST", "api/sessions", json=wish).json()
    assert notebooks(server) == {"a.ipynb": (again["id"], kernel_id)}
