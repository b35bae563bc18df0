"""What a kernel is, learnt from the recorder beside it, however late that is reached."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from jupyter_sessmgr.manager.recording.journal import KernelNow
from jupyter_sessmgr.model.errors import AgentUnavailable, NotRunning, Unsupported
from jupyter_sessmgr.provisioning.channels import kernelinfo
from tests.plugins.waiting import eventually

INFO = {"status": "ok", "protocol_version": "5.3"}


class Recorder:
    """Answers with the next of these, the last one for ever."""

    def __init__(self, *answers, state="busy"):
        self.answers = list(answers)
        self.execution_state = state
        self.asked = 0
        self.journal = self

    async def state(self, _session_id):
        self.asked += 1
        answer = self.answers.pop(0) if self.answers[1:] else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        state = self.execution_state
        return KernelNow(execution_state=state, last_activity=0.0, kernel_info=answer)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch):
    monkeypatch.setattr(kernelinfo, "ASK_AGAIN", 0.01)


async def test_a_recorder_that_is_reached_late_is_asked_until_it_says():
    """As after a server's start: links to agents come when the engine was asked about all."""
    manager = SimpleNamespace()
    recorder = Recorder(NotRunning("Not connected."), AgentUnavailable("No answer."), None, INFO)
    async with kernelinfo.learning(manager, recorder, "s"):
        assert kernelinfo.has_said(manager) == {}
        await eventually(lambda: kernelinfo.has_said(manager) == INFO)
    assert recorder.asked == 4


async def test_who_waits_for_the_kernel_itself_hears_it_from_the_recorder():
    waiting = asyncio.get_running_loop().create_future()
    manager = SimpleNamespace(_kernel_info_future=waiting)
    async with kernelinfo.learning(manager, Recorder(NotRunning("Not connected."), INFO), "s"):
        assert await asyncio.wait_for(waiting, 10) == INFO


async def test_nobody_is_asked_for_what_is_known_nor_after_the_end():
    manager = SimpleNamespace()
    recorder = Recorder(INFO)
    async with kernelinfo.learning(manager, recorder, "s"):
        assert kernelinfo.has_said(manager) == INFO
    async with kernelinfo.learning(manager, recorder, "s"):
        assert recorder.asked == 1
    other, silent = SimpleNamespace(), Recorder(Unsupported("Nothing is recorded."))
    async with kernelinfo.learning(other, silent, "s"):
        await eventually(lambda: silent.asked > 1)
    asked = silent.asked
    await asyncio.sleep(0.05)
    assert silent.asked == asked


async def test_a_question_that_was_given_up_is_no_answer():
    given_up = asyncio.get_running_loop().create_future()
    given_up.cancel()
    manager = SimpleNamespace(_kernel_info_future=given_up)
    async with kernelinfo.learning(manager, Recorder(INFO), "s"):
        assert kernelinfo.has_said(manager) == INFO


@pytest.mark.parametrize(
    ("known", "said", "then"),
    [("starting", "idle", "idle"), ("starting", "starting", "starting"), ("busy", "idle", "busy")],
)
async def test_a_kernel_that_is_ready_is_not_taken_for_one_that_starts(known, said, then):
    """jupyter_server opens no websocket while it does, and looks only now and then."""
    manager = SimpleNamespace(execution_state=known)
    async with kernelinfo.learning(manager, Recorder(INFO, state=said), "s"):
        assert manager.execution_state == then
