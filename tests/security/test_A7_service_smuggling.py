"""THREATS A7, C9 and F10 for service ports: what two readers could read in two ways goes no further."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re

import pytest

from tests.plugins.rawdoor import CONFIG, UPGRADE, Door, parted, raw
from tests.plugins.waiting import eventually

HIDDEN = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
TAG = "<script>alert(1)</script>"
OK = b"HTTP/1.1 200 OK\r\n"
FIVE = b"Content-Length: 5\r\n\r\nhello"


@pytest.fixture
def app(inside):
    return inside(**CONFIG)


def requests_of(door):
    """Write requests that are none, or are to be one request and no more: name, bytes, statuses.

    0 is a connection that is closed without an answer.
    """
    host, base = f"Host: {door.host}", door.path
    token = f"Authorization: {door.app.token['Authorization']}"

    def post(*lines, body=""):
        return door.head("POST", "echo", *lines) + body.encode()

    def line(text, *lines):
        return "\r\n".join([text, host, token, *lines, "", ""]).encode("latin1")

    return [
        ("length and chunks", post("Content-Length: 4", "Transfer-Encoding: chunked", body="0\r\n\r\n" + HIDDEN), {400}),
        ("two lengths", post("Content-Length: 2", "Content-Length: 90", body="{}" + HIDDEN), {400}),
        ("a length with a sign", post("Content-Length: +2", body="{}" + HIDDEN), {400}),
        ("chunks that are none", post("Transfer-Encoding: xchunked", body="0\r\n\r\n" + HIDDEN), {400}),
        ("chunked twice", post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body="0\r\n\r\n" + HIDDEN), {400}),
        ("a bad chunk", post("Transfer-Encoding: chunked", body="zz\r\nabc\r\n0\r\n\r\n" + HIDDEN), {0, 400}),
        ("a chunk too long", post("Transfer-Encoding: chunked", body="2\r\nabcdef\r\n0\r\n\r\n"), {0, 400}),
        ("a folded header", door.head("GET", "echo", "X-Fold: a", " Content-Length: 90"), {200, 400}),
        ("a bare CR in a header", door.head("GET", "echo", "X-Cr: a\rX-More: b"), {400}),
        ("a NUL in a header", door.head("GET", "echo", "X-Nul: a\0b"), {400}),
        ("a space in the path", line(f"GET {base}a b HTTP/1.1"), {400}),
        ("a header in the path", line(f"GET {base}a%0d%0aX-Evil:%201 HTTP/1.1"), {200}),
        ("a method that is none", line(f"GET\t{base}echo HTTP/1.1"), {400}),
        ("an odd method", line(f"B<>{{}} {base}echo HTTP/1.1"), {400, 405}),
        ("an unknown method", line(f"HELLO {base}echo HTTP/1.1"), {405}),
        ("CONNECT", line(f"CONNECT {base}echo HTTP/1.1"), {405}),
        ("CONNECT elsewhere", line("CONNECT evil.example:443 HTTP/1.1"), {400, 404, 405}),
        ("TRACE", line(f"TRACE {base}echo HTTP/1.1"), {405}),
        ("a whole URL", line(f"GET http://evil.example{base}echo HTTP/1.1"), {400, 403, 404}),
        ("an odd host", door.head("GET", "echo").replace(host.encode(), b"Host: a b<c>"), {400, 403}),
        ("two hosts", door.head("GET", "echo", "Host: evil.example"), {400, 403}),
        ("HTTP/1.0", door.head("GET", "echo", version="HTTP/1.0"), {200}),
        ("HTTP/2.0", door.head("GET", "echo", version="HTTP/2.0"), {400}),
        ("70 KB of headers", door.head("GET", "echo", "X-Long: " + "x" * 70_000), {0, 431}),
        ("bytes above 127 in the path", line(f"GET {base}caf\xe9 HTTP/1.1"), {200, 400}),
        ("a tag in the path", line(f"GET {base.replace('hostile', TAG)} HTTP/1.1", "Accept: text/html"), {404}),
        ("a tag in a header", door.head("GET", "never", f"X-Tag: {TAG}", f"Sec-WebSocket-Version: {TAG}", "Upgrade: websocket"), {426}),
    ]  # fmt: skip


async def hear(door, data):
    """Say something and a last request; return the statuses and all that was said."""
    last = (
        f"GET {door.app.app.base_url}api HTTP/1.1\r\nHost: {door.host}\r\nConnection: close\r\n\r\n"
    )
    received = b""
    async with door.dial(data + last.encode()) as (reader, _), asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65536):
                received += piece
    return [int(one) for one in re.findall(rb"HTTP/1\.1 (\d\d\d) ", received)], received


async def test_A7_C9_no_request_hides_in_another_on_its_way_to_a_service(app):
    door = await Door.open(app)
    wrong = {}
    for name, data, statuses in requests_of(door):
        before = (await door.connections())[1]
        told, received = await hear(door, data)
        first = told[0] if told else 0
        opened = (await door.connections())[1] - before
        reached = 1 if first == 200 else 0
        if first not in statuses or opened > max(reached, 1) or len(told) > 2:
            wrong[name] = told, opened
        if TAG.encode() in received or b"hidden" in received.replace(b"hidden_", b""):
            wrong[name] = "repeated", received[:300]
    assert wrong == {}


async def test_A7_what_reaches_the_service_is_what_was_sent(app):
    door = await Door.open(app)
    for method, path, lines, body in [
        ("GET", "a%0d%0aX-Evil:%201", (), b""),
        ("POST", "a", ("Content-Length: 3",), b"abc"),
        ("POST", "a", ("Transfer-Encoding: chunked",), b"3\r\nabc\r\n0\r\n\r\n"),
        ("GET", "a", ("Connection: close, X-Secret", "X-Secret: 1"), b""),
    ]:
        _, _, answer = parted(await door.say(door.head(method, path, *lines) + body))
        encoded, _, size = answer.partition(b" ")
        head = base64.b64decode(encoded).decode()
        first, *headers = head.split("\r\n")
        names = [line.partition(":")[0].lower() for line in headers if line]
        assert first == f"{method} /{path} HTTP/1.1"
        assert len(set(names)) == len(names), headers
        assert not {"x-evil", "x-secret"} & set(names)
        assert not {"content-length", "transfer-encoding"} <= set(names)
        assert int(size or 0) in {0, len(body)}


#: What a service answers, and what the client hears: the status, and what the body may be.
ANSWERS = [
    ("as it should be", (OK + FIVE,), {200}, b"hello"),
    ("a hint before", (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK + FIVE,), {200}, b"hello"),
    ("a go-ahead before", (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + FIVE,), {200}, b"hello"),
    ("a thousand hints", (b"", b"HTTP/1.1 103 Early\r\n\r\n", 1000, OK + FIVE), {200, 502}, b"hello"),
    ("204 with a body", (b"HTTP/1.1 204 No\r\n" + FIVE,), {204, 502}, b""),
    ("304 with a body", (b"HTTP/1.1 304 No\r\n" + FIVE,), {304, 502}, b""),
    ("length and chunks", (OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",), {200, 502}, b"hello"),
    ("two lengths", (OK + b"Content-Length: 5\r\nContent-Length: 50\r\n\r\nhello",), {502}, None),
    ("a length that is none", (OK + b"Content-Length: five\r\n\r\nhello",), {502}, None),
    ("a bad chunk", (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",), {200, 502}, None),
    ("more than it said", (OK + FIVE + b"HTTP/1.1 200 OK\r\n" + FIVE,), {200}, b"hello"),
    ("HTTP/1.0", (b"HTTP/1.0 200 OK\r\n\r\nhello",), {200}, b"hello"),
    ("HTTP/0.9", (b"hello",), {502}, None),
    ("a folded header", (OK + b"X-Fold: a\r\n b\r\n" + FIVE,), {200, 502}, None),
    ("a status that is a word", (b"HTTP/1.1 abc OK\r\n" + FIVE,), {502}, None),
    ("a huge status line", (b"HTTP/1.1 200 ", b"x", 100_000, b"\r\n" + FIVE), {502}, None),
    ("a tag for a reason", (b"HTTP/1.1 200 " + TAG.encode() + b"\r\n" + FIVE,), {200}, b"hello"),
    ("70 KB in a header", (OK + b"X-Long: ", b"x", 70_000, b"\r\n" + FIVE), {502}, None),
    ("70 KB in many", (OK, b"X-Many: " + b"x" * 1000 + b"\r\n", 70, FIVE), {502}, None),
    ("thousands of headers", (OK, b"X-Many: 1\r\n", 5000, FIVE), {502}, None),
    ("a header without a name", (OK + b": x\r\n" + FIVE,), {200, 502}, None),
    ("bare line feeds", ((OK + FIVE).replace(b"\r\n", b"\n"),), {200, 502}, None),
    ("a websocket nobody wanted", (b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + OK + FIVE,), {502}, None),
]  # fmt: skip


async def test_A7_F10_an_odd_answer_is_one_answer_or_a_bad_gateway(app):
    door = await Door.open(app)
    wrong = {}
    for name, answer, statuses, body in ANSWERS:
        data = door.head("GET", raw(*answer))
        told, received = await hear(door, data)
        told_status, _, told_body = parted(received)
        if told_status not in statuses or len(told) > 2:
            wrong[name] = told, received[:300]
        if told_status == 200 and body is not None and body not in told_body:
            wrong[name] = told_body[:100]
        if TAG.encode() in received:
            wrong[name] = "repeated"
    assert wrong == {}


async def test_A7_F10_what_a_service_says_unasked_is_no_answer(app):
    door = await Door.open(app)
    assert (await door.ask("GET", "unasked"))[2] == b"hello"
    pool = app.app.web_app.settings["sessmgr_proxy"].upstream._pool._client.connector

    def has_spoken():
        return all(one.should_close for idle in pool._conns.values() for one, _ in idle)

    await eventually(has_spoken)
    for _ in range(2):
        assert len(await door.connections()) == 2


def accept(more):
    return "accept?" + base64.urlsafe_b64encode(more).decode()


#: A websocket's answer, and what the client hears.
SWITCHES = {
    raw(b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"): 502,
    raw(b"HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"): 502,
    raw(b"HTTP/1.1 101 Yes\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n"): 502,
    raw(b"HTTP/1.1 103 Early\r\n\r\n" * 20): 502,
    raw(b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"): 502,
    raw(b"SSH-2.0-hello\r\n\r\n"): 502,
    raw(b"HTTP/1.1 418 No\r\nContent-Length: 5\r\nX-Mine: 1\r\n\r\nhello"): 418,
    raw(b"HTTP/1.1 302 Go\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n"): 302,
    raw(OK + FIVE): 200,
    accept(b""): 101,
    accept(b"Set-Cookie: _xsrf=evil; Path=/\r\nClear-Site-Data: *\r\n"): 101,
    accept(b"Sec-WebSocket-Protocol: offered\r\n"): 101,
    accept(b"Sec-WebSocket-Protocol: other\r\n"): 502,
    accept(b"Sec-WebSocket-Extensions: permessage-deflate\r\n"): 502,
    accept(b"Sec-WebSocket-Accept: x\r\n"): 502,
    accept(b"X-Long: " + b"x" * 30_000 + b"\r\n"): 101,
}  # fmt: skip


async def test_A7_only_a_genuine_acceptance_opens_a_websocket(app):
    door = await Door.open(app)
    wrong = {}
    for path, expected in SWITCHES.items():
        lines = (
            "Sec-WebSocket-Protocol: first, offered",
            "Sec-WebSocket-Extensions: permessage-deflate",
        )
        async with door.dial(door.upgrade(path, *lines)) as (reader, _), asyncio.timeout(20):
            head = await reader.readuntil(b"\r\n\r\n")
        status = parted(head)[0]
        if status != expected:
            wrong[path] = status
        lower = head.lower()
        assert b"_xsrf" not in lower
        assert b"clear-site-data" not in lower
        assert b"sec-websocket-extensions" not in lower
        assert (b"sec-websocket-accept: " in lower) == (status == 101)
        assert b"content-security-policy" in lower
    assert wrong == {}


async def test_A2_a_websocket_that_is_none_dials_nothing(app):
    door = await Door.open(app)
    before = (await door.connections())[1]
    plain = list(UPGRADE)
    attempts = {
        door.upgrade("pipe", token=False): {401, 403},
        door.upgrade("pipe", "Authorization: token wrong", token=False): {401, 403},
        door.upgrade("pipe", "Origin: https://evil.example", token=False): {401, 403},
        door.upgrade("pipe", "Accept: text/html", token=False): {401, 403},
        door.head("POST", "pipe", *plain, "Content-Length: 0"): {400},
        door.head("GET", "pipe", *plain, version="HTTP/1.0"): {400},
        door.head("GET", "pipe", *plain, "Content-Length: 3") + b"abc": {400},
        door.head("GET", "pipe", *plain[:2], plain[3]): {400},
        door.head("GET", "pipe", *plain[:2], plain[3], "Sec-WebSocket-Version: 8"): {426},
        door.head("GET", "pipe", *plain[:3]): {400},
        door.head("GET", "pipe", *plain[:3], "Sec-WebSocket-Key: short"): {400},
        door.head("GET", "pipe", *plain, "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="): {400},
        door.head("GET", "pipe", plain[0], *plain[2:]): {400},
    }
    for data, statuses in attempts.items():
        status, head, _ = parted(await door.say(data))
        assert status in statuses, data
        assert (status == 426) == ("sec-websocket-version: 13" in head.lower())
    assert (await door.connections())[1] == before
