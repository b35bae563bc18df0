"""Rows of THREATS for what listens inside a session and is no friend: answers made to do harm."""

from __future__ import annotations

import base64
import getpass
import json
import socket
import time

import pytest
import requests

PORT = 24687
COOKIE = "my-login"
#: What the service answers, by path; without an entry it tells what it was asked.
OK = b"HTTP/1.1 200 OK\r\n"
BODY = b"Content-Length: 5\r\n\r\nhello"
ANSWERS = {
    "101": b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + OK + BODY,
    "0": b"HTTP/1.1 000 Odd\r\n" + BODY,
    "199": b"HTTP/1.1 199 Odd\r\n" + BODY,
    "999": b"HTTP/1.1 999 Odd\r\n" + BODY,
    "control": OK + b"X-Odd: a\x01\x7fb\r\nX-Mine: 1\r\n" + BODY,
    "reaching": OK
    + b"X-Accel-Redirect: /internal\r\nX-Sendfile: /etc/passwd\r\nX-Reproxy-URL: http://x/\r\n"
    + b'NEL: {}\r\nReport-To: {}\r\nAlt-Svc: h2=":1"\r\nX-Accel-Buffering: no\r\n'
    + BODY,
}
SERVICE = f"""
import base64, contextlib, hashlib, socket, threading, time
ended = set()
answers = {ANSWERS!r}
def answer(connection):
    with connection:
        asked = b""
        while b"\\r\\n\\r\\n" not in asked:
            asked += connection.recv(65536)
        path = asked.split()[1].decode().strip("/").partition("?")[0]
        if path.startswith("shake"):  # a websocket that is accepted late, or never
            ended.add("not yet " + path)
            time.sleep(int(path[5:]))
            key = asked.partition(b"Sec-WebSocket-Key: ")[2].split()[0]
            key = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
            head = b"HTTP/1.1 101 Yes\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
            head += b"Sec-WebSocket-Accept: " + base64.b64encode(key) + b"\\r\\n\\r\\n"
            with contextlib.suppress(OSError):
                connection.sendall(head)
                while connection.recv(65536):
                    pass
            ended.add(path)
            return
        told = b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(asked), asked)
        answers["ended"] = b"HTTP/1.1 200 OK\\r\\nConnection: close\\r\\n\\r\\n" + repr(ended).encode()
        connection.sendall(answers.get(path, told))
with socket.create_server(("127.0.0.1", {PORT})) as listener:
    print("listens", flush=True)
    while True:
        threading.Thread(target=answer, args=listener.accept()[:1]).start()
"""
RUN = f"""
import subprocess, sys
app = subprocess.Popen([sys.executable, "-c", {SERVICE!r}], stdout=subprocess.PIPE)
print(app.stdout.readline().decode())
"""


@pytest.fixture(scope="module")
def server(module_servers):
    """Give a server whose admin named the login cookie, and wants all services in a sandbox."""
    chosen = {
        "IdentityProvider": {"cookie_name": COOKIE},
        "ServiceProxy": {"isolation": "sandbox"},
    }
    return module_servers.start(config=chosen)


@pytest.fixture(scope="module")
def session(server):
    """Give a session in which the service listens."""
    made = server.create(clientSessionToken="with-a-service", config={"preopen_ports": [PORT]})
    server.until(made["sessionId"], "RUNNING")
    assert "listens" in server.execute(made["sessionId"], RUN)
    return made["sessionId"]


@pytest.fixture
def ask(server, session):
    """Ask the service through the proxy."""
    return lambda path, **kwargs: server.ask(
        "GET", f"sessmgr/session/{session}/service/{PORT}/{path}", timeout=20, **kwargs
    )


@pytest.mark.parametrize("status", ["101", "0", "199", "999"])
def test_C7_an_answer_that_is_none_is_not_passed_on(ask, status):
    reply = ask(status)
    assert reply.status_code == 502
    assert "sandbox" in reply.headers["Content-Security-Policy"]


def test_F10_a_header_that_cannot_be_written_is_left_out(ask, server):
    reply = ask("control")
    assert (reply.status_code, reply.text, reply.headers["X-Mine"]) == (200, "hello", "1")
    assert "X-Odd" not in reply.headers
    assert "Traceback" not in server.log()


def test_C2_no_header_reaches_beyond_the_service(ask):
    reply = ask("reaching")
    withheld = {
        "x-accel-redirect",
        "x-sendfile",
        "x-reproxy-url",
        "nel",
        "report-to",
        "alt-svc",
    }
    assert withheld.isdisjoint({name.lower() for name in reply.headers})
    assert reply.headers["X-Accel-Buffering"] == "no"


