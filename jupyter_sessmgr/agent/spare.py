"""Runs in the kernel of a spare, after `stem`: has it take whose it is, before anybody uses it.

A thread waits for that on a line of the agent's, which nobody else has. With the first request of
a client that could see or change anything, or once it was told, all of it is gone without trace.

Only what every kernel imports, and only ASCII, as `stem`.
"""

from __future__ import annotations

import _thread
import contextlib
import json
import os
import socket
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

    from .needs import Needs

#: What clients may ask of a kernel that is to count as unused.
_HARMLESS = ("kernel_info_request", "connect_request", "usage_request")
#: How people's own code is run while a kernel starts. It has seen what would change.
_RUNNERS = ("run_cell", "safe_execfile", "safe_execfile_ipy", "safe_run_module")
#: Extensions that every kernel has.
_OWN_EXTENSIONS = {"storemagic", "IPython.extensions.storemagic"}
NAME = "JPY_SESSION_NAME"


class Handlers(dict):  # type: ignore[type-arg]
    """A kernel's handlers by type of message; they tell when one is looked up for real work."""

    used: Callable[[], None]

    def get(self, name: str, default: Any = None) -> Any:
        """Look one up."""
        if name not in _HARMLESS:
            self.used()
        return super().get(name, default)

    def __getitem__(self, name: str) -> Any:
        return self.get(name) or super().__getitem__(name)


class Spare:
    """What a kernel has until it is somebody's.

    Parameters
    ----------
    line : socket.socket
        Where it is told, by a line of JSON, and answers by another.
    needs : Needs
        What its start depended on.
    """

    def __init__(self, line: socket.socket, needs: Needs) -> None:
        self._line = line
        self._needs = needs
        self._lock = _thread.allocate_lock()
        self._kernel: Any = None
        self._handlers: dict[str, Any] = {}
        self._restore: list[tuple[Any, str, Any]] = []
        #: Why it cannot be told.
        self._problem = ""

    def prepare(self) -> None:
        """Watch the kernel's start, and begin to wait at its end."""
        app = sys.modules["ipykernel.kernelapp"].IPKernelApp
        shell = sys.modules["IPython.core.interactiveshell"].InteractiveShell
        self._needs.look()
        self._needs.watch()
        for name in _RUNNERS:
            self._replace(shell, name, self._noticing(getattr(shell, name)))
        self._replace(app, "start", self._starting(app.start))

    def _replace(self, owner: Any, name: str, by: Any) -> None:
        self._restore.append((owner, name, getattr(owner, name)))
        setattr(owner, name, by)

    def _noticing(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def runs(*args: Any, **kwargs: Any) -> Any:
            self._problem = "It ran code of its user's or of the image's when it started."
            return run(*args, **kwargs)

        return runs

    def _starting(self, start: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def starts(app: Any) -> Any:
            for owner, name, before in self._restore:
                setattr(owner, name, before)
            self._needs.unwatch()
            try:
                self._open(app.kernel)
            except Exception:  # noqa: BLE001 - it is a kernel, then, that cannot be told
                self._line.close()
            return start(app)

        return starts

    def _open(self, kernel: Any) -> None:
        """Begin to wait."""
        if self._problem or set(kernel.shell.extension_manager.loaded) - _OWN_EXTENSIONS:
            self._line.close()
            return
        self._kernel = kernel
        # all that a first value has it make; what is wrong comes again, before its user
        with contextlib.suppress(Exception):
            kernel.shell.display_formatter.format(0)
        for name in ("shell_handlers", "control_handlers"):
            self._handlers[name] = getattr(kernel, name)
            watched = Handlers(self._handlers[name])
            watched.used = self._use
            setattr(kernel, name, watched)
        self._line.sendall(b"ready\n")
        _thread.start_new_thread(self._wait, ())

    def _use(self) -> None:
        """Note that it is used. Whoever is being told that it is somebody's comes first."""
        with self._lock:
            self._problem = "It was used already."
            self._forget()
        self._line.shutdown(socket.SHUT_RDWR)

    def _forget(self) -> None:
        for name, handlers in self._handlers.items():
            setattr(self._kernel, name, handlers)

    def _wait(self) -> None:
        """Be told, or hear that nobody will."""
        with contextlib.suppress(OSError), self._line, self._line.makefile("rb") as lines:
            words = lines.readline()
            with self._lock:
                self._forget()
                problem = self._problem or self._try_to_take(words)
            self._line.sendall(json.dumps({"problem": problem}).encode() + b"\n")

    def _try_to_take(self, words: bytes) -> str:
        try:
            return self._take(json.loads(words)) if words else "Nobody asks any more."
        except Exception as error:  # noqa: BLE001 - the thread would write it to somebody's cell
            return "It failed: %s." % type(error).__name__

    def _take(self, order: Mapping[str, Any]) -> str:
        """Be as if started with this environment in this folder; returns why not."""
        before, environ = self._needs.before, order["environ"]
        self._needs.asked.discard(NAME)  # the kernel does; see below
        if not self._needs.are_met(environ):
            return "Kernels that start look at something that is not as it was any more."
        try:
            os.chdir(order["folder"])
        except OSError as error:
            return "Its folder cannot be used: %s." % error.strerror
        for name in set(before) | set(environ):
            if before.get(name) == environ.get(name):
                continue
            if name in environ:
                os.environ[name] = environ[name]
            else:
                os.environ.pop(name, None)
        shell, folder = self._kernel.shell, os.getcwd()
        shell.starting_dir = folder
        visited = shell.history_manager.dir_hist
        visited[:] = [type(one)(folder) for one in visited]
        if environ.get(NAME) and _names_sessions():
            shell.user_ns["__session__"] = shell.user_ns_hidden["__session__"] = environ[NAME]
        _note_session(self._kernel.parent.connection_file, environ.get(NAME, ""))
        return ""


def _note_session(path: str, name: str) -> None:
    """Write the session's name into the connection file, as Jupyter does."""
    with open(path, "r+", encoding="utf-8") as stream:
        content = json.load(stream)
        stream.seek(0)
        stream.truncate()
        json.dump(dict(content, jupyter_session=name), stream)


def _names_sessions() -> bool:
    """Tell whether this version of ipykernel has a variable for the session's name."""
    kernel = sys.modules["ipykernel.ipkernel"].IPythonKernel
    return "__session__" in kernel.__init__.__code__.co_consts


if __name__ == "__main__":
    _stem = globals()
    if _stem["NEEDS"] is not None:
        Spare(_stem["_take"](_stem["LINE"]), _stem["NEEDS"]).prepare()
