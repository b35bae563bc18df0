"""Everybody can use it: names and roles for screen readers, contrast in every theme, the keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.plugins.axe import judge
from tests.plugins.browser import PATIENCE

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

THEMES = ("JupyterLab Light", "JupyterLab Dark", "JupyterLab Dark High Contrast")
#: Parts of pages that are ours, or show what is. Menus are left out: what Lumino makes of commands
#: has findings of its own.
PANEL, DETAILS, ITEM = ".jp-sessmgr-panel", ".jp-sessmgr-details", ".jp-sessmgr-item"
FORM, RUNNING, AWAY = ".jp-Dialog-content", ".jp-sessmgr-running", ".jp-sessmgr-away"


@pytest.fixture
def person(labs, lab):
    """Show views of all kinds to a person who has sessions of all kinds."""
    server = labs()
    server.create(clientSessionToken="my-work")
    server.create(clientSessionToken="second")
    server.ask("POST", "sessmgr/session", json={"clientSessionToken": "broken", "kernel": "none"})
    person = lab(server)
    page = person.page
    page.get_by_role("tab", name="Remote sessions").click()
    page.locator(f"{PANEL} summary").click()
    expect(row(person, "broken")).to_contain_text("Failed", timeout=PATIENCE)
    return person


def row(person, name):
    """The row of a session in the list."""
    return person.page.locator(".jp-sessmgr-row", has_text=name)


def test_nothing_serious_is_found_in_any_theme(person):
    page = person.page
    row(person, "my-work").get_by_role("button", name=re.compile("Open a notebook")).click()
    person.wait_ready()
    row(person, "my-work").click(button="right")
    page.get_by_role("menuitem", name="Show Log and History").click()
    session = person.server.info("my-work")["sessionId"]
    person.server.tell(session, r"import os; os.write(1, b'epoch 1: 0.42\nepoch 2: 0.31\n')")
    expect(page.locator(DETAILS)).to_contain_text("epoch 2: 0.31", timeout=PATIENCE)
    found = {}
    for theme in THEMES:
        person.choose("Settings", "^Theme$", f"^{theme}$")
        found[theme] = look_at_all(person, theme)
    person.server.kill()
    expect(page.locator(AWAY)).to_be_visible(timeout=PATIENCE)
    found["away"] = judge(page, AWAY)
    told = [f"{theme}: {one}" for theme, bad in found.items() for one in bad]
    assert not told, "\n".join(told)


def look_at_all(person, theme):
    """Return what is bad in each view."""
    page = person.page
    page.wait_for_timeout(500)  # themes fade
    page.get_by_role("tab", name=re.compile(r"Untitled.*\.ipynb")).click()
    expect(page.locator(ITEM)).to_have_text("Remote: my-work", timeout=PATIENCE)
    bad = judge(page, ITEM)
    page.get_by_role("tab", name="my-work").click()
    row(person, "my-work").hover()
    bad += judge(page, PANEL, DETAILS)
    if theme == THEMES[0]:
        person.picture("sessions-light.png")
    page.get_by_role("button", name="New Session…").click()
    expect(page.locator(FORM)).to_be_visible(timeout=PATIENCE)
    bad += judge(page, FORM)
    page.keyboard.press("Escape")
    expect(page.locator(FORM)).to_have_count(0, timeout=PATIENCE)
    page.get_by_role("tab", name=re.compile("Running Terminals")).click()
    expect(page.locator(RUNNING).first).to_be_visible(timeout=PATIENCE)
    bad += judge(page, RUNNING)
    page.get_by_role("tab", name="Remote sessions").click()
    return dict.fromkeys(bad)


def test_the_list_is_used_by_keyboard(person):
    page = person.page
    page.get_by_role("tab", name="File Browser").click()
    page.keyboard.press("Control+Shift+C")
    page.keyboard.type("Show Remote Sessions")
    expect(page.locator(".lm-CommandPalette-item.lm-mod-active")).to_have_text(
        "Show Remote Sessions", timeout=PATIENCE
    )
    page.keyboard.press("Enter")
    expect(page.get_by_role("searchbox", name="Filter sessions")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("combobox", name="Order of sessions")).to_be_focused()
    page.keyboard.press("Tab")
    focused = page.locator(".jp-sessmgr-row:focus")
    expect(focused).to_have_attribute("aria-label", re.compile("^second, Running"))
    page.keyboard.press("ArrowDown")
    expect(focused).to_have_attribute("aria-label", re.compile("^my-work, Running"))
    page.keyboard.press("ArrowUp")
    page.keyboard.press("End")
    expect(focused).to_have_attribute("aria-label", re.compile("^my-work"))
    page.keyboard.press("Shift+Tab")  # one stop for all rows
    expect(page.get_by_role("combobox", name="Order of sessions")).to_be_focused()
    page.keyboard.press("Tab")
    expect(focused).to_have_attribute("aria-label", re.compile("^my-work"))
    page.keyboard.press("Delete")
    expect(page.get_by_role("dialog")).to_contain_text("Stop my-work?")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("Shift+F10")
    expect(page.get_by_role("menuitem", name="Rename Session")).to_be_visible(timeout=PATIENCE)
    page.keyboard.press("Escape")
    page.get_by_role("searchbox", name="Filter sessions").fill("sec")
    expect(page.locator(".jp-sessmgr-row", has_text="my-work")).to_have_count(0)
    assert len(person.server.sessions()) == 2, "nothing was stopped"
    page.get_by_role("searchbox", name="Filter sessions").fill("")
    row(person, "second").focus()
    page.keyboard.press("Delete")
    expect(page.get_by_role("dialog")).to_contain_text("Stop second?")
    page.keyboard.press("Enter")
    expect(row(person, "second")).to_contain_text("Ended", timeout=PATIENCE)
    expect(focused).to_have_attribute("aria-label", re.compile("^my-work, Running, durable"))
