"""Sees to it that a server which is asked to stop does so."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from typing import Any


def stop_in_turn(server: Any) -> None:
    """Have SIGTERM handled by the event loop, between other things, as jupyter_server handles it.

    Called once the loop runs. jupyter_server writes to its log in the signal's handler. That
    fails when the signal comes while a line of the log is being written, and the server then goes
    on as if it had not been asked to stop.
    """
    stop = getattr(server, "_signal_stop", None)
    if stop is None or signal.getsignal(signal.SIGTERM) != stop:
        return  # others have it: who embeds the server
    loop = asyncio.get_running_loop()

    # Not the loop's own handlers: for these, a signal to a forked child counts as one to the server
    def in_turn(signum: int, _frame: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: it has stopped
            loop.call_soon_threadsafe(stop, signum, None)

    signal.signal(signal.SIGTERM, in_turn)


def end_workers_at_exit() -> None:
    """Have the process end although a request was not answered whole when its loop stopped.

    anyio ends a worker thread when the task ends that began it. A task that the loop did not
    finish leaves its thread, and Python waits for that one for ever.
    """
    threading.Thread(target=_end_workers, name="sessmgr-exit", daemon=True).start()


def _end_workers() -> None:
    threading.main_thread().join()
    for thread in threading.enumerate():
        stop = getattr(thread, "stop", None)
        if thread.name == "AnyIO worker thread" and stop is not None:
            stop()
