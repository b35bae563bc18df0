"""What is kept of runs, told of them, and understood of kernels that say anything they like."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_sessmgr.model.errors import InvalidRequest, Unsupported
from jupyter_sessmgr.rest.backendai.run_wire import (
    parse_complete,
    parse_run,
    render_complete,
    render_run,
)
from jupyter_sessmgr.rest.execution import run as runs
from jupyter_sessmgr.rest.execution.console import Budget, Console, items_of
from jupyter_sessmgr.rest.execution.run import ANSWER, Run, RunStatus

PNG = "iVBORw0KGgo="


@pytest.mark.parametrize(
    ("kind", "content", "items"),
    [
        ("stream", {"name": "stdout", "text": "a"}, [("stdout", "a")]),
        ("stream", {"name": "stderr", "text": "a"}, [("stderr", "a")]),
        ("stream", {"name": "other", "text": "a"}, [("stdout", "a")]),
        ("stream", {"name": "stdout", "text": ""}, []),
        ("stream", {"text": "\ud800x"}, [("stdout", "?x")]),
        ("error", {"traceback": ["a", "b"]}, [("stderr", "a\nb\n")]),
        ("error", {"ename": "E", "evalue": "v", "traceback": []}, [("stderr", "E: v\n")]),
        ("execute_result", {"data": {"text/plain": "42"}}, [("stdout", "42\n")]),
        ("execute_result", {"data": {"text/plain": "x", "text/html": "<p>"}}, [("html", "<p>")]),
        (
            "display_data",
            {"data": {"text/html": "<p>", "image/png": f"{PNG}\n"}},
            [("media", ["image/png", f"data:image/png;base64,{PNG}"])],
        ),
        (
            "update_display_data",
            {"data": {"image/svg+xml": "<svg/>", "text/plain": "x"}},
            [("media", ["image/svg+xml", "<svg/>"])],
        ),
        ("clear_output", {"wait": True}, []),
        ("comm_open", {"data": {}}, []),
    ],
)
def test_what_a_kernel_publishes_as_clients_read_it(kind, content, items):
    assert items_of(kind, content) == items


@pytest.mark.parametrize("kind", ["stream", "error", "display_data", "execute_result"])
@pytest.mark.parametrize("value", [None, 7, [], {}, "x", [None], {"text/plain": 7}, {"a": {}}])
def test_F10_a_kernel_may_say_anything(kind, value):
    for key in ("name", "text", "data", "traceback", "ename", "evalue"):
        for item in items_of(kind, {key: value}):
            assert isinstance(item[0], str)


def test_neighbouring_text_is_told_in_one_piece():
    console = Console(Budget())
    for item in (("stdout", "a"), ("stdout", "b"), ("stderr", "c"), ("stdout", "d")):
        console.add(item)
    assert console.take(100) == [("stdout", "ab"), ("stderr", "c"), ("stdout", "d")]
    assert console.take(100) == []
    assert console.size == 0


def test_much_text_is_cut_and_everything_arrives():
    console = Console(Budget())
    console.add(("stdout", "0123456789"))
    console.add(("html", "<p>long</p>"))
    assert console.take(4) == [("stdout", "0123")]
    assert console.take(4) == [("stdout", "4567")]
    assert console.take(4) == [("stdout", "89"), ("html", "<p>long</p>")]


def test_the_oldest_is_dropped_and_counted():
    console = Console(Budget(), limit=2000)
    for number in range(100):
        console.add(("stdout", f"{number:02}" * 50))
    taken = console.take(10**6)
    assert taken[0][0] == "stderr"
    assert "characters were dropped" in taken[0][1]
    assert taken[-1][1].endswith("99" * 50)
    assert len(taken[-1][1]) < 2000
    console.add(("stdout", "x" * 5000))
    assert console.take(10**6)[-1] == ("stdout", "x" * 2000)
    console.add(("html", "x" * 5000))
    assert console.take(10**6)[0][0] == "stderr"


def test_tiny_pieces_are_bounded_too():
    console = Console(Budget(), limit=10_000)
    for _ in range(10_000):
        console.add(("stdout", "x"))
    assert len(console._items) < 100


def test_all_runs_share_a_budget():
    budget = Budget(limit=3000)
    first, second = Console(budget), Console(budget)
    first.add(("stdout", "a" * 1500))
    second.add(("stdout", "b" * 2000))
    assert budget.used <= 3000
    assert first.take(10**6) == [("stdout", "a" * 1500)]
    assert second.take(10**6)[0][0] == "stderr"
    assert budget.used == 0


def heard(run, *messages):
    for kind, content in messages:
        run.hear(kind, content)


BUSY, IDLE = ("status", {"execution_state": "busy"}), ("status", {"execution_state": "idle"})
OK = ("execute_reply", {"status": "ok"})


async def test_a_run_has_finished_when_it_was_answered_and_the_kernel_is_idle():
    for last in ((OK, IDLE), (IDLE, OK)):
        run = Run("r", "1", Budget())
        heard(run, BUSY, ("stream", {"name": "stdout", "text": "x"}), last[0])
        assert not run.ended.is_set()
        heard(run, last[1])
        told = run.take()
        assert (told.status, told.exit_code, told.console) == (
            RunStatus.FINISHED,
            0,
            (("stdout", "x"),),
        )


async def test_an_idle_that_was_lost_holds_nobody_up(monkeypatch):
    monkeypatch.setattr(runs, "LAST_WORDS", 0.01)
    run = Run("r", "1", Budget())
    heard(run, BUSY, OK)
    await asyncio.wait_for(run.ended.wait(), 5)
    assert run.take().exit_code == 0


async def test_a_run_that_gets_no_reply_has_ended_when_the_kernel_is_idle(monkeypatch):
    """As ipykernel's do that are interrupted outside of their code."""
    monkeypatch.setattr(runs, "LAST_WORDS", 0.01)
    run = Run("r", "1", Budget())
    heard(run, BUSY, IDLE)
    await asyncio.wait_for(run.ended.wait(), 5)
    told = run.take()
    assert told.exit_code == 130
    assert "gave this run up" in told.console[0][1]


