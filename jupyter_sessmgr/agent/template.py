"""The template of this place's kernel: how one comes to be, and how kernels are forked from it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import time

from . import procs, programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

#: What starts a kernel by its command. The modules that make a template come by descriptor 3;
#: whatever is wrong with them in this or that Python, the kernel starts.
_LAUNCH = (
    programs.READER
    + """\
import runpy
try:
    names = {"__name__": "__main__", "read_modules": read_modules}
    with open(3, "rb") as file: codes = [code for _, code in read_modules(file)]
    for code in codes: exec(code, names)
except Exception: pass
runpy.run_module("ipykernel_launcher", None, "__main__", True)
"""
)
_MODULES = ("ending", "amends", "rehearsal", "needs", "stem")
_PYTHON = re.compile(r"python[0-9.]*$")
_MODULE = ["-m", "ipykernel_launcher"]
#: Flags of Python that take a word.
_WITH_WORD = ("-W", "-X")
#: Seconds that a fork may take; it takes hundredths.
DEADLINE = 2.0


class Birth:
    """A process that the template was asked for.

    Parameters
    ----------
    answer : socket.socket
        Where its pid is told.
    """

    def __init__(self, answer: socket.socket) -> None:
        self._answer = answer
        #: When it was asked for, on the monotonic clock.
        self.since = time.monotonic()
        self._deadline = self.since + DEADLINE

    def look(self) -> int | None:
        """Return the kernel's pid; 0 when it does not come, None as long as that is open."""
        late = time.monotonic() > self._deadline
        if late:
            # from here on it cannot say that it is there, and ends
            self._answer.shutdown(socket.SHUT_RD)
        try:
            words = self._answer.recv(4096)
        except BlockingIOError:
            return None
        except OSError:
            words = b""
        self._answer.close()
        return _pid(words)


class Template:
    """The template, if there is one.

    It lives beside the kernels and outlives each. One that is dead, stuck or out of date is
    replaced by the next kernel that is started by its command.
    """

    def __init__(self) -> None:
        self._pid = 0
        self._trunk: socket.socket | None = None
        self._interpreter: Sequence[str] = ()

    @property
    def may_come(self) -> bool:
        """Whether there is a template, or a kernel that starts leaves one behind."""
        return self._trunk is not None

    @property
    def processes(self) -> set[int]:
        """The template's process, as long as it lives."""
        try:
            words = self._trunk.recv(64) if self._trunk is not None else b""
        except BlockingIOError:
            pass  # nothing new
        except OSError:
            self.drop()
        else:
            self._pid = _pid(words)
            if not self._pid:
                self.drop()
        return {self._pid} if self._pid else set()

    def seed(self, argv: Sequence[str], line: int | None = None) -> tuple[Sequence[str], list[int]]:
        """Return the command that starts a kernel and makes a template, and what it is handed.

        Another template ends. Who asked closes what is handed over. `line` is for the kernel of a
        spare, to be told whose it is.
        """
        self.drop()
        at = _launcher(argv)
        if at is None or not hasattr(os, "memfd_create"):
            return argv, []
        self._interpreter = argv[:at]
        self._trunk, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._trunk.setblocking(False)
        modules, lines = programs.modules(_MODULES, argv[0]), []
        if line is not None:
            first, last = ("", b"", "LINE = 5"), programs.modules(["spare"], argv[0])
            modules, lines = [first, *modules, *last], [os.dup(line)]
        handed = [programs.put(modules), end.detach(), *lines]
        return [*argv[:at], "-c", _LAUNCH, *argv[at + 2 :]], handed

    def ask(
        self, argv: Sequence[str], environ: Mapping[str, str], folder: str, output: int
    ) -> Birth | None:
        """Ask for a kernel; None when it has to be started by its command."""
        at = _launcher(argv)
        if at is None or argv[:at] != self._interpreter or not self.processes:
            return None
        return self._fork(
            {"arguments": argv[at + 2 :], "environ": environ, "folder": folder}, (output,)
        )

    def have(self, code: str, output: int, handed: Sequence[int]) -> Birth | None:
        """Ask for a process that runs Python code; None when there is no template.

        What is handed over becomes its descriptors 3, 4, …; who asked closes it. In 3 are modules
        for it, as `programs` puts them.
        """
        if not self.processes:
            return None
        return self._fork({"code": code, "folder": "/"}, (output, *handed))

    def _fork(self, words: Mapping[str, Any], handed: Sequence[int]) -> Birth | None:
        assert self._trunk is not None
        plan = _file(json.dumps(words))
        mine, answer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        mine.setblocking(False)
        fds = [plan, handed[0], answer.fileno(), *handed[1:]]
        packed = struct.pack("%di" % len(fds), *fds)
        try:
            self._trunk.sendmsg([b"+"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, packed)])
        except OSError:
            mine.close()
            return None
        finally:
            os.close(plan)
            answer.close()
        return Birth(mine)

    def drop(self) -> None:
        """End the template. Harmless when there is none."""
        if self._trunk is not None:
            self._trunk.close()
        if self._pid:
            procs.send(self._pid, signal.SIGKILL)
        self._pid, self._trunk = 0, None


def _pid(words: bytes) -> int:
    """Read a pid; 0 when it is none."""
    number = int(words) if words.isdigit() else 0
    return number if number > 1 else 0


def _launcher(argv: Sequence[str]) -> int | None:
    """Find where a Python command says to run ipykernel; None when it is another command."""
    at, words = 1, [*argv, ""]
    if not _PYTHON.match(os.path.basename(argv[0])):
        return None
    while words[at].startswith("-") and list(words[at : at + 2]) != _MODULE:
        if not re.match(r"-([bBdEiIOPqRsSuvx]+|W.*|X.*)$", words[at]):
            return None
        at += 2 if words[at] in _WITH_WORD else 1
        if at >= len(argv):
            return None
    return at if list(words[at : at + 2]) == _MODULE else None


def _file(text: str) -> int:
    """Put text into a file without a name; returns its descriptor."""
    made = os.memfd_create("sessmgr")
    with open(made, "w", encoding="ascii", closefd=False) as stream:
        stream.write(text)
    os.lseek(made, 0, os.SEEK_SET)
    return made
