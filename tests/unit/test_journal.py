"""What the journal keeps, and what of it need not be kept."""

from __future__ import annotations

import copy
import json
import os
import socket
import time
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_sessmgr.agent import executions, heard, pages
from jupyter_sessmgr.agent.changes import Changes
from jupyter_sessmgr.agent.following import Following
from jupyter_sessmgr.agent.journal import Journal
from jupyter_sessmgr.agent.lines import LONGEST, Line
from jupyter_sessmgr.agent.readers import Readers
from jupyter_sessmgr.agent.shelf import Full, Shelf

MIB = 2**20
NUMBERS = count(1)


def opened(path, most_bytes=4 * MIB, max_age=0.0):
    return Journal(Shelf(str(path / "journal"), most_bytes), most_bytes, max_age)


@pytest.fixture
def journal(tmp_path):
    made = opened(tmp_path)
    yield made
    made.shelf.close()


def message(kind, content, parent="request", *, parent_type="execute_request", buffers=()):
    header = {"msg_id": f"id-{next(NUMBERS)}", "msg_type": kind, "session": "kernel"}
    above = {"msg_id": parent, "msg_type": parent_type, "session": "client"} if parent else {}
    texts = map(json.dumps, (header, above, {}, content))
    return heard.Message(*texts, *buffers)


def stream(text, name="stdout", parent="request"):
    return message("stream", {"name": name, "text": text}, parent)


def status(state, parent="request", **more):
    return message("status", {"execution_state": state}, parent, **more)


def add(journal, *messages, at=None):
    for one in messages:
        journal.add(one, time.time() if at is None else at)
    return messages[-1]


def read(journal, since=0, most=MIB, request=""):
    *lines, foot = b"".join(pages.page(journal, since, most, request)).splitlines()
    told = json.loads(foot)
    assert told["count"] == len(lines)
    return told, [json.loads(line) for line in lines]


def kinds(journal, **which):
    return [one["message"]["header"]["msg_type"] for one in read(journal, **which)[1]]


def text_of(journal, since=0):
    found = [one["message"]["content"].get("text", "") for one in read(journal, since)[1]]
    return "".join(found)


def shown(text):
    """Show text as JupyterLab does."""
    lines, column = [""], 0
    for character in text:
        if character == "\n":
            lines.append("")
            column = 0
        elif character == "\r":
            column = 0
        elif character == "\b":
            column = max(0, column - 1)
        else:
            line = lines[-1]
            lines[-1] = line[:column] + character + line[column + 1 :]
            column += 1
    return lines, column


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(alphabet="abc\r\r\n\b", max_size=7), max_size=8))
def test_whoever_missed_some_sees_what_all_made(texts):
    """Wherever a reader left off: what is kept after that shows the same as everything would."""
    line, kept = Line(), {}
    for number, text in enumerate(texts):
        kept[number], replaced = line.write(number, text)
        kept.update(replaced)
        for seen in range(number + 2):
            after = "".join(kept[one] for one in range(seen, number + 1))
            before = "".join(texts[:seen])
            assert shown(before + after) == shown("".join(texts[: number + 1]))


def test_a_line_that_is_overwritten_is_kept_once():
    line = Line()
    assert line.write(1, "before\n 10%") == ("before\n 10%", [])
    assert line.write(2, "\r 20%") == ("\r 20%", [(1, "before\n")])
    assert line.write(3, "\r5") == ("\r520%\r5", [(2, "")])
    assert line.write(4, "\r100%\nafter") == ("\r100%\nafter", [(3, "")])


def test_a_line_that_is_too_long_is_not_followed():
    line = Line()
    line.write(1, "x" * (LONGEST + 1))
    assert line.write(2, "\ry") == ("\ry", [])
    assert line.write(3, "\nnew") == ("\nnew", [])
    assert line.write(4, "\rold") == ("\rold", [(3, "\n")])


