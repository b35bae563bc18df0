"""What a notebook gets that connects late, again, or in the middle of a cell."""

from __future__ import annotations

import time

import pytest

from tests.plugins.kernels import KERNEL
from tests.plugins.notebooks import Notebook, is_made, is_reply, is_status, parent

#: Prints on and on, until it is interrupted.
ON_AND_ON = """\
import itertools, time
for number in itertools.count():
    print(number, flush=True)
    time.sleep(0.01)
"""
QUIET = "import time\nprint('begun', flush=True)\ntime.sleep(600)"


@pytest.fixture(params=[True, False], ids=["v1", "json"])
def v1(request):
    return request.param


@pytest.fixture
def kernel_id(shared_server):
    """Give a kernel of its own to a test."""
    reply = shared_server.ask("POST", "api/kernels", json={"name": KERNEL})
    assert reply.status_code == 201, reply.text
    yield reply.json()["id"]
    assert shared_server.ask("DELETE", f"api/kernels/{reply.json()['id']}").status_code == 204


def text_of(heard, msg_id, name="stdout"):
    """Put together what an execution printed, in the order in which it came."""
    return "".join(
        message["content"]["text"]
        for message in heard
        if message["header"]["msg_type"] == "stream"
        and message["content"]["name"] == name
        and parent(message) == msg_id
    )


def is_replayed(message):
    return message["metadata"].get("sessmgr", {}).get("replayed", False)


def state_of(server, kernel_id):
    return server.ask("GET", f"api/kernels/{kernel_id}").json()["execution_state"]


def wait_for(condition, timeout=20.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.02)


def executions(server, kernel_id):
    reply = server.ask("GET", f"sessmgr/session/{kernel_id}/executions")
    assert reply.status_code == 200, reply.text
    return reply.json()["items"]


def interrupt(server, kernel_id):
    assert server.ask("POST", f"api/kernels/{kernel_id}/interrupt").status_code == 204


def counted(text):
    """Check that a text counts from 0; return how far."""
    lines = text.split()
    assert lines == [str(number) for number in range(len(lines))]
    return len(lines)


def test_all_that_is_kept_comes_first(shared_server, kernel_id, v1):
    with Notebook(shared_server, kernel_id, v1=v1) as notebook:
        said = notebook.ask("print('one'); 1 / 0")
        notebook.finish(said)
    with Notebook(shared_server, kernel_id, v1=v1, replay=[0]) as late:
        late.hear(lambda m: is_reply(m, said))
        now = late.ask("print('two')")
        late.finish(now)
        kinds = [m["header"]["msg_type"] for m in late.heard if parent(m) == said]
        assert kinds == ["execute_input", "stream", "error", "status", "execute_reply"]
        (reply,) = (m for m in late.heard if is_reply(m, said))
        assert (reply["content"]["status"], reply["content"]["ename"]) == (
            "error",
            "ZeroDivisionError",
        )
        marks = [m["metadata"]["sessmgr"] for m in late.heard if is_replayed(m)]
        assert [mark["seq"] for mark in marks] == sorted(mark["seq"] for mark in marks)
        assert late.output(now) == "two\n"
        assert not any(is_replayed(m) for m in late.heard if parent(m) == now)


def test_a_client_that_comes_back_with_its_position(shared_server, kernel_id, v1):
    """Jupyter itself has kept some of it for the same client; nothing is doubled."""
    with Notebook(shared_server, kernel_id, v1=v1) as notebook:
        running = notebook.ask(ON_AND_ON)
        notebook.hear(lambda m: len(text_of(notebook.heard, running)) > 20)
        heard = notebook.heard
    for _ in range(3):
        with Notebook(
            shared_server, kernel_id, v1=v1, session=notebook.session, replay=[notebook.position]
        ) as notebook:
            seen = []
            notebook.hear(lambda m: parent(m) == running and not is_replayed(m) and is_stream(m))
            notebook.hear(lambda m, seen=seen: seen.append(m) or len(seen) > 10)
            heard += notebook.heard
            if counted(text_of(heard, running)) > 150:
                interrupt(shared_server, kernel_id)
                notebook.heard = []
                notebook.hear(lambda m: is_reply(m, running))
                heard += notebook.heard
    assert counted(text_of(heard, running)) > 30


def is_stream(message):
    return message["header"]["msg_type"] == "stream"


