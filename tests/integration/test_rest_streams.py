"""Services and terminals inside sessions, over websockets as the released clients speak."""

from __future__ import annotations

import base64
import contextlib
import json
import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

#: Says back what it hears, in capitals; "bye" ends it.
ECHO = """
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listening", flush=True)
def serve(peer):
    while data := peer.recv(65536):
        if data == b"bye":
            break
        peer.sendall(data.upper())
    peer.close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
DEFINITIONS = {
    "echo": {
        "prestart": [{"action": "write_tempfile", "args": {"body": [ECHO]}, "ref": "program"}],
        "command": ["{runtime_path}", "{program}", "{ports[0]}"],
        "allowed_arguments": ["--loud"],
        "allowed_envs": ["ECHO_MODE"],
        "url_template": "{protocol}://{host}:{port}/?token={token}",
    },
    "broken": {"command": ["/bin/sh", "-c", "echo it cannot work >&2; exit 4"]},
    "missing": {"command": ["no-such-program"]},
    "silent": {"command": ["sleep", "1000"], "timeout": 0.3},
}


@pytest.fixture(scope="module")
def server(module_servers):
    return module_servers.start(config={"SessionServices": {"definitions": DEFINITIONS}})


@pytest.fixture(scope="module")
def session(server):
    return server.create(clientSessionToken="streams-shared")["sessionId"]


@pytest.fixture
def dial(server, session):
    """Open websockets of the session."""
    with contextlib.ExitStack() as opened:

        def dialled(verb, query="", **headers):
            url = f"ws{server.url.removeprefix('http')}sessmgr/stream/session/{session}/{verb}"
            headers.setdefault("Authorization", f"token {server.token}")
            socket = connect(url + query, additional_headers=headers, max_size=2**24)
            return opened.enter_context(socket)

        yield dialled


@pytest.fixture
def ask(server, session):
    def asked(method, verb, **kwargs):
        return server.ask(method, f"sessmgr/session/{session}/{verb}", **kwargs)

    return asked


def services(ask):
    return {one["name"]: one for one in ask("GET", "services").json()["items"]}


@pytest.mark.parametrize("verb", ["tcpproxy", "httpproxy"])
def test_a_service_is_started_by_who_talks_to_it(dial, ask, verb):
    first = dial(verb, "?app=echo")
    first.send(b"hello")
    assert first.recv(20) == b"HELLO"
    second = dial(verb, "?app=echo&envs={}&arguments={}")
    second.send(b"x" * 2**20)
    heard = b""
    while len(heard) < 2**20:
        heard += second.recv(20)
    assert heard == b"X" * 2**20
    assert services(ask)["echo"]["running"]
    assert services(ask)["echo"]["log"] == "listening\n"
    first.send(b"bye")
    with pytest.raises(ConnectionClosed) as closed:
        first.recv(20)
    assert closed.value.rcvd.code == 1000


def test_a_service_is_told_started_once_and_shut_down(ask):
    one, two = (ask("POST", "start-service", json={"app": "echo"}).json() for _ in range(2))
    assert one["port"] == two["port"] != 0
    assert one["url"].endswith("/service/echo/")
    assert len(one["token"]) == 64
    assert ask("POST", "shutdown-service", json={"service_name": "echo"}).status_code == 204
    assert not services(ask)["echo"]["running"]
    assert ask("POST", "shutdown-service", json={"service_name": "never"}).status_code == 404


def test_services_outlive_a_restart_of_the_kernel(ask, server, session, dial):
    port = ask("POST", "start-service", json={"app": "echo"}).json()["port"]
    socket = dial("tcpproxy", "?app=echo")
    assert server.ask("PATCH", f"sessmgr/session/{session}").status_code == 204
    socket.send(b"still here")
    assert socket.recv(20) == b"STILL HERE"
    assert ask("POST", "start-service", json={"app": "echo"}).json()["port"] == port


@pytest.mark.parametrize(
    ("app", "words", "log"),
    [
        ("broken", "exit code 4", "it cannot work\n"),
        ("missing", "cannot be run", ""),
        ("silent", "did not open port", ""),
    ],
)
def test_a_service_that_does_not_start_says_why(ask, app, words, log):
    reply = ask("POST", "start-service", json={"app": app})
    assert reply.status_code == 409, reply.text
    assert words in reply.json()["msg"]
    assert reply.json()["data"].get("log") == log


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"app": 3},
        {"app": ""},
        {"app": "loud", "arguments": "["},
        {"app": "silent", "arguments": {"--evil": "1"}},
        {"app": "silent", "envs": {"LD_PRELOAD": "x"}},
        {"app": "silent", "arguments": ["x"]},
    ],
)
def test_what_is_not_allowed_starts_nothing(ask, body):
    assert ask("POST", "start-service", json=body).status_code == 401
    assert not services(ask).get("silent", {}).get("running")


@pytest.mark.parametrize("name", ["nobody-knows", "../echo", "Echo"])
def test_a_service_that_nobody_knows_is_not_there(ask, name):
    reply = ask("POST", "start-service", json={"app": name})
    assert reply.status_code == 404, reply.text
    assert reply.json()["title"] == "No such service."


def test_apps_are_listed_with_what_they_take(server, session):
    reply = server.ask("GET", f"sessmgr/stream/session/{session}/apps")
    assert reply.status_code == 200, reply.text
    echo = next(one for one in reply.json() if one["name"] == "echo")
    assert echo["allowed_arguments"] == {"--loud": ""}
    assert echo["allowed_envs"] == ["ECHO_MODE"]
    url = echo["url_template"].format(protocol="http", host="h", port=1)
    assert url.startswith("http://h:1/?token=")


def test_no_port_is_reached_that_is_none_of_the_sessions(dial, server):
    own = server.url.rpartition(":")[2].partition("/")[0]
    for query, status in (
        (f"?app=echo&port={own}", 403),
        ("?app=echo&port=22", 403),
        ("?app=echo&port=99999", 401),
        ("?app=127.0.0.1:22", 404),
        ("?app=", 401),
        ("?app=broken", 409),
    ):
        with pytest.raises(InvalidStatus) as refused:
            dial("tcpproxy", query)
        assert refused.value.response.status_code == status, query


def test_a_terminal_speaks_as_stock_clients_do(dial):
    terminal = dial("pty")
    terminal.send(json.dumps({"type": "resize", "rows": 31, "cols": 97}))
    type_in(terminal, "stty size; tty; echo $((40+2))\n")
    assert "31 97" in until_shown(terminal, "42\r\n")
    # Said by the program itself: Ctrl-C in the moment before it is in front would miss it.
    type_in(terminal, "sh -c 'echo begun-$((3+0)); exec sleep 1000'\n")
    until_shown(terminal, "begun-3")
    type_in(terminal, "\x03")
    type_in(terminal, "echo back-$((1+1))\n")
    until_shown(terminal, "back-2")
    terminal.send(json.dumps({"type": "ping"}))
    terminal.send(json.dumps({"type": "restart"}))
    type_in(terminal, "echo again-$((2+1))\n")
    until_shown(terminal, "again-3")
    type_in(terminal, "exit\n")
    assert code_at_the_end(terminal) == 1000


@pytest.mark.parametrize(
    "message",
    ["x", "[]", "{}", '{"type": "stdin", "chars": "#"}', '{"type": "resize", "rows": 0}', b"\xff"],
)
def test_a_terminal_that_is_told_nonsense_ends(dial, message):
    terminal = dial("pty")
    terminal.send(message)
    assert code_at_the_end(terminal) == 1007


def test_a_shell_ends_with_its_websocket(dial, ask):
    terminal = dial("pty")
    type_in(terminal, "sleep 999 & trap '' HUP; echo $$ > shell.pid; echo written\n")
    until_shown(terminal, "written\r\n")
    pid = int(ask("GET", "download_single", params={"file": "shell.pid"}).text)
    terminal.close()
    deadline = time.monotonic() + 20
    while ask("GET", "files", params={"path": f"/proc/{pid}"}).status_code != 404:
        assert time.monotonic() < deadline, "the shell lives on"
        time.sleep(0.05)


def type_in(terminal, text):
    chars = base64.b64encode(text.encode()).decode()
    terminal.send(json.dumps({"type": "stdin", "chars": chars}))


def until_shown(terminal, words):
    shown = ""
    while words not in shown:
        message = json.loads(terminal.recv(20))
        assert message["type"] == "out"
        shown += base64.b64decode(message["data"]).decode()
    return shown


def code_at_the_end(terminal):
    """Read until the websocket is closed; return why it was."""
    try:
        while True:
            terminal.recv(20)
    except ConnectionClosed as closed:
        return closed.rcvd.code
