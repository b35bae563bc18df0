"""Kernels of other images and presets: another language, memory limits, encryption, words."""

from __future__ import annotations

import json
import time

import pytest

from jupyter_sessmgr.cli.image import build_image
from tests.plugins.kernels import KERNEL
from tests.plugins.notebooks import Notebook, is_status, parent


@pytest.fixture
def one(inside):
    """Give a server on the test's own loop."""
    return inside()


async def test_listing_kernelspecs_blocks_no_more_than_without_us(one):
    await one.extension.opener.ready()
    reply = await one.ask("GET", "api/kernelspecs")
    assert reply.code == 200, reply.body
    assert {"python3", KERNEL} <= set(json.loads(reply.body)["kernelspecs"])


async def test_the_reason_of_a_refused_start_is_what_Lab_shows(inside_with_limits):
    one = inside_with_limits
    await one.extension.opener.ready()
    body = {"path": "n.ipynb", "type": "notebook", "name": "n.ipynb", "kernel": {"name": KERNEL}}
    first = await one.ask("POST", "api/sessions", body=body)
    assert first.code == 201, first.body
    body["path"] = "m.ipynb"
    second = await one.ask("POST", "api/sessions", body=body)
    message = json.loads(second.body)["message"]
    assert second.code == 500
    assert message.startswith(("Too many", "You have", "The server")), message
    assert "HTTP" not in message
    plain = await one.ask("POST", "api/kernels", body={"name": KERNEL})
    assert json.loads(plain.body)["message"] == message
    await one.ask("DELETE", f"api/kernels/{json.loads(first.body)['kernel']['id']}")


@pytest.fixture
def inside_with_limits(inside):
    """Give a server where one session is the limit."""
    return inside(AdmissionControl={"max_sessions_per_owner": 1})


def start(server, name):
    reply = server.ask("POST", "api/kernels", json={"name": name})
    assert reply.status_code == 201, reply.text
    return reply.json()["id"]


@pytest.mark.docker
def test_C1_a_kernel_without_memory_says_so_in_its_cell(servers):
    presets = {"python": {"resources": {"mem": "256m"}}}
    server = servers.start("docker", config={"AdmissionControl": {"presets": presets}})
    kernel_id = start(server, KERNEL)
    with Notebook(server, kernel_id) as notebook:
        hungry = notebook.ask("x = bytearray(900 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1")
        notebook.hear(lambda m: is_status(m, "restarting"))
        assert "memory" in notebook.output(hungry)
    with Notebook(server, kernel_id) as notebook:
        assert notebook.run("print(1)") == "1\n"
    assert server.ask("DELETE", f"api/kernels/{kernel_id}").status_code == 204


@pytest.fixture
def r_image(docker_host):
    """Build the image with Debian's R kernel, unless it is up to date; give its name."""
    build_image(docker_host, "jupyter-sessmgr/r", lambda *_: None, recipe="r")
    return "jupyter-sessmgr/r"


@pytest.mark.docker
def test_an_R_kernel_starts_by_its_own_argv_and_is_interrupted(servers, r_image):
    server = servers.start("docker", config={"AdmissionControl": {"allowed_images": [r_image]}})
    specs = server.ask("GET", "api/kernelspecs").json()["kernelspecs"]
    (name,) = [one for one, spec in specs.items() if spec["spec"]["language"].lower() == "r"]
    kernel_id = start(server, name)
    with Notebook(server, kernel_id) as notebook:
        assert "[1] 42" in notebook.run("cat('[1]', 6 * 7)")
        endless = notebook.ask("cat('on'); flush.console(); while (TRUE) Sys.sleep(0.01)")
        notebook.hear(lambda m: is_status(m, "busy") and parent(m) == endless)
        time.sleep(1)
        assert server.ask("POST", f"api/kernels/{kernel_id}/interrupt").status_code == 204
        notebook.finish(endless, timeout=20)
        assert "[1] 43" in notebook.run("cat('[1]', 43)")
    assert server.ask("POST", f"api/kernels/{kernel_id}/restart").status_code == 200
    with Notebook(server, kernel_id) as notebook:
        assert "FALSE" in notebook.run("cat(exists('x'))")
    assert server.ask("DELETE", f"api/kernels/{kernel_id}").status_code == 204


@pytest.mark.docker
def test_required_encryption_refuses_a_kernel_that_cannot(servers, r_image):
    server = servers.start(
        "docker",
        config={
            "AdmissionControl": {
                "allowed_images": [r_image],
                "presets": {"python": {"encryption": "required"}},
            }
        },
    )
    specs = server.ask("GET", "api/kernelspecs").json()["kernelspecs"]
    (name,) = [one for one, spec in specs.items() if spec["spec"]["language"].lower() == "r"]
    reply = server.ask("POST", "api/kernels", json={"name": name})
    assert reply.status_code == 500
    assert "encrypt" in reply.json()["message"]
    assert start(server, KERNEL)
