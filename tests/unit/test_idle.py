"""Limits of time, on an engine in memory and a clock of the test's own; FAULTS T1."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

import pytest

from jupyter_sessmgr.manager.use.clock import ServerClock
from jupyter_sessmgr.manager.use.idle import IdleCuller
from jupyter_sessmgr.manager.wishes import Wishes
from jupyter_sessmgr.model.errors import SessionNotFound
from jupyter_sessmgr.model.events import SessionExpiring
from jupyter_sessmgr.model.session import SessionSpec
from jupyter_sessmgr.model.status import Goal, SessionStatus
from jupyter_sessmgr.testing import FAKE_IMAGE
from tests.plugins.waiting import eventually
from tests.unit.test_clock import Monotonic
from tests.unit.test_reconciler import world

S = SessionStatus
DURABLE = SessionSpec(image=FAKE_IMAGE)
INTERACTIVE = SessionSpec(image=FAKE_IMAGE, durable=False)


class Limited:
    """A world with limits of time, whose clock the test turns."""

    def __init__(self, w, **traits):
        self.world = w
        self.machine = Monotonic()
        self.activity = w.parts.activity
        self.activity.clock = ServerClock(monotonic=self.machine)
        self.idle = IdleCuller(self.activity, **traits)
        self.idle.start(w.parts, Wishes(w.parts, w.reconciler))
        if "check_interval" not in traits:
            self.activity.clock.longest_gap = 1e9

    async def running(self, spec, *, busy=False):
        one = await self.world.create(spec=spec)
        await self.world.becomes(one, S.RUNNING)
        self.activity.set_busy(one, busy)
        return one

    async def after(self, seconds):
        self.machine.now += seconds
        await self.idle.tick()

    async def extend(self, one, seconds):
        wishes = Wishes(self.world.parts, self.world.reconciler)
        self.idle.deadline(await wishes.keep(self.session(one), time.time() + seconds))

    def session(self, one):
        return self.world.store.get(one)

    def left(self, one):
        deadline = self.idle.deadline(self.session(one))
        return deadline and (deadline.limit, round(deadline.at - time.time()))

    def warnings(self):
        return [one for one in self.world.statuses if isinstance(one, SessionExpiring)]


@contextlib.asynccontextmanager
async def limited(**traits):
    async with world() as w:
        made = Limited(w, **traits)
        try:
            yield made
        finally:
            await made.idle.stop()


async def test_an_interactive_session_ends_when_nobody_uses_it_and_says_so_before():
    async with limited(idle_timeout=1000, warning_before=300) as it:
        one = await it.running(INTERACTIVE)
        it.activity.touch(one)
        await it.after(699)
        assert it.left(one) == ("idle", 301)
        assert not it.warnings()
        await it.after(2)
        (warning,) = it.warnings()
        assert (warning.session.id, warning.limit) == (one, "idle")
        assert warning.ends_at - time.time() == pytest.approx(300, abs=2)
        await it.after(200)
        assert len(it.warnings()) == 1
        await it.after(100)
        await it.world.becomes(one, S.TERMINATED)
        assert it.session(one).stop_reason == "idle-timeout"


async def test_use_takes_a_warning_back():
    async with limited(idle_timeout=1000, warning_before=300) as it:
        one = await it.running(INTERACTIVE)
        it.activity.touch(one)
        await it.after(800)
        it.activity.touch(one)
        await it.after(300)
        assert it.left(one) == ("idle", 700)
        await it.after(600)
        assert [warning.limit for warning in it.warnings()] == ["idle", "idle"]
        assert it.session(one).is_live


async def test_nothing_in_use_ends():
    async with limited(idle_timeout=100) as it:
        busy = await it.running(INTERACTIVE, busy=True)
        unknown = await it.running(INTERACTIVE, busy=None)
        watched = await it.running(INTERACTIVE)
        for one in (busy, unknown, watched):
            it.activity.touch(one)
        with it.activity.client(watched):
            await it.after(10_000)
            await it.after(10_000)
            for one in (busy, unknown, watched):
                assert it.session(one).is_live
                assert it.left(one) is None


async def test_P5_an_interactive_session_whose_server_is_gone_ends_after_a_while_though_in_use():
    async with limited(orphan_timeout=60, warning_before=300) as it:
        durable, exempt = await it.running(DURABLE), await it.running(INTERACTIVE)
        await it.idle.exempt(exempt, True)
        used = await it.running(INTERACTIVE, busy=True)
        with it.activity.client(used):
            await it.after(1000)
            it.idle.is_there = lambda _server_id: False
            await it.after(1)
            assert it.left(used) == ("server-stopped", 60)
            await it.after(31)
            warned = {(one.session.id, one.limit) for one in it.warnings()}
            assert warned == {(used, "server-stopped"), (exempt, "server-stopped")}
            await it.after(30)
            await it.world.becomes(used, S.TERMINATED)
            await it.world.becomes(exempt, S.TERMINATED)
        assert it.session(used).stop_reason == "server-stopped"
        assert it.session(durable).is_live
        assert it.left(durable) is None


async def test_P5_an_interactive_session_may_end_at_once_without_its_server():
    async with limited(orphan_timeout=0, warning_before=300) as it:
        one = await it.running(INTERACTIVE)
        it.idle.is_there = lambda _server_id: False
        await it.after(1)
        await it.after(1)
        await it.world.becomes(one, S.TERMINATED)


async def test_one_that_nobody_ever_used_ends_sooner():
    async with limited(idle_timeout=1000, never_connected_timeout=300, warning_before=0) as it:
        never = await it.running(INTERACTIVE)
        batch = await it.running(replace(INTERACTIVE, session_type="batch"))
        used = await it.running(INTERACTIVE)
        durable = await it.running(DURABLE)
        it.activity.touch(used)
        assert it.left(never) == ("never-connected", 300)
        await it.after(301)
        await it.world.becomes(never, S.TERMINATED)
        assert it.session(never).stop_reason == "never-connected"
        assert it.session(used).is_live
        assert it.session(batch).is_live
        assert it.session(durable).is_live


async def test_durable_sessions_last_unless_an_admin_says_otherwise():
    async with limited(idle_timeout=10) as it:
        one = await it.running(DURABLE)
        await it.after(1e6)
        assert it.left(one) is None
        it.idle.durable_idle_timeout = 2e6
        assert it.left(one) == ("idle", 1_000_000)


async def test_a_lifetime_ends_even_what_is_busy():
    async with limited(max_lifetime=1000, warning_before=100) as it:
        one = await it.running(DURABLE, busy=True)
        await it.after(950)
        assert [warning.limit for warning in it.warnings()] == ["lifetime"]
        await it.after(40)
        assert it.session(one).is_live
        await it.after(60)
        await it.world.becomes(one, S.TERMINATED)
        assert it.session(one).stop_reason == "lifetime"


async def test_a_lifetime_goes_on_over_a_restart_of_the_server_and_ends_with_a_warning():
    async with world() as w:
        one = await w.create(spec=DURABLE)
        await w.becomes(one, S.RUNNING)
        row = w.store.get(one)
        await w.store.save_facts(replace(row, started_at=time.time() - 5000))
        it = Limited(w, max_lifetime=1000, warning_before=100)
        await it.after(1)
        assert it.session(one).is_live
        assert it.left(one) == ("lifetime", 95)  # less one interval between looks
        await it.after(90)
        assert it.session(one).is_live
        await it.after(10)
        await w.becomes(one, S.TERMINATED)
        await it.idle.stop()


async def test_an_extended_session_is_kept_from_limits_of_idleness_and_never_for_shorter():
    async with limited(idle_timeout=1000, never_connected_timeout=500, warning_before=300) as it:
        used, never = await it.running(INTERACTIVE), await it.running(INTERACTIVE)
        it.activity.touch(used)
        await it.after(800)
        assert {warning.session.id for warning in it.warnings()} == {used, never}
        await it.extend(used, 3600)
        await it.extend(never, 3600)
        assert it.left(used) == ("idle", 3600)
        await it.extend(used, 60)
        assert it.left(used) == ("idle", 3600)
        await it.after(3000)
        assert it.left(never)[1] == 600
        assert len(it.warnings()) == 2
        await it.after(301)
        assert len(it.warnings()) == 4
        it.activity.touch(used)
        await it.after(300)
        await it.world.becomes(never, S.TERMINATED)
        assert it.left(used) == ("idle", 700)


async def test_no_extension_outlasts_the_lifetime():
    async with limited(idle_timeout=100, max_lifetime=1000, warning_before=0) as it:
        one = await it.running(INTERACTIVE)
        it.activity.touch(one)
        await it.extend(one, 2000)
        assert it.left(one) == ("lifetime", 1000)
        await it.after(900)
        assert it.session(one).is_live
        await it.after(101)
        await it.world.becomes(one, S.TERMINATED)
        assert it.session(one).stop_reason == "lifetime"


async def test_T1_an_extension_is_counted_on_the_servers_clock(monkeypatch):
    async with limited(idle_timeout=100, warning_before=0) as it:
        one = await it.running(INTERACTIVE)
        it.activity.touch(one)
        await it.extend(one, 5000)
        real = time.time
        for jump in (86400.0, -86400.0):
            monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
            await it.after(1000)
            assert it.session(one).is_live
        assert it.left(one) == ("idle", 3000)


@pytest.mark.parametrize(("later", "left"), [(1000, 2600), (10_000, 100), (-90_000, 86_400)])
async def test_an_extension_goes_on_over_a_restart_of_the_server_as_the_clock_allows(later, left):
    async with world() as w:
        first = Limited(w, idle_timeout=100)
        one = await first.running(INTERACTIVE)
        first.activity.touch(one)
        await first.extend(one, 3600)
        await first.idle.stop()
        row = w.store.get(one)
        await w.store.save_wish(replace(row, kept_until=row.kept_until - later))
        second = Limited(w, idle_timeout=100)
        second.activity.touch(one)
        assert second.left(one) == ("idle", left)
        await second.idle.stop()


async def test_a_suspended_session_can_be_extended():
    async with limited(durable_idle_timeout=1000, suspend_timeout=100) as it:
        one = await it.running(DURABLE)
        it.activity.touch(one)
        await it.after(101)
        await it.world.becomes(one, S.SUSPENDED)
        await it.extend(one, 5000)
        await it.after(4000)
        assert it.world.status(one) is S.SUSPENDED
        assert it.left(one) == ("idle", 1000)


async def test_an_exempt_session_has_no_limit_until_that_is_taken_back():
    async with limited(idle_timeout=100, max_lifetime=200, warning_before=0) as it:
        one = await it.running(INTERACTIVE)
        it.activity.touch(one)
        assert (await it.idle.exempt(one, exempt=True)).idle_exempt
        await it.after(10_000)
        assert it.session(one).is_live
        assert it.left(one) is None
        await it.idle.exempt(one, exempt=False)
        await it.after(1)
        await it.world.becomes(one, S.TERMINATED)
        with pytest.raises(SessionNotFound):
            await it.idle.exempt(one, exempt=True)


@pytest.mark.parametrize("jump", [3600.0, -86400.0])
async def test_T1_a_wall_clock_that_jumps_ends_nothing(monkeypatch, jump):
    async with limited(idle_timeout=600, durable_idle_timeout=600, max_lifetime=1200) as it:
        ones = [await it.running(spec) for spec in (INTERACTIVE, DURABLE)]
        for one in ones:
            it.activity.touch(one)
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + jump)
        await it.after(1)
        await it.after(1)
        for one in ones:
            assert it.session(one).is_live
            assert it.left(one) == ("idle", 598)
            assert it.activity.idle_for(it.session(one)) == 2
        assert not it.warnings()


async def test_P6_a_server_that_was_stopped_counts_no_idleness_and_judges_nothing_at_once():
    async with limited(idle_timeout=100, warning_before=0, check_interval=10) as it:
        one = await it.running(INTERACTIVE)
        it.activity.touch(one)
        for _ in range(9):
            await it.after(10)
        await it.after(3600)
        assert it.session(one).is_live
        it.activity.touch(one)  # what was sent meanwhile is read now
        for _ in range(9):
            await it.after(10)
        assert it.session(one).is_live
        await it.after(11)
        await it.world.becomes(one, S.TERMINATED)


async def test_a_durable_session_that_nobody_uses_is_suspended_and_resumes():
    async with limited(suspend_timeout=100) as it:
        durable = await it.running(DURABLE)
        busy = await it.running(DURABLE, busy=True)
        interactive = await it.running(INTERACTIVE)
        for one in (durable, busy, interactive):
            it.activity.touch(one)
        await it.after(99)
        await eventually(lambda: it.world.reconciler.is_idle)
        assert it.world.status(durable) is S.RUNNING
        await it.after(2)
        await it.world.becomes(durable, S.SUSPENDED)
        assert it.world.status(busy) is it.world.status(interactive) is S.RUNNING
        made = it.world.engine.made[it.session(durable).place_id]
        await eventually(lambda: made.paused)


async def test_use_reaches_the_row_now_and_then_not_each_time():
    async with limited() as it:
        it.activity.on_due(it.world.reconciler.poke)
        one = await it.running(DURABLE)
        it.activity.touch(one)
        await eventually(lambda: it.session(one).connected_at)
        revision = it.session(one).revision
        for _ in range(1000):
            it.activity.note_query(one)
        await it.after(59)
        await eventually(lambda: it.world.reconciler.is_idle)
        assert it.session(one).revision == revision
        await it.after(2)
        await eventually(lambda: it.session(one).queries == 1000)
        assert it.session(one).revision == revision + 1
        assert it.session(one).last_active_at is not None


async def test_time_that_is_given_while_others_are_ended_counts():
    async with limited(idle_timeout=1000, warning_before=0) as it:
        ended, extended, exempt = made = [await it.running(INTERACTIVE) for _ in range(3)]
        for one in made:
            it.activity.touch(one)
        store = it.world.store
        save, sessions = store.save_wish, store.sessions
        store.sessions = lambda: sorted(sessions(), key=lambda one: made.index(one.id))

        async def give_time_first(session):
            if session.id == ended:
                store.save_wish = save
                await it.idle.exempt(exempt, True)
                await it.extend(extended, 3600)
            return await save(session)

        store.save_wish = give_time_first
        await it.after(1001)
        await it.world.becomes(ended, S.TERMINATED)
        goals = [it.session(one).goal for one in (extended, exempt)]
        assert goals == [Goal.RUN, Goal.RUN]


async def test_what_was_given_time_since_it_was_judged_does_not_end():
    async with limited() as it:
        one = await it.running(INTERACTIVE)
        wishes = Wishes(it.world.parts, it.world.reconciler)
        judged = it.session(one)
        await it.extend(one, 3600)
        await wishes.stop(judged, as_judged=True)
        assert it.session(one).goal is Goal.RUN
        await wishes.stop(it.session(one), as_judged=True)
        assert it.session(one).goal is Goal.STOP


async def test_a_limit_without_an_end_is_none():
    async with limited(idle_timeout=float("inf"), max_lifetime=1e300) as it:
        one = await it.running(INTERACTIVE)
        it.activity.touch(one)
        await it.after(1e9)
        assert it.left(one) is None
