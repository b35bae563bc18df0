"""How much memory this machine has left."""

from __future__ import annotations

from pathlib import Path

_INFO = Path("/proc/meminfo")


def free_memory() -> float:
    """Return which part of the machine's memory programs may still take; 1.0 when unknown.

    Reads a file: in a thread.
    """
    try:
        lines = _INFO.read_text(encoding="ascii").splitlines()
        sizes = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
        return sizes["MemAvailable"] / sizes["MemTotal"]
    except (OSError, ValueError, LookupError, ZeroDivisionError):
        return 1.0
