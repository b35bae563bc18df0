"""The agent's side of the recorder, the process that keeps the journal of the kernel's output."""

from __future__ import annotations

import os
import re
import sys
import time

from . import launch, programs
from .companion import Companion
from .refusals import NotHere, Refused
from .trunk import Trunk

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any, Callable, Iterable, Mapping, Sequence

    from .reaper import Reaper
    from .template import Template

#: The recorder's own modules, each after those it needs.
_MODULES = (
    *(
        "lines",
        "shelf",
        "heard",
        "changes",
        "outputs",
        "journal",
        "following",
        "pages",
        "executions",
        "readers",
        "ear",
    ),
    "collector",
)
#: Becomes the recorder. Its text comes by descriptor 3, and is compiled already where it is forked;
#: its orders come by 4.
_LAUNCH = (
    programs.READER
    + """\
import sys, types
if sys.path[:1] == [""]: del sys.path[0]
with open(3, "rb") as file:
    codes = globals().get("COMPILED") or dict(read_modules(file))
sys.modules["recorder"] = types.ModuleType("recorder")
for name, code in codes.items():
    made = sys.modules[name] = types.ModuleType(name)
    made.__package__, _, short = name.partition(".")
    setattr(sys.modules["recorder"], short, made)
    exec(code, made.__dict__)
made.main()
"""
)
_FILE = "journal.sqlite"
_PYTHON = re.compile(r"python[0-9.]*$")
#: Seconds that a kernel which listens waits at most for the recorder to hear it.
PATIENCE = 5.0
#: A recorder that ends is started again, but not more often than so many times in so many seconds.
_MOST_STARTS, _WITHIN = 5, 60.0


