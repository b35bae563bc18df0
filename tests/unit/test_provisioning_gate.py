"""Requests that wait for a restarted kernel."""

from __future__ import annotations

import pytest

from jupyter_sessmgr.provisioning.channels import gate as bounds
from jupyter_sessmgr.provisioning.channels.gate import RestartGate
from tests.plugins.waiting import eventually


@pytest.fixture
def passed():
    return []


@pytest.fixture
def connected():
    return []


@pytest.fixture
def gates():
    return []


@pytest.fixture
def gate(passed, connected, gates):
    gates.append(RestartGate(passed.append, lambda: connected.append("anew"), lambda: gates))
    return gates[0]


async def test_nothing_waits_for_a_kernel_that_is_not_restarted(gate, passed, connected):
    assert not gate.take("a")
    gate.greeted()
    gate.runs()
    assert not gate.take("b")
    assert (passed, connected) == ([], [])


async def test_requests_wait_until_the_new_kernel_greets(gate, passed, connected):
    gate.shut()
    assert gate.take("a")
    assert connected == []
    gate.runs()
    assert gate.take("b")
    assert (passed, connected) == ([], ["anew"])
    gate.greeted()
    assert passed == ["a", "b"]
    assert not gate.take("c")


async def test_a_kernel_that_never_greets_is_heard_by_then(gate, passed, monkeypatch):
    monkeypatch.setattr(bounds, "PATIENCE", 0.01)
    gate.shut()
    gate.take("a")
    gate.runs()
    await eventually(lambda: passed == ["a"])


async def test_a_restart_that_comes_to_nothing_holds_nobody_for_ever(gate, passed, monkeypatch):
    monkeypatch.setattr(bounds, "LONGEST", 0.01)
    gate.shut()
    gate.take("a")
    await eventually(lambda: passed == ["a"])


async def test_no_more_wait_than_may(gate, monkeypatch):
    monkeypatch.setattr(bounds, "MOST_WAITING", 2)
    gate.shut()
    assert [gate.take(number) for number in range(3)] == [True, True, False]
    gate.end()
    assert not gate.take(3)


async def test_nobody_asks_before_all_hear_what_is_answered(gate, passed, gates):
    """Two browsers look at a kernel: what one asks for is put out for both."""
    other = RestartGate(passed.append, list, lambda: gates)
    gates.append(other)
    for one in gates:
        one.shut()
        one.runs()
    assert gate.take("a")
    gate.greeted()
    assert gate.take("b")
    assert passed == []
    other.greeted()
    assert passed == ["a", "b"]
    assert not gate.take("c")


async def test_what_a_browser_asked_for_before_it_left_is_for_the_new_kernel_alone(gate, passed):
    gate.shut()
    gate.take("a")
    gate.end()
    assert passed == []
    gate.shut()
    gate.take("b")
    gate.runs()
    gate.end()
    gate.end()
    assert passed == ["b"]


async def test_nobody_waits_for_one_that_left(gate, passed, gates):
    other = RestartGate(passed.append, list, lambda: gates)
    gates.append(other)
    for one in gates:
        one.shut()
        one.runs()
    gate.take("a")
    other.end()
    gate.greeted()
    assert passed == ["a"]