def test_a_flood_and_a_client_that_comes_in_the_middle(shared_server, kernel_id, v1):
    with Notebook(shared_server, kernel_id, v1=v1) as notebook:
        flood = notebook.ask(
            "import time\nfor n in range(30000): print(n)\ntime.sleep(0.3)\nprint(30000)"
        )
        notebook.hear(lambda m: is_stream(m) and parent(m) == flood)
        with Notebook(shared_server, kernel_id, v1=v1, replay=[0]) as late:
            late.hear(lambda m: is_status(m, "idle") and parent(m) == flood)
            assert counted(text_of(late.heard, flood)) == 30001
            late.hear(lambda m: is_reply(m, flood))  # of somebody else's request


def test_what_has_buffers(shared_server, kernel_id, v1):
    with Notebook(shared_server, kernel_id, v1=v1) as notebook:
        said = notebook.ask(
            "from comm import create_comm\n"
            "c = create_comm(target_name='probe')\n"
            "c.send({'a': 1}, buffers=[b'\\x00\\xff', b''])"
        )
        notebook.finish(said)
    with Notebook(shared_server, kernel_id, v1=v1, replay=[0]) as late:
        sent = late.hear(lambda m: m["header"]["msg_type"] == "comm_msg")
        assert sent["buffers"] == [b"\0\xff", b""]
        assert sent["content"]["data"] == {"a": 1}


def test_opening_in_the_middle_of_a_cell(shared_server, kernel_id, v1):
    with Notebook(shared_server, kernel_id, v1=v1) as notebook:
        running = notebook.ask(QUIET)
        notebook.hear(lambda m: is_stream(m) and parent(m) == running)
        # as if the server had just been started: it does not know what the kernel is
        with Notebook(shared_server, kernel_id, v1=v1) as late:
            late.hear(lambda m: is_status(m, "busy"))
            asked = late.send("kernel_info_request", {})
            info = late.hear(lambda m: m["header"]["msg_type"] == "kernel_info_reply")
            assert parent(info) == asked
            assert info["content"]["language_info"]["name"] == "python"
            late.hear(lambda m: is_status(m, "idle") and parent(m) == asked)
            late.hear(lambda m: is_status(m, "busy") and not parent(m))
            position = notebook.position
        with Notebook(shared_server, kernel_id, v1=v1, replay=[position]) as silent:
            silent.hear(lambda m: is_status(m, "busy"))
        interrupt(shared_server, kernel_id)
        notebook.hear(lambda m: is_reply(m, running))
        # one that is idle answers itself
        wait_for(lambda: state_of(shared_server, kernel_id) == "idle")
        asked = notebook.send("kernel_info_request", {})
        info = notebook.hear(lambda m: m["header"]["msg_type"] == "kernel_info_reply")
        assert not is_made(info)


def test_a_page_that_is_loaded_again_in_the_middle_of_a_cell(shared_server, kernel_id, v1):
    with Notebook(shared_server, kernel_id, v1=v1) as notebook:
        running = notebook.ask(ON_AND_ON)
        notebook.hear(lambda m: len(text_of(notebook.heard, running)) > 20)
    with Notebook(shared_server, kernel_id, v1=v1) as page:
        page.reattach(running)
        first = page.hear(lambda m: parent(m) == running and is_replayed(m))
        assert is_status(first, "busy")
        page.heard = [first]  # what came before it, live, is of no cell there
        page.hear(lambda m: is_stream(m) and parent(m) == running and not is_replayed(m))
        interrupt(shared_server, kernel_id)
        reply = page.hear(lambda m: is_reply(m, running))
        assert reply["content"]["ename"] == "KeyboardInterrupt"
        assert counted(text_of(page.heard, running)) > 10
        kinds = [m["header"]["msg_type"] for m in page.heard if parent(m) == running]
        assert kinds.count("error") == kinds.count("execute_reply") == 1
        # nothing was executed for it
        assert page.run("print(len(In))").strip() == "3"


def test_a_page_that_is_loaded_again_after_a_cell(shared_server, kernel_id, v1):
    with Notebook(shared_server, kernel_id, v1=v1) as notebook:
        said = notebook.ask("print('done'); 6 * 7")
        notebook.finish(said)
    with Notebook(shared_server, kernel_id, v1=v1) as page:
        for _ in range(2):  # and once more: each time it is whole
            page.heard = []
            page.reattach(said)
            page.hear(lambda m: is_reply(m, said))
            assert page.output(said) == "done\n42"


def test_an_execution_that_nobody_knows(shared_server, kernel_id, v1):
    with Notebook(shared_server, kernel_id, v1=v1) as page:
        page.reattach("nobody-knows-this")
        reply = page.hear(lambda m: is_reply(m, "nobody-knows-this"))
        assert reply["content"]["status"] == "error"
        assert "Run the cell again" in reply["content"]["evalue"]
        page.hear(lambda m: is_status(m, "idle") and parent(m) == "nobody-knows-this")
        assert page.run("print(1)") == "1\n"


