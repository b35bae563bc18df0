"""Give the project a version: in every file that has it, and in CHANGELOG.md.

``jupyter_sessmgr/_version.py`` is the one that counts. npm, JupyterLab's page and conda read files
of their own, which follow it; a test compares.
"""

from __future__ import annotations

import argparse
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
#: As npm and Python both spell it; of pre-releases they have different spellings.
FORM = re.compile(r"\d+\.\d+\.\d+")
#: Where the version stands: what comes before it, each once in its file.
PLACES = (
    ("jupyter_sessmgr/_version.py", r'^__version__ = "'),
    ("labextension/package.json", r'^  "version": "'),
    ("labextension/package-lock.json", r'^  "version": "'),
    ("labextension/package-lock.json", r'^      "name": "jupyter-sessmgr",\n      "version": "'),
    ("labextension/src/tokens.ts", r"\bVERSION = '"),
    ("recipe/recipe.yaml", r'^  version: "'),
)
_UNRELEASED = "## Unreleased"


def main(words: list[str] | None = None) -> int:
    """Write the version that is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("version", help="such as 0.2.0")
    version = parser.parse_args(words).version
    try:
        set_version(ROOT, version, datetime.now(UTC).date().isoformat())
    except ValueError as refused:
        sys.stderr.write(f"No version was set: {refused}\n")
        return 1
    sys.stdout.write(f"This is {version}. Look at `git diff`, and commit it.\n")
    return 0


def set_version(root: Path, version: str, date: str) -> None:
    """Write a version into a tree, or nothing at all.

    Raises
    ------
    ValueError
        saying why, when it is no version, or a file has no place for it.
    """
    if not FORM.fullmatch(version):
        raise ValueError(f"{version!r} is not three numbers, such as 0.2.0.")
    texts = {name: (root / name).read_text(encoding="utf-8") for name, _ in PLACES}
    for name, before in PLACES:
        texts[name], count = re.subn(
            rf"({before})[^\"']+", rf"\g<1>{version}", texts[name], flags=re.MULTILINE
        )
        if count != 1:
            raise ValueError(f"{name} has {count} places for it, and not one.")
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    texts["CHANGELOG.md"] = name_section(changelog, version, date)
    for name, text in texts.items():
        (root / name).write_text(text, encoding="utf-8")


def name_section(changelog: str, version: str, date: str) -> str:
    """Give what is unreleased its version and date; as it is where the version has its section."""
    if re.search(rf"^## {re.escape(version)} - ", changelog, re.MULTILINE):
        return changelog
    if f"\n{_UNRELEASED}\n" not in changelog:
        raise ValueError(f'CHANGELOG.md has no section "{_UNRELEASED}" that could become it.')
    return changelog.replace(f"\n{_UNRELEASED}\n", f"\n## {version} - {date}\n")


if __name__ == "__main__":
    sys.exit(main())
