"""Remote kernels through a real Jupyter server, as JupyterLab uses them."""

from __future__ import annotations

import threading
import time

import pytest

from tests.plugins.kernels import ENGINES, KERNEL
from tests.plugins.notebooks import Notebook, is_status, parent

pytestmark = pytest.mark.parametrize("engine", ENGINES, scope="module")


@pytest.fixture(scope="module")
def server(engine, module_servers):
    """Give one server per engine to the tests of this module."""
    return module_servers.start(
        engine, config={"AsyncIOLoopKernelRestarter": {"time_to_dead": 0.3}}
    )


def wait_for(condition, timeout=20.0):
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.05)
    return answer


def kernel_ids(server):
    return {kernel["id"] for kernel in server.ask("GET", "api/kernels").json()}


def start(server, path="", name=KERNEL):
    """Start a kernel as a launcher card does; returns Jupyter's own session model."""
    reply = server.ask(
        "POST",
        "api/sessions",
        json={
            "path": path or "n.ipynb",
            "type": "notebook",
            "name": "n.ipynb",
            "kernel": {"name": name},
        },
    )
    assert reply.status_code == 201, reply.text
    return reply.json()


def end(server, model):
    assert server.ask("DELETE", f"api/sessions/{model['id']}").status_code == 204


def test_cards_stand_beside_the_local_ones(server):
    specs = server.ask("GET", "api/kernelspecs").json()
    assert specs["default"] == "python3"
    assert {"python3", KERNEL} <= set(specs["kernelspecs"])
    ours = specs["kernelspecs"][KERNEL]
    assert len(ours["spec"]["display_name"]) <= 20
    logo = server.ask("GET", ours["resources"]["logo-svg"].removeprefix("/base/"))
    assert logo.status_code == 200
    assert logo.headers["Content-Type"].startswith("image/svg")


def test_a_picked_kernel_is_a_session_and_ends_with_its_shutdown(server):
    folder = server.folder / "root" / "sub"
    folder.mkdir(exist_ok=True)
    (folder / "data.csv").write_text("1,2")
    model = start(server, "sub/n.ipynb")
    kernel_id = model["kernel"]["id"]
    assert server.info(kernel_id)["status"] == "RUNNING"
    with Notebook(server, kernel_id) as notebook:
        assert notebook.run("print(open('data.csv').read())") == "1,2\n"
        assert notebook.run("print(__session__.endswith('sub/n.ipynb'))") == "True\n"
        notebook.run("x = 41")
        running = notebook.ask("import time; print('on')\nwhile True: time.sleep(0.01)")
        notebook.hear(lambda m: m["header"]["msg_type"] == "stream" and parent(m) == running)
        assert server.ask("POST", f"api/kernels/{kernel_id}/interrupt").status_code == 204
        assert "KeyboardInterrupt" in notebook.finish(running)
        assert notebook.run("print(x)") == "41\n"
    with Notebook(server, kernel_id) as second:
        assert second.run("print(x)") == "41\n"
    assert server.ask("POST", f"api/kernels/{kernel_id}/restart").status_code == 200
    with Notebook(server, kernel_id) as notebook:
        assert notebook.run("print('x' in dir())") == "False\n"
    end(server, model)
    assert kernel_id not in kernel_ids(server)
    assert server.info(kernel_id)["status"] == "TERMINATED"


