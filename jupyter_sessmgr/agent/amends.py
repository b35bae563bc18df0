"""Runs in the kernel's own interpreter, before `stem` does: what of ipykernel it is to change.

Only what every kernel imports, and only ASCII, as `stem`.
"""

from __future__ import annotations

import itertools
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: Messages that may wait to be sent.
_MOST_UNSENT = 50_000


def make_room() -> None:
    """Let more of what a kernel says wait until it is sent.

    Beyond 1,000 messages it would drop them without a word, as when it says much and its other
    threads get no processor for a moment.
    """
    app = getattr(sys.modules.get("ipykernel.kernelapp"), "IPKernelApp", None)
    plain = getattr(app, "init_iopub", None)
    if app is None or plain is None:
        return

    def init_iopub(self: Any, context: Any) -> None:
        context.sndhwm = _MOST_UNSENT  # of the sockets that it makes from here on
        try:
            plain(self, context)
        finally:
            del context.sndhwm

    app.init_iopub = init_iopub


def tell_questions() -> None:
    """Have kernels tell everybody what a person is to type: they ask only who runs the cell."""
    kernel: Any = getattr(sys.modules.get("ipykernel.kernelbase"), "Kernel", None)
    plain = getattr(kernel, "_input_request", None)
    if plain is None:
        return

    def _input_request(self: Any, prompt: str, *args: Any, password: bool = False) -> Any:
        __tracebackhide__ = True  # IPython leaves it out of what it shows
        if sys.stdout is not None:
            sys.stdout.flush()  # what was printed comes first
        tell(self, args[-1], {"prompt": str(prompt), "password": bool(password)})
        try:
            return plain(self, prompt, *args, password=password)
        finally:
            tell(self, args[-1], None)

    def tell(self: Any, parent: Any, asks: Any) -> None:
        self.session.send(self.iopub_socket, "sessmgr_question", {"asks": asks}, parent=parent)

    kernel._input_request = _input_request  # noqa: SLF001 - where its ways to ask meet


class Place:
    """Where a module comes from."""

    __slots__ = ("__file__",)

    def __init__(self, file: str) -> None:
        self.__file__ = file


class Modules:
    """Stands in for `sys.modules`: what was imported until now as places, the rest as it is."""

    def __init__(self) -> None:
        files = [getattr(one, "__file__", None) for one in list(sys.modules.values())]
        # in words of its own, side by side
        words = "\0".join(one for one in files if isinstance(one, str)).split("\0")
        self._places = [Place(one) for one in words]
        self._known = len(sys.modules)

    def copy(self) -> dict[int, Any]:
        """Return all of them; the main one is another by now."""
        count = max(0, len(sys.modules) - self._known)
        added = itertools.islice(reversed(sys.modules.values()), count)
        return dict(enumerate([*self._places, *added, sys.modules["__main__"]]))


class Sys:
    """Stands in for `sys`."""

    def __init__(self) -> None:
        self.modules = Modules()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


def look_at_modules_once() -> None:
    """Have kernels not look at each module when they start, to know which are not their user's.

    Who looks at an object writes to it, to count who does. With some thousand modules all over
    the memory that was more than a MiB which a kernel no longer shared with its template.
    """
    module: Any = sys.modules.get("ipykernel.ipkernel")
    start = getattr(getattr(module, "IPythonKernel", None), "__init__", None)
    names = getattr(getattr(start, "__code__", None), "co_names", ())
    if {"sys", "modules", "copy"} <= set(names) and getattr(module, "sys", None) is sys:
        module.sys = Sys()


def take_plain_words() -> None:
    """Have kernels take `-f FILE` as it is.

    For any words else, and for these without this, all that a dozen classes can be set to is told
    to a parser first: a sixth of the time that a forked kernel takes until it listens.
    """
    app: Any = getattr(sys.modules.get("ipykernel.kernelapp"), "IPKernelApp", None)
    base: Any = getattr(sys.modules.get("traitlets.config.application"), "Application", None)
    config: Any = getattr(sys.modules.get("traitlets.config.loader"), "Config", None)
    if None in (app, base, config) or app.parse_command_line is not base.parse_command_line:
        return
    plain = app.parse_command_line

    def parse_command_line(self: Any, argv: Any = None) -> None:
        words = list(sys.argv[1:] if argv is None else argv)
        plainly = words[:1] == ["-f"] and [word[:1] for word in words[1:]] == ["/"]
        if not plainly or self.aliases.get("f") != "IPKernelApp.connection_file":
            plain(self, argv)
            return
        self.argv, self.extra_args = words, []
        self.cli_config = config({"IPKernelApp": {"connection_file": words[1]}})
        self.update_config(self.cli_config)

    app.parse_command_line = parse_command_line


AMENDS = (make_room, tell_questions, look_at_modules_once, take_plain_words)
