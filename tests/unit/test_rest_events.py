"""What browsers hear."""

from __future__ import annotations

import json

import pytest
from jupyter_events import EventLogger

from jupyter_sessmgr.model.events import (
    EngineHealthChanged,
    KernelDied,
    SessionExpiring,
    SessionMoved,
    StartProgressed,
    StatusChanged,
)
from jupyter_sessmgr.model.session import ComputeSession, KernelExit, SessionSpec
from jupyter_sessmgr.model.status import SessionStatus
from jupyter_sessmgr.rest.events import (
    DIED,
    EXPIRING,
    HEALTH,
    PROGRESS,
    STATUS,
    EventBridge,
    render,
    schema_files,
)

SECRET = "canary-9f31"
SESSION = ComputeSession(
    id="01234567-89ab-cdef-0123-456789abcdef",
    name=f"name-{SECRET}",
    owner=f"owner-{SECRET}",
    tag=SECRET,
    spec=SessionSpec(image=f"image-{SECRET}", environ={"PASSWORD": SECRET}),
    created_at=0.0,
    failure=SECRET,
    status_info=SECRET,
    log_tail=SECRET,
    status=SessionStatus.RUNNING,
)
EXIT = KernelExit(generation=1, code=-9, oom=True, reason="Out of memory.", tail=SECRET)

EVENTS = {
    STATUS: [StatusChanged(SESSION, SessionStatus.CREATING), StatusChanged(SESSION, None)],
    PROGRESS: [
        StartProgressed(SESSION, "pulling", "pulling 43 %", 0.43),
        StartProgressed(SESSION, "booting", "booting"),
        StartProgressed(SESSION, "queued", "waits for its turn (position 2)", position=2),
    ],
    DIED: [KernelDied(SESSION, EXIT)],
    EXPIRING: [
        SessionExpiring(SESSION, 1e9 + 0.5, limit)
        for limit in ("idle", "never-connected", "lifetime", "server-stopped")
    ],
    HEALTH: [EngineHealthChanged(available, SECRET) for available in (False, True)],
}


@pytest.fixture
def heard():
    return []


@pytest.fixture
def bridge(heard):
    logger = EventLogger()
    bridge = EventBridge(logger)

    async def listen(logger, schema_id, data):
        heard.append((schema_id, data))

    for schema in EVENTS:
        logger.add_listener(schema_id=schema, listener=listen)
    bridge.logger_under_test = logger
    return bridge


async def test_every_event_fits_its_schema_and_has_no_secret(bridge, heard):
    sent = [(schema, event) for schema, events in EVENTS.items() for event in events]
    for _, event in sent:
        bridge(event)
    await bridge.logger_under_test.gather_listeners()
    assert sorted(schema for schema, _ in heard) == sorted(schema for schema, _ in sent)
    for schema, data in heard:
        assert schema == HEALTH or data["session_id"] == SESSION.id
        assert SECRET not in json.dumps(data)


async def test_progress_is_told_in_words_and_as_a_number(bridge, heard):
    bridge(EVENTS[PROGRESS][0])
    await bridge.logger_under_test.gather_listeners()
    data = {key: value for key, value in heard[0][1].items() if not key.startswith("__")}
    assert data == {
        "session_id": SESSION.id,
        "phase": "pulling",
        "info": "pulling 43 %",
        "progress": 0.43,
    }


def test_an_end_that_comes_is_told_with_its_time_and_limit():
    told = {"session_id": SESSION.id, "ends_at": 1e9 + 0.5, "limit": "idle"}
    assert render(EVENTS[EXPIRING][0]) == (EXPIRING, told)


def test_why_a_session_waits_is_not_for_other_people():
    waits = StartProgressed(SESSION, "queued", f"waits for group {SECRET}", position=2)
    told = {"session_id": SESSION.id, "phase": "queued", "position": 2}
    assert render(waits) == (PROGRESS, {**told, "info": waits.info})
    assert render(waits, several=True) == (PROGRESS, {**told, "info": "queued"})
    assert render(EVENTS[PROGRESS][0], several=True) == render(EVENTS[PROGRESS][0])


async def test_other_events_are_not_for_browsers(bridge, heard):
    bridge(SessionMoved(SESSION))
    await bridge.logger_under_test.gather_listeners()
    assert heard == []


def test_schemas_are_versioned_and_know_every_status():
    for path in schema_files():
        text = path.read_text(encoding="utf-8")
        assert "/v1\n" in text.splitlines(keepends=True)[1]
        assert ".v1.yaml" in path.name
    statuses = schema_files()[0].read_text(encoding="utf-8")
    assert all(f"- {status}\n" in statuses for status in SessionStatus)
