import asyncio
import logging
from types import SimpleNamespace

import pytest

from jupyter_sessmgr.manager.recording import notes as notes_module
from jupyter_sessmgr.manager.recording.notes import Notes
from jupyter_sessmgr.model.errors import AgentUnavailable
from tests.plugins.waiting import eventually


class Agents:
    """Stands in for the agents of all sessions."""

    def __init__(self):
        self.calls = []
        self.busy = 0

    def link(self, session_id):
        if session_id == "unreachable":
            raise AgentUnavailable("Nobody answers.")

        async def call(verb, _timeout, *, notes):
            await asyncio.sleep(0)
            if self.busy:
                self.busy -= 1
                raise AgentUnavailable("Nobody answers in time.")
            self.calls.append((session_id, verb, [(one["kind"], one["id"]) for one in notes]))

        return SimpleNamespace(call=call)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    monkeypatch.setattr(notes_module, "_PAUSES", (0.0, 0.0))


async def sent(notes):
    """Wait until all is sent."""
    await asyncio.gather(*notes._tasks)


async def test_what_comes_together_is_sent_together_in_its_order():
    agents = Agents()
    notes = Notes(agents, logging.getLogger("notes"))
    for kind, number in (("note", "1"), ("note", "2"), ("asks", "1")):
        notes.add("a", kind, {"id": number})
    notes.add("b", "note", {"id": "3"})
    notes.add("unreachable", "note", {"id": "4"})
    await sent(notes)
    assert agents.calls == [
        ("a", "journal_notes", [("note", "1"), ("note", "2"), ("asks", "1")]),
        ("b", "journal_notes", [("note", "3")]),
    ]
    notes.add("a", "note", {"id": "5"})  # after the first were sent, too
    await sent(notes)
    assert agents.calls[-1] == ("a", "journal_notes", [("note", "5")])


async def test_an_agent_gets_no_more_than_it_takes_and_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(notes_module, "_MOST", 5)
    monkeypatch.setattr(notes_module, "_AT_ONCE", 2)
    agents = Agents()
    notes = Notes(agents, logging.getLogger("notes"))
    for number in range(9):
        notes.add("a", "note", {"id": str(number)})
    await sent(notes)
    assert [[one for _, one in told] for *_, told in agents.calls] == [
        ["0", "1"],
        ["2", "3"],
        ["4"],
    ]


async def test_what_an_agent_did_not_take_is_sent_again_and_the_next_after_it(monkeypatch, caplog):
    monkeypatch.setattr(notes_module, "_AT_ONCE", 2)
    agents = Agents()
    agents.busy = 2
    notes = Notes(agents, logging.getLogger("notes"))
    for number in range(4):
        notes.add("a", "note", {"id": str(number)})
    await eventually(lambda: not agents.busy)
    notes.add("a", "forget", {"id": "3"})
    await sent(notes)
    told = [one for *_, some in agents.calls for one in some]
    assert told == [*(("note", str(number)) for number in range(4)), ("forget", "3")]
    assert notes._lines == {}
    caplog.set_level(logging.INFO)
    agents.busy = 3
    for number in range(3):
        notes.add("a", "note", {"id": str(number)})
    await sent(notes)
    assert agents.calls[-1][-1] == [("note", "2")]
    assert "notes of 2 requests are lost" in caplog.text


async def test_a_question_finds_what_was_noted_before_it(monkeypatch):
    monkeypatch.setattr(notes_module, "_GATHERING", 60.0)
    agents = Agents()
    notes = Notes(agents, logging.getLogger("notes"))
    notes.add("a", "note", {"id": "1"})
    notes.add("unreachable", "note", {"id": "2"})
    await notes.settle("a")
    assert agents.calls == [("a", "journal_notes", [("note", "1")])]
    await notes.settle("unreachable")  # it was let go
    await notes.settle("nothing was noted")
    notes.add("a", "note", {"id": "3"})
    asked = asyncio.create_task(notes.settle("a"))
    await asyncio.sleep(0)
    asked.cancel()  # one that leaves takes nobody's answer with it
    await notes.settle("a")
    assert agents.calls[-1] == ("a", "journal_notes", [("note", "3")])
    await notes.close()


async def test_a_question_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(notes_module, "_SETTLING", 0.05)
    agents = Agents()
    agents.busy = 10**9
    monkeypatch.setattr(notes_module, "_PAUSES", (60.0,))
    notes = Notes(agents, logging.getLogger("notes"))
    notes.add("a", "note", {"id": "1"})
    async with asyncio.timeout(10):
        await notes.settle("a")
    await notes.close()


async def test_what_waits_at_the_end_is_sent_and_what_nobody_takes_is_let_go(monkeypatch):
    monkeypatch.setattr(notes_module, "_GATHERING", 60.0)
    monkeypatch.setattr(notes_module, "_PAUSES", (60.0,))
    agents = Agents()
    notes = Notes(agents, logging.getLogger("notes"))
    notes.add("a", "note", {"id": "1"})
    notes.add("unreachable", "note", {"id": "2"})
    async with asyncio.timeout(10):
        await notes.close()
    assert agents.calls == [("a", "journal_notes", [("note", "1")])]
    assert not notes._tasks
