"""The kernel of this place: what it was asked to be, and what it is."""

from __future__ import annotations

import os
import time

from . import exits, kernelspecs, launch
from .bound import is_bound
from .cgroup import Cgroup
from .ring import Ring

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

    from .reaper import Reaper

LOG_BYTES = 256 * 1024
TAIL_BYTES = 4096
#: An OOM kill explains a death only when it happened so many seconds before it.
_OOM_WINDOW = 5.0


class Kernel:
    """One kernel at a time; synchronous, so that the first can start before asyncio is imported.

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
        self.output = Ring(LOG_BYTES)
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
        self._oom_seen = (0.0, self.cgroup.oom_kills(), self.cgroup.oom_kills())
        self.output_end, self._output_start = os.pipe()
        os.set_blocking(self.output_end, False)
        self._forget("")

    def describe(self) -> dict[str, Any]:
        """Return what the server is told: KSTATE of the protocol."""
        return dict(self._facts, generation=self.generation, state=self.state, pid=self.pid)

    def start(self, wanted: Mapping[str, Any]) -> None:
        """Start the process; what goes wrong is told by the state and its error."""
        self.generation = wanted["generation"]
        self._forget(wanted["name"])
        try:
            self._start(wanted)
        except (kernelspecs.NoKernel, launch.LaunchFailed) as error:
            self._fail(str(error))
        except OSError as error:
            self._fail("The kernel cannot be started: %s." % error)
        self.changed()

    def _start(self, wanted: Mapping[str, Any]) -> None:
        orders = self._orders
        spec = kernelspecs.find(wanted["name"], dict(launch.base_environ(orders)))
        encrypted = self._settle_encryption(wanted, spec)
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
        self.pid = launch.spawn(
            spec.command(self._connection_file),
            launch.make_environ(orders, wanted, spec),
            folder,
            self._output_start,
            orders,
        )
        self.state = "starting"
        self._reaper.watch(self.pid, self._ended)

    def _settle_encryption(self, wanted: Mapping[str, Any], spec: kernelspecs.Spec) -> bool:
        policy = wanted.get("encryption", "auto")
        if policy == "disabled" or not wanted.get("curve"):
            able = False
        else:
            able = spec.can_encrypt(self._orders["home"])
        if policy == "required" and not able:
            raise kernelspecs.NoKernel(
                "Encryption is required and the kernel %r cannot encrypt its channels. Update "
                "ipykernel in the image to 7.3 or newer, or allow less." % spec.name
            )
        return able

    def look(self) -> bool:
        """Notice when a starting kernel listens; returns whether it still starts."""
        if self.state == "starting" and self.pid and is_bound(self._connection, self.pid):
            self.state = "bound"
            self.changed()
        return self.state == "starting"

    def tick(self) -> None:
        """Remember when the system last killed for want of memory; called every second."""
        since, _, newer = self._oom_seen
        if time.monotonic() - since > _OOM_WINDOW:
            self._oom_seen = (time.monotonic(), newer, self.cgroup.oom_kills())

    def drain(self) -> None:
        """Take over what the kernel wrote so far. Never blocks."""
        for _ in range(64):  # a flood must not starve everything else
            try:
                self.output.write(os.read(self.output_end, 65536))
            except BlockingIOError:
                return

    def _ended(self, code: int) -> None:
        self.drain()
        self.clean()
        verdict = self.verdict or self._judge(code)
        never_bound = self.state == "starting" and not verdict.get("asked")
        self.state = "failed" if never_bound else "exited"
        reason = verdict["reason"]
        if never_bound:
            reason = self._facts["error"] = "The kernel never became ready. " + reason
        self._facts["exit"] = {
            "code": code,
            "oom": verdict.get("oom", False),
            "reason": reason,
            "tail": self.output.tail(min(TAIL_BYTES, self.output.written - self._written_before)),
        }
        self.pid = None
        self.verdict = None
        self.changed()

    def clean(self) -> None:
        """Remove the files of a kernel that ended; one that was killed left them."""
        for path in [self._connection_file, *launch.socket_files(self._connection)]:
            if path:
                launch.remove(path)

    def _judge(self, code: int) -> dict[str, Any]:
        """Find out why the kernel ended."""
        # a shell around the kernel reports 128 + signal
        if code in (-9, 137) and self.cgroup.oom_kills() > self._oom_seen[1]:
            return {"oom": True, "reason": exits.out_of_memory(self.cgroup.memory_limit())}
        return {"reason": exits.exit_reason(code)}

    def _fail(self, error: str) -> None:
        self.state = "failed"
        self._facts["error"] = error[:2000]

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
        self._written_before = self.output.written
        self._oom_seen = (time.monotonic(), self.cgroup.oom_kills(), self.cgroup.oom_kills())


def _nobody_listens() -> None:
    """Stand in until the control port is open."""
