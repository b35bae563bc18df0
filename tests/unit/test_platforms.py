"""Other systems than Linux, as far as that can be had on Linux: what only Linux has is hidden."""

from __future__ import annotations

import subprocess
import sys

import pytest

from jupyter_sessmgr.model.platforms import advice, refusal
from tests.meta.tree import PACKAGE

#: What these systems lack, and the libraries that look for it themselves, loaded before.
HIDE = """
import asyncio, os, select, signal, socket, subprocess, sys
import aiohttp, docker, jupyter_server.serverapp, jupyter_client, nbformat, tqdm, zmq, psutil
import cryptography.x509, msgspec, prometheus_client, h11, multiprocessing, ssl, sqlite3, tempfile
import jupyter_client.provisioning, jupyter_server.services.kernels.connection.channels, pty
for module, names in {
    os: "pidfd_open memfd_create eventfd setns unshare sched_getaffinity splice posix_fadvise prctl",
    signal: "pidfd_send_signal",
    select: "epoll",
    socket: "SO_PEERCRED AF_NETLINK AF_VSOCK SO_BINDTODEVICE TCP_USER_TIMEOUT SOCK_CLOEXEC",
}.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
"""
EVERYTHING = """
import importlib, pkgutil, jupyter_sessmgr
found = {one.name for one in pkgutil.walk_packages(jupyter_sessmgr.__path__, "jupyter_sessmgr.")}
found.remove("jupyter_sessmgr.cli.__main__")  # it starts
for name in sorted(found):
    importlib.import_module(name)
print("loaded", len(found), "of agents", sum(".agent." in name for name in found))
"""
NO_UNIX = """
for name in "fcntl pwd grp resource termios tty pty".split():
    sys.modules[name] = None
"""


def run(code, cwd):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_nothing_that_only_linux_has_is_needed_to_import(pytestconfig):
    done = run(f"{HIDE}\nsys.platform = 'darwin'\n{EVERYTHING}", pytestconfig.rootpath)
    assert int(done.stdout.split()[1]) > 250
    assert int(done.stdout.split()[-1]) == len(list((PACKAGE / "agent").glob("[a-z]*.py")))


def test_windows_is_refused_with_words_by_every_command(pytestconfig):
    code = f"{HIDE}\nsys.platform = 'win32'\n{NO_UNIX}"
    code += "\nfrom jupyter_sessmgr.cli.main import main\nsys.exit(main(['check']))"
    done = run(code, pytestconfig.rootpath)
    assert done.returncode == 1
    assert "WSL 2" in done.stderr


def test_windows_is_refused_with_words_by_the_server(monkeypatch):
    import jupyter_sessmgr

    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ImportError, match="WSL 2"):
        jupyter_sessmgr._jupyter_server_extension_points()


@pytest.mark.parametrize(
    ("platform", "release", "words"),
    [
        ("linux", "6.1.0-18-amd64", ""),
        ("linux", "5.15.153.1-microsoft-standard-WSL2", "not below /mnt/c"),
        ("darwin", "24.0.0", "macOS: built to run here, but tested on Linux alone"),
        ("freebsd14", "14.0", "freebsd14: built to run here"),
    ],
)
def test_check_says_what_to_know_of_a_system(platform, release, words):
    assert refusal(platform) == ""
    said = advice(platform, release)
    assert words in said
    assert bool(said) is bool(words)


def test_the_table_of_platforms_says_what_is_only_reasoned(pytestconfig):
    text = (pytestconfig.rootpath / "docs" / "reference" / "platforms.md").read_text()
    for word in ("macOS", "WSL 2", "Docker Desktop", "tested", "reasoned"):
        assert word in text
