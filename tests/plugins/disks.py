"""A disk so small that it can be filled, and one that cannot be written to."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager


@contextmanager
def tmpfs(folder, size="256k"):
    """Mount a tmpfs of `size` bytes on `folder` (made private), and take it away again."""
    folder.mkdir(exist_ok=True)
    options = f"size={size},mode=0700,uid={os.geteuid()}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "sessmgr-test", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def remount(folder, mode):
    """Make a mounted folder read-only ("ro") or writable ("rw")."""
    subprocess.run(["mount", "-o", f"remount,bind,{mode}", folder], check=True)


def bind(source, target):
    """Show one file at the place of another, until what holds it is unmounted."""
    subprocess.run(["mount", "--bind", source, target], check=True)


def fill(folder):
    """Take all the room that a disk has, and return the file that has it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue
    return ballast


def as_root(request, tmp_path):
    """Tell whether this process may mount; otherwise run the requested test where it may.

    Without root, that is a user namespace of its own, so the test runs for real either way.
    """
    if os.geteuid() == 0:
        return True
    away = ["unshare", "--user", "--map-root-user", "--mount"]
    again = [sys.executable, "-m", "pytest", f"--basetemp={tmp_path / 'as-root'}"]
    subprocess.run([*away, *again, request.node.nodeid], cwd=request.config.rootpath, check=True)
    return False
