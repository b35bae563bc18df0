"""What the place used: from its control group where it has one of its own, else from /proc."""

from __future__ import annotations

import os
import re

from . import procs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .cgroup import Cgroup


#: Which field of /proc/net/dev counts the bytes sent.
_SENT = 8
#: Which field of /proc/PID/stat, after the command, tells when it started: pids are used again.
_STARTED = 19
#: What only grows.
_SUMS = (
    "cpu_ms",
    "io_read_bytes",
    "io_write_bytes",
    "net_rx_bytes",
    "net_tx_bytes",
)
#: Where a place may have temporary file systems of its own.
_SCRATCH = ("/tmp", "/run", "/var/tmp", "/dev/shm")


class Meter:
    """Measures. Keeps the highest memory it saw, where nobody else does.

    Parameters
    ----------
    cgroup : Cgroup
        The place's.
    owns_pids : bool
        Whether the place has a PID namespace, hence perhaps a group and a network of its own.
    """

    def __init__(self, cgroup: Cgroup, owns_pids: bool) -> None:
        self._cgroup = cgroup
        self._owns_pids = owns_pids
        self._highest = 0
        self._scratch = 0
        self._before: dict[str, int] = {}
        self._disk = DiskCounts()

    def read(self) -> dict[str, int]:
        """Measure everything; what cannot be known is 0."""
        if self._owns_pids and self._cgroup.is_private():
            measured = self._read_cgroup()
            measured.update(_network())
        else:
            measured = _read_processes(self._disk)
        # Processes that ended and were counted otherwise must not make it less.
        for name in _SUMS:
            measured[name] = self._before[name] = max(measured[name], self._before.get(name, 0))
        measured["scratch_bytes"] = scratch() if self._owns_pids else 0
        self._scratch = max(self._scratch, measured["scratch_bytes"])
        measured["scratch_max_bytes"] = self._scratch
        self._highest = max(self._highest, measured["mem_bytes"], measured["mem_max_bytes"])
        measured["mem_max_bytes"] = self._highest
        return measured

    def _read_cgroup(self) -> dict[str, int]:
        group = self._cgroup
        memory = group.table("memory", "memory.stat")
        if group.unified:
            used = group.number("memory", "memory.current") or 0
            used -= memory.get("inactive_file", 0)
            peak = group.number("memory", "memory.peak") or 0
            cpu_ms = group.table("cpu", "cpu.stat").get("usage_usec", 0) // 1000
        else:
            used = group.number("memory", "memory.usage_in_bytes") or 0
            used -= memory.get("total_inactive_file", 0)
            peak = group.number("memory", "memory.max_usage_in_bytes") or 0
            cpu_ms = (group.number("cpuacct", "cpuacct.usage") or 0) // 1_000_000
        read, written = _disk(group)
        return {
            "cpu_ms": cpu_ms,
            "mem_bytes": max(0, used),
            "mem_max_bytes": peak,
            "pids": group.number("pids", "pids.current") or 0,
            "io_read_bytes": read,
            "io_write_bytes": written,
        }


def memory_exceeds(limit: int) -> bool:
    """Tell whether the processes below the agent use more than `limit` bytes of memory.

    Adding up resident memory counts shared pages twice, so only when that is over the limit,
    the costly and exact count decides.
    """
    pids = procs.descendants(os.getpid())
    if sum(_resident(pid) for pid in pids) <= limit:
        return False
    return sum(_proportional(pid) for pid in pids) > limit


def _resident(pid: int) -> int:
    fields = procs.read_text("/proc/%d/statm" % pid).split()
    return int(fields[1]) * procs.PAGE if fields else 0


def _proportional(pid: int) -> int:
    """Count memory, with pages that several processes share divided among them."""
    match = re.search(
        r"^Pss:\s+(\d+) kB", procs.read_text("/proc/%d/smaps_rollup" % pid), re.MULTILINE
    )
    return int(match[1]) * 1024 if match else _resident(pid)


class DiskCounts:
    """What processes read and wrote, those that ended meanwhile included."""

    def __init__(self) -> None:
        self._living: dict[tuple[int, str], tuple[int, int]] = {}
        self._gone = (0, 0)

    def add_up(self, pids: list[int]) -> tuple[int, int]:
        """Return the bytes read and written so far; `pids` are those that live."""
        living = {}
        for pid in pids:
            fields = procs.stat_fields(pid)
            if len(fields) > _STARTED:
                living[pid, fields[_STARTED]] = _moved(pid)
        for key in set(self._living) - set(living):
            self._gone = _sum([self._gone, self._living[key]])
        self._living = living
        return _sum([self._gone, *living.values()])


def _sum(pairs: list[tuple[int, int]]) -> tuple[int, int]:
    return sum(read for read, _ in pairs), sum(written for _, written in pairs)


def _moved(pid: int) -> tuple[int, int]:
    lines = procs.read_text("/proc/%d/io" % pid).splitlines()
    counters = dict(line.split(": ") for line in lines)
    return int(counters.get("read_bytes", 0)), int(counters.get("write_bytes", 0))


def scratch() -> int:
    """Count the bytes on the place's own temporary file systems.

    Homes and mounts are on the host's disks, where only a walk could tell, so they do not count.
    """
    used = {}
    for line in procs.read_text("/proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        point = before.split()[4]
        if point in _SCRATCH and after.startswith("tmpfs "):
            try:
                seen, device = os.statvfs(point), os.stat(point).st_dev
            except OSError:
                continue
            used[device] = (seen.f_blocks - seen.f_bfree) * seen.f_frsize
    return sum(used.values())


def _read_processes(disk: DiskCounts) -> dict[str, int]:
    """Add up the processes below the agent, and those that ended."""
    times = os.times()
    cpu = times.children_user + times.children_system
    pids = procs.descendants(os.getpid())
    read, written = disk.add_up(pids)
    for pid in pids:
        cpu += sum(int(field) for field in procs.stat_fields(pid)[11:15]) / procs.TICKS
    return {
        "cpu_ms": int(cpu * 1000),
        "mem_bytes": sum(_proportional(pid) for pid in pids),
        "mem_max_bytes": 0,
        "pids": len(pids),
        "net_rx_bytes": 0,
        "net_tx_bytes": 0,
        "io_read_bytes": read,
        "io_write_bytes": written,
    }


def _disk(group: Cgroup) -> tuple[int, int]:
    """Return the bytes read from and written to disks."""
    if group.unified:
        text = group.file("io", "io.stat")
        patterns = (r"\brbytes=(\d+)", r"\bwbytes=(\d+)")
    else:
        text = group.file("blkio", "blkio.throttle.io_service_bytes")
        patterns = (r"\bRead (\d+)", r"\bWrite (\d+)")
    read, written = (sum(int(number) for number in re.findall(one, text)) for one in patterns)
    return read, written


def _network() -> dict[str, int]:
    """Add up the place's network interfaces, but for the loopback."""
    received = sent = 0
    for line in procs.read_text("/proc/net/dev").splitlines()[2:]:
        name, _, numbers = line.partition(":")
        fields = numbers.split()
        if name.strip() != "lo" and len(fields) > _SENT:
            received += int(fields[0])
            sent += int(fields[_SENT])
    return {"net_rx_bytes": received, "net_tx_bytes": sent}
