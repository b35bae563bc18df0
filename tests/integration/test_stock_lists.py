"""The older stock clients' command lines list and show sessions, on a real server."""

from __future__ import annotations

import pytest

from tests.plugins.clients import CLIENTS, add_pair


@pytest.fixture(scope="module")
def pair(shared_server):
    return add_pair(shared_server)


@pytest.mark.parametrize("version", CLIENTS[:-1])
def test_each_older_generation_lists_and_shows(shared_server, stock_client, pair, version):
    client = stock_client(version, f"{shared_server.url}sessmgr", pair)
    client.environ["PAGER"] = "cat"
    name = f"listed-by-{version.partition('.')[0]}"

    def works(*words):
        done = client.run("backend.ai", *words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout + done.stderr

    created = shared_server.create(name=name, tag="of-mine")
    printed = works("ps", "--detail")
    for word in (name, "RUNNING", "INTERACTIVE", "of-mine", "jupyter-sessmgr/python:latest"):
        assert word in printed
    # Since v5 a session is shown by its UUID, before that by its name.
    reference = name if version.startswith("19.") else created["sessionId"]
    printed = works("admin", "session", reference)
    assert "of-mine" in printed
    assert '"mem": "2147483648"' in printed
    assert "End of logs" in works("logs", name)
    assert "Done" in works("rm", name)
    assert name not in works("ps")
    assert "TERMINATED" in works("ps", "--dead")
