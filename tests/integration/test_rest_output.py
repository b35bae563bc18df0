"""What a session's kernel put out, by HTTP."""

from __future__ import annotations

import socket
import threading
import time
from urllib.parse import urlsplit

import pytest

from jupyter_sessmgr.rest.api.waiting import MOST_WAITING
from tests.plugins.kernels import KERNEL


@pytest.fixture(scope="module")
def session(shared_server):
    """Give a session with a kernel to the tests of this module."""
    reply = shared_server.ask("POST", "api/kernels", json={"name": KERNEL})
    assert reply.status_code == 201, reply.text
    yield reply.json()["id"]
    assert shared_server.ask("DELETE", f"api/kernels/{reply.json()['id']}").status_code == 204


@pytest.fixture
def ask(shared_server, session):
    """Ask for a part of the output."""

    def asked(**query):
        return shared_server.ask("GET", f"sessmgr/session/{session}/output", params=query)

    return asked


@pytest.fixture
def end(ask):
    """Give the number of the last message, once the kernel says no more."""
    while True:
        page = ask(since=2**40).json()
        if ask(since=page["next"], wait=0.2).json()["items"] == []:
            return page["next"]


def texts(page):
    return [one["message"]["content"].get("text", "") for one in page["items"]]


def test_output_comes_with_numbers_until_there_is_no_more(shared_server, session, ask, end):
    line = "x" * 90
    shared_server.execute(session, f"for n in range(30000): print(n, '{line}')")
    since, text, pages, channels = end, "", 0, set()
    while "shell" not in channels:
        page = ask(since=since, wait=30).json()
        channels |= {one["channel"] for one in page["items"]}
        numbers = [one["seq"] for one in page["items"]]
        assert numbers == sorted(set(numbers))
        assert since < numbers[0] <= numbers[-1] <= page["next"]
        assert page["lost"] == {"messages": 0, "bytes": 0}
        text += "".join(texts(page))
        since, pages = page["next"], pages + 1
    assert text == "".join(f"{n} {line}\n" for n in range(30000))
    assert pages > 1
    assert ask(since=since).json()["items"] == []
    assert ask(since=end).json()["items"][0] in ask().json()["items"]  # reading deletes nothing


def test_what_a_message_is_told_with(shared_server, session, ask, end):
    shared_server.execute(session, "print('hello')")
    until(lambda: "shell" in [one["channel"] for one in ask(since=end).json()["items"]])
    page = ask(since=end).json()
    (said,) = (one for one in page["items"] if one["message"]["content"].get("text") == "hello\n")
    assert said["channel"] == "iopub"
    assert said["parent"] == said["message"]["parent_header"]["msg_id"]
    (reply,) = (one for one in page["items"] if one["channel"] == "shell")
    assert reply["parent"] == said["parent"]
    assert reply["message"]["content"]["status"] == "ok"
    assert page["sessionId"] == session
    assert 0 < page["first"] <= end


def test_who_waits_is_answered_when_there_is_something(shared_server, session, ask, end):
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(ask(since=end, wait=60)))
    waiting.start()
    shared_server.execute(session, "print('at last')")
    waiting.join(30)
    (answer,) = answers
    assert answer.json()["items"]


def test_who_waits_in_vain_is_told_so(ask, end):
    page = ask(since=end, wait=0.1).json()
    assert (page["items"], page["next"]) == ([], end)


def test_a_number_that_never_was_is_seen_by_what_comes_next(ask, end):
    page = ask(since=end + 1000).json()
    assert (page["items"], page["next"]) == ([], end)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"since": "-1"}, "since"),
        ({"since": "1.5"}, "since"),
        ({"since": "x"}, "since"),
        ({"since": "1" * 16}, "since"),
        ({"since": "9" * 15, "wait": "61"}, "wait"),
        ({"wait": "-1"}, "wait"),
        ({"wait": "nan"}, "wait"),
        ({"wait": "soon"}, "wait"),
    ],
)
def test_values_that_make_no_sense(ask, query, field):
    reply = ask(**query)
    assert reply.status_code == 400
    assert reply.json()["data"]["field"] == field
    assert reply.json()["msg"].startswith(f"{field}: give")


def test_sessions_that_have_no_output(shared_server):
    assert shared_server.ask("GET", "sessmgr/session/nothing/output").status_code == 404
    made = shared_server.create(clientSessionToken="soon-over")["sessionId"]
    shared_server.ask("DELETE", f"sessmgr/session/{made}?forced=true")
    ended = shared_server.ask("GET", f"sessmgr/session/{made}/output")
    assert ended.status_code == 409
    assert "TERMINATED" in ended.json()["msg"]
    batch = {"sessionType": "batch", "startupCommand": "sleep 60"}
    made = shared_server.create(clientSessionToken="no-kernel", **batch)["sessionId"]
    shared_server.until(made, "RUNNING")
    silent = shared_server.ask("GET", f"sessmgr/session/{made}/output")
    assert silent.status_code == 501
    assert "journal" in silent.json()["msg"]
    shared_server.ask("DELETE", f"sessmgr/session/{made}?forced=true")


def test_the_same_by_the_path_beside_our_other_routes(shared_server, session, ask, end):
    other = shared_server.ask("GET", f"sessmgr/api/session/{session}/output?since={end}")
    assert other.json() == ask(since=end).json()


def test_those_who_leave_make_room(shared_server, session, ask, end):
    where = urlsplit(shared_server.url)
    request = (
        f"GET {where.path}sessmgr/session/{session}/output?since=%d&wait=60 HTTP/1.1\r\n"
        f"Host: {where.netloc}\r\nAuthorization: token {shared_server.token}\r\n\r\n"
    )
    waiting = [socket.create_connection((where.hostname, where.port)) for _ in range(MOST_WAITING)]

    def are_too_many():
        last = ask(since=2**40)
        if last.status_code == 200:  # whatever the kernel says answers all who wait
            for one in waiting:
                one.sendall((request % last.json()["next"]).encode())
            last = ask(since=last.json()["next"], wait=1)
        return last.status_code == 429 and "requests wait" in last.json()["msg"]

    try:
        until(are_too_many)
    finally:
        for one in waiting:
            one.close()
    until(lambda: ask(since=end).status_code == 200)
    assert "Traceback" not in shared_server.log()


def until(condition, timeout=30.0):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout} s"
        time.sleep(0.05)
