"""The agent's loop: opens the control port, ticks, and ends in order."""

from __future__ import annotations

import asyncio
import signal
import sys
from itertools import count

from . import thrift
from .control import Control
from .extras import Extras
from .lease import Lease
from .supervisor import StopFailed, Supervisor
from .verbs import Verbs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from .kernel import Kernel
    from .reaper import Reaper

#: How long a kernel may take to end when the place is being stopped, in seconds.
_TERM_GRACE = 2.0
#: The same when the lease is over: nobody waits then.
_LEASE_GRACE = 10.0
#: How often memory is given back, in seconds.
_GIVE_BACK = 60
#: What the agent exits with, so that the engine's word on its end says why.
_TOLD, _TERMINATED, _LEASE_OVER = 0, 128 + signal.SIGTERM, 75


def serve(orders: Mapping[str, Any], kernel: Kernel, reaper: Reaper) -> int:
    """Run until told to end; returns the exit code."""
    return asyncio.run(Service(orders, kernel, reaper).run())


class Service:
    """Wires the parts together.

    Parameters
    ----------
    orders : dict
        The agent's config.
    kernel : Kernel
        Started already, when the orders have one.
    reaper : Reaper
        Collects what ended.
    """

    def __init__(self, orders: Mapping[str, Any], kernel: Kernel, reaper: Reaper) -> None:
        self._orders = orders
        self._kernel = kernel
        self._reaper = reaper
        self._lease = Lease(orders.get("lease") or 0)
        self._end: asyncio.Future[tuple[float, int]] | None = None

    async def run(self) -> int:
        """Serve, then end everything below."""
        loop = asyncio.get_running_loop()
        self._end = loop.create_future()
        loop.set_exception_handler(thrift.say_trouble)
        loop.add_signal_handler(signal.SIGTERM, self._leave, _TERM_GRACE, _TERMINATED)
        extras = Extras(self._orders, self._reaper)
        supervisor = Supervisor(self._kernel, self._reaper, self._orders, extras.premises.guests)
        verbs = Verbs(self._orders, supervisor, self._lease, self._leave, extras)
        control = Control(self._orders, verbs.hello, verbs.do, self._lease.renew, extras.serve)
        extras.push = control.push
        extras.premises.recorder = self._kernel.recorder
        self._kernel.changed = lambda: control.push(
            {"event": "kernel", "kernel": self._kernel.describe()}
        )
        self._kernel.recorder.changed = self._kernel.changed
        supervisor.open()
        control.open()
        ticking = loop.create_task(self._tick())
        try:
            grace, code = await self._end
        finally:
            ticking.cancel()
        try:
            await asyncio.gather(extras.close(grace), supervisor.close(grace))
        except StopFailed as error:
            sys.stderr.write("%s\n" % error)
        await control.close()
        return code

    def _leave(self, grace: float, code: int = _TOLD) -> None:
        """Begin to end. A second call changes nothing."""
        if self._end is not None and not self._end.done():
            self._end.set_result((grace, code))

    async def _tick(self) -> None:
        """Count the seconds that the agent really runs."""
        for seconds in count():
            await asyncio.sleep(1.0)
            self._reaper.reap()  # a signal can be lost
            self._kernel.oom.tick()
            self._kernel.recorder.settle()
            if seconds % _GIVE_BACK == 0:
                thrift.give_back()
            if self._lease.tick():
                sys.stderr.write("no server was heard for too long, the session ends\n")
                self._leave(_LEASE_GRACE, _LEASE_OVER)
