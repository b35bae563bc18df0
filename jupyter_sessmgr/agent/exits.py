"""Why a kernel, or another process, ended, in words for people."""

from __future__ import annotations

import signal

KERNEL = "The kernel"

_WHY = {
    "SIGKILL": "from outside, or by the system",
    "SIGTERM": "it was asked to end",
    "SIGINT": "it was interrupted before it could handle that",
    "SIGHUP": "it was told to hang up",
    "SIGSEGV": "a segmentation fault, most often a bug in a compiled library",
    "SIGBUS": "a bus error, most often a full /dev/shm or disk",
    "SIGABRT": "it aborted itself, most often a failed check in a compiled library",
    "SIGILL": "an illegal instruction: a library was compiled for another processor",
    "SIGFPE": "an arithmetic error in a compiled library",
    "SIGXCPU": "it used up its processor time",
    "SIGXFSZ": "it wrote a file larger than allowed",
    "SIGSYS": "a system call that is not allowed here",
}
_UNITS = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))


def out_of_memory(limit: int | None, advisory: bool = False, who: str = KERNEL) -> str:
    """Say that a process was killed for want of memory."""
    kind = "advisory limit" if advisory else "limit"
    within = " (%s %s)" % (kind, size_text(limit)) if limit else ""
    return "%s ran out of memory%s and was killed." % (who, within)


def exit_reason(code: int, who: str = KERNEL) -> str:
    """Say how a process ended that nobody asked to end; negative codes are signals."""
    if code == 0:
        return "%s ended by itself, with exit code 0." % who
    if code > 0:
        return "%s ended with exit code %d." % (who, code)
    name = signal_name(-code)
    why = _WHY.get(name)
    return "%s was killed by signal %d, %s%s." % (
        who,
        -code,
        name,
        ": " + why if why else "",
    )


def signal_name(signum: int) -> str:
    """Name a signal."""
    try:
        return signal.Signals(signum).name
    except ValueError:
        return "which has no name"


def size_text(size: int) -> str:
    """Write bytes in the largest unit that leaves no odd rest: 512 MiB."""
    for unit, name in _UNITS:
        if size >= unit:
            return ("%d %s" if size % unit == 0 else "%.1f %s") % (size / unit, name)
    return "%d bytes" % size
