"""What the server remembers of sessions that ended: their rows, and nothing else."""

from __future__ import annotations

import gc
import json
from collections import deque
from functools import partial
from types import CellType, FunctionType, MethodType

import pytest

from jupyter_sessmgr.provisioning import adopt, locate
from tests.plugins.waiting import eventually

#: The rows, bounded by number and age; those of their places, by an hour; and events, by number.
KEPT_ON_PURPOSE = {"Mirror", "Message"}
EMPTY = CellType()


@pytest.fixture
def server(inside):
    return inside()


async def test_nothing_but_rows_is_remembered_of_sessions_that_ended(server):
    ended = [
        await by_rest(server),
        await by_the_kernel_door(server),
        await restarted(server),
        await with_a_run(server),
        await cancelled(server),
    ]
    store = server.sessions._open_parts().store
    words = {*ended, *(one.id for one in store.places())}
    assert len(words) > len(ended)

    def found():
        gc.collect()
        known = (server.extension, list(adopt._adopters.values()), list(locate._homes.values()))
        return mentions(known, words)

    await eventually(lambda: not found(), 20, 0.5, "forgotten")
    server.sessions._open_parts().memory.news.add(ended[0])  # what would be seen
    assert [one.rpartition(".")[2] for one in found()] == ["news"]


async def by_rest(server):
    return await destroyed(server, (await server.create())["sessionId"])


async def by_the_kernel_door(server):
    reply = await server.ask("POST", "api/kernels", body={"name": "sessmgr-python"})
    assert reply.code == 201, reply.body
    session = json.loads(reply.body)["id"]
    assert (await server.ask("DELETE", f"api/kernels/{session}")).code == 204
    return session


async def restarted(server):
    session = (await server.create())["sessionId"]
    reply = await server.ask("PATCH", f"sessmgr/session/{session}")
    assert reply.code == 204, reply.body
    return await destroyed(server, session)


async def with_a_run(server):
    session = (await server.create())["sessionId"]
    body = {"mode": "query", "code": "print('hello')", "runId": None}
    reply = await server.ask("POST", f"sessmgr/session/{session}", body=body)
    assert reply.code == 200, reply.body
    return await destroyed(server, session)


async def cancelled(server):
    session = (await server.create(enqueueOnly=True))["sessionId"]
    return await destroyed(server, session, "?forced=true")


async def destroyed(server, session, how=""):
    reply = await server.ask("DELETE", f"sessmgr/session/{session}{how}")
    assert reply.code in {200, 204}, reply.body
    return session


def mentions(start, words):
    """Find where any of these words is remembered, going through all that `start` holds on to."""
    found, seen, due = [], {id(start)}, deque([(start, "")])
    while due:
        one, path = due.popleft()
        if words & set(words_in(one)):
            found.append(path)
        for name, value in parts_of(one):
            if id(value) not in seen and type(value).__name__ not in KEPT_ON_PURPOSE:
                seen.add(id(value))
                due.append((value, f"{path}{name}"))
    return found


def words_in(one):
    """List the words that a container has, or an object of ours as attributes."""
    if isinstance(one, dict | list | set | frozenset | tuple | deque):
        return [word for word in one if isinstance(word, str)]
    return [word for _, word in attributes(one) if isinstance(word, str)]


def parts_of(one):
    """List what an object holds on to, with how it is reached; of others' objects nothing."""
    if isinstance(one, dict):
        return [(f"[{key!r:.40}]", value) for key, value in one.items()]
    if isinstance(one, list | set | frozenset | tuple | deque):
        return [("[]", value) for value in one]
    return [(f".{name}", value) for name, value in attributes(one)]


def attributes(one):
    """List an object's attributes, of ours, and what functions and tasks have enclosed."""
    if isinstance(one, FunctionType):
        cells = zip(one.__code__.co_freevars, one.__closure__ or (), strict=True)
        return [(name, cell.cell_contents) for name, cell in cells if cell != EMPTY]
    if isinstance(one, MethodType):
        return [("__self__", one.__self__)]
    if isinstance(one, partial):
        return [("func", one.func), ("args", one.args), ("keywords", one.keywords)]
    if not type(one).__module__.startswith("jupyter_sessmgr"):
        return []
    named = dict(getattr(one, "__dict__", {}))
    for kind in type(one).__mro__:
        slots = getattr(kind, "__slots__", ())
        named |= {name: getattr(one, name) for name in slots if hasattr(one, name)}
    named |= named.pop("_trait_values", {})
    return list(named.items())
