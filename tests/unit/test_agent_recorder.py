"""When the agent starts a recorder, and when it does not any more."""

from __future__ import annotations

import os
import sys

import pytest

from jupyter_sessmgr.agent.reaper import Reaper
from jupyter_sessmgr.agent.recorder import Recorder
from jupyter_sessmgr.agent.refusals import NotHere
from jupyter_sessmgr.agent.template import Template

KERNEL = {"generation": 1, "connection": {}, "curve": None}


@pytest.fixture
def started(monkeypatch, tmp_path):
    """Give a recorder's agent side, and the list of the processes that it wants."""
    bounds = {"folder": str(tmp_path / "journal"), "max_bytes": 2**20, "max_age": 0.0}
    recorder, wanted = Recorder({"journal": bounds}, Reaper(), Template()), []

    def prepare(_code, python, _environ, handed):
        for one in handed:
            os.close(one)
        wanted.append(python)

    monkeypatch.setattr("jupyter_sessmgr.agent.recorder._program", lambda: os.dup(0))
    monkeypatch.setattr(recorder._process, "prepare", prepare)
    yield recorder, wanted
    recorder.close()


def test_a_kernel_that_starts_has_a_recorder(started):
    recorder, wanted = started
    recorder.turn_to(KERNEL, False, [sys.executable], {})
    assert wanted == [sys.executable]


def test_one_that_was_given_up_is_not_started_for_the_next_kernel(started):
    recorder, wanted = started
    recorder.problem = "It ended too often."
    recorder.turn_to(KERNEL, False, [sys.executable], {})
    assert not wanted
    assert not recorder.records
    with pytest.raises(NotHere, match="too often"):
        recorder.ask({"ask": "state"})
