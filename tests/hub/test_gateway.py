"""A server with remote kernels as the gateway of another Jupyter server, by stock means."""

from __future__ import annotations

import signal

import pytest

from tests.plugins.browser import until
from tests.plugins.notebooks import Notebook, is_status
from tests.plugins.server import OTHERS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KERNEL = "sessmgr-python"


def gateway_config(gateway, **extensions):
    """What `--gateway-url` and `--GatewayClient.auth_token` set."""
    return {
        "GatewayClient": {"url": gateway.url, "auth_token": gateway.token},
        "ServerApp": {"jpserver_extensions": {**dict.fromkeys(OTHERS, False), **extensions}},
    }


@pytest.fixture(scope="module")
def gateway(module_servers):
    return module_servers.start()


@pytest.fixture(scope="module")
def front(module_servers, gateway):
    """A Jupyter server that has nothing of ours, and its kernels from the gateway."""
    return module_servers.start(config=gateway_config(gateway, jupyter_sessmgr=False))


@pytest.fixture
def kernel(front, gateway):
    """A notebook's kernel, started at the front."""
    wish = {"path": "a.ipynb", "name": "", "type": "notebook", "kernel": {"name": KERNEL}}
    reply = front.ask("POST", "api/sessions", json=wish)
    assert reply.status_code == 201, reply.text
    yield reply.json()["kernel"]["id"]
    front.ask("DELETE", f"api/sessions/{reply.json()['id']}")
    gateway.destroy_sessions()


def state(server, kernel_id):
    """Ask as JupyterLab does. (Asked for one kernel, a front knows nothing newer.)"""
    listed = server.ask("GET", "api/kernels").json()
    return next((one["execution_state"] for one in listed if one["id"] == kernel_id), "none")


def test_the_gateways_kernelspecs_are_picked_at_the_front(front):
    specs = front.ask("GET", "api/kernelspecs").json()["kernelspecs"]
    assert KERNEL in specs
    for path in specs[KERNEL]["resources"].values():
        logo = front.ask("GET", path.removeprefix("/base/"))
        assert logo.status_code == 200
        assert logo.content


def test_a_kernel_of_the_gateway_does_what_kernels_do(front, gateway, kernel):
    assert gateway.info(kernel)["status"] == "RUNNING"
    with Notebook(front, kernel) as notebook:
        assert notebook.run("x = 41; print(x + 1)") == "42\n"
        asked = notebook.ask("import time\nprint('on', flush=True)\ntime.sleep(600)")
        notebook.hear(lambda _message: "on" in notebook.output(asked))
        assert front.ask("POST", f"api/kernels/{kernel}/interrupt").status_code == 204
        assert "KeyboardInterrupt" in notebook.finish(asked)
        until(lambda: state(front, kernel) == "idle", what="the kernel is idle")
        assert front.ask("POST", f"api/kernels/{kernel}/restart").status_code == 200
    with Notebook(front, kernel) as notebook:
        assert "NameError" in notebook.run("x")
    assert front.ask("DELETE", f"api/kernels/{kernel}").status_code == 204
    assert gateway.until(kernel, "TERMINATED")
    assert front.ask("GET", f"api/kernels/{kernel}").status_code == 404


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_kernels_outlive_the_gateway(module_servers, front, gateway, kernel, how):
    with Notebook(front, kernel) as notebook:
        notebook.run("x = 41")
        asked = notebook.ask("import time\nfor n in range(10**6): print(n); time.sleep(0.05)")
        notebook.hear(lambda _message: "7" in notebook.output(asked))
        gateway.process.send_signal(how)
        gateway.process.wait(30)
        module_servers.again(gateway)
        assert state(front, kernel) == "busy"
        assert front.ask("POST", f"api/kernels/{kernel}/interrupt").status_code == 204
        # jupyter_server's client of gateways connects again by itself.
        notebook.hear(lambda message: is_status(message, "idle"))
        assert notebook.run("print(x + 1, n > 7)") == "42 True\n"
    listed = front.ask("GET", "api/sessions").json()
    assert [(one["path"], one["kernel"]["id"]) for one in listed] == [("a.ipynb", kernel)]


def test_a_front_with_the_extension_leaves_its_kernels_to_the_gateway(module_servers, gateway):
    """Whoever has both installed starts no sessions of their own by picking a kernel."""
    both = module_servers.start(config=gateway_config(gateway, jupyter_sessmgr=True))
    reply = both.ask("POST", "api/kernels", json={"name": KERNEL})
    assert reply.status_code == 201, reply.text
    assert [one["sessionId"] for one in gateway.sessions()] == [reply.json()["id"]]
    assert both.sessions() == []
    assert both.execute(reply.json()["id"], "print(6 * 7)") == "42\n"
    both.stop()
    assert "Traceback" not in both.log()
    gateway.destroy_sessions()
