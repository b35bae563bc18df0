"""Output that nobody heard comes to whoever comes back: nothing missing, nothing doubled.

Servers are killed and started again on one state folder; the kernels go on.
"""

from __future__ import annotations

import time

from tests.plugins.notebooks import Notebook, is_made, is_reply, is_status, parent

#: Prints a number each 0.02 s, until there is a file "stop"; then says in another that it ended.
COUNT = """\
import itertools, os, time
for number in itertools.count():
    print(number, flush=True)
    time.sleep(0.02)
    if os.path.exists("stop"):
        os.remove("stop")
        break
print("end", flush=True)
open("ended", "w").close()
"""


def numbers(heard, msg_id):
    """List the lines that an execution printed, in the order in which they came."""
    texts = [
        message["content"]["text"]
        for message in heard
        if message["header"]["msg_type"] == "stream"
        and parent(message) == msg_id
        and not is_made(message)
    ]
    return "".join(texts).split()


def is_replayed(message):
    return message["metadata"].get("sessmgr", {}).get("replayed", False)


def is_live(message, msg_id):
    """Tell whether a message is what an execution printed just now."""
    kind = message["header"]["msg_type"]
    return kind == "stream" and parent(message) == msg_id and not is_replayed(message)


def wait_for(condition, timeout=30.0):
    deadline = time.monotonic() + timeout
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.02)
    return answer


class Work:
    """The working folder of a session, seen from outside."""

    def __init__(self, client, session_id):
        client.execute(session_id, "open('here', 'w').close()")
        self.folder = wait_for(lambda: next(iter(client.state_dir.rglob("here")), None)).parent

    def stop(self):
        (self.folder / "stop").touch()

    def until_ended(self):
        wait_for((self.folder / "ended").exists)
        (self.folder / "ended").unlink()


def a_session(server, name):
    made = server.create(clientSessionToken=name, image="jupyter-sessmgr/python")
    server.until(made["sessionId"], "RUNNING")
    server.until_listed(made["sessionId"])
    return made["sessionId"]


def test_a_counter_goes_on_over_the_death_of_its_server(servers):
    server = servers.start()
    session_id = a_session(server, "counting")
    work = Work(server, session_id)
    with Notebook(server, session_id, v1=True) as notebook:
        running = notebook.send(
            "execute_request", {"code": COUNT, "silent": False}, metadata={"cellId": "cell-1"}
        )
        notebook.hear(lambda m: len(numbers(notebook.heard, running)) > 20)
        position, heard = notebook.position, notebook.heard
    # by SIGKILL, and the same client again
    server.kill()
    second = servers.start(state_dir=server.state_dir)
    with Notebook(
        second, session_id, v1=True, session=notebook.session, replay=[position]
    ) as notebook:
        notebook.hear(lambda m: is_live(m, running))
        missed = [m for m in notebook.heard if is_replayed(m) and parent(m) == running]
        assert {m["metadata"]["sessmgr"]["cell"] for m in missed} == {"cell-1"}
        notebook.hear(lambda m: is_live(m, running))
        position = notebook.position
        heard += notebook.heard
    # by SIGTERM, and it ends while nobody is there; a client that nobody knows hears of it
    second.stop()
    work.stop()
    work.until_ended()
    third = servers.start(state_dir=server.state_dir)
    with Notebook(third, session_id, replay=[position]) as notebook:
        reply = notebook.hear(lambda m: is_reply(m, running))
        assert reply["content"]["status"] == "ok"
        assert reply["channel"] == "shell"
        # and goes on as ever
        assert notebook.run("print(number > 0)") == "True\n"
        heard += notebook.heard
    lines = numbers(heard, running)
    assert lines == [*map(str, range(len(lines) - 1)), "end"]
    assert sum(is_status(m, "idle") and parent(m) == running for m in heard) == 1
    assert sum(is_reply(m, running) for m in heard) == 1


#: Asks when there is a file "stop", which is gone then.
ASKS = """\
import os, time
print("begun", flush=True)
while not os.path.exists("stop"): time.sleep(0.02)
os.rename("stop", "ended")
print("hello", input("name? "), flush=True)
"""


def test_what_a_cell_asks_while_no_server_runs_is_asked_then(servers):
    server = servers.start()
    session_id = a_session(server, "asking")
    work = Work(server, session_id)
    with Notebook(server, session_id, v1=True) as notebook:
        content = {"code": ASKS, "silent": False, "allow_stdin": True}
        running = notebook.send("execute_request", content, metadata={"cellId": "cell-1"})
        notebook.hear(lambda m: "begun" in m["content"].get("text", ""))
    server.kill()
    work.stop()
    work.until_ended()
    second = servers.start(state_dir=server.state_dir)
    back = {"session": notebook.session, "replay": [notebook.position]}
    with Notebook(second, session_id, v1=True, **back) as notebook:
        asks = notebook.hear(lambda m: m["channel"] == "stdin")
        assert (asks["content"]["prompt"], parent(asks)) == ("name? ", running)
        answer = {"value": "you", "status": "ok"}
        notebook.send("input_reply", answer, "stdin", above=asks["header"])
        assert "hello you" in notebook.finish(running)
        assert sum(m["channel"] == "stdin" for m in notebook.heard) == 1