@pytest.mark.parametrize("batch", [1, 1000])
def test_100000_updates_of_a_bar_push_no_other_line_out(tmp_path, batch):
    journal = opened(tmp_path, MIB)
    updates = 100_000 if batch > 1 else 1000
    add(journal, stream("the first line\n"))
    update = stream("", "stderr")
    for number in range(updates):
        one = copy.copy(update)  # making that many takes longer than keeping them
        text = f"\r{'#' * (number * 40 // updates):40} {number + 1}/{updates}"
        one.id, one.said = f"u-{number}", {"name": "stderr", "text": text}
        one.content = json.dumps(one.said)
        add(journal, one)
        if number % batch == 0:
            assert journal.commit()
    add(journal, stream("the last line\n"))
    assert journal.commit()
    head, kept = read(journal)
    assert head["lost"] == [0, 0]
    assert len(kept) <= 4
    assert "the first line" in text_of(journal)
    assert "the last line" in text_of(journal)
    assert f"{updates}/{updates}" in text_of(journal)


def test_what_is_kept_is_the_message_as_it_was(journal):
    picture = message("display_data", {"data": {"image/png": "AAAA"}, "transient": {}})
    blob = message("comm_msg", {"comm_id": "c", "data": {}}, "", buffers=("AAEC",))
    add(journal, picture, blob)
    journal.note("request", "a cell", "a.ipynb")
    journal.commit()
    one, other = read(journal)[1]
    assert one["message"]["header"] == json.loads(picture.header)
    assert one["message"]["parent_header"] == json.loads(picture.parent_header)
    assert one["message"]["content"] == picture.said
    assert (one["parent"], one["cell"]) == ("request", "a cell")
    assert (other["parent"], other["cell"]) == ("", None)
    assert other["message"]["buffers"] == ["AAEC"]


def test_an_output_that_is_cleared_goes(journal):
    add(journal, stream("old\n"), message("display_data", {}), stream("other\n", parent="b"))
    journal.commit()
    add(journal, stream("older\n"), message("clear_output", {"wait": False}), stream("new\n"))
    journal.commit()
    assert text_of(journal) == "other\nnew\n"
    assert kinds(journal) == ["stream", "clear_output", "stream"]


def test_an_output_that_is_cleared_with_the_next_one_stays_until_then(journal):
    for number in range(5):
        add(journal, message("clear_output", {"wait": True}), stream(f"frame {number}\n"))
        journal.commit()
    add(journal, message("clear_output", {"wait": True}))
    journal.commit()
    assert text_of(journal) == "frame 4\n"
    add(journal, message("clear_output", {"wait": True}))
    journal.commit()
    assert kinds(journal) == ["clear_output", "stream", "clear_output"]


def test_what_a_widget_captures_is_cleared_alone(journal):
    """Its clear_output has the cell's parent, too."""

    def capture(request):
        data = {"method": "update", "state": {"msg_id": request}}
        return message("comm_msg", {"comm_id": "output", "data": data})

    add(journal, stream("of the cell\n"), capture("request"), stream("captured\n"))
    add(journal, message("clear_output", {"wait": False}), stream("captured again\n"))
    add(journal, capture(""), stream("of the cell again\n"))
    journal.commit()
    assert text_of(journal) == "of the cell\ncaptured again\nof the cell again\n"


def test_of_the_updates_of_a_display_the_last_is_kept(journal):
    shown_as = {"transient": {"display_id": "d"}}
    add(journal, message("display_data", {"data": {}, **shown_as}))
    for number in range(50):
        add(journal, message("update_display_data", {"data": {"text": number}, **shown_as}))
        if number % 7 == 0:
            journal.commit()
    journal.commit()
    kept = read(journal)[1]
    assert [one["message"]["content"]["data"] for one in kept] == [{}, {"text": 49}]


def test_of_a_widgets_states_the_last_is_kept(journal):
    def update(**state):
        data = {"method": "update", "state": state}
        return message("comm_msg", {"comm_id": "bar", "data": data})

    add(journal, message("comm_open", {"comm_id": "bar"}), update(style="wide"))
    for number in range(50):
        add(journal, update(value=number))
    journal.commit()
    states = [one["message"]["content"].get("data", {}).get("state") for one in read(journal)[1]]
    assert states == [None, {"style": "wide"}, {"value": 49}]


def test_of_what_pages_make_of_a_widgets_output_the_last_is_kept(journal):
    """They send all of it, again for each line."""
    for number in range(50):
        outputs = [{"name": "stdout", "text": "line\n" * number}]
        data = {"method": "echo_update", "state": {"outputs": outputs}}
        add(journal, message("comm_msg", {"comm_id": "log", "data": data}, "sync"))
        data = {"method": "update_states", "states": {"log": {"state": {"outputs": outputs}}}}
        add(journal, message("comm_msg", {"comm_id": f"control {number}", "data": data}, "ask"))
    journal.commit()
    kept = [one["message"]["content"]["data"] for one in read(journal)[1]]
    assert [one["method"] for one in kept] == ["echo_update", "update_states"]
    assert kept[0]["state"]["outputs"] == outputs