@pytest.mark.parametrize("v1", [True, False])
def test_the_cell_that_ran_says_why_its_kernel_died(server, v1):
    model = start(server)
    kernel_id = model["kernel"]["id"]
    with Notebook(server, kernel_id, v1=v1) as notebook:
        notebook.run("x = 1")
        deadly = notebook.ask("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        waiting = notebook.ask("print('never')")
        notebook.hear(lambda m: is_status(m, "restarting"))
        assert "SIGKILL" in notebook.output(deadly)
        assert "started again" in notebook.output(deadly)
        assert notebook.output(waiting) == ""
    with Notebook(server, kernel_id, v1=v1) as notebook:
        assert notebook.run("print('x' in dir())") == "False\n"
    assert "SIGKILL" in server.log()
    end(server, model)


def test_a_kernel_that_was_asked_to_end_is_not_told_as_dead(server):
    before = server.log().count("ended by itself")
    model = start(server)
    kernel_id = model["kernel"]["id"]
    assert server.ask("POST", f"api/kernels/{kernel_id}/restart").status_code == 200
    end(server, model)
    assert server.log().count("ended by itself") == before


def test_a_session_made_by_REST_can_be_picked(server):
    made = server.create(clientSessionToken="made-by-rest", image="jupyter-sessmgr/python")
    session_id = made["sessionId"]
    server.until(session_id, "RUNNING")
    wait_for(lambda: session_id in kernel_ids(server))
    (kernel,) = [k for k in server.ask("GET", "api/kernels").json() if k["id"] == session_id]
    assert kernel["name"] == KERNEL
    with Notebook(server, session_id) as notebook:
        notebook.run("x = 5")
        wait_for(
            lambda: (
                server.ask("GET", f"api/kernels/{session_id}").json()["execution_state"] == "idle"
            )
        )
        assert server.execute(session_id, "print(x)") == "5\n"
        # restarted by the other door, the kernel stays where it is and the browser is told
        assert server.ask("PATCH", "sessmgr/session/made-by-rest").status_code in {200, 204}
        notebook.hear(lambda m: is_status(m, "restarting"))
        wait_for(lambda: server.execute(session_id, "print('x' in dir())") == "False\n")
        # ended by the other door, the browser is told
        assert server.ask("DELETE", "sessmgr/session/made-by-rest").status_code in {200, 204}
        notebook.hear(lambda m: is_status(m, "dead"))
    wait_for(lambda: session_id not in kernel_ids(server))


def test_a_kernel_shut_down_in_Jupyter_ends_its_session(server):
    made = server.create(clientSessionToken="ended-in-jupyter", image="jupyter-sessmgr/python")
    session_id = made["sessionId"]
    wait_for(lambda: session_id in kernel_ids(server))
    assert server.ask("DELETE", f"api/kernels/{session_id}").status_code == 204
    assert server.info(session_id)["status"] == "TERMINATED"


def test_a_client_can_choose_the_id_and_an_ended_one_is_refused(server):
    chosen = "4f8d4f63-0f0c-4d0e-9a58-0c8a3b6f7a10".replace("10", f"{hash(server.url) % 90 + 10}")
    reply = server.ask("POST", "api/kernels", json={"name": KERNEL, "kernel_id": chosen})
    assert reply.status_code == 201, reply.text
    assert reply.json()["id"] == chosen == server.info(chosen)["sessionId"]
    assert server.ask("DELETE", f"api/kernels/{chosen}").status_code == 204
    again = server.ask("POST", "api/kernels", json={"name": KERNEL, "kernel_id": chosen})
    assert again.status_code == 500
    assert "has ended. Start a new kernel." in again.json()["message"]


def test_a_start_can_be_cancelled_by_the_other_door(server):
    chosen = "00000000-1111-4222-8333-444444444444"
    answers = []
    post = threading.Thread(
        target=lambda: answers.append(
            server.ask("POST", "api/kernels", json={"name": KERNEL, "kernel_id": chosen})
        )
    )
    post.start()
    wait_for(lambda: server.ask("GET", f"sessmgr/session/{chosen}").status_code == 200)
    assert server.ask("DELETE", f"sessmgr/session/{chosen}?forced=true").status_code in {200, 204}
    post.join(30)
    (reply,) = answers
    assert reply.status_code == 500
    assert reply.json()["message"] == "The start of the kernel was cancelled."
    assert chosen not in kernel_ids(server)


def test_input_and_widgets(server):
    model = start(server)
    with Notebook(server, model["kernel"]["id"]) as notebook:
        asked = notebook.ask("print('got', input('name? '))", allow_stdin=True)
        prompt = notebook.hear(lambda m: m["header"]["msg_type"] == "input_request")
        assert prompt["content"]["prompt"] == "name? "
        notebook.send("input_reply", {"value": "Ada"}, channel="stdin")
        assert "got Ada" in notebook.finish(asked)
        comm = notebook.run(
            "from comm import get_comm_manager, create_comm\n"
            "got = []\n"
            "c = create_comm(target_name='probe', data={'a': 1})\n"
            "c.on_msg(lambda m: got.append(m['content']['data']['value']))\n"
            "print(c.comm_id)"
        ).strip()
        assert any(m["header"]["msg_type"] == "comm_open" for m in notebook.heard)
        notebook.send("comm_msg", {"comm_id": comm, "data": {"value": 7}})
        assert notebook.run("print(got)") == "[7]\n"
    end(server, model)


def test_local_kernels_work_as_ever(server):
    model = start(server, name="python3")
    kernel_id = model["kernel"]["id"]
    assert server.execute(kernel_id, "print(6 * 7)") == "42\n"
    assert server.ask("GET", f"sessmgr/session/{kernel_id}").status_code == 404
    end(server, model)
