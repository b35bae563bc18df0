"""Make what is published: sdist and wheel of the last commit, checked, and the release notes.

Refuses a tree with changes, and a version that CHANGELOG.md does not know. Publishes nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
_TIMEOUT = 1800


class Refused(Exception):
    """Why nothing is released: a sentence with the remedy."""


def main(words: list[str] | None = None) -> int:
    """Make the artefacts in the folder that is named, ``dist`` by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    out = parser.parse_args(words).out
    try:
        version = version_of(ROOT)
        refuse_changes(ROOT)
        notes = notes_of((ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), version)
        build(ROOT, out)
    except Refused as refused:
        sys.stderr.write(f"No release: {refused}\n")
        return 1
    (out / f"release-notes-{version}.md").write_text(notes, encoding="utf-8")
    for path in sorted(out.iterdir()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sys.stdout.write(f"{digest}  {path.name}\n")
    return 0


def version_of(root: Path) -> str:
    """Read the version from the one file that has it."""
    text = (root / "jupyter_sessmgr" / "_version.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise Refused("jupyter_sessmgr/_version.py has no version.")
    return found[1]


def refuse_changes(root: Path) -> None:
    """Refuse a tree that is not what the last commit is."""
    changes = _run(["git", "status", "--porcelain"], root)
    if changes:
        first = changes.splitlines()[0][3:]
        raise Refused(f"{first} and maybe more is not committed. Commit it, or remove it.")


def notes_of(changelog: str, version: str) -> str:
    """Take a version's section out of the changelog."""
    heading = rf"^## \[?{re.escape(version)}\]?(?: [^\n]*)?$"
    section = re.search(
        rf"{heading}\n(?P<text>.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if section is None or not section["text"].strip():
        raise Refused(
            f"CHANGELOG.md has no section with something in it for {version}. "
            f'"make version VERSION={version}" makes one of "## Unreleased".'
        )
    return f"# jupyter-sessmgr {version}\n\n{section['text'].strip()}\n"


def build(root: Path, out: Path) -> None:
    """Build from an export of the last commit, so that nothing else can get in; then check."""
    if out.exists() and any(out.iterdir()):
        raise Refused(f"{out} is not empty. Move what is there away.")
    with tempfile.TemporaryDirectory(prefix="sessmgr-release-") as scratch:
        archive = Path(scratch) / "tree.tar"
        _run(["git", "archive", "--output", str(archive), "HEAD"], root)
        tree = Path(scratch) / "tree"
        with tarfile.open(archive) as packed:
            packed.extractall(tree)  # noqa: S202 - git made it
        _run([sys.executable, "-m", "build", "--outdir", str(out), str(tree)], tree)
    made = sorted(str(path) for path in out.iterdir())
    _run([sys.executable, "-m", "twine", "check", "--strict", *made], root)


def _run(command: list[str], folder: Path) -> str:
    done = subprocess.run(  # noqa: S603 - fixed words
        command, cwd=folder, check=False, timeout=_TIMEOUT, capture_output=True, text=True
    )
    if done.returncode:
        raise Refused(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-3000:]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
