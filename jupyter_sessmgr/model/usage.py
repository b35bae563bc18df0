"""What a session used."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What a session used so far, as its agent measured it."""

    cpu_ms: int = 0
    mem_bytes: int = 0
    mem_max_bytes: int = 0
    pids: int = 0
    net_rx_bytes: int = 0
    net_tx_bytes: int = 0
    io_read_bytes: int = 0
    io_write_bytes: int = 0
    #: Bytes of its own, passing files: what it wrote outside mounts.
    scratch_bytes: int = 0
    scratch_max_bytes: int = 0
