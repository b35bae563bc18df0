"""Imports go one way only. (Lint and types are `make check`, which `make test` runs first.)"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.meta.tree import ROOT


def tool(name):
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def run(*command, timeout=170):
    return subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=timeout
    )


def test_layers():
    result = run(tool("lint-imports"), "--no-cache")
    assert result.returncode == 0, result.stdout + result.stderr
