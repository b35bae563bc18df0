"""Remembers when the system last killed for want of memory."""

from __future__ import annotations

import time

from . import exits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .cgroup import Cgroup

#: An OOM kill explains a death only when it happened so many seconds before it.
_WINDOW = 5.0


class OomWatch:
    """Tells a death by the system's hand from others.

    Parameters
    ----------
    cgroup : Cgroup
        The place's, which counts.
    """

    def __init__(self, cgroup: Cgroup) -> None:
        self._cgroup = cgroup
        self._since, self._older, self._newer = 0.0, cgroup.oom_kills(), cgroup.oom_kills()

    def begin(self) -> None:
        """Note that another process starts: what was before does not count."""
        count = self._cgroup.oom_kills()
        self._since, self._older, self._newer = time.monotonic(), count, count

    def tick(self) -> None:
        """Look; called every second."""
        if time.monotonic() - self._since > _WINDOW:
            self._since, self._older = time.monotonic(), self._newer
            self._newer = self._cgroup.oom_kills()

    def judge(self, code: int, who: str) -> dict[str, Any]:
        """Find out why a process ended that nobody asked to end; returns what is told."""
        # a shell around the kernel reports 128 + signal
        if code in (-9, 137) and self._cgroup.oom_kills() > self._older:
            limit = self._cgroup.memory_limit()
            return {"oom": True, "reason": exits.out_of_memory(limit, who=who)}
        return {"reason": exits.exit_reason(code, who)}
