"""Runs in the kernel's own interpreter, before the kernel: leaves its template behind.

The template is a process that has imported what a kernel needs and done nothing else: one
thread, no loop, no sockets of a kernel. The next kernels are forked from it. `grow` returns in
each kernel, first or forked, where `python -m ipykernel_launcher` would begin.

Only the standard library, and only ASCII: it is read in whatever encoding the kernel's is.
"""

from __future__ import annotations

import sys

#: Whether Python looks into the working folder first. What is imported here must not come from it.
FOLDER_FIRST = sys.path[:1] == [""]
if FOLDER_FIRST:
    del sys.path[0]

import ctypes  # noqa: E402 - see above
import fcntl  # noqa: E402 - as above
import gc  # noqa: E402 - as above
import json  # noqa: E402 - as above
import os  # noqa: E402 - as above
import socket  # noqa: E402 - as above
import struct  # noqa: E402 - as above
import time  # noqa: E402 - as above

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any, Callable, Iterable, Mapping

    from .needs import Needs  # noqa: TC004 - it stands in the text before this one

#: Where the agent is asked and told, as `template` hands it over.
TRUNK = 4
#: Where the kernel of a spare is told whose it is; None in others.
LINE: int | None = globals().get("LINE")
#: What is changed before a kernel starts, as `amends` says.
AMENDS: tuple[Callable[[], None], ...] = globals().get("AMENDS", ())
#: What is done when all is imported, as `ending` says.
LEAVE_WHOLE: Callable[[], Any] = globals().get("leave_modules_whole", int)
#: Reads modules that are handed over, as `programs` says.
READ: Callable[[Any], Iterable[tuple[str, CodeType]]] = globals().get("read_modules", list)
#: Seconds that the system may take to make the agent the parent of what was forked.
_ADOPTION = 5.0
_PR_SET_PDEATHSIG, _PR_SET_NAME, _SIGKILL = 1, 15, 9
NAME = b"kernel-template"
#: This Python holds on to the names that were looked up in classes last. When another one takes a
#: name's place, that is written to, and no longer shared. Later ones do not count who uses a name;
#: earlier ones would have all classes take new numbers.
_REMEMBERS_NAMES = (3, 11)
#: Code of modules that are not a kernel's, by name.
COMPILED: dict[str, CodeType] = {}


def grow() -> Needs | None:
    """Leave a template behind; returns in the kernels. Failing that, this one is none the worse.

    Returns what the first kernel needs; None in those that are forked.
    """
    needs, collecting = Needs(), gc.isenabled()
    gc.disable()  # it finds little in imports, and takes a good part of their time
    try:
        needs.watch_imports()
        for amend in AMENDS:
            amend()
        LEAVE_WHOLE()
        if sys.version_info[:2] == _REMEMBERS_NAMES:
            sys._clear_type_cache()  # noqa: SLF001 - Python's own, and there is no other
        gc.freeze()  # what it does not look at, it does not write to: it stays shared
    finally:
        if collecting:
            gc.enable()
    trunk, first = _take(TRUNK), os.getpid()
    if trunk is not None and _threads() == 1:
        sys.stdout.flush()
        _fork_off(trunk, needs)
        trunk.close()
    return needs if os.getpid() == first else None


def pretend() -> None:
    """Look like a start by `python -m ipykernel_launcher`."""
    if FOLDER_FIRST:
        sys.path.insert(0, os.getcwd())
    if "-c" in getattr(sys, "orig_argv", ()):
        sys.orig_argv[sys.orig_argv.index("-c") :] = ["-m", "ipykernel_launcher", *sys.argv[1:]]


def _fork_off(trunk: socket.socket, needs: Needs) -> None:
    agent = os.getppid()
    try:
        between = os.fork()
    except OSError:
        return
    if between:
        os.waitpid(between, 0)
        return
    try:
        if os.fork():
            os._exit(0)  # so that the agent is the parent
        _serve(trunk, needs, agent)
    except BaseException:  # noqa: BLE001 - nothing may return but a kernel
        os._exit(1)


