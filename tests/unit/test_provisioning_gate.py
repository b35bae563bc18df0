"""Requests that wait for a restarted kernel."""

from __future__ import annotations

import pytest

from jupyter_sessmgr.provisioning.channels import gate as gates
from jupyter_sessmgr.provisioning.channels.gate import RestartGate
from tests.plugins.waiting import eventually

GREETING = [b"iopub", b"<IDS|MSG>", b"signature", b'{"msg_type": "iopub_welcome"}', b"{}"]
OTHER = [b"iopub", b"<IDS|MSG>", b"signature", b'{"msg_type": "status"}', b"{}"]


@pytest.fixture
def passed():
    return []


@pytest.fixture
def gate(passed):
    return RestartGate(passed.append)


async def test_nothing_waits_for_a_kernel_that_is_not_restarted(gate, passed):
    assert not gate.take("a")
    gate.hear(GREETING)
    gate.runs()
    assert not gate.take("b")
    assert passed == []


async def test_requests_wait_until_the_new_kernel_greets(gate, passed):
    gate.shut()
    assert gate.take("a")
    gate.hear(OTHER)
    gate.runs()
    assert gate.take("b")
    assert passed == []
    gate.hear(GREETING)
    assert passed == ["a", "b"]
    assert not gate.take("c")


async def test_a_kernel_that_never_greets_is_heard_by_then(gate, passed, monkeypatch):
    monkeypatch.setattr(gates, "PATIENCE", 0.01)
    gate.shut()
    gate.take("a")
    gate.runs()
    await eventually(lambda: passed == ["a"])


async def test_a_restart_that_comes_to_nothing_holds_nobody_for_ever(gate, passed, monkeypatch):
    monkeypatch.setattr(gates, "LONGEST", 0.01)
    gate.shut()
    gate.take("a")
    await eventually(lambda: passed == ["a"])


async def test_no_more_wait_than_may(gate, monkeypatch):
    monkeypatch.setattr(gates, "MOST_WAITING", 2)
    gate.shut()
    assert [gate.take(number) for number in range(3)] == [True, True, False]
    gate.end()
    assert not gate.take(3)
