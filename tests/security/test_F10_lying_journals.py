"""F10: an agent that lies about its journal is not believed, and holds nobody up."""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from contextlib import asynccontextmanager
from datetime import MAXYEAR, UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_sessmgr.manager.agents.link import AgentLink
from jupyter_sessmgr.manager.agents.stream import DATA, END, head
from jupyter_sessmgr.manager.agents.words import Junk
from jupyter_sessmgr.manager.recording import journal as journals
from jupyter_sessmgr.manager.recording import words
from jupyter_sessmgr.manager.recording.journal import JournalPage, OutputJournal
from jupyter_sessmgr.model.errors import AgentError, AgentUnavailable, InvalidRequest
from tests.plugins.agents import a_liar
from tests.plugins.waiting import eventually
from tests.security.test_F10_lying_agents import GOOD, PLACE, SECRETS, as_line, spoiled

MESSAGE = {
    "header": {"msg_id": "m", "msg_type": "stream"},
    "parent_header": {},
    "metadata": {},
    "content": {"name": "stdout", "text": "x"},
    "buffers": ["AAEC"],
}
RECORDED = {"seq": 5, "time": 1.5, "parent": "p", "cell": "c", "message": MESSAGE}
FOOT = {
    "first": 1,
    "next": 5,
    "count": 1,
    "lost": [2, 3],
    "gaps": [[4, 1.0, 2.0, "It was away."]],
    "problem": "",
}
STATE = {
    "execution_state": "busy",
    "last_activity": 1.0,
    "executing": ["a"],
    "kernel_info": {"status": "ok"},
}


@pytest.fixture
def short_folder():
    """Make a folder whose path leaves room for a socket's name."""
    folder = Path(tempfile.mkdtemp(prefix="sm-"))
    yield folder
    shutil.rmtree(folder)


def line(value):
    return json.dumps(value).encode()


@settings(max_examples=150, deadline=None)
@given(spoiled(RECORDED))
def test_a_message_that_makes_no_sense_is_refused(said):
    try:
        read = words.read_recorded(line(said), 0)
    except Junk:
        return
    assert 0 < read.seq <= words.MOST_NUMBER
    assert datetime.fromtimestamp(read.time, UTC).year <= MAXYEAR
    assert len(read.parent) <= words.MOST_ID
    assert read.cell is None or len(read.cell) <= words.MOST_ID
    assert set(read.message) == set(MESSAGE)
    json.dumps(read.message, allow_nan=False)


@settings(max_examples=150, deadline=None)
@given(spoiled(FOOT))
def test_a_foot_that_makes_no_sense_is_refused(said):
    try:
        foot = words.PageFoot(line(said))
    except Junk:
        return
    assert 0 <= foot.next <= words.MOST_NUMBER
    assert all(len(gap.reason) <= 500 for gap in foot.gaps)
    assert len(foot.problem) <= 500


@settings(max_examples=150, deadline=None)
@given(spoiled(STATE))
def test_a_state_that_makes_no_sense_is_refused(said):
    try:
        now = words.read_state(said)
    except Junk:
        return
    assert now.execution_state in ("starting", "busy", "idle")
    assert all(len(one) <= words.MOST_ID for one in now.executing)


@pytest.mark.parametrize("time", [2**38, 10**12, -1, True, None])
def test_times_without_a_date_are_refused(time):
    with pytest.raises(Junk):
        words.read_recorded(line({**RECORDED, "time": time}), 0)
    with pytest.raises(Junk):
        words.PageFoot(line({**FOOT, "gaps": [[4, 1.0, time, "It was away."]]}))
    with pytest.raises(Junk):
        words.read_state({**STATE, "last_activity": time})


def test_numbers_must_grow():
    with pytest.raises(Junk):
        words.read_recorded(line(RECORDED), 5)


def framed(*pieces, end=True):
    data = b"".join(head(DATA, len(one)) + one for one in pieces)
    return as_line({"ok": True, "stream": {}}) + data + (head(END, 0) if end else b"")


def page_of(*values):
    return b"".join(line(value) + b"\n" for value in values)


