"""Measure everything, against the bars: ``make bench``, or ``python -m bench kernel_start``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent
ALL = (
    "rest_info",
    "rest_list",
    "many_creates",
    "attach",
    "event_loop",
    "kernel_start",
    "warm_start",
    "kernel_restart",
    "kernel_use",
    "session_memory",
    "survival",
    "service_ports",
    "lab_page",
    "lab_crowd",
    "server_start",
)


def main(names):
    """Run each measurement in a process of its own; returns how many missed their bars."""
    missed = 0
    for name in names or ALL:
        print(f"== {name}", flush=True)
        ran = subprocess.run([sys.executable, str(FOLDER / f"{name}.py")], check=False)
        missed += ran.returncode != 0
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
