"""The page of the HTTP API does what it says: its commands run, and answer as it shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.meta.tree import page

BLOCK = re.compile(r"^```(bash|json)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DIVIDER = "\n=== next ===\n"


def steps():
    """List each block of commands, with the answer that is shown after it, if one is."""
    found = []
    by_hand = page("reference/rest.md").partition("<!-- From here")[0]
    for language, text in BLOCK.findall(by_hand):
        if language == "bash":
            found.append([text, None])
        else:
            found[-1][1] = json.loads(text)
    return found


@pytest.fixture(scope="module")
def answers(module_servers, tmp_path_factory):
    """Run all the page's commands, in one shell."""
    server = module_servers.start()
    script = "set -euo pipefail\n" + "".join(
        f"{text}\nprintf '%s' '{DIVIDER}'\n" for text, _ in steps()
    )
    environ = module_servers._environ(server.folder, {"URL": server.url, "TOKEN": server.token})
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],
        env=environ,
        cwd=tmp_path_factory.mktemp("by-hand"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{server.log()[-3000:]}"
    return done.stdout.split(DIVIDER)


@pytest.mark.parametrize("number", range(len(steps())))
def test_the_commands_of_the_page_work(answers, number):
    commands, shown = steps()[number]
    assert shown is None or is_like(json.loads(answers[number]), shown), (commands, answers[number])


def is_like(told, shown):
    """Tell whether an answer has what the page shows of it."""
    if isinstance(shown, dict):
        return all(key in told and is_like(told[key], value) for key, value in shown.items())
    if isinstance(shown, list):
        return all(any(is_like(one, wanted) for one in told) for wanted in shown)
    return told == shown


def test_the_page_shows_every_part_of_the_api():
    commands = " ".join(text for text, _ in steps())
    for word in ("upload", "files", "logs", "services", "DELETE", "PATCH", "Attach", "keypair"):
        assert word in commands
