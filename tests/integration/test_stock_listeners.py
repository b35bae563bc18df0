"""The stock clients' command lines listen to a session, on a real server."""

from __future__ import annotations

import re
import subprocess
import threading
import time

import pytest

from tests.plugins.clients import CLIENTS, add_pair

NAME = "listened-to"


@pytest.fixture(scope="module")
def pair(shared_server):
    return add_pair(shared_server)


class Listening:
    """A command that goes on until somebody ends it."""

    def __init__(self, client, *words):
        self.text = ""
        self.process = subprocess.Popen(
            [client.folder / "bin" / "backend.ai", *words],
            cwd=client.work,
            env={**client.environ, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.text += re.sub(r"\x1b\[[0-9;]*m", "", line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)


@pytest.mark.parametrize("version", CLIENTS)
def test_each_generation_hears_of_a_session(shared_server, stock_client, pair, version):
    client = stock_client(version, f"{shared_server.url}sessmgr", pair)
    deadline = time.monotonic() + 60
    with Listening(client, "events", NAME) as listening:
        while "session_terminated" not in listening.text:  # it does not say when it listens
            assert listening.process.poll() is None, listening.text
            assert time.monotonic() < deadline, listening.text
            shared_server.create(clientSessionToken=NAME, kernel="")
            shared_server.ask("DELETE", f"sessmgr/session/{NAME}?forced=true")
    lines = [line for line in listening.text.splitlines() if "session_terminated" in line]
    assert NAME in lines[0]
    assert "user-requested" in lines[0]
