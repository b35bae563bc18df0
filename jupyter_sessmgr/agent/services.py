"""The apps of a place: started when somebody wants them, and watched."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import socket
import sys

from . import exits, launch, servicedefs
from .listening import held_hosts, holds, listening
from .refusals import Invalid, Refused, Unknown
from .ring import Ring
from .tunnel import LOOPBACKS, check_port
from .verbs import number

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Coroutine, Mapping

    from .premises import Premises

MAX_SERVICES = 32
#: Ports that are spoken of at once.
MAX_PORTS = 256
#: Seconds that somebody waits for a start, at most.
MAX_PATIENCE = 600.0
LOG_BYTES = 64 * 1024
TAIL_BYTES = 4096
#: How often a starting app's port is tried, in seconds.
_LOOK = 0.05
_GRACE = 3.0
#: Seconds that an app rests after it failed, before a mere use starts it again: first, at most.
_REST, _LONGEST_REST = 1.0, 60.0
#: Seconds after which an app counts as one that works.
_PROVEN = 60.0


class App:
    """One app of the place.

    Parameters
    ----------
    name : str
        Its name, as the server knows it.
    premises : Premises
        Where it runs.
    changed : callable
        Called after every change that the server should hear of.
    """

    def __init__(self, name: str, premises: Premises, changed: Callable[[App], None]) -> None:
        self.name = name
        #: "starting", "running", "stopped" when asked to, "failed" when it ended by itself.
        self.state = "stopped"
        self.ports: list[int] = []
        self.error = ""
        self.pid: int | None = None
        self._starts = 0
        self.output = Ring(LOG_BYTES)
        self.starting: asyncio.Task[None] | None = None
        #: Whose definition is in effect: "admin", "image" or "built-in"; "" before the first.
        self.source = ""
        #: What was last asked for: arguments and environment.
        self.asked: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
        #: When a mere use may start it again, on the loop's clock.
        self.rests_until = 0.0
        self._failures = 0
        self._running_since: float | None = None
        self._definition: servicedefs.Definition | None = None
        self._premises = premises
        self._changed = changed
        self._output_end = -1

    def describe(self) -> dict[str, Any]:
        """Return what the server is told: SSTATE of the protocol."""
        return {
            "name": self.name,
            "state": self.state,
            "ports": self.ports,
            "pid": self.pid,
            "error": self.error,
            "tail": self.output.tail(TAIL_BYTES),
            "source": self.source,
            "whole_paths": self._definition is not None and self._definition.whole_paths,
            "authorization": self._definition.authorization if self._definition else "",
        }

    async def start(
        self,
        definition: servicedefs.Definition,
        values: dict[str, Any],
    ) -> None:
        """Start it as `asked`, and wait until its port answers; how that went is its state."""
        self._definition = definition
        self.ports = [free_port(port) for port in values["ports"]]
        values = dict(values, ports=self.ports, workdir=self._premises.folder())
        values["runtime_path"] = sys.executable
        self._set("starting")
        try:
            folder = self._premises.path("service-" + self.name)
            os.makedirs(folder, mode=0o700, exist_ok=True)
            log = servicedefs.prepare(definition.prestart, values, folder)
            self.output.write(log.encode("utf-8", "replace"))
            argv, variables = definition.fill(values, *self.asked)
            self._spawn(argv, dict(self._premises.environ(), **variables))
        except (launch.LaunchFailed, OSError, Invalid) as error:
            self._fail("%s could not be started: %s" % (self.name, error))
            return
        await self._until_answers(definition.timeout)

    async def stop(self, grace: float) -> None:
        """End it, and all that it started. Harmless when it does not run."""
        if self.starting is not None:
            self.starting.cancel()
            await asyncio.wait({self.starting})
        pid = self.pid
        self._set("stopped")
        if pid is not None:
            await self._premises.end(pid, grace)

    def _spawn(self, argv: list[str], environ: dict[str, str]) -> None:
        self._output_end, start = os.pipe()
        os.set_blocking(self._output_end, False)
        try:
            self._starts += 1
            ended = functools.partial(self._ended, self._starts)
            self.pid = self._premises.spawn(argv, environ, start, ended)
        except BaseException:
            os.close(self._output_end)
            raise
        finally:
            os.close(start)
        asyncio.get_running_loop().add_reader(self._output_end, self._read, self._output_end)

    def _read(self, source: int) -> None:
        """Take over what the app wrote."""
        try:
            data = os.read(source, 65536)
        except BlockingIOError:
            return
        self.output.write(data)
        if not data:
            asyncio.get_running_loop().remove_reader(source)
            os.close(source)
            if source == self._output_end:
                self._output_end = -1

    def _ended(self, start: int, code: int) -> None:
        if start != self._starts:
            return  # the one before, which was stopped: not how this one ended
        if self.pid is not None:
            self._premises.guests.discard(self.pid)
        self.pid = None
        if self.state in ("stopped", "failed"):
            return
        with contextlib.suppress(OSError, ValueError):  # its last words
            self._read(self._output_end)
        self._fail(exits.exit_reason(code, "The service %s" % self.name))

    async def _until_answers(self, timeout: float) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while self.state == "starting":
            if await answers(self.ports[0]):
                if self.state == "starting":
                    self._running_since = loop.time()
                    self._set("running")
                return
            if loop.time() > deadline:
                error = "%s did not open port %d within %g s." % (
                    self.name,
                    self.ports[0],
                    timeout,
                )
                pid, self.pid = self.pid, None
                self._fail(error)
                if pid is not None:
                    await self._premises.end(pid, _GRACE)
                return
            await asyncio.sleep(_LOOK)

    def _fail(self, error: str) -> None:
        """Note why it does not run. One that fails again and again rests longer each time."""
        now = asyncio.get_running_loop().time()
        since, self._running_since = self._running_since, None
        self._failures = 0 if since is not None and now - since > _PROVEN else self._failures
        self.rests_until = now + min(_REST * 2**self._failures, _LONGEST_REST)
        self._failures = min(self._failures + 1, 10)
        self._set("failed", error)

    def _set(self, state: str, error: str = "") -> None:
        self.state, self.error = state, error[:2000]
        self._changed(self)


class Services:
    """All apps of a place. One start for everybody who waits for it.

    Parameters
    ----------
    premises : Premises
        Where they run.
    changed : callable
        Called with an app after every change of it.
    """

    def __init__(self, premises: Premises, changed: Callable[[App], None]) -> None:
        self._premises = premises
        self._changed = changed
        self._apps: dict[str, App] = {}

    def describe(self) -> list[dict[str, Any]]:
        """Tell about every app that was ever started."""
        return [app.describe() for app in self._apps.values()]

    def survey(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Tell the same, what the image's own apps take, and which of some ports are in use."""
        ports = [check_port(port) for port in _list(args, "ports")]
        return {
            "services": self.describe(),
            "definitions": {name: one.describe() for name, one in servicedefs.in_image().items()},
            "listening": listening(ports),
        }

    async def start(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Have an app run; returns its state when it answers, or will not, or patience ends.

        One that failed a moment ago is left alone by those who merely use it (``on_use``), so
        that pages which ask again and again start no storm. Without ``arguments``, or without
        ``environ``, it gets those of the last time.
        """
        name = servicedefs.check_name(args.get("name"))
        patience = number(args, "patience", MAX_PATIENCE, MAX_PATIENCE)
        app = self._apps.get(name)
        if app is None:
            if len(self._apps) >= MAX_SERVICES:
                raise Refused("The session has %d services already." % MAX_SERVICES)
            app = App(name, self._premises, self._changed)
        loop = asyncio.get_running_loop()
        if args.get("on_use") and app.state == "failed" and loop.time() < app.rests_until:
            return app.describe()
        if app.state != "running" and (app.starting is None or app.starting.done()):
            app.starting = loop.create_task(self._begin(app, args))
        if app.starting is not None:
            # it goes on when one who waits for it leaves
            await asyncio.wait({app.starting}, timeout=patience)
        return app.describe()

    def _begin(self, app: App, args: Mapping[str, Any]) -> Coroutine[Any, Any, None]:
        """Check what is asked for, and return what starts it."""
        definition, source = self._definition(app.name, args)
        values = {
            "ports": [check_port(port) for port in _list(args, "ports")] or [0],
            "base_url": _text(args, "base_url") or "/",
            "token": _text(args, "token"),
        }
        asked = (
            app.asked[0] if args.get("arguments") is None else _dict(args, "arguments"),
            app.asked[1] if args.get("environ") is None else _dict(args, "environ"),
        )
        definition.fill(dict(values, workdir="", runtime_path=""), *asked)
        self._apps[app.name] = app
        app.source, app.asked = source, asked
        return app.start(definition, values)

    def log(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """Tell the last ``tail`` bytes that an app wrote, whether or not it still runs."""
        app = self._apps.get(servicedefs.check_name(args.get("name")))
        if app is None:
            raise Unknown("No such service was started in this session.")
        return {"text": app.output.tail(int(number(args, "tail", LOG_BYTES, LOG_BYTES)))}

    async def stop(self, args: Mapping[str, Any]) -> dict[str, Any]:
        """End an app."""
        app = self._apps.get(servicedefs.check_name(args.get("name")))
        if app is None:
            raise Unknown("No such service was started in this session.")
        await app.stop(_GRACE)
        return app.describe()

    async def close(self, grace: float) -> None:
        """End all apps."""
        await asyncio.gather(*(app.stop(grace) for app in self._apps.values()))

    def _definition(self, name: str, args: Mapping[str, Any]) -> tuple[servicedefs.Definition, str]:
        """Choose: the admin's, else the image's, else the one that comes with the server."""
        own = servicedefs.in_image() if not args.get("is_admins") else {}
        if name in own:
            return own[name], "image"
        if args.get("definition") is None:
            kind = Refused if args.get("ports") else Unknown  # it has ports: there is one
            raise kind(
                "Nobody says how the service %s is started. Start it in the session yourself, or "
                "ask an admin to define it." % name
            )
        source = "admin" if args.get("is_admins") else "built-in"
        return servicedefs.Definition(name, args["definition"]), source


async def answers(port: int) -> bool:
    """Tell whether a process of the place listens on a port and takes connections."""
    for host in held_hosts(port, LOOPBACKS):
        with contextlib.suppress(OSError, asyncio.TimeoutError):
            _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 1)
            writer.close()
            return True
    return holds(port)  # on the place's own address only


def free_port(wanted: int) -> int:
    """Return `wanted` when nobody sits on it, else another; places can share a network."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Refused("No port is free inside the session.")


def _list(args: Mapping[str, Any], name: str) -> list[Any]:
    value = args.get(name) or []
    if not isinstance(value, list) or len(value) > MAX_PORTS:
        raise Invalid("%s: not a list" % name)
    return value


def _dict(args: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = args.get(name) or {}
    if not isinstance(value, dict):
        raise Invalid("%s: not an object" % name)
    return value


def _text(args: Mapping[str, Any], name: str) -> str:
    value = args.get(name) or ""
    if not isinstance(value, str) or "\0" in value:
        raise Invalid("%s: not a text" % name)
    return value
