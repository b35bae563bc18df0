"""Jupyter's own /metrics tells of sessions."""

from __future__ import annotations

import re

import pytest


@pytest.fixture
def app(inside):
    return inside()


async def told(app):
    """Ask as a scraper; return samples of ours by name and labels."""
    text = (await app.ask("GET", "metrics")).body.decode()
    found = re.findall(r"^(sessmgr_\w+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE)
    return text, {name: float(number) for name, number in found}


async def test_a_session_is_counted_from_its_start_to_its_end(app):
    _, before = await told(app)
    secret = "canary-5c1d"
    made = await app.create(name=f"name-{secret}", tag=secret)
    _, running = await told(app)
    assert running['sessmgr_sessions{status="RUNNING"}'] == 1
    assert running["sessmgr_queue_length"] == 0

    def grew(now, name):
        return now[name] - before.get(name, 0)

    for phase in ("queued", "creating", "booting", "total"):
        assert grew(running, f'sessmgr_start_seconds_count{{phase="{phase}"}}') == 1, phase
    assert grew(running, 'sessmgr_start_seconds_sum{phase="total"}') > 0
    assert grew(running, 'sessmgr_starts_total{outcome="running"}') == 1
    await app.ask("GET", "sessmgr/session/absent")
    await app.ask("DELETE", f"sessmgr/session/{made['sessionId']}")
    text, ended = await told(app)
    assert ended['sessmgr_sessions{status="RUNNING"}'] == 0
    assert grew(ended, 'sessmgr_ends_total{status="TERMINATED"}') == 1
    assert grew(ended, 'sessmgr_errors_total{kind="SessionNotFound"}') == 1
    assert secret not in text
    assert made["sessionId"] not in text