def test_the_oldest_text_goes_first_and_the_reader_is_told(tmp_path):
    journal = opened(tmp_path, MIB)
    picture = message("display_data", {"data": {"image/png": "A" * 50_000}})
    add(journal, picture)
    for number in range(5000):
        add(journal, stream(f"{number:5}" + "x" * 300 + "\n"))
        if number % 100 == 0:
            journal.commit()
    journal.commit()
    head, kept = read(journal, most=8 * MIB)
    lines = [one for one in kept if one["message"]["header"]["msg_type"] == "stream"]
    assert kinds(journal)[0] == "display_data"
    assert head["lost"][0] == 5000 - len(lines)
    assert head["lost"][1] > 300 * head["lost"][0]
    assert head["first"] == 1
    assert kept[-1]["message"]["content"]["text"].startswith(" 4999")
    numbers = [int(one["message"]["content"]["text"][:5]) for one in lines]
    assert numbers == list(range(numbers[0], 5000))
    assert len(lines) > 500
    # whoever has them already lost nothing
    assert read(journal, since=kept[-1]["seq"])[0]["lost"] == [0, 0]
    sizes = [one.stat().st_size for one in tmp_path.iterdir()]
    assert sum(sizes) < 3 * MIB


def test_when_there_is_no_text_the_oldest_rest_goes(tmp_path):
    journal = opened(tmp_path, MIB)
    for number in range(100):
        add(journal, message("display_data", {"n": number, "data": "A" * 50_000}))
        journal.commit()
    head, kept = read(journal, most=8 * MIB)
    assert kept[-1]["message"]["content"]["n"] == 99
    assert head["lost"][0] == 100 - len(kept)
    assert head["first"] == kept[0]["seq"] > 1


def test_a_message_that_is_too_large_is_counted_and_nothing_else_goes(tmp_path):
    journal = opened(tmp_path, MIB)
    add(journal, stream("small\n"), message("display_data", {"data": "A" * MIB}))
    journal.commit()
    head, _ = read(journal)
    assert text_of(journal) == "small\n"
    assert head["lost"][0] == 1
    assert head["lost"][1] > MIB


def test_what_is_too_old_goes(tmp_path, monkeypatch):
    monkeypatch.setattr("jupyter_sessmgr.agent.journal._TIDY", -1)
    journal = opened(tmp_path, max_age=60)
    add(journal, stream("old\n"), at=time.time() - 61)
    add(journal, stream("new\n"), at=time.time() - 5)
    journal.commit()
    add(journal, stream("newest\n"))
    journal.commit()
    assert text_of(journal) == "new\nnewest\n"
    assert read(journal)[0]["lost"][0] == 1


def test_numbers_go_on_where_another_recorder_ended(tmp_path):
    first = opened(tmp_path)
    add(first, stream("one\n"), stream("two\n"))
    first.commit()
    first.shelf.close()
    second = opened(tmp_path)
    add(second, stream("three\n"))
    second.commit()
    assert [one["seq"] for one in read(second)[1]] == [1, 2, 3]
    assert read(second)[0]["gaps"] == []


def test_a_position_is_told_by_the_id_of_any_message_that_was_said(journal):
    bar = stream("\r 1%")
    add(journal, bar, stream("\r 2%"))
    assert pages.position(journal, bar.id) == 1  # not written yet
    journal.commit()
    assert pages.position(journal, bar.id) == 1  # not kept any more
    assert pages.position(journal, "nobody's") is None
    assert text_of(journal, since=1) == "\r 2%"


def test_pages_follow_each_other(journal):
    add(journal, *[stream(f"line {number}\n") for number in range(100)])
    journal.commit()
    since, lines = 0, []
    while True:
        head, kept = read(journal, since, most=5000)
        if not kept:
            break
        lines += [one["message"]["content"]["text"] for one in kept]
        since = head["next"]
    assert lines == [f"line {number}\n" for number in range(100)]
    assert since == journal.last
    assert read(journal, since=10**6)[0]["next"] == journal.last


