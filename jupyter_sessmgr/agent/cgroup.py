"""What the place's control group counts: version 1, version 2, or none that can be read."""

from __future__ import annotations

import os
import re

from .procs import count_threads, read_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

#: Version 1 says "no limit" by a number near 2**63.
_NO_LIMIT = 2**60
#: How often threads are counted; some may end between the two counts.
_LOOKS = 5


class Cgroup:
    """The folders of this process's control group.

    With version 2 every controller is in one folder; with version 1 each has its own.
    """

    def __init__(self) -> None:
        self._folders = dict(_folders())
        self._private: bool | None = None
        self.unified = "memory" not in self._folders and "" in self._folders

    def file(self, controller: str, name: str) -> str:
        """Read one of the group's files; "" when it is not there."""
        folder = self._folders.get("" if self.unified else controller, "")
        return read_text(os.path.join(folder, name)) if folder else ""

    def number(self, controller: str, name: str) -> int | None:
        """Read a file that holds one number; None when there is none, or "max"."""
        text = self.file(controller, name).strip()
        return int(text) if text.isdigit() else None

    def table(self, controller: str, name: str) -> dict[str, int]:
        """Read a file of lines "name number"."""
        pairs = (line.partition(" ") for line in self.file(controller, name).splitlines())
        return {name: int(value) for name, _, value in pairs if value.isdigit()}

    def oom_kills(self) -> int:
        """Count the processes of this group that were killed for want of memory."""
        name = "memory.events" if self.unified else "memory.oom_control"
        return self.table("memory", name).get("oom_kill", 0)

    def memory_limit(self) -> int | None:
        """Return the hard limit in bytes; None when there is none."""
        name = "memory.max" if self.unified else "memory.limit_in_bytes"
        limit = self.number("memory", name)
        return limit if limit is not None and limit < _NO_LIMIT else None

    def is_private(self) -> bool:
        """Tell whether the group holds this place and nothing else.

        It counts all its threads, also those that our PID namespace hides. Looked at once.
        """
        if self._private is None:
            self._private = any(self._holds_no_stranger() for _ in range(_LOOKS))
        return self._private

    def _holds_no_stranger(self) -> bool:
        counted = self.number("pids", "pids.current")
        return counted is not None and counted <= count_threads()


def _folders() -> Iterator[tuple[str, str]]:
    """Yield (controller, folder) pairs; the controller of version 2 is ""."""
    mounts = list(_mounts())
    for line in read_text("/proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        for controller in names.split(","):
            for kind, options, root, point in mounts:
                fits = controller in options if controller else kind == "cgroup2"
                if fits:
                    yield controller, _below(point, root, path)
                    break


def _mounts() -> Iterator[tuple[str, list[str], str, str]]:
    """Yield (type, super options, root, mount point) of every cgroup mount."""
    for line in read_text("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        kind, _, rest = after.partition(" ")
        if kind in ("cgroup", "cgroup2"):
            fields = before.split()
            options = rest.rpartition(" ")[2].split(",")
            yield kind, options, _plain(fields[3]), _plain(fields[4])


def _plain(text: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)


def _below(point: str, root: str, path: str) -> str:
    """Find the group's folder below a mount that may show only a part of the tree."""
    inner = os.path.relpath(path, root) if path.startswith(root) else "."
    folder = os.path.normpath(os.path.join(point, inner))
    return folder if os.path.isdir(folder) else point
