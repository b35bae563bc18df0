"""Past and present of a kernel's messages, put together: nothing missing, nothing doubled."""

from __future__ import annotations

import asyncio
import random

import pytest

from jupyter_sessmgr.manager.recording.journal import Gap, JournalPage, Lost, Recorded
from jupyter_sessmgr.model.errors import AgentUnavailable, InvalidRequest
from jupyter_sessmgr.provisioning.channels import catchup
from jupyter_sessmgr.provisioning.channels.catchup import CatchUp
from jupyter_sessmgr.provisioning.channels.position import Position, find, read_position
from jupyter_sessmgr.provisioning.channels.replies import Replies
from tests.plugins.waiting import eventually


def entry(seq, parent="p", kind="stream"):
    header = {"msg_id": f"m{seq}", "msg_type": kind}
    parent_header = {"msg_id": parent, "msg_type": "execute_request"}
    return Recorded(
        seq=seq,
        time=0.0,
        parent=parent,
        cell=None,
        message={"header": header, "parent_header": parent_header, "content": {}},
    )


class Kernel:
    """Says numbered messages, to a journal that hears them later and to who listens live."""

    def __init__(self, page=3):
        self.kept = []
        self.lost = Lost()
        self.gaps = []
        self.fails = False
        self._page = page
        self._more = asyncio.Event()

    def record(self, *numbers, **more):
        self.kept += [entry(number, **more) for number in numbers]
        self._more.set()

    async def read(self, since, wait):
        if self.fails:
            raise AgentUnavailable("The agent is gone.")
        while not (found := [one for one in self.kept if one.seq > since][: self._page]):
            if not wait:
                break
            self._more.clear()
            await self._more.wait()
        await asyncio.sleep(0)
        last = self.kept[-1].seq if self.kept else 0
        end = found[-1].seq if found else last
        gaps = tuple(gap for gap in self.gaps if gap.seq >= since)
        return JournalPage(messages=tuple(found), first=1, next=end, lost=self.lost, gaps=gaps)


class Screen:
    """Notes what a browser would see, by number."""

    def __init__(self):
        self.seen = []
        self.missing = []
        self.states = 0
        self.hold = None

    async def replay(self, recorded):
        self.seen.append(recorded.seq)
        if self.hold is not None:
            await self.hold.wait()

    def tell_missing(self, words, before):
        self.missing.append((words, before.seq))

    async def caught_up(self):
        self.states += 1

    def deliver(self, held):
        self.seen.append(held)


def live(way, screen, *numbers, parent="p"):
    """Have messages arrive live."""
    for number in numbers:
        if not way.take(f"m{number}", parent, 10, number):
            screen.seen.append(number)


async def test_what_was_missed_comes_before_what_arrives_meanwhile():
    kernel, screen = Kernel(), Screen()
    kernel.record(*range(1, 8))
    way = CatchUp(kernel.read, screen)
    live(way, screen, 6, 7)
    await way.run(2)
    live(way, screen, 8)
    assert screen.seen == [3, 4, 5, 6, 7, 8]
    assert not way.trouble


async def test_in_a_silence_the_present_begins_with_the_first_word():
    kernel, screen = Kernel(), Screen()
    kernel.record(1, 2)
    way = CatchUp(kernel.read, screen)
    running = asyncio.create_task(way.run(0))
    await eventually(lambda: screen.states)
    assert screen.seen == [1, 2]
    live(way, screen, 3)
    assert screen.seen == [1, 2]  # the journal may have something that came before it
    kernel.record(3)
    await running
    assert screen.seen == [1, 2, 3]


async def test_what_a_late_subscription_did_not_hear_is_read():
    """The kernel said 3 before the new socket listened; the journal alone has it."""
    kernel, screen = Kernel(), Screen()
    kernel.record(1, 2)
    way = CatchUp(kernel.read, screen)
    running = asyncio.create_task(way.run(2))
    await eventually(lambda: screen.states)
    live(way, screen, 4)
    kernel.record(3, 4)
    await running
    assert screen.seen == [3, 4]