def test_an_execution_is_read_alone(journal):
    add(journal, stream("a\n", parent="a"), stream("b\n", parent="b"), stream("c\n", parent="a"))
    journal.commit()
    kept = read(journal, request="a")[1]
    assert [one["message"]["content"]["text"] for one in kept] == ["a\n", "c\n"]


def follow(journal, *messages):
    following = Following(journal, "recorder")
    for one in messages:
        following.hear(one, time.time())
    return following


def executed(parent, count, *outputs):
    echo = message("execute_input", {"code": "…", "execution_count": count}, parent)
    return [status("busy", parent), echo, *outputs, status("idle", parent)]


def test_an_execution_that_ended_has_a_reply_after_its_end(journal):
    fails = message("error", {"ename": "E", "evalue": "v", "traceback": ["t"]}, "b")
    skipped = [status("busy", "c"), status("idle", "c")]
    following = follow(
        journal,
        *executed("a", 1, stream("x", parent="a")),
        *executed("b", 2, fails),
        *skipped,
        *executed("d", 3)[:-1],
    )
    journal.commit()
    assert kinds(journal, request="a") == ["execute_input", "stream", "status", "execute_reply"]
    replies = {}
    for one in read(journal)[1]:
        if one["message"]["header"]["msg_type"] == "execute_reply":
            replies[one["parent"]] = one["message"]["content"]
    assert replies["a"]["status"] == "ok"
    assert replies["a"]["execution_count"] == 1
    assert replies["b"] == {
        "status": "error",
        "execution_count": 2,
        "ename": "E",
        "evalue": "v",
        "traceback": ["t"],
    }
    assert replies["c"]["status"] == "aborted"
    assert "d" not in replies
    assert following.describe()["executing"] == ["d"]
    assert following.describe()["execution_state"] == "busy"


def test_what_a_kernel_executed_when_it_ended_has_ended(journal):
    following = follow(journal, *executed("a", 7)[:-1])
    following.end("The kernel was killed.")
    journal.commit()
    *_, ended, reply = read(journal)[1]
    assert ended["message"]["content"] == {"execution_state": "idle"}
    assert reply["message"]["content"]["evalue"] == "The kernel was killed."
    assert following.describe()["executing"] == []


def test_what_ran_is_known_to_the_next_recorder(tmp_path):
    first = opened(tmp_path)
    follow(first, *executed("a", 7)[:-1])
    first.commit()
    first.shelf.close()
    second = opened(tmp_path)
    following = Following(second, "recorder")
    assert following.describe()["executing"] == ["a"]
    # it ended while nobody listened: the kernel answers, so it is done
    own = {"msg_id": "q", "msg_type": "kernel_info_request", "session": "recorder"}
    texts = ({"msg_id": "s", "msg_type": "status"}, own, {}, {"execution_state": "idle"})
    following.hear(heard.Message(*map(json.dumps, texts)), time.time())
    second.commit()
    assert kinds(second)[-2:] == ["status", "execute_reply"]
    assert following.describe()["execution_state"] == "idle"


def test_a_kernel_that_greeted_is_known_to_greet_and_the_next_one_is_not(journal):
    following = Following(journal, "recorder")
    assert following.describe()["greets"] is False
    following.hear(message("iopub_welcome", {"subscription": ""}, ""), 1.0)
    assert following.describe()["greets"] is True
    assert kinds(journal) == []
    following.begin()
    assert following.describe()["greets"] is False


def test_words_about_executions_push_no_output_out(journal, monkeypatch):
    monkeypatch.setattr("jupyter_sessmgr.agent.journal._TIDY", -1)
    monkeypatch.setattr("jupyter_sessmgr.agent.changes._MOST_LIFECYCLE", 50)
    follow(journal, stream("output\n"), *[status("idle", f"r-{one}") for one in range(500)])
    journal.commit()
    add(journal, stream("more\n"))
    journal.commit()
    assert text_of(journal) == "output\nmore\n"
    assert len(kinds(journal)) <= 52
    assert read(journal)[0]["lost"] == [0, 0]