def test_what_was_asked_for_is_known_with_its_cell(shared_server, kernel_id, v1):
    def listed():
        return {one["cell"]: one for one in executions(shared_server, kernel_id) if one["cell"]}

    with Notebook(shared_server, kernel_id, v1=v1) as notebook:
        for cell, code in {"a": "1", "b": "1 / 0", "c": QUIET, "d": "2"}.items():
            metadata = {"cellId": cell, "sessmgr": {"path": "dir/a.ipynb"}}
            # else kernels drop for a moment what comes after an error
            content = {"code": code, "stop_on_error": cell != "b"}
            said = notebook.send("execute_request", content, metadata=metadata)
            if cell in "ab":
                notebook.hear(lambda m, said=said: is_reply(m, said))
        wait_for(lambda: [one["state"] for one in listed().values()][2:] == ["running", "queued"])
        a, b, c, d = listed().values()
        assert [one["count"] for one in (a, b, c, d)] == [1, 2, 3, None]
        assert (a["status"], b["status"], c["status"]) == ("ok", "error", None)
        assert a["startedAt"] <= a["endedAt"] <= b["startedAt"] <= b["endedAt"] <= c["startedAt"]
        assert {one["path"] for one in (a, b, c, d)} == {"dir/a.ipynb"}
        assert d["id"] == said
        metadata = {"sessmgr": {"forget": True}}
        notebook.send("execute_request", {"code": ""}, msg_id=a["id"], metadata=metadata)
        interrupt(shared_server, kernel_id)
        notebook.hear(lambda m: is_reply(m, said))
        wait_for(lambda: set(listed()) == {"b", "c", "d"})
        assert [one["status"] for one in listed().values()] == ["error", "error", "aborted"]
        assert notebook.run("print(len(In))").strip() == "5"  # nothing was executed for it


def test_what_a_cell_asks_is_asked_again_by_a_page_that_was_loaded_again(
    shared_server, kernel_id, v1
):
    code = "import time; print('hello', input('name? ')); time.sleep(600)"
    with Notebook(shared_server, kernel_id, v1=v1) as notebook:
        running = notebook.ask(code, allow_stdin=True)
        notebook.hear(lambda m: m["channel"] == "stdin")
    with Notebook(shared_server, kernel_id, v1=v1) as page:
        page.reattach(running)
        asks = page.hear(lambda m: m["channel"] == "stdin")
        assert asks["content"] == {"prompt": "name? ", "password": False}
        assert parent(asks) == running
        page.send("input_reply", {"value": "you", "status": "ok"}, "stdin", above=asks["header"])
        page.hear(lambda m: is_stream(m) and "hello you" in m["content"]["text"])
    with Notebook(shared_server, kernel_id, v1=v1) as late:
        late.reattach(running)
        late.hear(lambda m: is_stream(m) and "hello you" in m["content"]["text"])
        interrupt(shared_server, kernel_id)
        late.hear(lambda m: is_reply(m, running))
        assert not any(m["channel"] == "stdin" for m in late.heard)


#: Asks when there is a file, which is gone then.
ASKS_LATER = """\
import os, time
print("begun", flush=True)
while not os.path.exists({name!r}): time.sleep(0.02)
os.remove({name!r})
print("hello", input("name? "))
time.sleep(600)"""


def is_question(message):
    return message["channel"] == "stdin"


def is_begun(message):
    return is_stream(message) and "begun" in message["content"]["text"]


@pytest.fixture
def later(shared_server, kernel_id):
    """Give the code of a cell, and what has it ask and returns when it does."""

    def ask():
        (shared_server.folder / "root" / kernel_id).touch()
        wait_for(lambda: any(one["asks"] for one in executions(shared_server, kernel_id)))

    return ASKS_LATER.format(name=kernel_id), ask


def answer(page, question):
    page.send("input_reply", {"value": "you", "status": "ok"}, "stdin", above=question["header"])
    page.hear(lambda m: is_stream(m) and "hello you" in m["content"]["text"])
    assert sum(is_question(m) for m in page.heard) == 1


