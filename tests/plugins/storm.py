"""A manager under load that can be killed at any moment, and what must hold after it was.

Run as a program: it opens a state folder, comes to rest, checks that nothing which somebody was told
of is lost or left over, says "checked", and then lets clients create, execute, restart and destroy
sessions until it is killed. What clients were told is written to a file, a line each.

Usage: python -m tests.plugins.storm STATE_DIR ENGINE TOLD [SECONDS]
With SECONDS, it stops after as many, destroys everything, and says "ended".
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from traitlets.config import Config

from jupyter_sessmgr.manager.sessions import ComputeSessionManager
from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.model.requests import CreateRequest
from tests.plugins.invariants import at_rest
from tests.plugins.managers import places, run_code

ROOT = Path(__file__).parents[2]
CLIENTS = 20
#: Names that the clients share: they get in each other's way.
NAMES = [f"storm-{number}" for number in range(8)]
OWNER = "me"
#: What clients were told of is looked up, however long ago it ended.
REMEMBER = Config({"SqliteStore": {"keep_ended_most": 10**6}})
#: Seconds until all is at rest: on a slow machine a start may take its `boot_timeout`, and then end.
LATEST = 150
#: Sessions whose variables are looked at after each kill.
MOST_ASKED = 3


@dataclass
class Told:
    """What clients were told, by session: it has to be true whatever happens after."""

    path: Path
    created: dict[str, str] = field(default_factory=dict)
    destroyed: set[str] = field(default_factory=set)
    #: The variable that a session's kernel has; None from the wish for another kernel on.
    variables: dict[str, str | None] = field(default_factory=dict)

    def __post_init__(self):
        if self.path.exists():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                self._take(*line.split())
        self._stream = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def say(self, *words):
        """Note that somebody was told; on disk when this returns, as far as a kill goes."""
        os.write(self._stream, (" ".join(words) + "\n").encode())
        self._take(*words)

    def _take(self, what, session_id, value=None):
        if what == "created":
            self.created[session_id] = value
        elif what == "destroyed":
            self.destroyed.add(session_id)
        elif what == "restarts":
            self.variables[session_id] = None
        elif session_id not in self.variables:  # executed; the first word counts
            self.variables[session_id] = value


async def check(manager, told):
    """Check what has to hold, once the manager has come to rest."""
    # One client may have been told of an end before another was told of the beginning.
    rows = await at_rest(manager, told.created.keys() | told.destroyed, LATEST)
    for session_id, name in told.created.items():
        assert rows[session_id].name == name, "I1"
    for session_id in told.destroyed:
        assert rows[session_id].status.is_final, "I8: what was destroyed lives again"
    asked = 0
    for session in manager.list(OWNER):
        value = told.variables.get(session.id)
        if value is not None and asked < MOST_ASKED:
            asked += 1
            _, written = await run_code(manager.connection_info(session.id), "print(x)")
            assert written == f"{value}\n", f"{session.id}: {written!r} is not {value}"
    return len(manager.list(OWNER))


class Client:
    """Does one thing after another to sessions of any of the names."""

    def __init__(self, manager, told):
        self._manager = manager
        self._told = told

    async def run(self):
        """Go on until cancelled. What is refused was somebody else's turn."""
        while True:
            name = random.choice(NAMES)
            deeds = (self.create, self.create, self.execute, self.restart, self.destroy)
            try:
                await random.choice(deeds)(name)
            except (SessmgrError, TimeoutError, RuntimeError):
                await asyncio.sleep(0.02)
            await asyncio.sleep(0)

    async def create(self, name):
        session, fresh = await self._manager.create(CreateRequest(name=name), OWNER)
        if fresh:
            self._told.say("created", session.id, name)
        await self._manager.settled(session.id, 30)

    async def execute(self, name):
        session = self._manager.find(name, OWNER)
        if session.id in self._told.variables:
            return
        generation, value = session.generation, os.urandom(4).hex()
        code = f"x = globals().get('x', '{value}'); print(x)"
        reply, written = await run_code(self._manager.connection_info(session.id), code)
        same = self._manager.find(session.id, OWNER).generation == generation
        if reply["status"] == "ok" and written and same:
            self._told.say("executed", session.id, written.strip())

    async def restart(self, name):
        session = self._manager.find(name, OWNER)
        self._told.say("restarts", session.id)
        await self._manager.restart(session.id, 30)

    async def destroy(self, name):
        session = self._manager.find(name, OWNER)
        await self._manager.destroy(session.id)
        self._told.say("destroyed", session.id)


async def main(state_dir, engine, told_path, seconds=None):
    """Open, check, and work; see the module's docstring."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    manager = ComputeSessionManager(
        state_dir=state_dir, engine=engine, log=logging.getLogger("storm"), config=REMEMBER
    )
    told = Told(Path(told_path))
    await manager.open()
    live = await check(manager, told)
    print(f"checked {len(told.created)} {len(told.destroyed)} {live}", flush=True)
    working = [asyncio.create_task(Client(manager, told).run()) for _ in range(CLIENTS)]
    done, _ = await asyncio.wait(
        working,
        timeout=None if seconds is None else float(seconds),
        return_when=asyncio.FIRST_EXCEPTION,
    )
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    for task in done:
        task.result()
    await check(manager, told)
    for session in manager.list(OWNER):
        await manager.destroy(session.id)
    await manager.pool.stop()
    await at_rest(manager, told.created)
    left = await places(manager)
    await manager.close()
    print("ended", len(left), flush=True)


def kill_at_random(state_dir, engine, rounds, *, longest=1.5, tell=lambda words: None):
    """Start it again and again, and kill it some moment after it had checked.

    Where the machine is too slow for sessions to be created and destroyed in so many rounds, there
    are more of them, and longer ones. Returns how many sessions were created and destroyed in all.
    Raises `AssertionError` with the program's own words when something did not hold.
    """
    told, log = (Path(state_dir).with_suffix(suffix) for suffix in (".told", ".log"))
    command = [sys.executable, "-m", "tests.plugins.storm", str(state_dir), engine, str(told)]
    for number in range(4 * rounds):
        if number >= rounds and _was_enough(told, rounds):
            break
        with _started(command, log) as process:
            words = process.stdout.readline()
            if words.startswith("checked"):
                tell(f"round {number}: {words.strip()}")
                time.sleep(random.uniform(0.2, longest) * (1 + number // rounds))
            process.kill()
        assert words.startswith("checked"), f"round {number}: {words}{log.read_text()}"
        assert process.returncode == -signal.SIGKILL, f"round {number}: {log.read_text()}"
    with _started([*command, "1"], log) as process:
        words = process.stdout.read()
    assert words.endswith("ended 0\n"), words + log.read_text()
    final = Told(told)
    return len(final.created), len(final.destroyed)


def _was_enough(told, rounds):
    words = [line.split()[0] for line in told.read_text(encoding="utf-8").splitlines()]
    return words.count("created") >= rounds and "destroyed" in words


def _started(command, log):
    with log.open("wb") as stream:
        return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stream, text=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