@pytest.mark.parametrize("harm", ["cut", "overwritten", "emptied", "nonsense"])
def test_what_can_be_read_of_a_damaged_journal_is_kept_and_it_is_said(tmp_path, harm):
    journal = opened(tmp_path)
    for number in range(2000):
        add(journal, stream(f"line {number} {'x' * 200}\n"))
        if number % 50 == 0:
            journal.commit()
    journal.commit()
    last = journal.last
    journal.shelf.close()
    path = tmp_path / "journal"
    size = path.stat().st_size
    with path.open("r+b") as file:
        if harm == "cut":
            file.truncate(size // 2)
        elif harm == "overwritten":
            file.seek(size // 2)
            file.write(os.urandom(20_000))
        elif harm == "emptied":
            file.truncate(0)
        else:
            file.write(os.urandom(size))
    again = opened(tmp_path)
    add(again, stream("after\n"))
    again.commit()
    again.commit()
    head, kept = read(again, most=8 * MIB)
    assert kept[-1]["message"]["content"]["text"] == "after\n"
    if harm != "emptied":
        assert "damaged" in head["gaps"][-1][3]
        assert kept[-1]["seq"] > last
    if harm in ("cut", "overwritten"):
        assert 100 < len(kept) < 2000
    assert not list(tmp_path.glob("*damaged*"))


def test_a_journal_that_is_damaged_in_use_goes_on(tmp_path):
    journal = opened(tmp_path)
    add(journal, *[stream(f"line {number} {'x' * 200}\n") for number in range(2000)])
    journal.commit()
    for name in ("journal", "journal-wal"):
        size = (tmp_path / name).stat().st_size
        with (tmp_path / name).open("r+b") as file:
            file.write(b"\0" * size)
    for number in range(400):
        add(journal, stream(f"after {number} {'x' * 4000}\n"))
        journal.commit()
    assert "after 399" in text_of(journal, since=journal.last - 1)


def test_what_cannot_be_written_waits_in_memory_and_is_read_all_the_same(tmp_path, monkeypatch):
    journal = opened(tmp_path)
    add(journal, stream("on disk\n"))
    journal.commit()
    write = Shelf.write

    def fail(*_):
        raise Full

    monkeypatch.setattr(Shelf, "write", fail)
    journal._most_waiting = 50_000
    for number in range(1000):
        add(journal, stream(f"waits {number}\n"))
        journal.note("request", "cell", None)
        assert not journal.commit()
    head, kept = read(journal)
    assert "no room" in head["problem"]
    assert kept[0]["message"]["content"]["text"] == "on disk\n"
    assert kept[-1]["message"]["content"]["text"] == "waits 999\n"
    assert kept[-1]["cell"] == "cell"
    assert head["lost"][0] == 1001 - len(kept) > 0
    monkeypatch.setattr(Shelf, "write", write)
    assert journal.commit()
    after, again = read(journal)
    assert again == kept
    assert after["lost"] == head["lost"]
    assert after["problem"] == ""


def test_nothing_new_is_not_written():
    assert not Changes()


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_frames_that_are_no_message_are_unreadable(frames):
    with pytest.raises(heard.Unreadable):
        heard.read([*frames, b"<IDS|MSG>", b"", b"{}", b"{}", b"{}", b"["])


def test_numbers_that_json_does_not_have_become_null():
    content = b'{"data": {"x": [NaN, -Infinity, 1.5]}}'
    read_in = heard.read([b"<IDS|MSG>", b"", b"{}", b"{}", b'{"word": "NaN"}', content])
    assert json.loads(read_in.content, parse_constant=pytest.fail) == {
        "data": {"x": [None, None, 1.5]}
    }
    assert read_in.metadata == '{"word": "NaN"}'


def told(journal, following):
    return executions.listed(journal, following)


def test_executions_are_listed_with_how_far_they_came(journal):
    for one in ("a", "b", "d", "waits"):
        journal.note(one, f"cell {one}", "a.ipynb")
    fails = message("error", {"ename": "E", "evalue": "v", "traceback": ["t"]}, "b")
    following = follow(
        journal,
        *executed("a", 1, stream("x", parent="a")),
        *executed("b", 2, fails),
        status("busy", "info", parent_type="kernel_info_request"),
        *executed("d", 3)[:-1],
    )
    following.asks("d", {"prompt": "name?", "password": False})
    for _ in range(2):  # before it is on the disk, and after
        a, b, d, waits = told(journal, following)
        assert (a["id"], a["cell"], a["path"]) == ("a", "cell a", "a.ipynb")
        assert (a["state"], a["status"], a["count"]) == ("ended", "ok", 1)
        assert a["started"] <= a["ended"] <= heard.date()
        assert (b["state"], b["status"], b["count"]) == ("ended", "error", 2)
        assert (d["state"], d["count"], d["asks"]["prompt"]) == ("running", 3, "name?")
        assert waits == {"id": "waits", "cell": "cell waits", "path": "a.ipynb", "state": "queued"}
        journal.commit()
    following.asks("d", None)
    journal.note("a", None, None)  # nobody wants it in its cell any more
    assert [(one["cell"], one.get("asks")) for one in told(journal, following)][::2] == [
        (None, None),
        ("cell d", None),
    ]


def question(prompt, parent="a"):
    asks = None if prompt is None else {"prompt": prompt, "password": False}
    return message("sessmgr_question", {"asks": asks}, parent)


def test_what_a_kernel_tells_of_its_questions_is_known_until_it_is_over(journal):
    following = follow(journal, *executed("a", 1)[:-1], question("one?"))
    assert told(journal, following)[0]["asks"] == {"prompt": "one?", "password": False}
    following.hear(question(None), 0.0)
    following.hear(question("two?"), 0.0)
    following.asks("a", None)  # of the first one: notes of servers come later
    assert told(journal, following)[0]["asks"]["prompt"] == "two?"
    journal.commit()
    (kept,) = [one for one in kept_of(journal, "a") if "asks" in one]
    assert kept["asks"]["prompt"] == "two?"
    following.end("The kernel was killed.")
    journal.commit()
    assert [one for one in kept_of(journal, "a") if "asks" in one] == [{"asks": None}]


def test_what_a_kernel_executed_that_is_gone_is_told_as_such(journal):
    def gone(request):
        *_, foot = b"".join(pages.page(journal, 0, MIB, request, following.over)).splitlines()
        return json.loads(foot)["gone"]

    following = follow(journal, *executed("a", 1))
    assert not gone("a")
    journal.commit()
    assert not gone("a")
    following.end("The kernel was killed.")
    assert gone("a")
    following.begin()
    for one in executed("b", 1):
        following.hear(one, time.time())
    assert (gone("a"), gone("b"), gone("nobody")) == (True, False, False)


@pytest.mark.parametrize("asks", [5, [], {}, {"prompt": 5}, {"prompt": "x" * 2000}])
def test_F10_a_question_that_makes_no_sense_is_none_or_cut(journal, asks):
    made = message("sessmgr_question", {"asks": asks}, "a")
    following = follow(journal, *executed("a", 1)[:-1], made)
    assert len(str(told(journal, following)[0]["asks"])) < 1100


def kept_of(journal, request):
    return [one["message"]["content"] for one in read(journal, request=request)[1]]


def test_what_the_recorder_says_for_a_kernel_is_in_its_name(journal):
    following = follow(journal, *executed("a", 1), *executed("b", 2)[:-1])
    following.end("The kernel was killed.")
    journal.commit()
    assert {one["message"]["header"]["session"] for one in read(journal)[1]} == {"kernel"}


def test_what_waited_for_a_kernel_that_ended_never_runs(journal):
    following = follow(journal, *executed("a", 1)[:-1])
    journal.note("waited", "cell", None)
    journal.commit()
    following.end("The kernel was killed.")
    journal.note("late", "cell", None)  # a note travels for a moment
    assert told(journal, following)[-1] == {
        "id": "late",
        "cell": "cell",
        "path": None,
        "state": "ended",
        "status": "aborted",
    }
    following.begin()
    journal.note("new", "cell", None)
    journal.commit()
    found = {one["id"]: (one["state"], one.get("status")) for one in told(journal, following)}
    assert found == {
        "a": ("ended", "error"),
        "waited": ("ended", "aborted"),
        "late": ("ended", "aborted"),
        "new": ("queued", None),
    }


def test_a_reply_that_a_kernel_publishes_is_not_the_recorders(journal):
    forged = message("execute_reply", {"status": 5}, "a")
    following = follow(journal, *executed("a", 1), forged)
    journal.commit()
    assert [one["status"] for one in told(journal, following)] == ["ok"]
    assert journal.last == pages.position(journal, forged.id)


def test_an_execution_without_an_id_is_none(tmp_path):
    first = opened(tmp_path)
    above = {"msg_type": "execute_request"}
    texts = ({"msg_id": "s", "msg_type": "status"}, above, {}, {"execution_state": "busy"})
    assert follow(first, heard.Message(*map(json.dumps, texts))).executing == []
    first.commit()
    first.shelf.close()
    Following(opened(tmp_path), "recorder")


def test_a_kernel_starts_though_the_file_cannot_be_read(journal, monkeypatch):
    following = follow(journal, *executed("a", 1))
    following.end("The kernel was killed.")
    monkeypatch.setattr(journal.shelf, "read", lambda *_: iter(()))
    following.begin()
    assert following.over == 0


def test_a_reader_ends_where_somebody_wrote_to_the_file(journal):
    readers = Readers(journal, follow(journal, *executed("a", 1)))
    journal.commit()
    journal.shelf.write(lambda base: base.execute("UPDATE message SET content = '[]'"))
    answers = []
    for question in ("executions", "state"):
        mine, given = socket.socketpair()
        readers.add(given, {"ask": question})
        readers.serve({})
        with mine:
            answers.append(mine.recv(65536))
    assert answers[0] == b""
    assert json.loads(answers[1])["executing"] == []


def test_the_newest_executions_are_listed_within_bounds(journal, monkeypatch):
    following = Following(journal, "recorder")
    for number in range(30):
        journal.note(f"r{number}", "cell", "p" * 1000)
    journal.commit()
    monkeypatch.setattr("jupyter_sessmgr.agent.executions._MOST", 7)
    assert [one["id"] for one in told(journal, following)] == [f"r{n}" for n in range(23, 30)]
    monkeypatch.setattr("jupyter_sessmgr.agent.executions._MOST_BYTES", 3500)
    assert [one["id"] for one in told(journal, following)] == ["r27", "r28", "r29"]


TOLD = {
    "executing": [[json.dumps({"msg_id": "a"}), 5.0, 1, {"prompt": "x", "password": False}]],
    "activity": 5.0,
    "over": 3,
    "kernel_info": {"status": "ok"},
}
JUNK = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=9),
    lambda deeper: st.lists(deeper, max_size=5) | st.dictionaries(st.text(max_size=5), deeper),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries({}, optional=dict.fromkeys(TOLD, JUNK)), st.binary(max_size=9))
