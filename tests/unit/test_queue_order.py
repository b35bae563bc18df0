"""The order of starts: as a table, and as a house in which sessions come and go at random."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from jupyter_sessmgr.manager.queue.order import (
    Claim,
    MostRunning,
    Room,
    Rules,
    after_turns,
    next_starts,
)
from jupyter_sessmgr.model.resources import Resources

GIB = 2**30
GPU = MappingProxyType({"cuda.device": 1})


def claim(number, owner="ada", *, mem=None, cpu=None, devices=MappingProxyType({}), **more):
    needs = Resources(
        cpu=None if cpu is None else Decimal(str(cpu)),
        mem=None if mem is None else int(mem * GIB),
        devices=devices,
    )
    group = more.pop("group", "default")
    return Claim(id=f"s{number}", number=number, owner=owner, group=group, needs=needs, **more)


def room(**has):
    mem = has.pop("mem", None)
    return Rules(room=Room(mem=None if mem is None else mem * GIB, **has))


RUNS = [claim(1, mem=6)]
TABLE = {
    "an empty house lets everybody in": ([claim(1), claim(2, "bob")], [], Rules(), ["s1", "s2"]),
    "without a bound there is always room": ([claim(2, mem=999)], RUNS, Rules(), ["s2"]),
    "what has no limit needs nothing": ([claim(2)], RUNS, room(mem=6), ["s2"]),
    "what does not fit waits": ([claim(2, mem=4)], RUNS, room(mem=8), []),
    "what fits exactly does not": ([claim(2, mem=2)], RUNS, room(mem=8), ["s2"]),
    "a small one passes a big one": (
        [claim(2, mem=4), claim(3, mem=1), claim(4, "bob", mem=1)],
        RUNS,
        room(mem=8),
        ["s4", "s3"],
    ),
    "but not one that has stood there for long": (
        [claim(2, mem=4, stood=300), claim(3, mem=1), claim(4, "bob", mem=1)],
        RUNS,
        room(mem=8),
        [],
    ),
    "what the elder does not need is not kept": (
        [claim(2, mem=4, stood=300), claim(3, "bob", cpu=1)],
        RUNS,
        room(mem=8, cpu=Decimal(1)),
        ["s3"],
    ),
    "the elder comes before whose turn it is": (
        [claim(2, "bob", mem=2), claim(3, mem=2, stood=300)],
        RUNS,
        room(mem=8),
        ["s3"],
    ),
    "only one is the elder: who has stood there longest": (
        [claim(2, mem=4, stood=300), claim(3, "bob", mem=3, stood=400), claim(4, "eve", mem=1)],
        [claim(1, mem=3)],
        room(mem=8),
        ["s3", "s4"],
    ),
    "devices are counted": (
        [claim(2, devices=GPU), claim(3, devices=GPU)],
        [claim(1, devices=GPU)],
        room(devices={"cuda.device": 2}),
        ["s2"],
    ),
    "processors are counted in fractions": (
        [claim(n, cpu="0.3") for n in range(2, 6)],
        [claim(1, cpu="0.1")],
        room(cpu=Decimal(1)),
        ["s2", "s3", "s4"],
    ),
    "owners take turns": (
        [*(claim(n) for n in range(1, 5)), *(claim(n, "bob") for n in range(5, 7))],
        [],
        Rules(most_starting=4),
        ["s1", "s5", "s2", "s6"],
    ),
    "an owner's limit holds back that owner": (
        [claim(2), claim(3), claim(4, "bob")],
        [claim(1)],
        Rules(most_running=MostRunning(owner=2)),
        ["s2", "s4"],
    ),
    "a group's limit holds back that group": (
        [claim(2, group="physics"), claim(3, "bob", group="physics"), claim(4)],
        [claim(1, group="physics")],
        Rules(most_running=MostRunning(groups={"physics": 1})),
        ["s4"],
    ),
    "who only own limits hold back keeps nothing from others": (
        [claim(2, mem=4, stood=999), claim(3, "bob", mem=4)],
        [claim(1)],
        replace(room(mem=5), most_running=MostRunning(owner=1)),
        ["s3"],
    ),
    "a server's limit holds back all": (
        [claim(2), claim(3, "bob")],
        [claim(1)],
        Rules(most_running=MostRunning(server=2)),
        ["s2"],
    ),
    "so many start at once": (
        [claim(2), claim(3)],
        [claim(1, starting=True)],
        Rules(most_starting=2),
        ["s2"],
    ),
    "a closed house lets nobody in": ([claim(1)], [], Rules(closed="waits"), []),
    "a house that is over-full lets in what needs nothing of it": (
        [claim(2, mem=1), claim(3, cpu=1)],
        RUNS,
        room(mem=2, cpu=Decimal(1)),
        ["s3"],
    ),
}


@pytest.mark.parametrize("case", TABLE)
def test_who_starts(case):
    waiting, running, rules, starts = TABLE[case]
    verdict = next_starts(waiting, running, rules)
    assert list(verdict.starts) == starts
    assert set(verdict.waits) == {one.id for one in waiting} - set(starts)
    positions = [one.position for one in verdict.waits.values()]
    assert positions == list(range(1, len(positions) + 1))


REASONS = {
    "waits for 4 GiB of memory; 2 GiB are free": (claim(2, mem=4), room(mem=8)),
    "waits for 2 processors; 1.5 are free": (claim(2, cpu=2), room(cpu=Decimal("1.5"))),
    "waits for 1 cuda.device; 0 are free": (
        claim(2, devices=GPU),
        room(devices={"cuda.device": 0}),
    ),
    "waits for another session of its owner to end: 1 run, the most allowed": (
        claim(2),
        Rules(most_running=MostRunning(owner=1)),
    ),
    "waits for another session of group default to end: 1 run, the most allowed": (
        claim(2),
        Rules(most_running=MostRunning(groups={"default": 1})),
    ),
    "waits for another session to end: 1 run, the most allowed here": (
        claim(2),
        Rules(most_running=MostRunning(server=1)),
    ),
    "waits for its turn: at most 1 start at once": (claim(2), Rules(most_starting=1)),
    "waits for the engine": (claim(2), Rules(closed="waits for the engine")),
}


@pytest.mark.parametrize("reason", REASONS)
def test_why_it_waits_is_said(reason):
    one, rules = REASONS[reason]
    waits = next_starts([one], [claim(1, mem=6, starting=True)], rules).waits
    assert waits["s2"].reason == reason


def test_why_it_waits_though_there_is_room_is_said():
    rules = room(mem=8)
    waits = next_starts([claim(2, mem=4, stood=300), claim(3, mem=1)], RUNS, rules).waits
    assert "has waited for long" in waits["s3"].reason


def test_turns_are_remembered_between_looks():
    waiting = [claim(1), claim(2), claim(3), claim(4, "bob"), claim(5, "bob")]
    turns, started = {}, []
    while waiting:
        verdict = next_starts(waiting, [], Rules(most_starting=1), turns)
        turns = after_turns(turns, waiting, verdict.starts)
        started += verdict.starts
        waiting = [one for one in waiting if one.id not in verdict.starts]
    assert started == ["s1", "s4", "s2", "s5", "s3"]
    assert turns == {}


class House(RuleBasedStateMachine):
    """Sessions come and go; the order is asked after each."""

    @initialize(
        mem=st.integers(4, 16),
        cpu=st.integers(2, 8),
        owner=st.none() | st.integers(1, 4),
        server=st.none() | st.integers(1, 6),
        starting=st.integers(1, 4),
    )
    def open(self, mem, cpu, owner, server, starting):
        self.size = {"mem": mem, "cpu": cpu}
        most = MostRunning(owner=owner, groups={"b": 2}, server=server)
        whole = Room(mem=mem * GIB, cpu=Decimal(cpu), devices={"cuda.device": 2})
        self.rules = Rules(room=whole, most_running=most, most_starting=starting, patience=10)
        self.waiting, self.running, self.turns = [], [], {}
        self.number = self.now = 0
        self.first_since = {}
        self.passed = Counter()

    @rule(
        owner=st.sampled_from("xyz"),
        group=st.sampled_from("ab"),
        size=st.tuples(st.none() | st.integers(1, 16), st.none() | st.integers(1, 8)),
        gpu=st.integers(0, 2),
        count=st.integers(1, 4),
    )
    def come(self, owner, group, size, gpu, count):
        mem, cpu = size
        mem = None if mem is None else min(mem, self.size["mem"])
        cpu = None if cpu is None else min(cpu, self.size["cpu"])
        devices = {"cuda.device": gpu} if gpu else {}
        for _ in range(count):
            self.number += 1
            one = claim(self.number, owner, mem=mem, cpu=cpu, devices=devices, group=group)
            self.waiting.append(one)
        self.look()

    @rule(which=st.integers(0, 100))
    @precondition(lambda self: self.running)
    def go(self, which):
        self.running.pop(which % len(self.running))
        self.look()

    @rule(which=st.integers(0, 100))
    @precondition(lambda self: self.waiting)
    def cancel(self, which):
        self.waiting.pop(which % len(self.waiting))
        self.look()

    @rule(seconds=st.sampled_from([1, 5, 20]))
    def pass_time(self, seconds):
        self.now += seconds
        self.running = [replace(one, starting=False) for one in self.running]
        self.look()

    def look(self):
        waiting = [
            replace(one, stood=self.now - self.first_since.get(one.id, self.now))
            for one in self.waiting
        ]
        verdict = next_starts(waiting, self.running, self.rules, self.turns)
        self.check(verdict, waiting)
        self.turns = after_turns(self.turns, waiting, verdict.starts)
        known = {one.id: one for one in waiting}
        self.running += [replace(known[one], starting=True) for one in verdict.starts]
        self.waiting = [one for one in self.waiting if one.id not in verdict.starts]
        since = self.first_since
        self.first_since = {
            one: since.get(one, self.now)
            for one, wait in verdict.waits.items()
            if wait.first or one in since
        }
        self.verdict = verdict

    def check(self, verdict, waiting):
        """FIFO within an owner, among sessions that need the same."""
        known = {one.id: one for one in waiting}
        for one in verdict.starts:
            for other in verdict.waits:
                early, late = known[other], known[one]
                same = (early.owner, early.group, early.needs) == (
                    late.owner,
                    late.group,
                    late.needs,
                )
                assert not (same and early.number < late.number), (early, late)

    @invariant()
    def never_too_much(self):
        whole = self.rules.room
        left = whole
        for one in self.running:
            left = left.without(one.needs)
        assert left.mem >= 0
        assert left.cpu >= 0
        assert left.devices["cuda.device"] >= 0
        most = self.rules.most_running
        owners = Counter(one.owner for one in self.running)
        assert most.owner is None or all(count <= most.owner for count in owners.values())
        assert most.server is None or len(self.running) <= most.server
        assert sum(one.group == "b" for one in self.running) <= 2
        assert sum(one.starting for one in self.running) <= self.rules.most_starting

    @invariant()
    def nothing_lies_idle(self):
        """An empty house lets somebody in."""
        assert self.running or not self.waiting

    def teardown(self):
        """Whoever waits now starts, whatever newcomers come, once those that run end in turn."""
        if not hasattr(self, "waiting"):
            return
        old = {one.id for one in self.waiting}
        for step in range(4 * len(old) * (len(self.running) + len(old) + 10)):
            if not old & {one.id for one in self.waiting}:
                return
            self.pass_time(20)
            if self.running:
                self.running.pop(0)
            self.number += 1
            # Small, and of an owner never seen: the order has every reason to prefer it.
            self.waiting.append(claim(self.number, f"new{step}", mem=1, cpu=1))
            self.look()
        assert old & {one.id for one in self.waiting} == set()


TestHouse = House.TestCase
TestHouse.settings = settings(max_examples=80, stateful_step_count=25, deadline=None)


@given(
    st.lists(st.sampled_from("ab"), min_size=1, max_size=30),
    st.integers(1, 3),
)
def test_owners_share_alike_what_comes_free(arrivals, slots):
    """Of two that both wait all the time, neither starts two more than the other."""
    waiting = [claim(n, owner) for n, owner in enumerate(arrivals, 1)]
    running, turns, starts = [], {}, []
    rules = Rules(most_running=MostRunning(server=slots))
    while waiting:
        verdict = next_starts(waiting, running, rules, turns)
        turns = after_turns(turns, waiting, verdict.starts)
        known = {one.id: one for one in waiting}
        for one in verdict.starts:
            starts.append(known[one].owner)
            running.append(known.pop(one))
            if len({left.owner for left in known.values()}) == 2:
                assert abs(starts.count("a") - starts.count("b")) <= 1
        waiting = list(known.values())
        running.pop(0)
