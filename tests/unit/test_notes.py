import asyncio
import logging
from types import SimpleNamespace

from jupyter_sessmgr.manager import notes as notes_module
from jupyter_sessmgr.manager.notes import Notes
from jupyter_sessmgr.model.errors import AgentUnavailable


class Agents:
    """Stands in for the agents of all sessions."""

    def __init__(self):
        self.calls = []

    def link(self, session_id):
        if session_id == "unreachable":
            raise AgentUnavailable("Nobody answers.")

        async def call(verb, _timeout, *, notes):
            self.calls.append((session_id, verb, [(one["kind"], one["id"]) for one in notes]))

        return SimpleNamespace(call=call)


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


async def test_what_was_not_sent_is_let_go_at_the_end():
    agents = Agents()
    notes = Notes(agents, logging.getLogger("notes"))
    notes.add("a", "note", {"id": "1"})
    await notes.close()
    assert agents.calls == []
    assert not notes._tasks
