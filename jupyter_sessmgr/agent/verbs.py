"""What a client may ask for."""

from __future__ import annotations

import asyncio
import os
import sys

from .kernelspecs import find_all
from .launch import CHANNELS, base_environ
from .refusals import Invalid, Refused
from .usage import Meter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

    from .extras import Extras
    from .lease import Lease
    from .supervisor import Supervisor

PROTOCOL = 1
_SIGNALS = range(1, 65)
MAX_TAIL = 128 * 1024
MAX_GRACE = 600.0
MAX_LEASE = 366 * 86400.0


class Verbs:
    """Does requests. Each ends in bounded time.

    Parameters
    ----------
    orders : dict
        The agent's config.
    supervisor : Supervisor
        Owns the kernel.
    lease : Lease
        The place's lease.
    leave : callable
        Begins to end the agent, given a grace time.
    extras : Extras
        Does what is not about the kernel.
    """

    def __init__(
        self,
        orders: Mapping[str, Any],
        supervisor: Supervisor,
        lease: Lease,
        leave: Callable[[float], None],
        extras: Extras,
    ) -> None:
        self._orders = orders
        self._supervisor = supervisor
        self._lease = lease
        self._leave = leave
        self._extras = extras
        self._meter = Meter(supervisor.kernel.cgroup, bool(orders.get("owns_pids")))
        self._instance = os.urandom(16).hex()
        #: Whose the place is, sealed by the server; a spare learns it later.
        self._claim = orders.get("claim", "")

    def hello(self) -> dict[str, Any]:
        """Make HELLO of the protocol."""
        specs = find_all(base_environ(self._orders))
        return {
            "protocol": PROTOCOL,
            "instance": self._instance,
            "place_id": self._orders["place_id"],
            "claim": self._claim,
            "python": "%d.%d.%d" % sys.version_info[:3],
            "pid": os.getpid(),
            "kernel": self._supervisor.kernel.describe(),
            "kernelspecs": {name: spec.describe() for name, spec in specs.items()},
            "services": self._extras.describe(),
        }

    async def do(self, verb: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """Do one request."""
        if verb in self._extras.verbs:
            return await self._extras.do(verb, args)
        method = getattr(self, "_do_" + verb, None) if verb.isidentifier() else None
        if method is None:
            raise Invalid("unknown verb %.60r" % verb)
        answer: dict[str, Any] | None = await method(args)
        return answer or {}

    async def _do_start_kernel(self, args: Mapping[str, Any]) -> dict[str, Any]:
        check_kernel(args)
        # shielded: a restart that was begun goes on when its asker leaves
        await asyncio.shield(self._supervisor.start(args, number(args, "grace", 5.0, MAX_GRACE)))
        return _told(self._supervisor)

    async def _do_stop_kernel(self, args: Mapping[str, Any]) -> dict[str, Any]:
        await asyncio.shield(self._supervisor.stop(number(args, "grace", 5.0, MAX_GRACE)))
        return _told(self._supervisor)

    async def _do_personalise(self, args: Mapping[str, Any]) -> dict[str, Any]:
        environ, workdir = args.get("environ") or {}, args.get("workdir") or ""
        _expect_environ(environ)
        _expect(isinstance(workdir, str), "workdir")
        kernel = self._supervisor.kernel
        if args.get("generation", kernel.generation) != kernel.generation:
            raise Refused("There is another kernel by now.")
        await kernel.personal.tell(environ, workdir)
        kernel.changed()
        return _told(self._supervisor)

    async def _do_signal(self, args: Mapping[str, Any]) -> None:
        signum = args.get("signum")
        if type(signum) is not int or signum not in _SIGNALS:
            raise Invalid("signum: not a signal's number")
        self._send(signum)

    async def _do_interrupt(self, _: Mapping[str, Any]) -> None:
        self._send(2)

    async def _do_usage(self, _: Mapping[str, Any]) -> dict[str, Any]:
        return self._meter.read()

    async def _do_logs(self, args: Mapping[str, Any]) -> dict[str, Any]:
        self._supervisor.kernel.output.drain()
        size = int(number(args, "tail", 65536, MAX_TAIL))
        return {"text": self._supervisor.kernel.output.tail(size)}

    async def _do_ping(self, _: Mapping[str, Any]) -> None:
        return None

    async def _do_set_lease(self, args: Mapping[str, Any]) -> None:
        self._lease.set(number(args, "seconds", None, MAX_LEASE))

    async def _do_set_claim(self, args: Mapping[str, Any]) -> None:
        claim = args.get("claim")
        if not isinstance(claim, str):
            raise Invalid("claim: not a text")
        self._lease.set(number(args, "seconds", None, MAX_LEASE))
        self._claim = claim

    async def _do_shutdown(self, args: Mapping[str, Any]) -> None:
        self._leave(number(args, "grace", 5.0, MAX_GRACE))

    def _send(self, signum: int) -> None:
        if not self._supervisor.send(signum):
            raise Refused("No kernel runs in this session.")


def _told(supervisor: Supervisor) -> dict[str, Any]:
    return {"kernel": supervisor.kernel.describe()}


def number(args: Mapping[str, Any], name: str, default: float | None, highest: float) -> float:
    """Read a number that is not negative; a higher one than allowed counts as the highest."""
    value = args.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
        raise Invalid("%s: not a number, or negative" % name)
    return min(float(value), highest)


def check_kernel(args: Mapping[str, Any]) -> None:
    """Refuse a KERNEL of the protocol that cannot be started.

    Raises
    ------
    Invalid
        naming the field.
    """
    _expect(type(args.get("generation")) is int, "generation")
    _expect(isinstance(args.get("name"), str), "name")
    if args.get("argv") is not None:
        argv = args["argv"]
        _expect(isinstance(argv, list) and bool(argv), "argv")
        _expect(all(isinstance(word, str) for word in argv), "argv")
        return
    connection = args.get("connection")
    _expect(isinstance(connection, dict), "connection")
    assert isinstance(connection, dict)
    _expect(connection.get("transport") in ("tcp", "ipc"), "connection.transport")
    _expect(isinstance(connection.get("ip"), str), "connection.ip")
    for channel in CHANNELS:
        name = channel + "_port"
        _expect(type(connection.get(name)) is int, "connection." + name)
    _expect_environ(args.get("environ") or {})
    curve = args.get("curve")
    _expect(curve is None or {"public", "secret"} <= set(curve), "curve")


def _expect(holds: bool, name: str) -> None:
    if not holds:
        raise Invalid("%s: missing, or of the wrong type" % name)


def _expect_environ(environ: object) -> None:
    _expect(isinstance(environ, dict), "environ")
    assert isinstance(environ, dict)
    words = [*environ, *environ.values()]
    _expect(all(isinstance(word, str) and "\0" not in word for word in words), "environ")
    _expect(all(name and "=" not in name for name in environ), "environ")
