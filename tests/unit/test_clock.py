"""A clock that counts only the time in which the server ran; FAULTS P6 and T1."""

from __future__ import annotations

from jupyter_sessmgr.manager.use.clock import ServerClock


class Monotonic:
    """Time as a test tells it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def test_time_passes_while_the_server_ticks():
    machine = Monotonic()
    clock = ServerClock(10.0, machine)
    for _ in range(5):
        machine.now += 8.0
        assert clock.tick()
    assert clock.now() == 40.0
    machine.now += 3.0
    assert clock.now() == 43.0


def test_P6_a_gap_counts_as_much_as_a_server_that_ran_could_miss():
    machine = Monotonic()
    clock = ServerClock(10.0, machine)
    machine.now += 3600.0
    assert clock.now() == 10.0
    assert not clock.tick()
    assert clock.now() == 10.0
    machine.now += 1.0
    assert clock.tick()
    assert clock.now() == 11.0
