"""The kernel of this place: what it was asked to be, and what it is."""

from __future__ import annotations

import time

from . import exits, firstscript, kernelspecs, launch
from .bound import is_bound
from .cgroup import Cgroup
from .oomwatch import OomWatch
from .personal import Personal
from .recorder import Recorder
from .ring import Output
from .starter import Starter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

    from .reaper import Reaper

LOG_BYTES = 256 * 1024
TAIL_BYTES = 4096
#: How long a kernel may take to open its ports, in seconds.
START_DEADLINE = 60.0


class Kernel:
    """One kernel at a time; synchronous, so that the first can start before asyncio is imported.

    A batch session has a command in its place. What is to be run once before either is told as a
    kernel that starts.

    Parameters
    ----------
    orders : dict
        The agent's config.
    reaper : Reaper
        Tells when the process ended.
    """

    def __init__(self, orders: Mapping[str, Any], reaper: Reaper) -> None:
        self.generation = 0
        self.state = "none"
        self.pid: int | None = None
        self.output = Output(LOG_BYTES)
        self.starter = Starter(orders, reaper, self.output.start)
        self.personal = Personal(orders)
        self.recorder = Recorder(orders, reaper, self.starter.template)
        self.cgroup = Cgroup()
        #: Why it is about to be killed, when the agent itself decided that.
        self.verdict: dict[str, Any] | None = None
        #: Called after every change that the server should hear of.
        self.changed = _nobody_listens
        self._orders = orders
        self._reaper = reaper
        self._facts: dict[str, Any] = {}
        self._connection: Mapping[str, Any] = {"transport": ""}
        self._connection_file = ""
        self.oom = OomWatch(self.cgroup)
        self._script = str(orders.get("bootstrap") or "")
        #: When what starts now is out of time, on the monotonic clock.
        self.deadline = float("inf")
        #: What is told of it then.
        self.late = ""
        self._who = exits.KERNEL
        self._forget("")

    def describe(self) -> dict[str, Any]:
        """Return what the server is told: KSTATE of the protocol."""
        mine = {"generation": self.generation, "state": self.state, "pid": self.pid}
        more = {"personal": self.personal.able, "recorded": self.recorder.records}
        return dict(self._facts, **more, **mine)

    def start(self, wanted: Mapping[str, Any] | None) -> None:
        """Start the process; what goes wrong is told by the state and its error.

        None is for a place without a kernel: only what is to be run first is run.
        """
        if wanted is not None:
            self.generation = wanted["generation"]
        self._forget(wanted["name"] if wanted is not None else "")
        self._attempt(self._start, wanted)

    def settle(self) -> bool:
        """Take over a process that was still to come; returns whether it still is."""
        to_come = self.pid is None and self.state == "starting"
        if to_come and self.starter.is_due():
            self._attempt(self._take_over)
            return False
        return to_come

    def _attempt(self, step: Callable[..., None], *args: Any) -> None:
        try:
            step(*args)
        except (kernelspecs.NoKernel, launch.LaunchFailed, OSError) as error:
            words = "%s cannot be started: %s." % (self._who, error)
            self._facts["error"] = (words if isinstance(error, OSError) else str(error))[:2000]
            self.state = "failed"
        self.changed()

    def _start(self, wanted: Mapping[str, Any] | None) -> None:
        if self._script:
            self._run_script(wanted)
        elif wanted is None:
            self.state = "none"
        elif wanted.get("argv"):
            self._start_command(wanted)
        else:
            self._start_kernel(wanted)

    def _run_script(self, wanted: Mapping[str, Any] | None) -> None:
        """Run what is to be run first; when it succeeds, go on."""
        self._who, script, self._script = "The bootstrap script", self._script, ""
        self.pid = self.starter.run(
            firstscript.command(self._orders, script),
            launch.base_environ(self._orders),
            launch.working_folder(self._orders, wanted or {})[0],
            lambda code: self._script_ended(code, wanted),
        )
        self.state, self.deadline = "starting", firstscript.deadline(self._orders)
        self.late = "It took too long."

    def _script_ended(self, code: int, wanted: Mapping[str, Any] | None) -> None:
        if code != 0 or self.verdict:
            self._ended(code)
            return
        self.pid = None
        self._attempt(self._start, wanted)

    def _start_command(self, wanted: Mapping[str, Any]) -> None:
        """Run the command of a batch session; it counts as ready at once."""
        self._who = "The command"
        folder, warning = launch.working_folder(self._orders, wanted)
        environ = dict(launch.base_environ(self._orders), **(wanted.get("environ") or {}))
        self._facts["warning"] = warning
        self.pid = self.starter.run(wanted["argv"], environ, folder, self._ended)
        self.state = "bound"

    def _start_kernel(self, wanted: Mapping[str, Any]) -> None:
        orders, self._who = self._orders, exits.KERNEL
        spec = kernelspecs.find(wanted["name"], dict(launch.base_environ(orders)))
        encrypted = settle_encryption(orders, wanted, spec)
        folder, warning = launch.working_folder(orders, wanted)
        self._connection = wanted["connection"]
        self.clean()
        self._connection_file = launch.write_connection_file(orders, wanted, encrypted)
        self._facts.update(
            name=spec.name,
            encrypted=encrypted,
            language=spec.language,
            interrupt_mode=spec.interrupt_mode,
            warning=warning,
        )
        environ = launch.make_environ(orders, wanted, spec)
        line, command = self.personal.begin(wanted, spec), spec.command(self._connection_file)
        self.starter.start(command, environ, folder, line)
        self.recorder.turn_to(wanted, encrypted, command, launch.base_environ(orders))
        self.state = "starting"
        if self.starter.is_due():
            self._take_over()
        allowed = float(orders.get("start_deadline") or START_DEADLINE)
        self.deadline = time.monotonic() + allowed
        self.late = "It did not open its ports within %g s." % allowed

    def _take_over(self) -> None:
        self.pid = self.starter.take()
        self.starter.watch(self.pid, self._ended)

    def look(self) -> bool:
        """Notice when a starting kernel listens; returns whether it still starts."""
        awaited = self.state == "starting" and self.pid and self._connection_file
        listens = bool(awaited) and is_bound(self._connection, self.pid or 0)
        self.recorder.settle(late=listens)
        # it is as it was asked for, and is heard
        if listens and self.personal.is_settled() and self.recorder.hears(self.generation):
            self.state = "bound"
            self.changed()
        return self.state == "starting"

    def _ended(self, code: int) -> None:
        self.output.drain()
        self.clean()
        verdict = self.verdict or self.oom.judge(code, self._who)
        never_bound = self.state == "starting" and not verdict.get("asked")
        self.state = "failed" if never_bound else "exited"
        reason = verdict["reason"]
        if never_bound:
            if self._connection_file:
                reason = "The kernel never became ready. " + reason
            self._facts["error"] = reason
        self._facts["exit"] = {
            "code": code,
            "oom": verdict.get("oom", False),
            "reason": reason,
            "tail": self.output.tail(min(TAIL_BYTES, self.output.written - self._written_before)),
        }
        self.recorder.turn_away(reason)
        self.pid = None
        self.verdict = None
        self.personal.end()
        self.changed()

    def clean(self) -> None:
        """Remove the files of a kernel that ended; one that was killed left them."""
        for path in [self._connection_file, *launch.socket_files(self._connection)]:
            if path:
                launch.remove(path)

    def _forget(self, name: str) -> None:
        self._facts = {
            "name": name,
            "encrypted": False,
            "language": "",
            "interrupt_mode": "signal",
            "exit": None,
            "error": "",
            "warning": "",
        }
        self.verdict = None
        self.personal.end()
        self._written_before = self.output.written
        self.oom.begin()


def _nobody_listens() -> None:
    """Stand in until the control port is open."""


def settle_encryption(
    orders: Mapping[str, Any], wanted: Mapping[str, Any], spec: kernelspecs.Spec
) -> bool:
    """Say whether the kernel's channels are encrypted: what is wished, and what it can."""
    policy = wanted.get("encryption", "auto")
    if policy == "disabled" or not wanted.get("curve"):
        able = False
    else:
        able = spec.can_encrypt(orders["home"])
    if policy == "required" and not able:
        raise kernelspecs.NoKernel(
            "Encryption is required and the kernel %r cannot encrypt its channels. Update "
            "ipykernel in the image to 7.3 or newer, or allow less." % spec.name
        )
    return able
