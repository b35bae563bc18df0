"""Listeners hear what happens to their sessions, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import socket
import time

import pytest

from jupyter_sessmgr.model.events import StatusChanged
from jupyter_sessmgr.rest.backendai import events as handlers
from tests.plugins.runs import listening
from tests.plugins.waiting import eventually

START = [
    "session_enqueued",
    "session_scheduled",
    "session_preparing",
    "kernel_preparing",
    "kernel_creating",
    "kernel_started",
    "session_started",
]
END = ["kernel_terminating", "session_terminating", "kernel_terminated", "session_terminated"]


def test_a_session_is_heard_from_its_start_to_its_end(shared_server):
    with listening(shared_server) as listener:
        made = shared_server.create(clientSessionToken="heard")
        shared_server.ask("PATCH", "sessmgr/session/heard")
        shared_server.ask("DELETE", "sessmgr/session/heard")
        heard = listener.until("session_terminated")
    names = [event["event"] for event in heard]
    assert names == [
        *START,
        "session_restarting",
        "kernel_started",
        "session_restarted",
        *END,
    ]
    numbers = [int(event["id"]) for event in heard]
    assert numbers == sorted(set(numbers))
    for event in heard:
        data = event["data"]
        assert (data["sessionName"], data["sessionId"]) == ("heard", made["sessionId"])
        assert data["ownerAccessKey"]
        assert isinstance(data["reason"], str)
        assert ("kernelId" in data) is event["event"].startswith("kernel_")
    assert heard[-1]["data"]["reason"] == "user-requested"


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("sessmgr/events/session", {"sessionName": "wanted"}),
        ("sessmgr/events/session", {"name": "wanted", "scope": "*"}),
        ("sessmgr/stream/kernel/_/events", {"sessionId": "wanted"}),
        ("sessmgr/stream/session/_/events", {"session_name": "wanted", "group": "default"}),
    ],
)
def test_one_session_is_listened_to_as_each_generation_of_clients_does(shared_server, path, query):
    with listening(shared_server, path, **query) as listener:
        for name in ("other", "wanted"):
            shared_server.create(clientSessionToken=name)
        for name in ("other", "wanted"):
            shared_server.ask("DELETE", f"sessmgr/session/{name}?forced=true")
        heard = listener.until("session_terminated")
    assert [event["event"] for event in heard] == [*START, *END]
    assert {event["data"]["sessionName"] for event in heard} == {"wanted"}


def test_scopes_and_ids_are_filters(shared_server):
    made = shared_server.create(clientSessionToken="filtered")
    query = {"sessionId": made["sessionId"], "scope": "session"}
    with listening(shared_server, **query) as listener:
        shared_server.ask("DELETE", "sessmgr/session/filtered?forced=true")
        heard = listener.until("session_terminated")
    assert [event["event"] for event in heard] == ["session_terminating", "session_terminated"]


def test_a_session_that_failed_says_why(shared_server):
    with listening(shared_server, sessionName="failing") as listener:
        shared_server.create(clientSessionToken="failing", kernel="no-such-kernel")
        heard = listener.until("session_terminated")
    failed = next(event for event in heard if event["event"] == "session_failure")
    assert "no-such-kernel" in failed["data"]["reason"]
    assert failed["data"]["exitCode"] == 1


def test_what_was_missed_is_told_to_who_comes_back(shared_server):
    with listening(shared_server, sessionName="missed") as listener:
        shared_server.create(clientSessionToken="missed")
        first = listener.until("session_enqueued")[-1]
    shared_server.ask("DELETE", "sessmgr/session/missed?forced=true")
    since = {"Last-Event-ID": first["id"]}
    with listening(shared_server, headers=since, sessionName="missed") as listener:
        heard = listener.until("session_terminated")
    assert [event["event"] for event in heard] == [*START[1:], *END]


@pytest.mark.parametrize(
    ("query", "headers", "field"),
    [
        ({"scope": "everything"}, {}, "scope"),
        ({}, {"Last-Event-ID": "-1"}, "Last-Event-ID"),
        ({}, {"Last-Event-ID": "9" * 40}, "Last-Event-ID"),
    ],
)
def test_E10_senseless_wishes_name_the_field(shared_server, query, headers, field):
    reply = shared_server.ask("GET", "sessmgr/events/session", params=query, headers=headers)
    assert (reply.status_code, reply.json()["data"]["field"]) == (401, field)


def test_a_stopping_server_ends_the_stream(servers):
    server = servers.start()
    with listening(server) as listener:
        made = server.create()
        listener.until("session_started")
        server.ask("DELETE", f"sessmgr/session/{made['sessionId']}?forced=true")
        began = time.monotonic()
        server.stop()
        assert [event["event"] for event in listener] == END
    assert time.monotonic() - began < 15


@pytest.fixture
def app(inside):
    return inside()


def request(app, path="sessmgr/events/session"):
    """Connect a client that says what it wants, and then what it reads is up to the test."""
    host, port = app.base.split("/")[2].split(":")
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect((host, int(port)))
    client.setblocking(False)
    base = app.base.split("/", 3)[3]
    token = app.token["Authorization"]
    head = f"GET /{base}{path} HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: {token}\r\n\r\n"
    client.send(head.encode())
    return client


async def test_a_client_that_goes_away_listens_no_longer(app):
    listeners = app.extension.feeds
    clients = [request(app) for _ in range(20)]
    await eventually(lambda: len(listeners) == 20)
    for client in clients:
        client.close()
    await eventually(lambda: len(listeners) == 0)


async def test_only_a_client_that_does_not_read_is_disconnected(app):
    listeners = app.extension.feeds
    heard = []
    read = app.ask("GET", "sessmgr/events/session", streaming_callback=heard.append, timeout=120)
    reader = asyncio.create_task(read)
    client = request(app)
    await eventually(lambda: len(listeners) == 2)
    made = await app.create(kernel="")
    session = app.sessions.find(made["sessionId"], app.extension.owner)
    deadline = time.monotonic() + 60
    while len(listeners) == 2 and time.monotonic() < deadline:
        before = len(heard)
        for _ in range(500):
            listeners(StatusChanged(session, None))
        await eventually(lambda before=before: len(heard) > before)
    assert len(listeners) == 1
    assert not reader.done()
    listeners.close()
    assert (await reader).code == 200
    client.close()


async def test_silence_is_kept_alive(app, monkeypatch):
    monkeypatch.setattr(handlers, "KEEP_ALIVE", 0.05)
    client = request(app)
    text = b""

    async def heard():
        nonlocal text
        try:
            text += client.recv(4096)
        except BlockingIOError:
            return False
        return text.count(b": still here\n\n") > 3

    await eventually(heard)
    client.close()


async def test_E1_nobody_hears_of_foreign_sessions(inside_people):
    app = inside_people
    heard = []
    seen = asyncio.Event()

    def collect(chunk):
        heard.append(chunk.decode())
        if "bobs-session" in chunk.decode():
            seen.set()

    async def listen(path):
        await app.ask(
            "GET", path, headers={"X-Person": "bob"}, streaming_callback=collect, timeout=60
        )

    listener = asyncio.create_task(listen("sessmgr/events/session"))
    await eventually(lambda: len(app.extension.feeds) == 1)
    for person in ("alice", "bob"):
        body = {"name": f"{person}s-session", "kernel": ""}
        reply = await app.ask("POST", "sessmgr/session", body=body, headers={"X-Person": person})
        assert reply.code == 201
    await asyncio.wait_for(seen.wait(), 30)
    assert "alice" not in "".join(heard)
    reply = await app.ask(
        "GET", "sessmgr/events/session?ownerAccessKey=alice", headers={"X-Person": "bob"}
    )
    assert reply.code == 403
    assert json.loads(reply.body)["data"]["field"]
    listener.cancel()
    await asyncio.gather(listener, return_exceptions=True)


@pytest.mark.parametrize(
    ("command", "outcome", "code"),
    [("exit 0", "session_success", 0), ("exit 3", "session_failure", 3)],
)
def test_the_outcome_of_a_batch_session_is_heard(shared_server, command, outcome, code):
    with listening(shared_server, sessionName="batch-heard") as listener:
        shared_server.create(
            clientSessionToken="batch-heard",
            type="batch",
            startupCommand=command,
            enqueueOnly=True,
        )
        heard = listener.until("session_terminated")
    ends = {event["event"]: event["data"] for event in heard}
    assert ends[outcome]["exitCode"] == code
    assert len({"session_success", "session_failure"} & set(ends)) == 1
