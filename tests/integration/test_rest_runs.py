"""Code is run over HTTP: by requests that wait a little, as the released clients send them."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.plugins.runs import Runner, run_socket, text_of, told


@pytest.fixture(scope="module")
def session(shared_server):
    """Give a session to the tests that leave its kernel as it was."""
    made = shared_server.create(clientSessionToken="runs-shared")
    yield made["sessionId"]
    shared_server.ask("DELETE", "sessmgr/session/runs-shared?forced=true")


@pytest.fixture
def runner(shared_server, session):
    return Runner(shared_server, session)


@pytest.fixture
def own(shared_server):
    """Give a session that its test may ruin."""
    made = shared_server.create()
    yield Runner(shared_server, made["sessionId"])
    shared_server.ask("DELETE", f"sessmgr/session/{made['sessionId']}?forced=true")


def test_what_code_writes_and_returns_is_told_in_order(runner):
    result = runner.step("query", "print('hello'); import sys; print('oops', file=sys.stderr)\n6*7")
    assert result["status"] == "finished"
    assert result["exitCode"] == 0
    assert result["options"] is None
    assert result["files"] == []
    assert result["runId"]
    assert text_of(result) == "hello\n42\n"
    assert text_of(result, "stderr") == "oops\n"


def test_variables_stay_from_one_run_to_the_next(runner):
    runner.run("kept = 'here'")
    assert text_of(runner.run("print(kept)")) == "here\n"


def test_an_exception_is_a_traceback_and_no_failure_of_the_run(runner):
    result = runner.run("1 / 0")
    assert (result["status"], result["exitCode"]) == ("finished", 0)
    assert "ZeroDivisionError" in text_of(result, "stderr")


def test_pictures_are_media_and_tables_are_html(runner):
    result = runner.run(
        "from IPython.display import HTML, SVG, Image, display\n"
        "display(HTML('<b>bold</b>'), SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'))\n"
        "display(Image(data=b'\\x89PNG\\r\\n\\x1a\\n', format='png'))"
    )
    assert [kind for kind, _ in result["console"]] == ["html", "media", "media"]
    html, svg, png = (value for _, value in result["console"])
    assert html == "<b>bold</b>"
    assert svg[0] == "image/svg+xml"
    assert svg[1].startswith("<svg")
    assert png == ["image/png", "data:image/png;base64,iVBORw0KGgo="]


def test_unicode_comes_back_as_it_went(runner):
    words = "größe 日本語 🎉 \u0000".strip("\0 ")
    assert text_of(runner.run(f"print({words!r})")) == f"{words}\n"


def test_help_is_written_instead_of_paged(runner):
    assert "Prints the values" in text_of(runner.run("print?"))


def test_input_is_asked_for_and_given(runner):
    result = runner.step("query", "name = input('Who? '); print('Hi', name)", run_id="asks")
    assert (result["status"], result["options"]) == ("waiting-input", {"is_password": False})
    assert (result["runId"], result["exitCode"]) == ("asks", None)
    assert text_of(result) == "Who? "
    again = runner.step("continue", "", "asks")
    assert (again["status"], again["console"]) == ("waiting-input", [])
    result = runner.until(runner.step("input", "Ada", "asks"), "finished")
    assert text_of(result) == "Hi Ada\n"


def test_a_password_is_asked_for_as_one(runner):
    result = runner.step("query", "import getpass; print(len(getpass.getpass('Key: ')))")
    assert result["options"] == {"is_password": True}
    result = runner.until(runner.step("input", "hunter2", result["runId"]), "finished")
    assert text_of(result) == "7\n"


def test_input_for_a_run_that_asks_for_none_is_refused(runner):
    result = runner.step("query", "import time; time.sleep(60)")
    reply = runner.post("input", "x", result["runId"])
    assert (reply.status_code, reply.json()["data"]["field"]) == (401, "mode")
    runner.server.ask("POST", f"{runner.path}/interrupt")
    runner.until(result, "finished")


def test_a_long_run_is_continued_and_nothing_is_told_twice(runner):
    began = time.monotonic()
    code = "import time\nfor i in range(8):\n    print(i, flush=True); time.sleep(0.5)"
    result = runner.step("query", code)
    assert result["status"] == "continued"
    assert 1.5 < time.monotonic() - began < 10
    result = runner.until(result, "finished")
    assert text_of(result) == "0\n1\n2\n3\n4\n5\n6\n7\n"
    done = runner.step("continue", "", result["runId"])
    assert (done["status"], done["console"]) == ("finished", [])


def test_much_output_comes_in_pieces_of_bounded_size(runner):
    result = runner.step("query", "print('x' * 1_500_000)")
    assert result["status"] == "continued"
    assert len(text_of(result)) <= 2**19
    assert len(text_of(runner.until(result, "finished"))) == 1_500_001


def test_of_output_that_nobody_reads_the_newest_is_kept(runner):
    code = "for i in range(700):\n    print(str(i % 10) * 10_000)\nprint('last')"
    result = runner.step("query", code + "\n" + "import time; time.sleep(2.5)")
    for _ in range(3):
        runner.run("pass")  # one after the other, so that the first one is done
    result = runner.until(result, "finished")
    assert len(text_of(result)) < 6_000_000
    assert text_of(result).endswith("last\n")
    assert "characters were dropped" in text_of(result, "stderr")


def test_a_run_survives_a_client_that_goes_away(runner):
    reply = None
    try:
        reply = runner.server.http.post(
            runner.server.url + runner.path,
            json={
                "mode": "query",
                "code": "import time; time.sleep(1); print('done')",
                "runId": "left",
            },
            timeout=0.3,
        )
    except OSError:
        assert reply is None
    deadline = time.monotonic() + 30
    while (reply := runner.post("continue", "", "left")).status_code != 200:
        assert time.monotonic() < deadline, reply.text  # it comes by another connection
    result = runner.until(reply.json()["result"], "finished")
    assert text_of(result) == "done\n"


def test_the_same_request_again_runs_nothing_twice(runner):
    runner.run("times = 0")
    for _ in range(3):
        runner.until(runner.step("query", "times += 1", "again"), "finished")
    assert text_of(runner.run("print(times)")) == "1\n"
    reply = runner.post("query", "times += 2", "again")
    assert (reply.status_code, reply.json()["data"]["field"]) == (401, "runId")


def test_runs_of_one_session_queue_and_an_error_drops_none_of_them(runner):
    first = runner.step("query", "order = [1]; import time; time.sleep(2.5); 1/0")
    second = runner.step("query", "order.append(2); print(order)")
    assert text_of(runner.until(second, "finished")) == "[1, 2]\n"
    assert "ZeroDivisionError" in text_of(runner.until(first, "finished"), "stderr")


def test_executions_are_counted(own):
    for _ in range(3):
        own.run("pass")
    info = own.server.ask("GET", own.path).json()
    assert info["numQueriesExecuted"] == 3


def test_interrupt_ends_a_run(runner):
    result = runner.step("query", "import time; time.sleep(60)")
    assert result["status"] == "continued"
    assert runner.server.ask("POST", f"{runner.path}/interrupt").status_code == 204
    result = runner.until(result, "finished")
    assert "KeyboardInterrupt" in text_of(result, "stderr")


def test_code_is_completed(runner):
    options = {"row": 0, "col": 3, "line": "pri", "post": ""}
    body = {"code": "pri", "options": options}
    deadline = time.monotonic() + 90

    def complete():
        reply = runner.server.ask("POST", f"{runner.path}/complete", json=body)
        assert reply.status_code == 200, reply.text
        return reply.json()["result"]

    while complete()["status"] == "busy":  # the first of a kernel may take too long
        assert time.monotonic() < deadline
    assert complete() == {"status": "finished", "completions": ["print"]}
    assert runner.step("complete", "pri")["completions"] == ["print"]
    # So ask those clients that have no word for it.
    reply = runner.server.ask("POST", runner.path, json=body)
    assert reply.json()["result"]["completions"] == ["print"]


def test_a_kernel_that_dies_ends_its_run_with_the_reason(own):
    result = own.run(
        "print('before', flush=True)\nimport os, time; time.sleep(0.5); os.kill(os.getpid(), 9)"
    )
    assert (result["status"], result["exitCode"]) == ("finished", 137)
    assert text_of(result) == "before\n"
    assert "The kernel died" in text_of(result, "stderr")
    own.server.until(own.path.rpartition("/")[2], "RUNNING")


def test_a_restart_ends_runs_and_the_next_one_has_a_fresh_kernel(own):
    own.run("x = 1")
    result = own.step("query", "import time; time.sleep(60)")
    waiting = own.step("query", "print('never')")
    assert own.server.ask("PATCH", own.path).status_code == 204
    for one in (result, waiting):
        ended = own.until(one, "finished")
        assert ended["exitCode"] == 130
        assert "restarted" in text_of(ended, "stderr")
    assert "NameError" in text_of(own.run("x"), "stderr")


def test_a_destroyed_session_ends_its_runs(shared_server):
    made = shared_server.create()
    runner = Runner(shared_server, made["sessionId"])
    runner.run("pass")
    with ThreadPoolExecutor(2) as pool:
        asked = pool.submit(runner.step, "query", "import time; time.sleep(60)", "doomed")
        while shared_server.info(made["sessionId"])["numQueriesExecuted"] < 2:
            assert not asked.done(), asked.result()
        ended = pool.submit(shared_server.ask, "DELETE", f"{runner.path}?forced=true")
        assert ended.result().status_code == 204
        assert asked.result()["runId"] == "doomed"
    result = runner.until(runner.step("continue", "", "doomed"), "finished")
    assert result["exitCode"] == 130
    assert runner.post("query", "1").status_code == 404


def test_a_session_that_does_not_run_runs_no_code(shared_server):
    made = shared_server.create(kernel="", clientSessionToken="no-kernel")
    reply = Runner(shared_server, made["sessionId"]).post("query", "1")
    assert reply.status_code == 409, reply.text
    assert reply.json()["type"].endswith("/session-not-running")
    shared_server.ask("DELETE", "sessmgr/session/no-kernel")


def test_batch_runs_are_refused_with_words(runner):
    options = {"clean": None, "build": "*", "buildLog": False, "exec": "python main.py"}
    reply = runner.post("batch", "", options=options)
    assert reply.status_code == 501
    assert "startup command" in reply.json()["msg"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"mode": "sing"}, "mode"),
        ({"mode": 7}, "mode"),
        ({"mode": "query", "code": 7}, "code"),
        ({"mode": "query", "code": ["1"]}, "code"),
        ({"mode": "query", "runId": "x" * 65}, "runId"),
        ({"mode": "query", "runId": {}}, "runId"),
        ({"mode": "query", "options": 3}, "options"),
        ({"mode": "continue"}, "runId"),
        ({"mode": "continue", "runId": "unknown"}, "runId"),
        ({"mode": "input", "runId": None, "code": "x"}, "runId"),
        ({"mode": "complete", "options": {"post": 1}}, "post"),
    ],
)
def test_E10_hostile_bodies_name_the_field(runner, body, field):
    reply = runner.server.ask("POST", runner.path, json=body)
    assert (reply.status_code, reply.json()["data"].get("field")) == (401, field), reply.text


def test_more_runs_than_a_session_may_have_are_refused(own):
    own.run("pass")
    first = own.step("query", "import time; time.sleep(60)")
    with ThreadPoolExecutor(40) as pool:
        replies = list(pool.map(lambda _: own.post("query", "1"), range(40)))
    codes = [reply.status_code for reply in replies]
    assert (codes.count(200), codes.count(429)) == (31, 9)
    refused = next(reply for reply in replies if reply.status_code == 429)
    assert int(refused.headers["Retry-After"]) > 0
    own.server.ask("POST", f"{own.path}/interrupt")
    own.until(first, "finished")


def test_48_clients_in_parallel_each_have_their_own_answer(runner, own):
    def ask(number):
        who = (runner, own)[number % 2]
        deadline = time.monotonic() + 60
        while True:
            reply = who.post("query", f"print({number} ** 2)")
            if reply.status_code == 200:
                return text_of(who.until(reply.json()["result"], "finished"))
            assert reply.status_code == 429, reply.text
            assert time.monotonic() < deadline
            time.sleep(0.2)

    with ThreadPoolExecutor(48) as pool:
        answers = list(pool.map(ask, range(48)))
    assert answers == [f"{number**2}\n" for number in range(48)]


def test_a_websocket_runs_code_and_tells_of_it_at_once(runner):
    with run_socket(runner.server, runner.path.rpartition("/")[2]) as socket:
        code = "import time; print('one', flush=True); time.sleep(1); n = input('n? '); print(int(n) + 1)"
        socket.send(f'{{"code": "{code}", "mode": "query", "options": {{}}}}')
        result = told(socket)
        began = time.monotonic()
        assert (result["status"], result["console"]) == ("continued", [["stdout", "one\n"]])
        while result["status"] != "waiting-input":
            result = told(socket)
        assert time.monotonic() - began > 0.5
        assert result["options"] == {"is_password": False}
        socket.send("41")
        text = ""
        while result["status"] != "finished":
            result = told(socket)
            text += text_of(result)
        assert (text, result["exitCode"]) == ("42\n", 0)


@pytest.mark.parametrize(
    "message", ["no json", "[]", '{"mode": "batch"}', '{"mode": "continue", "runId": "x"}', "\x00"]
)
def test_a_websocket_says_what_is_wrong_with_its_message(runner, message):
    with run_socket(runner.server, runner.path.rpartition("/")[2], "kernel") as socket:
        socket.send(message)
        result = told(socket)
    assert result["status"] == "error"
    assert result["msg"]
    assert result["console"][0][0] == "stderr"


def test_a_run_whose_websocket_is_gone_is_interrupted(runner):
    with run_socket(runner.server, runner.path.rpartition("/")[2]) as socket:
        socket.send(
            '{"mode": "query", "code": "print(1, flush=True); import time; time.sleep(60)"}'
        )
        assert text_of(told(socket)) == "1\n"
    began = time.monotonic()
    assert text_of(runner.run("print('free')")) == "free\n"
    assert time.monotonic() - began < 30


@pytest.mark.docker
def test_code_runs_in_a_container_too(docker_server):
    made = docker_server.create(config={"resources": {"mem": "512m"}})
    runner = Runner(docker_server, made["sessionId"])
    assert docker_server.info(made["sessionId"])["encrypted"]
    result = runner.run("import os; print(os.getpid() < 100, input())", answers=["here"])
    assert (text_of(result), result["exitCode"]) == ("True here\n", 0)
    assert docker_server.ask(
        "POST", runner.path.replace("/session", "/api/session") + "/suspend"
    ).ok
    docker_server.until(made["sessionId"], "SUSPENDED")
    assert text_of(runner.run("print('awake')")) == "awake\n"
    result = runner.run("print('before', flush=True); x = bytearray(2**30)")
    assert result["exitCode"] == 137
    assert "memory" in text_of(result, "stderr")
    docker_server.ask("DELETE", f"{runner.path}?forced=true")
