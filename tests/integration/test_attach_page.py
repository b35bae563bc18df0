"""The page about attaching does what it says: its commands run, and answer as it shows."""

from __future__ import annotations

import json
import subprocess

from tests.integration.test_rest_page import BLOCK, DIVIDER, is_like
from tests.meta.tree import page


def test_the_commands_of_the_page_about_attaching(servers):
    server = servers.start()
    blocks = BLOCK.findall(page("how-to/attach.md"))
    commands = [text for language, text in blocks if language == "bash"]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"\nprintf '%s' '{DIVIDER}'\n".join(commands)],
        env=servers._environ(server.folder, {"URL": server.url, "TOKEN": server.token}),
        cwd=server.folder / "home",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{server.log()[-3000:]}"
    answers = iter(done.stdout.split(DIVIDER))
    shown = 0
    for language, text in blocks:
        if language == "bash":
            answer = next(answers)
        else:
            shown += 1
            assert is_like(json.loads(answer), json.loads(text)), (text, answer)
    assert shown == 3
    assert [one["status"] for one in server.sessions(ended=True)] == ["TERMINATED", "RUNNING"]