def test_C1_the_login_cookie_is_withheld_whatever_it_is_called(ask, server):
    login = requests.get(f"{server.url}sessmgr/session?token={server.token}", timeout=20)
    secret = login.cookies[COOKIE].strip('"')
    cookies = {**login.cookies.get_dict(), "own": "kept"}
    headers = {"Authorization": None}
    told = ask("tell", cookies=cookies, headers=headers).text
    assert "own=kept" in told
    assert secret not in told
    assert COOKIE not in told


def test_C1_our_token_is_known_however_it_is_spaced(ask, server):
    told = ask("tell", headers={"Authorization": f"token\t {server.token}"})
    assert told.status_code == 200
    assert server.token not in told.text


@pytest.mark.parametrize("token", ["%20{}", "{}%20", "+{}", "%01{}%1f", "{}%e3%80%80"])
def test_C1_our_token_in_a_query_is_known_however_it_is_spaced(ask, server, token):
    """Tornado takes spaces away, and control characters, so all of these log in."""
    told = ask(f"tell?a=1&token={token.format(server.token)}", headers={"Authorization": None})
    assert told.status_code == 200
    assert "a=1" in told.text
    assert server.token not in told.text


@pytest.mark.parametrize("scheme", ["Negotiate", "NTLM", "kerberos"])
def test_C1_what_a_browser_says_by_itself_to_log_in_is_withheld(ask, server, scheme):
    told = ask(f"tell?token={server.token}", headers={"Authorization": f"{scheme} canary"})
    assert told.status_code == 200
    assert "canary" not in told.text


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_B2_a_foreign_page_cannot_embed_a_service(ask, server, site):
    cookies = requests.get(f"{server.url}sessmgr/session?token={server.token}", timeout=20).cookies
    headers = {"Authorization": None, "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    for kind in ("image", "iframe", "empty"):
        reply = ask("tell", cookies=cookies, headers={**headers, "Sec-Fetch-Dest": kind})
        assert reply.status_code == 403, kind
    link = {**headers, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert ask("tell", cookies=cookies, headers=link).status_code == 302


def until_told(ask, word):
    deadline = time.monotonic() + 20
    while word not in ask("ended").text:
        assert time.monotonic() < deadline, word
        time.sleep(0.05)


def test_D3_a_websocket_whose_client_left_is_not_kept(ask, server, session):
    host, port = server.url.split("/")[2].split(":")
    head = (
        f"GET /base/sessmgr/session/{session}/service/{PORT}/shake1 HTTP/1.1",
        f"Host: {host}:{port}",
        f"Authorization: token {server.token}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
    )
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        until_told(ask, "'not yet shake1'")
    until_told(ask, "'shake1'")  # the service's side was closed, too
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Mode": "navigate"}], ids=["fetch", "page"])
def test_A5_a_made_up_ticket_tells_of_no_session(server, session, headers):
    owner = server_owner()
    absent = session[:-12] + "0" * 12
    there, nowhere = (tried(server, [owner, one, "x", 2**40], headers) for one in (session, absent))
    assert there.status_code == nowhere.status_code
    assert there.text.replace(session, "") == nowhere.text.replace(absent, "")
    places = (one.headers.get("Location", "") for one in (there, nowhere))
    assert len({place.replace(session, "").replace(absent, "") for place in places}) == 1
    named = tried(server, [owner, "with-a-service", "x", 2**40], headers)
    assert named.status_code == 404
    assert session not in named.text


@pytest.mark.parametrize("service", ["\ud800", "../../../api", "a\nb"])
def test_A5_a_made_up_ticket_leads_nowhere_else(server, service):
    words = [server_owner(), "00000000-0000-0000-0000-000000000000", service, 2**40]
    reply = tried(server, words, {"Sec-Fetch-Mode": "navigate"})
    assert reply.status_code in {302, 404}
    assert "/api" not in reply.headers.get("Location", "")
    assert "Traceback" not in server.log()


def server_owner():
    """Return whose sessions those of a server with a token alone are; everybody may guess it."""
    return getpass.getuser()


def tried(server, words, headers):
    """Ask with a ticket that nobody signed, and without any credentials."""
    body = base64.urlsafe_b64encode(json.dumps(words).encode()).decode().rstrip("=")
    url = f"{server.url}sessmgr/s/{body}.{'0' * 64}/"
    return requests.get(url, headers=headers, timeout=20, allow_redirects=False)
