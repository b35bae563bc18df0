"""A server that ends, however it does, and is started again: what was there is there."""

from __future__ import annotations

import signal
import time

import pytest

from tests.plugins.kernels import ENGINES, KERNEL
from tests.plugins.notebooks import Notebook

STOPS = [signal.SIGTERM, signal.SIGKILL]


def open_notebook(server, path, kernel=KERNEL):
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
    opened = open_notebook(server, "a.ipynb")
    kernel_id = opened["kernel"]["id"]
    with Notebook(server, kernel_id) as notebook:
        notebook.run("x = 41")
    for _ in range(2):  # adopted once, and once more
        end(server, how)
        servers.again(server)
        # The first answers already, or an open tab gives its kernel up.
        assert notebooks(server) == {"a.ipynb": (opened["id"], kernel_id)}
        assert kernel(server, kernel_id)["name"] == opened["kernel"]["name"]
        with Notebook(server, kernel_id) as notebook:
            assert notebook.run("print(x + 1)") == "42\n"
            forever = notebook.ask("import time\nprint('on', flush=True)\ntime.sleep(600)")
            notebook.hear(lambda m: "on" in notebook.output(forever))
            assert server.ask("POST", f"api/kernels/{kernel_id}/interrupt").status_code == 204
            assert "KeyboardInterrupt" in notebook.finish(forever)
    assert server.ask("POST", f"api/kernels/{kernel_id}/restart").status_code == 200
    with Notebook(server, kernel_id) as notebook:
        assert "NameError" in notebook.run("x")
    assert server.ask("DELETE", f"api/sessions/{opened['id']}").status_code == 204
    assert server.info(kernel_id)["status"] == "TERMINATED"
    assert notebooks(server) == {}
