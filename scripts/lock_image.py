"""Write etc/images/python/requirements.txt: requirements.in, resolved to exact versions.

Run by ``make image-lock`` on Linux. The versions are such that the oldest Python of our bases can
use them; their wheels are fetched for the base's Python when the image is built.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

RECIPE = Path(__file__).parent.parent / "etc" / "images" / "python"
#: Debian 12's.
OLDEST_PYTHON = "3.11.2"
COMMAND = (
    *("-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet"),
    *("--only-binary=:all:", f"--python-version={OLDEST_PYTHON}", "--target=unused"),
    *("--report=-", "-r", str(RECIPE / "requirements.in")),
)


def main() -> None:
    """Resolve, and write the file."""
    command = [sys.executable, *COMMAND]
    run = subprocess.run(command, check=True, capture_output=True, timeout=600)  # noqa: S603 - fixed
    found = (item["metadata"] for item in json.loads(run.stdout)["install"])
    lines = sorted(f"{item['name'].lower()}=={item['version']}" for item in found)
    target = RECIPE / "requirements.txt"
    head = "# Made from requirements.in by `make image-lock`; edit that one.\n"
    target.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"{target}: {len(lines)} packages")  # noqa: T201 - a tool for the terminal


if __name__ == "__main__":
    main()