async def test_a_journal_that_is_ahead_doubles_nothing():
    kernel, screen = Kernel(), Screen()
    kernel.record(*range(1, 7))
    way = CatchUp(kernel.read, screen)
    running = asyncio.create_task(way.run(0))
    await eventually(lambda: screen.states)
    live(way, screen, 4, 5)
    await running
    live(way, screen, 6, 7, 8)
    assert screen.seen == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_what_the_journal_does_not_record_is_not_lost():
    kernel, screen = Kernel(), Screen()
    kernel.record(1)
    way = CatchUp(kernel.read, screen)
    live(way, screen, 100)
    running = asyncio.create_task(way.run(0))
    await eventually(lambda: screen.states)
    live(way, screen, 101, 2)
    kernel.record(2)
    await running
    assert screen.seen == [1, 100, 101, 2]


async def test_what_the_journal_never_hears_of_is_waited_for_only_so_long(monkeypatch):
    monkeypatch.setattr(catchup, "GRACE", 0.05)
    kernel, screen = Kernel(), Screen()
    way = CatchUp(kernel.read, screen)
    running = asyncio.create_task(way.run(0))
    await eventually(lambda: screen.states)
    live(way, screen, 100, 101)
    await running
    assert screen.seen == [100, 101]


@pytest.mark.parametrize("bound", [("MOST_HELD", 3), ("MOST_HELD_BYTES", 30)])
async def test_what_does_not_fit_is_read_in_the_journal(monkeypatch, bound):
    monkeypatch.setattr(catchup, *bound)
    kernel, screen = Kernel(), Screen()
    way = CatchUp(kernel.read, screen)
    live(way, screen, *range(1, 51))
    assert len(way._held) == 3
    kernel.record(*range(1, 51))
    await way.run(0)
    live(way, screen, 51)
    assert screen.seen == list(range(1, 52))


async def test_a_slow_browser_in_a_flood():
    """Each message takes the browser a while; the kernel goes on, heard now sooner, now later."""
    kernel, screen = Kernel(page=50), Screen()
    way = CatchUp(kernel.read, screen)
    chance = random.Random(7)
    running = asyncio.create_task(way.run(0))
    arrived = 0
    for number in range(1, 2001):
        kernel.record(number)
        if chance.random() < 0.3:
            live(way, screen, *range(arrived + 1, number + 1))
            arrived = number
            await asyncio.sleep(0)
    live(way, screen, *range(arrived + 1, 2001))
    await running
    live(way, screen, 2001)
    assert screen.seen == list(range(1, 2002))


async def test_live_messages_pass_when_the_journal_fails():
    kernel, screen = Kernel(), Screen()
    kernel.fails = True
    way = CatchUp(kernel.read, screen)
    live(way, screen, 1, 2)
    await way.run(0)
    live(way, screen, 3)
    assert screen.seen == [1, 2, 3]
    assert way.trouble == "The agent is gone."


async def test_the_position_of_a_journal_that_is_no_more_begins_anew():
    kernel, screen = Kernel(), Screen()
    kernel.record(1, 2, 3)
    way = CatchUp(kernel.read, screen)
    live(way, screen, 3)
    await way.run(500)
    assert screen.seen == [1, 2, 3]


async def test_what_the_journal_does_not_have_is_told_once_where_it_was():
    kernel, screen = Kernel(page=2), Screen()
    kernel.record(7, 8, 9, 10, 11)
    kernel.lost = Lost(6, 60)
    kernel.gaps = [Gap(9, 0.0, 1.0, "Nobody listened.")]
    way = CatchUp(kernel.read, screen)
    live(way, screen, 11)
    await way.run(0)
    assert [seq for _, seq in screen.missing] == [7, 10]
    assert "6 messages of output (60 bytes)" in screen.missing[0][0]
    assert screen.missing[1][0] == "Nobody listened."


async def test_one_execution_is_brought_and_the_others_pass():
    kernel, screen = Kernel(), Screen()
    kernel.record(1, 2, parent="mine")
    kernel.record(3, parent="other")
    way = CatchUp(kernel.read, screen, wants="mine".__eq__, ends_with="mine")
    running = asyncio.create_task(way.run(0))
    await eventually(lambda: screen.states)
    live(way, screen, 4, parent="other")
    live(way, screen, 5, parent="mine")
    kernel.record(4, parent="other")
    kernel.record(5, parent="mine")
    await running
    live(way, screen, 6, parent="mine")
    assert screen.seen == [1, 2, 4, 5, 6]


