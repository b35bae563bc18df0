"""What the browser's part tells by itself."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.plugins.browser import PATIENCE

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

SCHEMAS = "https://events.jupyter.org/jupyter_sessmgr"
TOASTS = ".Toastify__toast"


def _emit(server, schema, **data):
    """Let the server tell its browsers an event, as its manager would."""
    event = {"schema_id": f"{SCHEMAS}/{schema}/v1", "version": "1", "data": data}
    reply = server.ask("POST", "api/events", json=event)
    assert reply.status_code == 204, reply.text


def _pretend(page, server, session, **said):
    """Let the server's answers about a session say something else."""
    told = {**server.info(session), **said}
    page.route(re.compile(f"/sessmgr/session/{session}"), lambda route: route.fulfill(json=told))


def test_a_slow_start_is_told_until_it_runs(labs, lab, page):
    server = labs()
    session = server.create(clientSessionToken="slow-one")["sessionId"]
    _pretend(page, server, session, status="PULLING")
    person = lab(server)
    toasts = person.page.locator(TOASTS)
    _emit(
        server,
        "start_progress",
        session_id=session,
        phase="pulling",
        info="pulling 10 %",
        progress=0.1,
    )
    expect(toasts.filter(has_text="slow-one: pulling 10 %")).to_be_visible(timeout=PATIENCE)
    _emit(server, "start_progress", session_id=session, phase="booting", info="booting")
    expect(toasts.filter(has_text="slow-one: booting")).to_be_visible(timeout=PATIENCE)
    _emit(server, "session_status", session_id=session, status="RUNNING")
    expect(toasts.filter(has_text="slow-one")).to_have_count(0, timeout=PATIENCE)


def test_a_start_that_failed_is_told_with_its_reason(labs, lab, page):
    server = labs()
    session = server.create(image="jupyter-sessmgr/python")["sessionId"]
    _pretend(page, server, session, status="CREATING")
    person = lab(server)
    toasts = person.page.locator(TOASTS)
    _emit(server, "start_progress", session_id=session, phase="creating", info="creating")
    expect(toasts.filter(has_text="creating")).to_be_visible(timeout=PATIENCE)
    _emit(server, "session_status", session_id=session, status="TERMINATING")
    expect(toasts.filter(has_text="creating")).to_be_visible()
    _pretend(page, server, session, status="ERROR", statusInfo="No room is left on the disk.")
    _emit(server, "session_status", session_id=session, status="ERROR")
    told = toasts.filter(has_text=re.compile("did not start. No room is left on the disk."))
    expect(told).to_be_visible(timeout=PATIENCE)


def test_the_start_of_a_session_that_is_not_ours_is_not_told(labs, lab, page):
    server = labs()
    mine = server.create(image="jupyter-sessmgr/python")["sessionId"]
    _pretend(page, server, mine, status="CREATING")
    person = lab(server)
    toasts = person.page.locator(TOASTS)
    foreign = "00000000-0000-4000-8000-000000000000"
    _emit(server, "start_progress", session_id=foreign, phase="booting", info="foreign")
    _emit(server, "start_progress", session_id=mine, phase="booting", info="mine")
    expect(toasts.filter(has_text="mine")).to_be_visible(timeout=PATIENCE)
    expect(toasts.filter(has_text="foreign")).to_have_count(0)


def test_a_missing_server_part_is_told_once(labs, lab):
    server = labs(config={"ServerApp": {"jpserver_extensions": {"jupyter_sessmgr": False}}})
    person = lab(server)
    toasts = person.page.locator(TOASTS)
    expect(toasts.filter(has_text="Remote kernels are off")).to_have_count(1, timeout=PATIENCE)


def test_another_version_of_the_server_is_told(labs, lab, page):
    server = labs()

    def answer(route):
        route.fulfill(json={"version": "v6.20220615", "manager": "99.0.0"})

    page.route(re.compile(r"/sessmgr/?(\?.*)?$"), answer)
    person = lab(server)
    told = person.page.locator(TOASTS).filter(has_text="99.0.0 on the server")
    expect(told).to_be_visible(timeout=PATIENCE)
