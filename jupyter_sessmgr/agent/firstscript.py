"""What is run once when a place starts, before its kernel or its command."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

#: How long it may take, in seconds.
DEADLINE = 600.0


def command(orders: Mapping[str, Any], script: str) -> list[str]:
    """Write the script where only this user can read it; returns how it is run.

    Its first line says what reads it, as always; a shell does when it does not say.
    """
    path = os.path.join(orders["runtime_dir"], "bootstrap.sh")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as stream:
        stream.write(script)
    first = script.partition("\n")[0]
    if not first.startswith("#!"):
        return ["/bin/sh", path]
    # not run as it is: the folder may be on a file system that runs nothing
    return [*first[2:].strip().split(None, 1), path]


def deadline(orders: Mapping[str, Any]) -> float:
    """Say when it is out of time, on the monotonic clock."""
    return time.monotonic() + float(orders.get("bootstrap_deadline") or DEADLINE)