async def test_the_reply_of_an_execution_ends_its_past():
    kernel, screen = Kernel(), Screen()
    kernel.record(1, 2, parent="mine")
    kernel.record(3, parent="mine", kind="execute_reply")
    kernel.record(4, parent="other")
    way = CatchUp(kernel.read, screen, wants="mine".__eq__, ends_with="mine")
    await way.run(0)
    assert screen.seen == [1, 2, 3]
    assert not way.is_over  # what is still on its way live must not be doubled
    live(way, screen, 2, parent="mine")
    assert screen.seen == [1, 2, 3]


async def test_what_somebody_else_reads_is_let_go_of():
    kernel, screen = Kernel(), Screen()
    reattached = set()
    way = CatchUp(kernel.read, screen, wants=lambda parent: parent not in reattached)
    live(way, screen, 1, parent="mine")
    live(way, screen, 2)
    reattached.add("mine")
    way.forget("mine")
    kernel.record(1, parent="mine")
    kernel.record(2)
    await way.run(0)
    assert screen.seen == [2]
    assert way._bytes == 10


def test_an_end_is_told_once():
    replies = Replies()
    reply = entry(3, "p", "execute_reply")
    assert replies.passes(entry(1))
    assert replies.any_expected
    assert replies.passes(reply)
    assert not replies.passes(reply)
    assert not replies.is_first("p")
    assert not replies.any_expected
    assert not replies.ended("p")
    replies.expect("p")
    assert replies.passes(reply)


async def test_the_end_of_an_execution_of_somebody_else_is_looked_for(monkeypatch):
    kernel = Kernel()
    kernel.record(1, 2, 3)
    kernel.record(4, kind="execute_reply")
    monkeypatch.setattr("jupyter_sessmgr.provisioning.channels.replies.GRACE", 0)
    replies = Replies()
    replies.passes(entry(1))
    assert replies.ended("p")

    async def position():
        return 3

    found = await replies.find("p", position, kernel.read)
    assert found.seq == 4
    replies.is_first("p")
    assert await replies.find("p", position, kernel.read) is None


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ([], None),
        (["0"], Position(0)),
        (["12"], Position(12)),
        (["msg:a"], Position(message_ids=("a",))),
        (["msg:a", "msg:b_1"], Position(message_ids=("a", "b_1"))),
        (["msg:a", "12"], Position(12, ("a",))),
    ],
)
def test_positions(said, meant):
    assert read_position(said) == meant


@pytest.mark.parametrize(
    "said",
    [
        *(
            [one]
            for one in ("", "-1", "1.5", "\N{ARABIC-INDIC DIGIT THREE}", "1" * 16, "msg:", "all")
        ),
        ["1", "2"],
        ["1", "2", "msg:a"],
        ["msg:" + "x" * 201],
        ["msg:a"] * 9,
    ],
)
def test_positions_that_make_no_sense(said):
    with pytest.raises(InvalidRequest, match="replay"):
        read_position(said)


async def test_the_latest_of_several_messages_counts():
    known = {"a": 3, "b": 9}

    async def look_up(message_id):
        return known.get(message_id)

    assert await find(Position(message_ids=("b", "a", "x")), look_up) == 9
    assert await find(Position(message_ids=("x",)), look_up) == 0
    assert await find(Position(7), look_up) == 7
    assert await find(Position(7, ("a",)), look_up) == 7
    assert await find(Position(7, ("b",)), look_up) == 9


async def test_a_message_that_the_journal_does_not_have_yet_is_waited_for():
    answers = iter([None, None, None, 5])

    async def look_up(_message_id):
        return next(answers)

    assert await find(Position(message_ids=("new",)), look_up) == 5


@pytest.mark.parametrize("step", [0, 1])
async def test_a_journal_that_answers_nothing_at_once_is_not_asked_all_the_time(step):
    asked = 0

    async def read(since, _wait):
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return JournalPage(messages=(), first=1, next=since + step)

    catching = CatchUp(read, Screen())
    running = asyncio.create_task(catching.run(0))
    await asyncio.sleep(5 * catchup.PAUSE)
    catching.go_live()
    await running
    assert 2 < asked < 10
