"""The program inside a session: starts its kernel, then answers its server.

Standard library only, Python >= 3.8: it runs in any image.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from . import thrift
from .kernel import Kernel
from .launch import PR_SET_CHILD_SUBREAPER, prctl
from .procs import kill_descendants
from .reaper import Reaper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping


def run(orders: Mapping[str, Any]) -> int:
    """Do what the orders say until told to end; returns the exit code.

    The kernel is started before the rest is imported, because a person waits for it.
    """
    _detach_from_input()
    # as PID 1 the default would be to ignore it; the loop takes it over
    signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if os.getpid() != 1:
        prctl(PR_SET_CHILD_SUBREAPER, 1)
    try:
        os.makedirs(orders["runtime_dir"], mode=0o700, exist_ok=True)
    except OSError as error:
        sys.stderr.write("the agent cannot make its folder: %s\n" % error)
        return 1
    reaper = Reaper()
    kernel = Kernel(orders, reaper)
    try:
        if orders.get("kernel") or orders.get("bootstrap"):
            kernel.start(orders.get("kernel"))
        thrift.put_off()
        from .service import serve  # noqa: PLC0415 - asyncio and ssl load while the kernel starts

        return serve(orders, kernel, reaper)
    finally:
        _end_all(kernel, reaper)


def _end_all(kernel: Kernel, reaper: Reaper) -> None:
    """Leave nothing behind, even when the agent itself failed."""
    reaper.tell_nobody()
    for _ in range(200):
        left = kill_descendants(os.getpid())
        if not reaper.reap() or not left:
            break
        time.sleep(0.01)
    kernel.clean()


def _detach_from_input() -> None:
    """Let go of standard input, which brought the orders."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
