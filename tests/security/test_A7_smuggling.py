"""THREATS A7: a request that two readers could read in two ways is one request, or none."""

from __future__ import annotations

import asyncio
import re

import pytest

HIDDEN, LAST = "hidden-request", "last-request"


def post(*headers, body=b"", version="HTTP/1.1"):
    """Write a POST whose headers end as they are given, the usual ones before them."""
    lines = [f"POST {{base}}sessmgr/session {version}", "Host: {host}", *headers]
    return "\r\n".join([*lines, "{token}", "Content-Type: application/json", "", ""]), body


def get(*lines, end="\r\n"):
    """Write a request line by line."""
    return end.join([*lines, "{token}", "", ""]), b""


SECRET = b"GET {base}hidden-request HTTP/1.1\r\nHost: {host}\r\n{token}\r\n\r\n"
GET = "GET {base}sessmgr/session HTTP/1.1"
HOST = "Host: {host}"
CASES = {
    "length and chunks": post(
        "Content-Length: 4", "Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SECRET
    ),
    "two lengths": post("Content-Length: 2", "Content-Length: 90", body=b"{}" + SECRET),
    "a space before the colon": post(
        "Content-Length: 2", "Transfer-Encoding : chunked", body=b"{}" + SECRET
    ),
    "chunks that are none": post("Transfer-Encoding: xchunked", body=b"0\r\n\r\n" + SECRET),
    "a length with a sign": post("Content-Length: +2", body=b"{}" + SECRET),
    "bare line feeds": get(GET, HOST, end="\n"),
    "a folded header": get(GET, HOST, "X-Fold: a", " Content-Length: 90"),
    "line feeds between chunks": post("Transfer-Encoding: chunked", body=b"2\n{}\n0\n\n" + SECRET),
    "a NUL in a header": get(GET, HOST, "X-Nul: a\0b"),
    "a whole URL": get("GET http://{host}{base}sessmgr/session HTTP/1.1", HOST),
    "two hosts": get(GET, HOST, "Host: evil.example"),
    "no host": get(GET),
    "a header of 70 KB": get(GET, HOST, "X-Long: " + "x" * 70_000),
}


@pytest.fixture
def app(inside):
    return inside()


async def answers(app, raw):
    """Send bytes and a last request after them; return the statuses until the server closes."""
    host = app.base.split("/")[2]
    last = f"GET {app.app.base_url}{LAST} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    reader, writer = await asyncio.open_connection(*host.split(":"))
    received = b""
    try:
        writer.write(raw + last.encode())
        async with asyncio.timeout(5):
            while chunk := await reader.read(2**16):
                received += chunk
    except ConnectionError:
        pass  # it closed before it had read all: that is an answer too
    finally:
        writer.close()
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", received)]


@pytest.mark.parametrize("name", CASES)
async def test_A7_no_request_hides_in_another(app, name):
    served = []
    app.app.web_app.settings["log_function"] = lambda handler: served.append(handler.request.uri)
    head, body = CASES[name]
    fields = {
        "{base}": app.app.base_url,
        "{host}": app.base.split("/")[2],
        "{token}": f"Authorization: {app.token['Authorization']}",
    }
    raw = head.encode() + body
    for field, value in fields.items():
        raw = raw.replace(field.encode(), value.encode())
    told = await answers(app, raw)
    assert len(served) <= 2, served
    assert [uri for uri in served[1:] if not uri.endswith(LAST)] == []
    assert not any(HIDDEN in uri for uri in served)
    assert all(status < 500 for status in told), told
    assert (await app.ask("GET", "sessmgr")).code == 200


async def test_A7_the_battery_would_see_a_second_request(app):
    served = []
    app.app.web_app.settings["log_function"] = lambda handler: served.append(handler.request.uri)
    host, base = app.base.split("/")[2], app.app.base_url
    two = [f"GET {base}{path} HTTP/1.1\r\nHost: {host}\r\n\r\n" for path in ("sessmgr", HIDDEN)]
    told = await answers(app, "".join(two).encode())
    assert len(told) == 3
    assert served == [base + path for path in ("sessmgr", HIDDEN, LAST)]
