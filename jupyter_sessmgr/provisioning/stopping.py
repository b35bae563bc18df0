"""Sees to it that a server which is asked to stop does so."""

from __future__ import annotations

import asyncio
import contextlib
import signal
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