@asynccontextmanager
async def lying(tmp_path, said, answer=None):
    """Open the journal of a session whose agent says `said` in each stream, and `answer` else."""

    async def speak(reader, writer):
        first = json.loads(await reader.readuntil(b"\n"))
        writer.write(said if "stream" in first else GOOD)
        while request := await reader.readline():
            if "stream" not in first:
                number = json.loads(request)["id"]
                writer.write(as_line({"id": number, "result": answer}))

    async with a_liar(tmp_path, SECRETS, PLACE, speak) as endpoint:
        link = await AgentLink.connect(endpoint, place_id=PLACE, secrets=SECRETS, timeout=5)

        class Inside:
            def link(self, _session_id):
                return link

        journal = OutputJournal(Inside())
        try:
            yield journal
        finally:
            await journal.close()
            await link.close()


async def test_a_page_that_makes_sense_is_believed(short_folder):
    async with lying(short_folder, framed(page_of(RECORDED, FOOT))) as journal:
        page = await journal.read("s")
        assert [one.seq for one in page.messages] == [5]
        assert (page.lost.messages, page.lost.bytes, page.gaps[0].seq) == (2, 3, 4)


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\n",
        b"\n" * 100_000,
        b"no json\n",
        page_of(RECORDED),
        page_of(FOOT),
        page_of(RECORDED, RECORDED, FOOT),
        page_of(FOOT, RECORDED),
        page_of(RECORDED, FOOT)[:-1],
        page_of(RECORDED, FOOT) + b"more",
        line({**RECORDED, "time": float("nan")}) + b"\n" + page_of(FOOT),
        b"[" * 100_000 + b"\n" + page_of(FOOT),
    ],
    ids=lambda said: repr(said[:20]),
)
async def test_a_page_that_makes_no_sense_is_refused(short_folder, said):
    async with lying(short_folder, framed(said)) as journal:
        with pytest.raises(AgentError, match="no sense"):
            await journal.read("s")


async def test_a_page_that_never_ends_is_not_waited_for(short_folder, monkeypatch):
    monkeypatch.setattr(journals, "_PAGE_TIMEOUT", 0.3)
    async with lying(short_folder, framed(page_of(RECORDED, FOOT), end=False)) as journal:
        with pytest.raises(AgentUnavailable, match="too long"):
            await journal.read("s")


async def test_a_page_without_end_is_not_read_to_the_end(short_folder, monkeypatch):
    monkeypatch.setattr(journals, "MOST_MESSAGE", 100_000)
    flood = framed(*[b"x" * 60_000] * 20, end=False)
    async with lying(short_folder, flood) as journal:
        with pytest.raises(AgentError, match="size"):
            await journal.read("s", most_bytes=1000)


@pytest.mark.parametrize("content", ["[],", '"",'])
async def test_F5_a_page_of_too_many_parts_is_not_taken_apart(short_folder, monkeypatch, content):
    monkeypatch.setattr(journals, "MOST_PARTS", 1000)
    monkeypatch.setattr(words, "MOST_PARTS", 1000)
    said = line(RECORDED).replace(b'"x"', b"[" + content.encode() * 1000 + b"[" * 64 + b"]" * 65)
    async with lying(short_folder, framed(said + b"\n" + page_of(FOOT))) as journal:
        with pytest.raises(AgentError, match="size"):
            await journal.read("s")


async def test_brackets_in_a_text_are_no_parts(short_folder, monkeypatch):
    monkeypatch.setattr(journals, "MOST_PARTS", 1000)
    text = '[{"\\' * 5000
    content = {"name": "stdout", "text": text}
    said = page_of({**RECORDED, "message": {**MESSAGE, "content": content}}, FOOT)
    async with lying(short_folder, framed(said)) as journal:
        page = await journal.read("s")
    assert page.messages[0].message["content"]["text"] == text


async def test_F5_few_pages_of_a_session_are_read_at_once(short_folder, monkeypatch):
    busy = most = 0
    may_end = asyncio.Event()

    async def read_page(*_):
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await may_end.wait()
        busy -= 1
        return JournalPage(messages=(), first=1, next=1)

    monkeypatch.setattr(journals, "_read_page", read_page)
    async with lying(short_folder, framed(page_of(RECORDED, FOOT))) as journal:
        reads = [asyncio.create_task(journal.read("s")) for _ in range(8)]
        await eventually(lambda: busy == 4 and len(journal._turns["s"]._waiters or ()) == 4, 30)
        may_end.set()
        await asyncio.gather(*reads)
    assert most == 4


