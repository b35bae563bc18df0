"""The stock command line forwards a session's app to a local port."""

from __future__ import annotations

import subprocess
import time

import pytest
import requests

from jupyter_sessmgr.model.images import REFERENCE_IMAGE
from tests.plugins.agents import free_ports
from tests.plugins.clients import CLIENTS, add_pair

pytestmark = pytest.mark.docker


@pytest.fixture
def pair(docker_server):
    """Add a key pair to the running server."""
    return add_pair(docker_server)


@pytest.mark.parametrize("version", CLIENTS[1:])
def test_an_app_is_forwarded_to_a_local_port(docker_server, stock_client, pair, version):
    client = stock_client(version, f"{docker_server.url}sessmgr", pair)
    name = f"apps-{version.replace('.', '-')}"
    made = client.run("backend.ai", "session", "create", REFERENCE_IMAGE, "-t", name)
    if made.returncode != 0:  # the older command line
        made = client.run("backend.ai", "start", REFERENCE_IMAGE, "-t", name)
    assert made.returncode == 0, made.stdout + made.stderr
    listed = client.run("backend.ai", "apps", name, "-l")
    assert "tensorboard" in listed.stdout + listed.stderr
    (port,) = free_ports(1)
    command = ["backend.ai", "app", name, "tensorboard", "-b", f"127.0.0.1:{port}"]
    with subprocess.Popen(
        [client.folder / "bin" / command[0], *command[1:]],
        cwd=client.work,
        env=client.environ,
        stdin=subprocess.DEVNULL,
    ) as running:
        try:
            assert "TensorBoard" in page(f"http://127.0.0.1:{port}/")
        finally:
            running.kill()


def page(url, timeout=60):
    """Fetch a page as soon as somebody serves it."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            return requests.get(url, timeout=30).text
        except requests.RequestException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
