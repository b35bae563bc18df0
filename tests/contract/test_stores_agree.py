"""Whatever is asked of them, in whatever order, both stores answer the same.

The store that lasts is closed, crashed and robbed of its file in between; nobody may notice.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.model.session import PlaceState
from jupyter_sessmgr.model.status import FINAL, Goal, SessionStatus
from jupyter_sessmgr.store.memory import MemoryStore
from jupyter_sessmgr.store.quota import Ceiling, Quota
from jupyter_sessmgr.store.sqlite import SqliteStore
from tests.plugins.stores import ReversingCipher, a_full_session, a_place, a_session

OWNERS = ("ada", "bob")
NAMES = ("analysis", "report", "1", "2", "'; --")
QUOTA = Quota(owner=Ceiling(sessions=3, mem=2**62), server=Ceiling(sessions=5, pending=4))
KEEP = {"keep_ended_days": 1.0, "keep_ended_most": 3}
TEXTS = st.text(max_size=8)
NUMBERS = st.integers(-(2**65), 2**65) | st.integers(0, 5)


class Agreement(RuleBasedStateMachine):
    """Asks a `MemoryStore` and a `SqliteStore` the same."""

    sessions = Bundle("sessions")
    places = Bundle("places")

    def __init__(self):
        super().__init__()
        self.began = time.time()
        self.loop = asyncio.new_event_loop()
        self.base = Path(tempfile.mkdtemp(prefix="sessmgr-agree-"))
        self.folder = self.base / "0"
        self.folder.mkdir()
        self.crashed = []
        self.memory, self.sqlite = MemoryStore(**KEEP), SqliteStore(**KEEP)
        for store in (self.memory, self.sqlite):
            self.run(store.open(self.folder, ReversingCipher()))

    def run(self, awaitable):
        return self.loop.run_until_complete(awaitable)

    def teardown(self):
        for store in (self.sqlite, *self.crashed):
            self.run(store.close())
        self.loop.close()
        shutil.rmtree(self.base)

    def ask(self, method, *args):
        answers = []
        for store in (self.memory, self.sqlite):
            try:
                answers.append(self.run(getattr(store, method)(*args)))
            except SessmgrError as error:
                answers.append((type(error), error.message, error.data))
        assert answers[0] == answers[1]
        return answers[0]

    @rule(
        target=sessions,
        owner=st.sampled_from(OWNERS),
        name=st.sampled_from(NAMES),
        tag=TEXTS,
        full=st.booleans(),
    )
    def add(self, owner, name, tag, full):
        make = a_full_session if full else a_session
        session = make(owner=owner, name=name, tag=tag, created_at=self.began)
        self.ask("add", session, QUOTA)
        return session

    @rule(session=sessions)
    def add_again(self, session):
        self.ask("add", session, QUOTA)

    @rule(
        session=sessions,
        name=st.sampled_from(NAMES),
        goal=st.sampled_from(Goal),
        generation=NUMBERS,
        forced=st.booleans(),
        tag=TEXTS,
    )
    def save_wish(self, session, **wishes):
        self.ask("save_wish", replace(session, **wishes))

    @rule(
        session=sessions,
        status=st.sampled_from(SessionStatus),
        age=st.none() | st.sampled_from([0.0, 1.0, 2 * 24 * 3600.0]),
        log_tail=TEXTS,
        queries=NUMBERS,
        last_active_at=st.none() | st.floats(),
    )
    def save_facts(self, session, status, age, **facts):
        known = self.memory.get(session.id)
        if known is not None and known.status in FINAL:
            status = known.status  # what ended never lives again
        ended_at = None if age is None else self.began - age
        self.ask("save_facts", replace(session, status=status, ended_at=ended_at, **facts))

    @rule(session=consumes(sessions))
    def forget(self, session):
        self.ask("forget", session.id)

    @rule(target=places, key=TEXTS)
    def save_place(self, key):
        place = a_place(key=key)
        self.ask("save_place", place)
        return place

    @rule(place=places, state=st.sampled_from(PlaceState))
    def change_place(self, place, state):
        self.ask("save_place", replace(place, state=state, session_id="some"))

    @rule(place=consumes(places))
    def forget_place(self, place):
        self.ask("forget_place", place.id)

    def reopen(self):
        health = self.run(self.sqlite.open(self.folder, ReversingCipher()))
        assert health.corrupt_copy == ""
        for session_id in self.memory.outdated():
            self.run(self.memory.forget(session_id))

    @rule()
    def close_and_open(self):
        self.run(self.sqlite.close())
        self.reopen()

    @rule()
    def crash_and_open(self):
        """Go on with the files as they are now, as after a kill."""
        self.crashed.append(self.sqlite)
        after = self.base / str(len(self.crashed))
        shutil.copytree(self.folder, after)
        (after / "sessions.db-shm").unlink(missing_ok=True)
        self.folder = after
        self.sqlite = SqliteStore(**KEEP)
        self.reopen()

    @rule(how=st.sampled_from(["unlink", "truncate"]))
    def lose_the_file(self, how):
        file = self.folder / "sessions.db"
        file.unlink() if how == "unlink" else file.write_bytes(b"")
        place = a_place()
        self.ask("save_place", place)  # the next write notices
        self.ask("forget_place", place.id)

    @invariant()
    def reads_agree(self):
        for store in (self.memory, self.sqlite):
            assert all(store.get(one.id) is one for one in store.sessions(live=False))
        for live in (True, False):
            for owner in (None, *OWNERS):
                ours, theirs = (
                    list(store.sessions(owner=owner, live=live))
                    for store in (self.memory, self.sqlite)
                )
                assert ours == theirs
        assert list(self.memory.places()) == list(self.sqlite.places())
        for owner in OWNERS:
            for reference in (*NAMES, *map(str, range(3, 9))):
                assert self.memory.find(owner, reference) == self.sqlite.find(owner, reference)

    @invariant()
    def names_and_numbers_are_unique(self):
        live = [(one.owner, one.name) for one in self.sqlite.sessions()]
        assert len(live) == len(set(live))
        numbers = [one.number for one in self.sqlite.sessions(live=False)]
        assert numbers == sorted(set(numbers), reverse=True)


TestAgreement = Agreement.TestCase
TestAgreement.settings = settings(deadline=None, max_examples=25, stateful_step_count=30)
