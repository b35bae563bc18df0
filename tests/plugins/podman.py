"""A real Podman with storage of its own, answering on a socket as Docker does."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import docker
import pytest
import requests
from docker.errors import DockerException

from jupyter_sessmgr.model.images import REFERENCE_IMAGE

CONFIGURATION = """
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
[engine]
cgroup_manager = "cgroupfs"
runtime = "{runtime}"
events_logger = "file"
[containers]
log_driver = "k8s-file"
"""


def no_podman(why):
    """Skip, or fail where there has to be one."""
    if os.environ.get("CI"):
        pytest.fail(f"CI needs Podman: {why}")
    pytest.skip(f"no Podman: {why}")


@pytest.fixture(scope="session")
def podman_host(docker_api, reference_image):
    """Run Podman's service with the reference image in it; give its address."""
    if os.geteuid() != 0:
        no_podman("only root's can be given storage of its own here")
    # crun knows either kind of control groups, but not both at once.
    hybrid = Path("/sys/fs/cgroup/unified").is_dir()
    runtime = "runc" if hybrid else "crun"
    missing = [one for one in ("podman", runtime) if shutil.which(one, path=_path()) is None]
    if not any(Path("/usr").glob("*lib*/podman/netavark")):
        missing.append("netavark")
    if missing:
        no_podman(f"{missing[0]} is not installed")
    # Short, for the sockets below it; not in memory, for the overlay.
    folder = Path(tempfile.mkdtemp(prefix="sp", dir="/var/tmp"))
    (folder / "networks").mkdir()
    (folder / "conf").write_text(CONFIGURATION.format(folder=folder, runtime=runtime))
    podman = Podman(folder)
    try:
        podman.load(docker_api.get_image(f"{REFERENCE_IMAGE}:latest"))
        podman.serve()
        yield podman.host
    finally:
        podman.end()


def _path():
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class Podman:
    """One installation of Podman below a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.host = f"unix://{folder}/s"
        self._service = None
        self._environ = {**os.environ, "CONTAINERS_CONF": f"{folder}/conf", "PATH": _path()}

    def command(self, *words):
        return [
            "podman", "--root", f"{self.folder}/root", "--runroot", f"{self.folder}/run",
            "--storage-driver", "overlay", *words,
        ]  # fmt: skip

    def run(self, *words):
        return subprocess.run(
            self.command(*words), check=False, env=self._environ, timeout=120, capture_output=True
        )

    def load(self, archive):
        loading = subprocess.Popen(
            self.command("load", "--quiet"),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=self._environ,
        )  # fmt: skip
        for piece in archive:
            loading.stdin.write(piece)
        loading.stdin.close()
        assert loading.wait(120) == 0

    def serve(self):
        with (self.folder / "log").open("ab") as log:
            self._service = subprocess.Popen(
                self.command("system", "service", "--time=0", self.host),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environ,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while True:
            try:
                api = docker.APIClient(base_url=self.host, version="auto", timeout=10)
            except (DockerException, requests.RequestException):
                assert self._service.poll() is None, (self.folder / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            else:
                api.close()
                return

    def end(self):
        if self._service is not None:
            self._service.terminate()
            try:
                self._service.wait(10)
            except subprocess.TimeoutExpired:
                self._service.kill()
        self.run("rm", "--all", "--force")
        self.run("network", "prune", "--force")
        self.run("rmi", "--all", "--force")
        subprocess.run(["umount", "-l", f"{self.folder}/root/overlay"], check=False,
                       capture_output=True, timeout=20)  # fmt: skip
        shutil.rmtree(self.folder, ignore_errors=True)
