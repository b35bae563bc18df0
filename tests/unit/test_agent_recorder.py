"""When the agent starts a recorder, and when it does not any more."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys

import pytest

from jupyter_sessmgr.agent.reaper import Reaper
from jupyter_sessmgr.agent.recorder import Recorder
from jupyter_sessmgr.agent.refusals import NotHere, Refused
from jupyter_sessmgr.agent.template import Template
from jupyter_sessmgr.agent.trunk import MOST_ORDER, Trunk

KERNEL = {"generation": 1, "connection": {}, "curve": None}


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Give a recorder's agent side, and the list of the processes that it wants."""
    bounds = {"folder": str(tmp_path / "journal"), "max_bytes": 2**20, "max_age": 0.0}
    recorder, wanted = Recorder({"journal": bounds}, Reaper(), Template()), []

    def prepare(_code, python, _environ, handed):
        for one in handed:
            os.close(one)
        wanted.append(python)

    monkeypatch.setattr("jupyter_sessmgr.agent.recorder._program", lambda _python: os.dup(0))
    monkeypatch.setattr(recorder._process, "prepare", prepare)
    yield recorder, wanted
    recorder.close()


def test_a_kernel_that_starts_has_a_recorder(started):
    recorder, wanted = started
    recorder.turn_to(KERNEL, False, [sys.executable], {})
    assert wanted == [sys.executable]


def test_one_that_was_given_up_is_not_started_for_the_next_kernel(started):
    recorder, wanted = started
    recorder.problem = "It ended too often."
    recorder.turn_to(KERNEL, False, [sys.executable], {})
    assert not wanted
    assert not recorder.records
    with pytest.raises(NotHere, match="too often"):
        recorder.ask({"ask": "state"})


TALK = {"ended": "x" * 2000}
NOTES = [("note", f"r{number}", "cell", "a.ipynb") for number in range(3000)]


def orders(end, until):
    """Take the recorder's orders as it would, until one of them is `until`."""
    found = []
    while until not in found:
        found.append(json.loads(end.recv(64 * 1024)))
    return found


def noted(found):
    return [tuple(note) for order in found for note in order.get("notes", ())]


async def test_what_a_busy_recorder_is_ordered_is_sent_when_there_is_room():
    trunk, kernel = Trunk(), {"kernel": KERNEL}
    for start in range(0, len(NOTES), 64):
        trunk.note(NOTES[start : start + 64])
    for _ in range(200):
        trunk.say(TALK)
    trunk.say(kernel)
    with pytest.raises(Refused, match="busy"):
        trunk.ask({"ask": "state"})
    found = await asyncio.to_thread(orders, trunk.end, kernel)
    assert noted(found) == NOTES
    assert found.count(TALK) == 200
    with trunk.end:
        trunk.ask({"ask": "state"}).close()
        trunk.close()


def test_notes_go_before_orders_where_nobody_takes_them(monkeypatch):
    monkeypatch.setattr("jupyter_sessmgr.agent.trunk._MOST_WAITING", 4096)
    trunk, kernel = Trunk(), {"kernel": KERNEL}
    while not trunk._waiting:
        trunk.say(TALK)
    trunk.say(kernel)
    trunk.note(NOTES)
    with trunk.end:
        left = trunk.close()
    assert kernel in left
    assert noted(left) == []


def test_notes_fit_into_orders_that_the_recorder_reads_at_once():
    trunk = Trunk()
    long = [("note", str(number), "é" * 256, "é" * 4096) for number in range(5)]
    trunk.note(long)
    with trunk.end:
        found = [trunk.end.recv(2 * MOST_ORDER) for _ in range(3)]
        trunk.close()
    assert max(map(len, found)) <= MOST_ORDER
    assert noted(map(json.loads, found)) == long


def test_the_next_recorder_gets_the_orders_that_one_left(started, monkeypatch):
    recorder, _ = started
    ends = []

    def prepare(_code, _python, _environ, handed):
        os.close(handed[0])
        ends.append(handed[1])

    monkeypatch.setattr(recorder._process, "prepare", prepare)
    recorder.turn_to(KERNEL, False, [sys.executable], {})
    while not recorder._trunk._waiting:
        recorder.note(NOTES[:64])
    left = len(recorder._trunk._waiting)
    recorder.note([("asks", "r", None)])
    os.close(ends[0])
    recorder._ended()
    with socket.socket(fileno=ends[1]) as end:
        first, gap, *rest = orders(end, {"kernel": KERNEL})
    assert first["path"]
    assert "gap" in gap
    assert noted(rest) == NOTES[:64] * left + [("asks", "r", None)]
