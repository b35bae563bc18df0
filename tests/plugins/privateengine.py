"""A dockerd of a test's own, in a network of its own: it may be killed, and its network broken."""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import docker

from jupyter_sessmgr.model.images import REFERENCE_IMAGE
from tests.plugins.docker import no_engine

#: Has a kernel, and little else.
SMALL_IMAGE = "sessmgr-test/small:1"
_CLONE_NEWNET = 0x40000000
#: What of the reference image no plain kernel needs.
_HEAVY = (
    "numpy", "numpy.libs", "matplotlib", "mpl_toolkits", "fontTools", "babel", "jupyterlab",
    "tensorboard", "tensorboard_data_server", "grpc", "PIL", "pillow.libs", "pip", "kiwisolver",
    "setuptools", "widgetsnbextension", "notebook", "jupyter_server", "google", "debugpy", "jedi",
    "contourpy", "werkzeug", "jupyter_builder", "tzdata", "yaml", "bleach", "lark", "absl",
)  # fmt: skip


class PrivateEngine:
    """A dockerd in a network namespace of its own, where it disturbs no other."""

    def __init__(self, folder):
        self.folder = folder
        self.host = f"unix://{folder}/s"
        self._network = subprocess.Popen(
            ["unshare", "-n", "sh", "-c", "ip link set lo up && echo && exec sleep 3600"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._network.stdout.readline()
        self._process = None

    def start(self, *options):
        """Start it, again or for the first time, and return a client of it."""
        command = [
            *("nsenter", f"--net=/proc/{self._network.pid}/ns/net"),
            *("dockerd", "--host", self.host, "--data-root", f"{self.folder}/data"),
            *("--exec-root", f"{self.folder}/exec", "--pidfile", f"{self.folder}/pid"),
        ]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                return docker.APIClient(base_url=self.host, version="auto", timeout=30)
            except docker.errors.DockerException:
                assert self._process.poll() is None, self.words()
                assert time.monotonic() < deadline, self.words()
                time.sleep(0.1)

    def kill(self):
        """Kill it and its containerd, as a crash of the machine's services would."""
        pids = [self._process.pid, self._containerd()]
        for pid in filter(None, pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(10)
        # A process that nobody collects would look alive to the next engine.
        for left in ("pid", "exec/containerd/containerd.pid"):
            (self.folder / left).unlink(missing_ok=True)

    def _containerd(self):
        with suppress(OSError, ValueError):
            return int((self.folder / "exec/containerd/containerd.pid").read_text())
        return None

    def stop(self):
        """Ask it to end, as a system that goes down does."""
        self._process.terminate()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def freeze(self, *, frozen):
        """Have it answer nobody, or let it go on."""
        os.kill(self._process.pid, signal.SIGSTOP if frozen else signal.SIGCONT)

    def ip(self, *words):
        """Run ``ip`` in its network."""
        subprocess.run(
            ["nsenter", f"--net=/proc/{self._network.pid}/ns/net", "ip", *words],
            check=True, timeout=20, capture_output=True,
        )  # fmt: skip

    def beside(self, work):
        """Run an async function in its network, on a loop in a thread of its own."""

        def run():
            with Path(f"/proc/{self._network.pid}/ns/net").open() as network:
                assert ctypes.CDLL(None).setns(network.fileno(), _CLONE_NEWNET) == 0
            return asyncio.run(work())

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(run).result()

    def words(self):
        return (self.folder / "log").read_text(errors="replace")[-2000:]

    def end(self):
        """End it and all that it runs, and leave nothing."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self.freeze(frozen=False)
            self.stop()
        _kill_below(self.folder)
        _unmount_below(self.folder)
        self._network.kill()
        self._network.wait()
        self._network.stdout.close()
        shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def a_private_engine():
    missing = [one for one in ("dockerd", "unshare", "busybox") if shutil.which(one) is None]
    if missing or os.geteuid() != 0:
        no_engine(f"a private one needs root and {missing}")
    # Short, for the sockets below it; not in memory, for the overlay.
    engine = PrivateEngine(Path(tempfile.mkdtemp(prefix="sd", dir="/var/tmp")))
    try:
        yield engine
    finally:
        engine.end()


def _kill_below(folder):
    """Kill what an engine that did not come back has left: minders of containers, and those."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and str(folder) in (entry / "cmdline").read_text():
                children = Path(f"/proc/{entry.name}/task/{entry.name}/children").read_text()
                for pid in (*children.split(), entry.name):
                    os.kill(int(pid), signal.SIGKILL)


def _unmount_below(folder):
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((one for one in mounts if one.startswith(str(folder))), reverse=True):
        subprocess.run(["umount", "-l", mount], check=False, timeout=20)


def import_small_image(host, private):
    """Give a private engine what a kernel needs of the reference image, which is a quarter."""
    left_out = [f"opt/python/lib/python3*/site-packages/{one}" for one in _HEAVY]
    left_out += ["opt/python/share/jupyter/lab*", "usr/lib/python3*/test", "usr/lib/*/perl*"]
    keep = ["bin", "lib", "lib64", "usr/bin", "usr/lib", "usr/lib64", "etc/passwd", "etc/group"]
    keep += ["etc/ld.so.cache", "opt/python", "home", "tmp", "run"]
    pack = [
        *("docker", f"--host={host}", "run", "--rm", "--network=none", "--entrypoint=tar"),
        *(REFERENCE_IMAGE, "-c", "-C", "/", *(f"--exclude={one}" for one in left_out), *keep),
    ]
    unpack = ["docker", f"--host={private.host}", "import"]
    unpack += ["--change", "ENV PATH=/opt/python/bin:/usr/bin:/bin", "-", SMALL_IMAGE]
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packing:
        subprocess.run(unpack, stdin=packing.stdout, check=True, timeout=120, capture_output=True)
    assert packing.returncode == 0
