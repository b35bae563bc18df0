"""What the meta tests look at: the files that belong to the project."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "jupyter_sessmgr"
DOCS = ROOT / "docs"


@cache
def tracked_names() -> tuple[str, ...]:
    """List the project's files: those in version control, and new ones not ignored."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    if listing.returncode == 0:
        return tuple(sorted({name for name in listing.stdout.split("\0") if name}))
    # an unpacked source distribution
    return tuple(str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file())


@cache
def tracked() -> tuple[Path, ...]:
    """List the project's text files: those in version control, and new ones not ignored."""
    paths = (ROOT / name for name in tracked_names())
    return tuple(sorted(path for path in paths if path.is_file() and _is_text(path)))


def _is_text(path: Path) -> bool:
    return b"\0" not in path.read_bytes()[:8192]


def package_sources() -> list[Path]:
    """List the package's Python files."""
    return sorted(path for path in PACKAGE.rglob("*.py") if "node_modules" not in path.parts)


def page(name: str) -> str:
    """Read a page of the documentation."""
    return (DOCS / name).read_text(encoding="utf-8")


def texts_of(*suffixes: str) -> list[tuple[Path, str]]:
    """Read the project's text files with these suffixes; all without any."""
    paths = (path for path in tracked() if not suffixes or path.suffix in suffixes)
    return [(path, path.read_text(encoding="utf-8", errors="replace")) for path in paths]
