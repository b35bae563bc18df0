"""Imports go one way only."""

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


def test_ruff_is_content():
    result = run(tool("ruff"), "check", "--no-cache", "--output-format=concise", ".")
    assert result.returncode == 0, result.stdout + result.stderr


def test_files_are_formatted():
    result = run(tool("ruff"), "format", "--no-cache", "--check", ".")
    assert result.returncode == 0, result.stdout + result.stderr


def test_types_are_strict(tmp_path):
    result = run(sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
