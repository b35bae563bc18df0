"""S1: a process that is killed while it commits loses nothing that it acknowledged."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from contextlib import contextmanager

from tests.plugins.stores import open_store

ROUNDS = 20

#: Forks a writer for each line it reads, so that a round costs no start of an interpreter. A writer
#: says what it has asked for before it asks, and what was acknowledged after.
WRITERS = """
import asyncio, json, os, sys
from dataclasses import replace
from pathlib import Path
from jupyter_sessmgr.model.status import SessionStatus
from tests.plugins.stores import PLENTY, a_place, a_session, open_store

def say(*words):
    os.write(1, (json.dumps(words) + "\\n").encode())

async def write_for_ever(store):
    while True:
        session, place = a_session(name=f"s-{os.urandom(8).hex()}"), a_place()
        say("asked", session.id)
        session = await store.add(session, PLENTY)
        say("session", session.id, session.revision)
        await store.save_place(place)
        say("place", place.id)
        session = await store.save_wish(replace(session, generation=2))
        say("session", session.id, session.revision)
        done = replace(session, status=SessionStatus.RUNNING, log_tail="x" * 5000)
        session = await store.save_facts(done)
        say("session", session.id, session.revision)

async def main(folder):
    async with open_store(folder) as store:
        await asyncio.gather(*(write_for_ever(store) for _ in range(4)))

for line in sys.stdin:
    child = os.fork()
    if child == 0:
        asyncio.run(main(Path(line.strip())))
    say("pid", child)
    os.waitpid(child, 0)
    say("ended")
"""


@contextmanager
def writers():
    command = [sys.executable, "-c", WRITERS]
    program = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield program
    finally:
        program.stdin.close()
        assert program.wait(timeout=30) == 0
        program.stdout.close()


def one_round(program, folder, acks):
    """Let a writer write to `folder` until it has said `acks` things, and kill it then."""
    print(folder, file=program.stdin, flush=True)
    said, pid = [], 0
    for line in program.stdout:
        words = json.loads(line)
        if words == ["ended"]:
            return said
        if words[0] == "pid":
            pid = words[1]
        else:
            said.append(words)
        if len(said) >= acks and pid:
            os.kill(pid, signal.SIGKILL)
            acks = sys.maxsize
    raise AssertionError("the writers ended by themselves")


async def test_S1_no_acknowledged_row_is_lost(state_dir):
    chance = random.Random(1)
    sessions, places, asked = {}, set(), set()
    with writers() as program:
        for _ in range(ROUNDS):
            for what, which, *revision in one_round(program, state_dir, chance.randint(1, 120)):
                if what == "session":
                    sessions[which] = revision[0]
                elif what == "place":
                    places.add(which)
                else:
                    asked.add(which)
            async with open_store(state_dir, keep_ended_most=100_000) as store:
                assert store.opened.corrupt_copy == ""
                found = {one.id: one.revision for one in store.sessions(live=False)}
                lost = {one for one, revision in sessions.items() if found.get(one, 0) < revision}
                assert lost == set()
                assert set(found) <= asked
                assert places <= {place.id for place in store.places()}
    assert len(sessions) > ROUNDS
    with sqlite3.connect(state_dir / "sessions.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()