@given(
    st.recursive(st.text(), lambda deeper: st.lists(deeper) | st.dictionaries(st.text(), deeper))
)
def test_parts_are_counted_as_they_are_read(value):
    def count(part):
        inner = part.values() if isinstance(part, dict) else part
        return 0 if isinstance(part, str) else 1 + sum(map(count, inner))

    many = [[]] * 100  # fewer are not looked at so closely
    assert words.count_parts(line([value, many])) == count([value, many])


@pytest.mark.parametrize("answer", [None, {}, {"seq": -1}, {"seq": "1"}, {"seq": 2**60}, []])
async def test_short_answers_are_checked(short_folder, answer):
    async with lying(short_folder, b"", answer) as journal:
        with pytest.raises(AgentError):
            await journal.state("s")
        if answer == {}:
            assert await journal.position("s", "id") is None
        else:
            with pytest.raises(AgentError):
                await journal.position("s", "id")


@given(st.one_of(st.integers(max_value=-1), st.integers(min_value=2**53), st.booleans()))
def test_positions_that_are_none_are_refused(since):
    with pytest.raises(InvalidRequest):
        journals._checked(since)


EXECUTION = {"id": "r", "cell": "c", "path": "a.ipynb", "state": "ended", "status": "ok"}


@pytest.mark.parametrize(
    "more",
    [
        {"id": ""},
        {"id": None},
        {"id": "x" * 257},
        {"id": "\ud800"},
        {"cell": 1},
        {"path": "x" * 4097},
        {"state": "done"},
        {"state": None},
        {"state": []},
        {"status": "fine"},
        {"started": "yesterday"},
        {"started": 5},
        {"ended": "0001-01-01T00:00:00+23:00"},
        {"asks": "name?"},
        {"asks": {"prompt": "x" * 1001}},
    ],
    ids=repr,
)
async def test_executions_that_make_no_sense_are_refused(short_folder, more):
    async with lying(short_folder, b"", {"items": [{**EXECUTION, **more}]}) as journal:
        with pytest.raises(AgentError, match="no sense"):
            await journal.executions("s")


@pytest.mark.parametrize("answer", [None, {}, [], {"items": [1]}, {"items": [EXECUTION] * 1001}])
async def test_lists_of_executions_that_are_none_are_refused(short_folder, answer):
    async with lying(short_folder, b"", answer) as journal:
        with pytest.raises(AgentError, match="no sense"):
            await journal.executions("s")


async def test_executions_that_make_sense_are_believed(short_folder):
    more = {"count": 7, "started": "2026-01-01T00:00:00Z", "asks": {"prompt": "name?"}}
    listed = {"items": [{**EXECUTION, **more}, {**EXECUTION, "count": -1}]}
    async with lying(short_folder, b"", listed) as journal:
        first, second = await journal.executions("s")
    assert (first.id, first.cell, first.count, first.started.year) == ("r", "c", 7, 2026)
    assert (first.asks.prompt, first.asks.password) == ("name?", False)
    assert (second.count, second.started, second.asks) == (None, None, None)


async def test_a_cell_that_was_noted_a_moment_ago_is_known_to_who_reads_now(short_folder):
    said = framed(page_of({**RECORDED, "cell": None}, FOOT))
    async with lying(short_folder, said, {}) as journal:
        assert (await journal.read("s")).messages[0].cell is None
        journal.note("s", "p", cell="mine")
        journal.note("other", "p", cell="not mine")
        assert (await journal.read("s")).messages[0].cell == "mine"
        journal.note("s", "p", cell=None)  # it is wanted in no cell any more
        assert (await journal.read("s")).messages[0].cell is None
        for number in range(2000):
            journal.note("s", f"id-{number}", cell="c")
        assert len(journal._cells) == 1024


async def test_notes_are_bounded_and_never_fail(short_folder):
    async with lying(short_folder, b"", {}) as journal:
        for number in range(2000):
            journal.note("s", f"id-{number}", cell="c")
        journal.note("s", "", cell="c")
        journal.note("s", "x" * 1000, cell="c")
        journal.note("s", "\ud800", cell="c")
        journal.note_question("s", "", None)
        notes = journal._notes
        assert len(notes._lines["s"].notes) == 1024
        assert all(one["id"].startswith("id-") for one in notes._lines["s"].notes)
        async with asyncio.timeout(10):
            await asyncio.gather(*notes._tasks)
        assert not notes._lines