def _serve(trunk: socket.socket, needs: Needs, agent: int) -> None:
    """Be the template; returns in the kernels that are forked from it."""
    os.setsid()
    if LINE is not None:
        os.close(LINE)  # it is the kernel's
    for flags, targets in ((os.O_RDONLY, [0]), (os.O_WRONLY, [1, 2])):
        null = os.open(os.devnull, flags)
        for target in targets:
            os.dup2(null, target)
        os.close(null)
    os.chdir("/")
    with open("/proc/self/comm", "rb") as stream:
        name = stream.read().strip()
    _prctl(_PR_SET_NAME, NAME)
    _come_to(agent)
    needs.look()
    trunk.send(b"%d" % os.getpid())
    while True:
        plan, fds = _receive(trunk)
        if "code" in plan:
            _compile(fds[2])
        if _beget(plan, fds, needs):
            break
    # this is the kernel, or whatever was asked for
    _become(plan, fds[0], needs)
    _prctl(_PR_SET_NAME, name)
    _come_to(agent)
    os.write(fds[1], b"%d" % os.getpid())  # fails when nobody waits any more: it ends then
    os.close(fds[1])
    if "code" in plan:
        trunk.close()
        _run(plan["code"], fds[2:])


def _compile(modules: int) -> None:
    """Compile the modules of what is asked for; if it did, it would write to memory that it shares.

    Failing that, it does.
    """
    if COMPILED:
        return
    try:
        with open(modules, "rb", closefd=False) as stream:
            COMPILED.update(READ(stream))
    except Exception:  # noqa: BLE001 - see above
        COMPILED.clear()
    os.lseek(modules, 0, os.SEEK_SET)


def _receive(trunk: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for the next order; ends the process when the agent is gone."""
    data, extra, _, _ = trunk.recvmsg(1, socket.CMSG_LEN(32))
    if not data:
        os._exit(0)
    plan, *fds = struct.unpack("%di" % (len(extra[0][2]) // 4), extra[0][2])
    with open(plan, encoding="ascii") as stream:
        return json.load(stream), fds


def _beget(plan: Mapping[str, Any], fds: list[int], needs: Needs) -> bool:
    """Fork a kernel, if it can be forked; True in the kernel. Who gets no answer knows enough."""
    try:
        can = _threads() == 1 and ("code" in plan or needs.are_met(plan["environ"]))
        between = os.fork() if can else -1
    except OSError:
        between = -1
    if not between:
        if os.fork():
            os._exit(0)  # so that the agent is the parent
        return True
    if between > 0:
        os.waitpid(between, 0)
    for one in fds:
        os.close(one)
    return False


def _become(plan: Mapping[str, Any], output: int, needs: Needs) -> None:
    """Have everything as a kernel has that was started by its command."""
    os.setsid()
    for target in (1, 2):
        os.dup2(output, target)
    os.close(output)
    os.chdir(plan["folder"])
    if "code" in plan:
        return
    os.environ.clear()
    os.environ.update(plan["environ"])
    for name, value in needs.changed.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    sys.argv[1:] = plan["arguments"]
    # `random` sees to itself
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed()
    if "multiprocessing.process" in sys.modules:
        sys.modules["multiprocessing.process"].current_process().authkey = os.urandom(32)


def _run(code: str, handed: list[int]) -> None:
    """Be something else than a kernel, with `handed` as descriptors 3, 4 and so on."""
    moved = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 64) for one in handed]
    for target, one in enumerate(moved, 3):
        os.dup2(one, target, inheritable=False)
    for one in {*handed, *moved} - {*range(3, 3 + len(handed))}:
        os.close(one)
    try:
        exec(code, {"__name__": "__main__", "COMPILED": COMPILED})
    except Exception:  # noqa: BLE001 - its last words
        sys.excepthook(*sys.exc_info())
    os._exit(0)


def _come_to(agent: int) -> None:
    """Wait until the agent is the parent, and be bound to its life."""
    deadline = time.monotonic() + _ADOPTION
    while os.getppid() != agent:
        if time.monotonic() > deadline:
            os._exit(1)
        time.sleep(0.0005)
    if agent != 1:
        _prctl(_PR_SET_PDEATHSIG, _SIGKILL)
        if os.getppid() != agent:
            os._exit(1)


def _prctl(option: int, value: Any) -> None:
    ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def _take(number: int) -> socket.socket | None:
    """Take what the agent handed over; None when it did not."""
    try:
        os.set_inheritable(number, False)
        return socket.socket(fileno=number)
    except OSError:
        return None


def _threads() -> int:
    return len(os.listdir("/proc/self/task"))


if __name__ == "__main__":
    NEEDS = None
    try:
        NEEDS = grow()
    finally:
        pretend()
