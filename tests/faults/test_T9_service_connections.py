"""FAULTS T9: services and clients that break off, hang and trickle leave nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter

import psutil
import pytest

from tests.plugins.rawdoor import CONFIG, WAYS, Door, reset
from tests.plugins.waiting import eventually

#: Aborted requests, of all kinds together.
ABORTED = 1000
#: Seconds after which nothing may be left.
LEFT = 5.0
BODY = "Content-Length: 1000000"
LONG = "Content-Length: 100000000"
CHUNKS = "Transfer-Encoding: chunked"


@pytest.fixture
def app(inside):
    return inside(**CONFIG)


def descriptors():
    """Count what is open in each process below this one, and which connections this one has.

    Those to an agent are seen at its end: other tests' watchers have sockets here, too.
    """
    here = psutil.Process()
    counts = Counter({"tcp": len(here.net_connections("tcp"))})
    for one in here.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            counts[f"{one.pid} {one.name()}"] = one.num_fds()
    return counts


async def abandon(door, data, *, after=b"", more=b"", stay=0.0, cut=False):
    """Say something, read until `after` came, say more, stay for so many seconds, and go."""
    async with door.dial(data) as (reader, writer), asyncio.timeout(30):
        if after:
            await reader.readuntil(after)
        if more:
            writer.write(more)
        await asyncio.sleep(stay)
        if cut:
            reset(writer)


async def ask(door, data):
    """Say something, and read whatever comes."""
    await door.say(data)


def kinds(door):
    """Name every way to break a request off, by client or service."""
    get, post = door.head, partial_post(door)
    return {
        "download abandoned": lambda: abandon(door, get("GET", "big?64"), after=b"\r\n\r\n"),
        "download reset": lambda: abandon(door, get("GET", "big?64"), after=b"xxxx", cut=True),
        "gone at once": lambda: abandon(door, get("GET", "never")),
        "no answer awaited": lambda: abandon(door, get("GET", "never"), stay=0.2),
        "no answer, reset": lambda: abandon(door, get("GET", "never"), stay=0.2, cut=True),
        "events left": lambda: abandon(door, get("GET", "events"), after=b"data: 1\n"),
        "upload cut": lambda: abandon(door, post("take", BODY), more=b"x" * 10000),
        "upload reset": lambda: abandon(door, post("take", BODY), more=b"x" * 10000, cut=True),
        "chunks cut": lambda: abandon(door, post("take", CHUNKS), more=b"4\r\nabcd\r\n9"),
        "deaf upload reset": lambda: abandon(
            door, post("deaf?2", LONG), more=b"x" * 10_000_000, stay=0.2, cut=True
        ),
        "socket gone at once": lambda: abandon(door, door.upgrade("never")),
        "socket before its answer": lambda: abandon(door, door.upgrade("never"), stay=0.2),
        "socket before, reset": lambda: abandon(door, door.upgrade("never"), stay=0.2, cut=True),
        "socket left": lambda: abandon(door, door.upgrade("pipe"), after=b"\r\n\r\n", more=b"x"),
        "socket reset": lambda: abandon(door, door.upgrade("pipe"), after=b"\r\n\r\n", cut=True),
        "socket flooded": lambda: abandon(door, door.upgrade("flood?64"), after=b"xxxx", cut=True),
        "service resets": lambda: ask(door, get("GET", "reset", "Connection: close")),
        "service half-closes": lambda: ask(door, get("GET", "half")),
        "service truncates": lambda: ask(door, get("GET", "truncated")),
        "service breaks": lambda: ask(door, get("GET", "broken")),
        "service leaves socket": lambda: ask(door, door.upgrade("leave")),
        "service resets socket": lambda: ask(door, door.upgrade("vanish")),
    }


def partial_post(door):
    return lambda path, line: door.head("POST", path, line)


@pytest.mark.parametrize("way", WAYS)
async def test_T9_nothing_is_left_of_a_thousand_aborted_requests(app, way):
    door = await Door.open(app, way=way)
    table = kinds(door)
    for start in table.values():  # whatever is made once is there now
        await start()
    before = await at_rest(app, door)
    for _ in range(ABORTED // len(table)):
        async with asyncio.TaskGroup() as group:
            for start in table.values():
                group.create_task(start())
    left = [before]

    async def nothing_is_left():  # looking itself leaves something for a moment
        left.append(await there(app, door) - before)
        return left[-1] == {}

    with contextlib.suppress(AssertionError):  # told below, with what is left
        await eventually(nothing_is_left, timeout=LEFT, interval=0.5)
    assert left[-1] == {}


async def there(app, door):
    """Count everything that a request may leave behind."""
    connections, _ = await door.connections()
    works = [task.get_coro() for task in asyncio.all_tasks()]
    tasks = Counter(
        work.__qualname__
        for work in works
        if "/manager/" not in work.cr_code.co_filename  # it goes about its own business
    )
    counted = {
        "the service's connections": connections,
        "ours": app.extension.proxy.connections.total,
    }
    return tasks + descriptors() + Counter(counted)


async def at_rest(app, door):
    """Count what there is once that does not change any more: a kernel was just connected."""
    counts = [Counter()]

    async def stays():
        counts.append(await there(app, door))
        return counts[-1] == counts[-2]

    await eventually(stays, timeout=30, interval=1.0)
    return counts[-1]