class Recorder:
    """Starts the recorder, tells it of kernels, and hands questions on to it.

    Parameters
    ----------
    orders : dict
        The agent's config; without ``journal`` nothing is recorded.
    reaper : Reaper
        Tells when the process ended.
    template : Template
        Forks the recorder where it can: most of it is loaded there.
    """

    def __init__(self, orders: Mapping[str, Any], reaper: Reaper, template: Template) -> None:
        self._orders = orders
        self._process = Companion(orders, reaper, template, self._ended)
        self._bounds: Mapping[str, Any] | None = orders.get("journal")
        self._trunk: Trunk | None = None
        self._kernel: Mapping[str, Any] | None = None
        self._python, self._environ = sys.executable, {}  # type: tuple[str, Mapping[str, str]]
        self._starts: list[float] = []
        #: The generation that it hears, and until when that is waited for.
        self._heard, self._patience = -1, float("inf")
        #: Why nothing is recorded; "" when it is.
        self.problem = "" if self._bounds else "This session keeps no journal of its output."
        #: Called when it becomes another.
        self.changed: Callable[[], None] = _nobody_listens

    @property
    def processes(self) -> set[int]:
        """The recorder's process, as long as it lives."""
        return {self._process.pid} if self._process.pid else set()

    @property
    def records(self) -> bool:
        """Whether what the kernel says is kept."""
        self._hear()
        return self._trunk is not None and self._kernel is not None and not self.problem

    def turn_to(
        self, wanted: Mapping[str, Any], encrypted: bool, argv: Sequence[str], environ: Any
    ) -> None:
        """Have a kernel recorded that starts; `argv` and `environ` are its own."""
        if self._bounds is None:
            return
        if _PYTHON.match(os.path.basename(argv[0])):
            self._python = argv[0]
        self._environ = environ
        self._kernel = {
            "generation": wanted["generation"],
            "connection": wanted["connection"],
            "curve": wanted["curve"] if encrypted else None,
        }
        self._patience = float("inf")
        if self._trunk is None and not self.problem:  # else it was given up
            self._start()
            self.settle()
        self._say({"kernel": self._kernel})

    def settle(self, *, late: bool = False) -> None:
        """Have the process, if it is to come. Later it would miss something if it is `late`."""
        if self._trunk is not None:
            self._trunk.flush()
        self._attempt(lambda: self._process.settle(late=late))

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except (launch.LaunchFailed, OSError) as error:
            self.problem = "The recorder of the session's output cannot be started: %s" % error
            self.close()

    def turn_away(self, reason: str) -> None:
        """Note that the kernel ended."""
        if self._kernel is not None:
            self._kernel = None
            self._attempt(self._process.spawn)
            self._say({"ended": reason or "The kernel ended."})

    def hears(self, generation: int) -> bool:
        """Tell whether all is heard that a kernel says from now on, or it is no use to wait.

        Asked when it listens.
        """
        if not self.records or self._heard == generation:
            return True
        self._patience = min(self._patience, time.monotonic() + PATIENCE)
        return time.monotonic() > self._patience

    def note(self, notes: Iterable[Sequence[Any]]) -> None:
        """Note of requests what the kernel does not say: kind, request, and more words.

        ``note``: which cell of which notebook it is of. ``asks``: what it asks a person to type.
        """
        if self._trunk is not None:
            self._trunk.note(notes)

    def ask(self, question: Mapping[str, Any]) -> socket.socket:
        """Ask the recorder; its answer, and then an end, comes from what is returned.

        Raises
        ------
        Refused
            when nothing is recorded, or not at the moment.
        """
        self._hear()
        if self.problem:
            raise NotHere(self.problem)
        if self._trunk is None:
            raise Refused("The recorder of the session's output does not run at the moment.")
        return self._trunk.ask(question)

    def close(self) -> None:
        """End the recorder; what it was sent until now is kept."""
        self._bounds = None
        if self._trunk is not None:
            self._trunk.close()
            self._trunk = None
        self._process.close()

    def _start(self) -> None:
        bounds = self._bounds
        assert bounds is not None
        self._starts = [one for one in self._starts if one > time.monotonic() - _WITHIN]
        if len(self._starts) >= _MOST_STARTS:
            self.problem = "The recorder of the session's output ended too often."
            return
        self._starts.append(time.monotonic())
        self._trunk = Trunk()
        handed = [_program(self._python), self._trunk.end.detach()]
        self._process.prepare(_LAUNCH, self._python, self._environ, handed)
        self._attempt(lambda: self._say(_on_disk(bounds)))

    def _ended(self) -> None:
        """Start it again; what the kernel said meanwhile is a gap."""
        self._hear()
        self._heard = -1
        unsent = self._trunk.close() if self._trunk is not None else []
        self._trunk = None
        if self._bounds is None or self.problem:
            return
        since = time.time()
        self._start()
        self._attempt(self._process.spawn)
        words = "The recorder ended, and was started again: output of that time may be missing."
        self._say({"gap": [since, time.time(), words]})
        for one in unsent:
            if "kernel" not in one:
                self._say(one)
        if self._kernel is not None:
            self._say({"kernel": self._kernel})
        self.changed()

    def _hear(self) -> None:
        """Take what the recorder says."""
        for told in self._trunk.hear() if self._trunk is not None else ():
            self._heard = told.get("heard", self._heard)
            if told.get("problem"):
                self.problem = "What the kernel says is not recorded: %s" % told["problem"]

    def _say(self, words: Mapping[str, Any]) -> None:
        if self._trunk is not None:
            self._trunk.say(words)


def _on_disk(bounds: Mapping[str, Any]) -> dict[str, Any]:
    """Make the journal's folder, and leave half of what it lies on to others."""
    folder = bounds["folder"]
    os.makedirs(folder, mode=0o700, exist_ok=True)
    disk = os.statvfs(folder)
    size = min(bounds["max_bytes"], disk.f_blocks * disk.f_frsize // 2)
    return dict(bounds, path=os.path.join(folder, _FILE), max_bytes=size)


def _program(python: str) -> int:
    """Put the recorder into a file without a name; returns its descriptor."""
    return programs.put(programs.modules(_MODULES, python, "recorder."))


def _nobody_listens() -> None:
    """Stand in until the control port is open."""