def test_F10_facts_that_code_in_the_session_wrote_stop_no_recorder(tmp_path_factory, facts, raw):
    folder = tmp_path_factory.mktemp("facts")
    journal = opened(folder)
    rows = [*((name, json.dumps(value)) for name, value in facts.items()), ("raw", raw)]
    journal.shelf.write(
        lambda base: base.executemany("INSERT OR REPLACE INTO fact VALUES (?, ?)", rows)
    )
    following = Following(journal, "recorder")
    assert following.describe()["execution_state"] in ("starting", "busy", "idle")
    following.asks("a", None)
    following.begin()
    following.hear(status("busy"), 1.0)
    following.end("It ended.")
    assert journal.commit()
    journal.shelf.close()


def test_F10_what_code_in_the_session_wrote_too_much_of_is_not_read(journal):
    header = json.dumps({"msg_id": "x" * 1000})
    many = [[json.dumps({"msg_id": f"a{number}"}), 5.0, 1, None] for number in range(1000)]
    for executing, known in (([[header, 5.0, 1, None]], 0), (many, 256), (["x" * 2**21], 0)):
        row = ("executing", json.dumps(executing))
        journal.shelf.write(
            lambda base, row=row: base.execute("INSERT OR REPLACE INTO fact VALUES (?, ?)", row)
        )
        assert len(Following(journal, "recorder").executing) == known


def test_F10_a_number_that_code_in_the_session_made_up_is_not_gone_on_from(tmp_path):
    first = opened(tmp_path)
    add(first, stream("one"))
    first.commit()
    first.shelf.write(lambda base: base.execute("INSERT INTO seen VALUES (?, 'x')", (2**63 - 1,)))
    first.shelf.close()
    second = opened(tmp_path)
    assert second.last == 1
    add(second, stream("two"))
    assert second.commit()
    assert second.last == 2
    second.shelf.close()