def test_what_a_cell_asks_while_nobody_is_there_is_asked_who_comes(
    shared_server, kernel_id, v1, later
):
    code, ask = later
    with Notebook(shared_server, kernel_id, v1=v1) as notebook:
        running = notebook.ask(code, allow_stdin=True)
        notebook.hear(is_begun)
        position = notebook.position
    ask()
    # the same page, which had no connection; a page that was loaded again, twice
    with Notebook(
        shared_server, kernel_id, v1=v1, session=notebook.session, replay=[position]
    ) as same:
        assert parent(same.hear(is_question)) == running
        with Notebook(shared_server, kernel_id, v1=v1) as page:
            page.reattach(running)
            assert parent(page.hear(is_question)) == running
            page.reattach(running)
            question = page.hear(is_question)
            page.heard.clear()
            page.heard.append(question)
            answer(page, question)
        same.hear(lambda m: is_stream(m) and "hello you" in m["content"]["text"])
        assert sum(is_question(m) for m in same.heard) == 1
    with Notebook(shared_server, kernel_id, v1=v1, replay=[0]) as late:
        late.hear(lambda m: is_stream(m) and "hello you" in m["content"]["text"])
        assert not any(is_question(m) for m in late.heard)


def test_what_a_cell_asks_after_its_page_was_loaded_again_is_asked_there(
    shared_server, kernel_id, v1, later
):
    code, ask = later
    with Notebook(shared_server, kernel_id, v1=v1) as notebook:
        running = notebook.ask(code, allow_stdin=True)
        notebook.hear(is_begun)
    with Notebook(shared_server, kernel_id, v1=v1) as page:
        page.reattach(running)
        page.hear(is_begun)
        ask()
        question = page.hear(is_question)
        assert parent(question) == running
        assert question["content"] == {"prompt": "name? ", "password": False}
        answer(page, question)
        assert executions(shared_server, kernel_id)[-1]["asks"] is None


WIDGET = """\
from comm import create_comm
from IPython.display import display
create_comm(target_name="jupyter.widget", data={"state": {}})
view = {"application/vnd.jupyter.widget-view+json": {"model_id": "m"}, "text/plain": "Label()"}
display(view, raw=True)
print("beside it")"""


def test_a_widget_whose_kernel_is_gone_says_so(shared_server, kernel_id, v1):
    def comms(page):
        return [m for m in page.heard if m["header"]["msg_type"] == "comm_open"]

    with Notebook(shared_server, kernel_id, v1=v1) as notebook:
        said = notebook.ask(WIDGET)
        assert "Label()" in notebook.finish(said)
    with Notebook(shared_server, kernel_id, v1=v1) as page:
        page.reattach(said)
        assert "Label()" in page.finish(said)
        assert comms(page)
    assert shared_server.ask("POST", f"api/kernels/{kernel_id}/restart").status_code == 200
    with Notebook(shared_server, kernel_id, v1=v1) as page:
        page.reattach(said)
        shown = page.finish(said)
        assert "gone with its kernel" in shown
        assert "Label()" not in shown
        assert "beside it" in shown
        assert not comms(page)


def test_a_cell_that_waits_for_its_turn(shared_server, kernel_id, v1):
    with Notebook(shared_server, kernel_id, v1=v1) as notebook:
        running = notebook.ask(QUIET)
        notebook.hear(lambda m: is_stream(m) and parent(m) == running)
        queued = notebook.ask("print('at last')")
        with Notebook(shared_server, kernel_id, v1=v1) as page:
            page.reattach(queued)
            page.reattach("nobody-knows-this")  # also while the kernel is busy
            page.hear(lambda m: is_reply(m, "nobody-knows-this"))
            interrupt(shared_server, kernel_id)
            reply = page.hear(lambda m: is_reply(m, queued))
            assert reply["content"]["status"] == "aborted"
            notebook.run("0")
        with Notebook(shared_server, kernel_id, v1=v1) as page:
            running = notebook.ask("import time; time.sleep(0.5)")
            queued = notebook.ask("print('at last')")
            page.reattach(queued)
            assert page.finish(queued) == "at last\n"
            if not any(is_reply(m, queued) for m in page.heard):
                page.hear(lambda m: is_reply(m, queued))


@pytest.mark.parametrize("replay", ["", "-1", "abc", "msg:"])
def test_positions_that_make_no_sense_are_refused(shared_server, kernel_id, replay):
    reply = shared_server.ask(
        "GET",
        f"api/kernels/{kernel_id}/channels?replay={replay}",
        headers={
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        },
    )
    assert reply.status_code == 400
    assert "replay: give" in reply.text


def test_a_local_kernel_has_no_past(shared_server):
    kernel_id = shared_server.ask("POST", "api/kernels", json={"name": "python3"}).json()["id"]
    with Notebook(shared_server, kernel_id, replay=[0]) as notebook:
        assert notebook.run("print(1)") == "1\n"
        assert not any(is_replayed(m) for m in notebook.heard)
    assert shared_server.ask("DELETE", f"api/kernels/{kernel_id}").status_code == 204
