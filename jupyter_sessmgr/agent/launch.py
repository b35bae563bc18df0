"""Starts a kernel's process: environment, connection file, fork, exec.

Runs before asyncio is imported, because a cold start waits for it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import signal
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping, Sequence

    from .kernelspecs import Spec

CHANNELS = ("shell", "iopub", "stdin", "hb", "control")
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
#: The place's own variables that are not the kernel's business.
_NOT_THE_KERNELS = ("JPY_", "JUPYTERHUB_", "JUPYTER_TOKEN", "KERNEL_ID", "PWD", "OLDPWD")
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_MIB = 2**20


class LaunchFailed(Exception):
    """No process was started; the message is for people."""


def prctl(option: int, value: int) -> bool:
    """Ask Linux for something about this process; False where it cannot."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes  # noqa: PLC0415 - as PID 1 it is not needed, and a start would wait for it

    try:
        return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


def make_environ(
    orders: Mapping[str, Any], wanted: Mapping[str, Any], spec: Spec
) -> dict[str, str]:
    """Merge the kernel's environment: the image's, the session's, this kernel's, its spec's."""
    merged = base_environ(orders)
    merged.update(wanted.get("environ") or {})
    known = dict(merged)
    for name, value in spec.environ.items():
        merged[name] = _VARIABLE.sub(lambda match: known.get(match[1], match[0]), value)
    # ipykernel ends when this is no longer its parent; it knows that 1 never ends before it
    merged["JPY_PARENT_PID"] = str(os.getpid())
    return merged


def base_environ(orders: Mapping[str, Any]) -> dict[str, str]:
    """Return what every kernel of this place has in its environment."""
    merged = {
        name: value for name, value in os.environ.items() if not name.startswith(_NOT_THE_KERNELS)
    }
    merged.update(orders.get("environ") or {})
    merged["HOME"] = orders["home"]
    return merged


def write_connection_file(
    orders: Mapping[str, Any], wanted: Mapping[str, Any], encrypted: bool
) -> str:
    """Write the kernel's connection file, readable by this user only; returns its path.

    Each generation has its own, because a kernel removes its file when it ends.
    """
    content = dict(wanted["connection"])
    if encrypted:
        content["curve_publickey"] = wanted["curve"]["public"]
        content["curve_secretkey"] = wanted["curve"]["secret"]
    folder = orders["runtime_dir"]
    os.makedirs(folder, mode=0o700, exist_ok=True)
    path = os.path.join(folder, "kernel-%d.json" % wanted["generation"])
    remove(path)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        json.dump(content, stream)
    return path


def remove(path: str) -> None:
    """Remove a file; harmless when it is not there."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def socket_files(connection: Mapping[str, Any]) -> list[str]:
    """List the socket files of a kernel on ipc; [] on tcp."""
    if connection["transport"] != "ipc":
        return []
    return ["%s-%d" % (connection["ip"], connection[name + "_port"]) for name in CHANNELS]


def working_folder(orders: Mapping[str, Any], wanted: Mapping[str, Any]) -> tuple[str, str]:
    """Choose the working folder; returns it and, when it is not the one asked for, why."""
    asked = wanted.get("workdir") or orders.get("workdir") or orders["home"]
    reason = ""
    for folder in (asked, orders["home"], "/"):
        try:
            os.makedirs(folder, exist_ok=True)
            if not os.access(folder, os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            reason = reason or "The working folder %s cannot be used (%s); " % (
                asked,
                error.strerror,
            )
            continue
        return folder, reason and reason + "the kernel works in %s." % folder
    return "/", reason


def spawn(
    argv: Sequence[str],
    environ: Mapping[str, str],
    folder: str,
    output: int,
    orders: Mapping[str, Any],
    *,
    terminal: bool = False,
    handed: Sequence[int] = (),
) -> int:
    """Start a process as leader of its own session, writing to `output`; returns its pid.

    With `terminal`, `output` is one: it becomes the process's own, and its input. The descriptors
    `handed` become its 3, 4, ….

    Raises
    ------
    LaunchFailed
        when the program cannot be run; nothing is left then.
    """
    told, tell = os.pipe()
    child = _Child(argv, environ, folder, output, orders, tell, os.getpid(), terminal, handed)
    # no signal may meet our handlers in the child: they would wake the agent's loop
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            child.become()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(tell)
    with os.fdopen(told, "rb") as stream:
        problem = stream.read(1024).decode("utf-8", "replace")  # its end is the exec
    if problem:
        os.waitpid(pid, 0)
        raise LaunchFailed("The program %s cannot be run: %s." % (argv[0], problem))
    return pid


class _Child:
    """What the forked child does to become the program."""

    def __init__(self, *plan: Any) -> None:
        self._plan = plan

    def become(self) -> None:
        """Turn into the program; never returns."""
        argv, environ, folder, output, orders, tell, agent, terminal, handed = self._plan
        try:
            os.setsid()
            if handed:
                tell, output = _hand_over(handed, tell, output)
            source = output if terminal else os.open(os.devnull, os.O_RDONLY)
            for one, target in ((source, 0), (output, 1), (output, 2)):
                os.dup2(one, target, inheritable=True)
            if terminal:
                _take_terminal()
            for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
                signal.signal(signum, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            if agent != 1:
                prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # no kernel outlives its agent
                if os.getppid() != agent:
                    os._exit(127)
            if orders.get("owns_pids"):
                _volunteer_for_oom()
            _limit(orders.get("limits") or {})
            os.chdir(folder)
            os.execvpe(argv[0], list(argv), dict(environ))
        except OSError as error:
            os.write(tell, (error.strerror or "unknown reason").encode())
        except BaseException as error:  # noqa: BLE001 - nothing may return into the agent's code
            os.write(tell, type(error).__name__.encode())
        finally:
            os._exit(127)


def _hand_over(handed: Sequence[int], *others: int) -> list[int]:
    """Give descriptors the numbers 3, 4, …; returns the others, which may have been in the way."""
    import fcntl  # noqa: PLC0415 - only a kernel needs it

    moved = [fcntl.fcntl(one, fcntl.F_DUPFD_CLOEXEC, 64) for one in (*others, *handed)]
    for target, one in enumerate(moved[len(others) :], 3):
        os.dup2(one, target)
    return moved[: len(others)]


def _take_terminal() -> None:
    """Make standard input this session's terminal, so that Ctrl-C reaches what runs in it."""
    import fcntl  # noqa: PLC0415 - a start must not wait for it
    import termios  # noqa: PLC0415 - as above

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _limit(limits: Mapping[str, Any]) -> None:
    """Set the limits a process keeps for itself, where the engine has none of its own."""
    if not limits.get("rlimits"):
        return
    import resource  # noqa: PLC0415 - only the process engine needs it

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if limits.get("mem"):
        # The watchdog counts what is really used, a moment later; this stops at once what is
        # far over. Private memory may be reserved without being used, hence the room.
        room = 2 * limits["mem"] + 512 * _MIB
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if soft == resource.RLIM_INFINITY or room < soft:
            resource.setrlimit(resource.RLIMIT_DATA, (room, hard))


def _volunteer_for_oom() -> None:
    """Let the kernel, not the agent, be killed when the place runs out of memory."""
    try:
        with open("/proc/self/oom_score_adj", "w") as stream:
            stream.write("500")
    except OSError:
        pass  # its own size makes it the likely one anyway
