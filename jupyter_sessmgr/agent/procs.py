"""Which processes there are below the agent, from /proc."""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Collection, Iterator

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


def read_text(path: str) -> str:
    """Return a small file's text; "" when it cannot be read, as when its process is gone."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def stat_fields(pid: int) -> list[str]:
    """Return the fields of ``/proc/PID/stat`` that follow the command: state, ppid, …; or []."""
    # the command may hold spaces and brackets
    return read_text("/proc/%d/stat" % pid).rpartition(")")[2].split()


def descendants(root: int) -> list[int]:
    """List the processes below `root`, parents first.

    A process that forks meanwhile can be missed, so who kills them looks again.
    """
    found = list(_children(root))
    for pid in found:  # grows while it is walked
        found.extend(_children(pid))
    return found


def _children(pid: int) -> Iterator[int]:
    folder = "/proc/%d/task" % pid
    try:
        threads = os.listdir(folder)
    except OSError:
        return
    for thread in threads:
        for child in read_text("%s/%s/children" % (folder, thread)).split():
            yield int(child)


def descendants_by_scan(root: int) -> list[int]:
    """List the same by looking at every process: slower, and works on every kernel."""
    parents = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():
        fields = stat_fields(int(entry)) if entry.isdigit() else []
        if fields:
            parents[int(entry)] = int(fields[1])
    found = [root]
    for pid in found:
        found.extend(child for child, parent in parents.items() if parent == pid)
    return found[1:]


def count_threads() -> int:
    """Count the threads of every process that can be seen."""
    count = 0
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():
        if entry.isdigit():
            try:
                count += len(os.listdir("/proc/%s/task" % entry))
            except OSError:
                continue
    return count


def send(pid: int, signum: int) -> bool:
    """Signal a process; False when it is gone or not ours to signal."""
    try:
        os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def send_group(pid: int, signum: int) -> bool:
    """Signal the process group that `pid` leads; False when it is gone."""
    try:
        os.killpg(pid, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def kill_descendants(root: int, spared: Collection[int] = ()) -> int:
    """Kill everything below `root` that is not dead yet; returns how many.

    What belongs to one of the processes `spared` is left alone.
    """
    count = 0
    kept = household(spared)
    for pid in descendants_by_scan(root):
        if pid not in kept and _lives(stat_fields(pid)) and send(pid, signal.SIGKILL):
            count += 1
    return count


def household(leaders: Collection[int]) -> set[int]:
    """Find the living processes of these session leaders: their sessions, and all below.

    So what a process left in the background still counts as its own.
    """
    if not leaders:
        return set()
    table = {}
    for entry in os.listdir("/proc") if os.path.isdir("/proc") else ():
        fields = stat_fields(int(entry)) if entry.isdigit() else []
        if _lives(fields):
            table[int(entry)] = (int(fields[1]), int(fields[3]))
    found = [pid for pid, (_, session) in table.items() if pid in leaders or session in leaders]
    kept = set(found)
    for pid in found:  # grows while it is walked
        below = {child for child, (parent, _) in table.items() if parent == pid} - kept
        kept |= below
        found.extend(below)
    return kept


def _lives(fields: list[str]) -> bool:
    return fields[:1] not in ([], ["Z"], ["X"])