async def test_a_run_has_started_when_the_kernel_is_in_its_code(monkeypatch):
    run = Run("r", "1", Budget())
    heard(run, BUSY)
    assert not run.started.is_set()
    heard(run, ("execute_input", {"code": "1"}))
    assert run.started.is_set()
    monkeypatch.setattr(runs, "BEGUN", 0.01)
    says_little = Run("r", "1", Budget())
    heard(says_little, BUSY)
    await asyncio.wait_for(says_little.started.wait(), 5)


async def test_a_run_that_the_kernel_dropped_did_not_run():
    run = Run("r", "1", Budget())
    heard(run, ("execute_reply", {"status": "aborted"}), IDLE)
    told = run.take()
    assert told.exit_code == 130
    assert "dropped this run" in told.console[0][1]


async def test_nothing_is_heard_after_the_end():
    run = Run("r", "1", Budget())
    run.end(137, "It died.")
    run.end(0)
    heard(run, ("stream", {"name": "stdout", "text": "late"}), OK, IDLE)
    told = run.take()
    assert (told.exit_code, told.console) == (137, (("stderr", "It died.\n"),))


async def test_a_question_is_news_once_and_due_until_it_is_answered():
    run = Run("r", "input()", Budget())
    heard(run, BUSY, ("input_request", {"prompt": "? ", "password": True}))
    await asyncio.wait_for(run.news.wait(), 1)
    told = run.take()
    assert (told.status, told.is_password) == (RunStatus.WAITING_INPUT, True)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run.news.wait(), 0.01)
    await asyncio.wait_for(run.wait(10), 1)
    run.answered()
    assert run.take().status is RunStatus.CONTINUED


async def test_much_output_is_due_at_once():
    run = Run("r", "1", Budget())
    heard(run, BUSY, ("stream", {"name": "stdout", "text": "x" * 2 * ANSWER}))
    await asyncio.wait_for(run.wait(10), 1)
    assert run.take().status is RunStatus.CONTINUED
    heard(run, OK, IDLE)
    assert run.take().status is RunStatus.FINISHED


@pytest.mark.parametrize("content", [{}, {"execution_state": []}, {"status": {}, "payload": [1]}])
async def test_F10_senseless_news_of_a_kernel_break_nothing(content):
    run = Run("r", "1", Budget())
    for kind in ("status", "execute_reply", "input_request", "stream", "error", "nonsense"):
        run.hear(kind, content)
    heard(run, OK, IDLE)
    assert run.ended.is_set()


@pytest.mark.parametrize(
    ("body", "mode", "run_id"),
    [
        ({"mode": "query", "code": "1", "runId": None}, "query", ""),
        ({"mode": "query", "code": "1", "runId": "a"}, "query", "a"),
        ({"code": "1", "run_id": "a"}, "query", "a"),
        ({"mode": None, "code": None, "options": None}, "query", ""),
        ({"mode": "continue", "code": "", "runId": "a"}, "continue", "a"),
        ({"mode": "input", "code": "x", "runId": "a"}, "input", "a"),
        ({"mode": "user-input", "code": "x", "runId": "a"}, "input", "a"),
        ({"mode": "complete", "code": "x"}, "complete", ""),
        ({"code": "x", "options": {"row": 0, "col": 1, "line": "", "post": ""}}, "complete", ""),
    ],
)
def test_what_the_released_clients_send_is_read(body, mode, run_id):
    call = parse_run(body)
    assert (call.mode, call.run_id, call.code) == (mode, run_id, body.get("code") or "")


def test_the_code_after_the_cursor_counts():
    call = parse_complete({"code": "pri", "options": {"post": "\nx"}})
    assert (call.mode, call.code, call.post) == ("complete", "pri", "\nx")


@pytest.mark.parametrize(
    ("body", "error", "field"),
    [
        ({"mode": "batch", "options": {"exec": "*"}}, Unsupported, "mode"),
        ({"mode": "x"}, InvalidRequest, "mode"),
        ({"mode": "continue"}, InvalidRequest, "runId"),
        ({"runId": "x" * 65}, InvalidRequest, "runId"),
        ({"code": {}}, InvalidRequest, "code"),
        ({"options": []}, InvalidRequest, "options"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(body, error, field):
    with pytest.raises(error) as refused:
        parse_run(body)
    assert refused.value.data["field"] == field


async def test_results_have_the_keys_that_clients_read():
    run = Run("r", "1", Budget())
    result = render_run(run.take())
    assert result == {
        "runId": "r",
        "status": "continued",
        "exitCode": None,
        "console": [],
        "options": None,
        "files": [],
    }
    assert render_complete(["a"]) == {"result": {"status": "finished", "completions": ["a"]}}
    assert render_complete(None) == {"result": {"status": "busy", "completions": []}}
