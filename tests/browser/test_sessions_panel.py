"""The side bar's list of sessions, and what can be done with them there."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.plugins.browser import PATIENCE, until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
def person(labs, lab):
    """Show the list to a person who has one running session."""
    server = labs()
    server.create(clientSessionToken="my-work")
    person = lab(server)
    person.page.get_by_role("tab", name="Remote sessions").click()
    return person


def _row(person, name):
    return person.page.locator(".jp-sessmgr-row", has_text=name)


def test_a_session_is_seen_used_renamed_and_stopped(person):
    page, server = person.page, person.server
    row = _row(person, "my-work")
    expect(row).to_contain_text("Running", timeout=PATIENCE)
    expect(row).to_contain_text("MiB", timeout=PATIENCE)

    row.focus()
    page.keyboard.press("F2")
    page.locator(".jp-Dialog input").fill("another-name")
    person.accept()
    row = _row(person, "another-name")
    expect(row).to_be_visible(timeout=PATIENCE)

    row.get_by_role("button", name=re.compile("Open a notebook")).click()
    person.wait_ready()
    expect(person.run("print(6 * 7)")).to_have_text("42", timeout=PATIENCE)
    person.picture("sessions.png")
    expect(page.locator(".jp-sessmgr-item")).to_have_text("Remote: another-name", timeout=PATIENCE)
    row.click(button="right")
    expect(page.get_by_role("menuitem", name="Suspend Session")).to_be_visible(timeout=PATIENCE)
    page.keyboard.press("Escape")

    row.get_by_role("button", name=re.compile("^Stop")).click()
    expect(page.locator(".jp-Dialog")).to_contain_text("variables")
    person.accept()
    expect(row).to_have_count(0, timeout=PATIENCE)
    until(lambda: server.sessions() == [], what="the session ended")


def test_a_new_session_is_made_by_the_form(person):
    page, server = person.page, person.server
    card = page.locator('.jp-LauncherCard[data-category="Remote"]', has_text="New Session")
    card.click()
    form = page.locator(".jp-sessmgr-form")
    form.get_by_role("textbox", name=re.compile("^Name")).fill("by-form")
    form.get_by_label("Memory in GiB").fill("1")
    form.get_by_label("Environment").fill("GREETING=hello world")
    person.accept()
    person.wait_ready()
    said = person.run("import os; print(os.environ['GREETING'])")
    expect(said).to_have_text("hello world", timeout=PATIENCE)
    one = next(one for one in server.sessions() if one["sessionName"] == "by-form")
    assert one["memoryLimit"] == 2**20


def test_notebook_7_lists_sessions_too(labs, page):
    server = labs()
    server.create(clientSessionToken="my-work")
    page.goto(f"{server.url}tree?token={server.token}")
    page.get_by_role("tab", name="Running").click()
    section = page.get_by_text("Remote Sessions", exact=True)
    expect(section.first).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".jp-sessmgr-running", has_text="my-work")).to_be_visible(timeout=PATIENCE)


def test_what_a_session_wrote_and_went_through_is_shown(person):
    page, server = person.page, person.server
    page.locator(".jp-sessmgr-row").click(button="right")
    page.get_by_role("menuitem", name="Show Log and History").click()
    tab = page.locator(".jp-sessmgr-details")
    expect(tab.get_by_role("row", name="Running")).to_be_visible(timeout=PATIENCE)
    server.tell(
        server.sessions()[0]["sessionId"], "import os; os.write(1, b'a-line-of-the-log\\n')"
    )
    expect(tab.locator(".jp-sessmgr-log")).to_contain_text("a-line-of-the-log", timeout=PATIENCE)
    tab.get_by_label("Search in what the session wrote").fill("nothing like this")
    expect(tab.locator(".jp-sessmgr-log")).to_have_text("", timeout=PATIENCE)
