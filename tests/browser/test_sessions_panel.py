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

    order = page.get_by_role("combobox", name="Order of sessions")
    order.select_option(label="By name")
    row.focus()
    page.keyboard.press("Shift+F10")
    expect(page.get_by_role("menuitem", name="Open Notebook on Session")).to_be_visible()
    page.keyboard.press("Escape")
    row.focus()
    page.keyboard.press("F2")
    _rename(person)
    row = _row(person, "another-name")
    expect(row).to_be_visible(timeout=PATIENCE)

    row.get_by_role("button", name=re.compile("Open a notebook")).click()
    person.wait_ready()
    expect(person.run("print(6 * 7)")).to_have_text("42", timeout=PATIENCE)
    person.picture("sessions.png")
    expect(page.locator(".jp-sessmgr-item")).to_have_text("Remote: another-name", timeout=PATIENCE)
    row.click(button="right")
    suspend = page.get_by_role(
        "menuitem", name="Suspend Session (not supported by the process engine)"
    )
    expect(suspend).to_be_disabled(timeout=PATIENCE)
    page.keyboard.press("Escape")

    row.get_by_role("button", name=re.compile("^Stop")).click()
    dialog = page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("variables")
    expect(dialog).to_contain_text(re.compile(r"Open here and using it: Untitled\S*\.ipynb"))
    person.accept()
    expect(row).to_have_count(0, timeout=PATIENCE)
    page.reload()
    expect(order).to_have_value("name", timeout=PATIENCE)
    until(lambda: server.sessions() == [], what="the session ended")


def _rename(person):
    """Enter names until one can be had."""
    dialog = person.page.locator(".jp-Dialog")
    name, accept = dialog.locator("input"), dialog.locator(".jp-mod-accept")
    for odd in ("abc", "two words", "<b>bold", "🚀rocket", "n" * 65):
        name.fill(odd)
        expect(accept).to_be_disabled()
    person.server.create(clientSessionToken="taken")
    name.fill("taken")
    accept.click()
    expect(dialog).to_contain_text("You have a session named 'taken' already", timeout=PATIENCE)
    expect(name).to_have_value("taken")
    person.server.ask("DELETE", "sessmgr/session/taken")
    name.fill("another-name")
    accept.click()


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


SERVE = """
import http.server, threading
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<h1>a page of the session</h1>")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port)
"""


def test_log_history_and_services_are_tabs_that_come_back(person):
    page, server = person.page, person.server
    session = server.sessions()[0]["sessionId"]
    page.locator(".jp-sessmgr-row").click(button="right")
    page.get_by_role("menuitem", name="Show Log and History").click()
    tab = page.locator(".jp-sessmgr-details")
    expect(tab.get_by_role("row", name="Running")).to_be_visible(timeout=PATIENCE)
    server.tell(session, "import os; os.write(1, b'a-line-of-the-log\\n')")
    log = tab.get_by_role("log")
    expect(log).to_contain_text("a-line-of-the-log", timeout=PATIENCE)
    tab.get_by_label("Search the log").fill("nothing like this")
    expect(log).to_have_text("", timeout=PATIENCE)
    with page.expect_download() as download:
        tab.get_by_role("button", name="Download").click()
    assert "a-line-of-the-log" in download.value.path().read_text()

    port = server.execute(session, SERVE).strip()
    opened = server.ask("PUT", f"sessmgr/api/session/{session}/ports/{port}")
    assert opened.json()["isolation"] == "subdomain", opened.text
    page.get_by_role("button", name="Refresh").click()
    _choose_service(page, port)
    shown = page.frame_locator(f"iframe[title='{port}']").locator("h1")
    expect(shown).to_have_text("a page of the session", timeout=PATIENCE)
    expect(page.get_by_text("On a host of its own")).to_be_visible()
    person.picture("service.png")
    with page.context.expect_page() as popup:
        _choose_service(page, f"{port} in a New Browser Tab")
    expect(popup.value.locator("h1")).to_have_text("a page of the session", timeout=PATIENCE)

    _until_saved(server, session)
    page.goto(f"{server.url}lab")
    expect(shown).to_have_text("a page of the session", timeout=PATIENCE)
    page.get_by_role("tab", name="my-work", exact=True).click()
    expect(tab.get_by_role("row", name="Running")).to_be_visible(timeout=PATIENCE)


#: What the palette has where a session runs that does not end by itself.
PALETTE = {
    "Copy Command to Attach to Session",
    "Copy URL of Session",
    "New Remote Session: Python (remote)",
    "New Remote Session: Python (remote, isolated)",
    "New Remote Session…",
    "Open Console on Session",
    "Open Notebook on Session",
    "Open Service of Session in a New Browser Tab…",
    "Open Service of Session…",
    "Refresh Remote Sessions",
    "Rename Session…",
    "Restart Session…",
    "Show Log and History of Session",
    "Show Remote Sessions",
    "Stop All Sessions…",
    "Stop Session…",
    "Suspend Session (not supported by the process engine)",
}


def test_the_palette_has_all_and_asks_which_session_is_meant(person):
    page, server = person.page, person.server
    expect(_row(person, "my-work")).to_contain_text("Running", timeout=PATIENCE)
    page.keyboard.press("Control+Shift+C")
    page.locator(".lm-CommandPalette-input").fill("Remote Sessions")
    entries = page.locator(".lm-CommandPalette-itemLabel")
    until(lambda: set(entries.all_inner_texts()) >= PALETTE, what="the palette has all")
    page.keyboard.press("Escape")
    server.create(clientSessionToken="other-work")
    expect(_row(person, "other-work")).to_contain_text("Running", timeout=PATIENCE)
    _run_from_palette(page, "Copy URL of Session")
    dialog = page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("Which session?", timeout=PATIENCE)
    dialog.get_by_role("combobox").select_option(label="my-work · Running")
    person.accept()
    url = server.info("my-work")["sessionId"]
    toast = page.locator(".Toastify__toast", has_text=url)
    expect(toast).to_be_visible(timeout=PATIENCE)
    _run_from_palette(page, "Stop All Sessions")
    expect(dialog).to_contain_text("Stop all 2 sessions?", timeout=PATIENCE)
    expect(dialog).to_contain_text("my-work")
    person.accept()
    until(lambda: server.sessions() == [], what="all sessions ended")


def _choose_service(page, item):
    page.locator(".jp-sessmgr-row").first.click(button="right")
    page.locator(".lm-Menu-item", has_text="Open Service").click()
    page.get_by_role("menuitem", name=item, exact=True).click()


def _run_from_palette(page, command):
    page.keyboard.press("Control+Shift+C")
    page.locator(".lm-CommandPalette-input").fill(command)
    page.locator(".lm-CommandPalette-item", has_text=command).first.click()


def _until_saved(server, session):
    """Wait until the workspace is saved with the tabs that are open."""

    def saved():
        reply = server.ask("GET", "lab/api/workspaces/default")
        return f"service-{session}" in reply.text and f"details-{session}" in reply.text

    until(saved, what="the layout is saved")
