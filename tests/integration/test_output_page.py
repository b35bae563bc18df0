"""The page about output that survives does what it says: its command and its program run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading

from tests.meta.tree import page

BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_command_and_the_program_of_the_page(servers):
    blocks = dict(BLOCK.findall(page("how-to/output-that-survives.md")))
    first = servers.start(config={"ServerApp": {"port": 0}})
    kernel_id = first.create(clientSessionToken="my-session")["sessionId"]
    first.execute(kernel_id, "print('before')")
    environ = servers._environ(first.folder, {"URL": first.url, "TOKEN": first.token})
    asked = subprocess.run(
        ["bash", "-c", blocks["bash"]],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert json.loads(asked.stdout)["sessionId"] == kernel_id
    program = subprocess.Popen(
        [sys.executable, "-c", blocks["python"]],
        env={**environ, "KERNEL": kernel_id},
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = iter(program.stdout.readline, "")
    watchdog = threading.Timer(90, program.kill)
    watchdog.start()
    try:
        assert [next(lines), next(lines)] == ["before\n", "ok\n"]
        loop = "import time\nfor n in range(150): print(n, flush=True); time.sleep(0.02)"
        first.tell(kernel_id, loop)
        assert [next(lines) for _ in range(20)] == [f"{n}\n" for n in range(20)]
        port = int(first.url.split(":")[2].split("/")[0])
        first.kill()
        same = {"ServerApp": {"port": port}, "IdentityProvider": {"token": first.token}}
        servers.start(config=same, state_dir=first.state_dir)
        assert [next(lines) for _ in range(130)] == [f"{n}\n" for n in range(20, 150)]
        assert next(lines) == "ok\n"
    finally:
        watchdog.cancel()
        program.kill()
        program.wait()
        program.stdout.close()
