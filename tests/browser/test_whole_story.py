"""A session's whole life, as a person sees it who never leaves JupyterLab."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import TimeoutError as Late
from playwright.sync_api import expect

from tests.plugins.axe import judge
from tests.plugins.browser import PATIENCE, until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

#: Keeps which moods the row of a session had.
WATCH = """name => {
  window.moods = [];
  const look = () => {
    for (const row of document.querySelectorAll('.jp-sessmgr-row')) {
      if (row.textContent.includes(name)) { window.moods.push(row.dataset.mood); }
    }
  };
  const changes = { childList: true, subtree: true, attributes: true };
  new MutationObserver(look).observe(document.body, changes);
}"""
LINES = 60
LOOP = f"""\
import time
for number in range({LINES}):
    print("line", number)
    time.sleep(0.1)"""


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def engine(request):
    """Give each engine in turn."""
    if request.param == "docker":
        request.getfixturevalue("reference_image")
    return request.param


@pytest.fixture
def person(engine, labs, lab):
    """Show the list of sessions, which is empty."""
    person = lab(labs(engine))
    person.page.get_by_role("tab", name="Remote sessions").click()
    return person


@pytest.fixture
def row(person):
    """The row of the session that the story is about."""
    return person.page.locator(".jp-sessmgr-row", has_text="story")


def test_a_session_is_made_watched_used_restarted_survives_and_is_stopped(
    person, row, servers, engine
):
    make_by_form(person, row)
    see_use_move(person, row)
    open_tensorboard(person, row)
    restart(person, row)
    if engine == "docker":  # which can
        suspend_and_resume(person, row)
    see_output_return(person, servers)
    person.picture("output-returned.png")
    stop(person, row)


def make_by_form(person, row):
    page = person.page
    page.locator('.jp-LauncherCard[data-category="Remote"]', has_text="New Session").click()
    name = page.locator(".jp-sessmgr-form").get_by_role("textbox", name=re.compile("^Name"))
    name.fill("story")
    person.picture("new-session.png")
    page.evaluate(WATCH, "story")
    person.accept()
    person.wait_ready()
    expect(row).to_contain_text("Running", timeout=PATIENCE)
    assert "starting" in page.evaluate("window.moods"), "its start was not shown"


def see_use_move(person, row):
    expect(person.run("print(6 * 7)")).to_have_text("42", timeout=PATIENCE)
    until(lambda: 0 < memory(row) < 200, what="its use is shown")
    person.run("much = b'x' * (300 * 2**20)")
    until(lambda: memory(row) > 300, what="its use has moved")
    person.wait_ready()


def memory(row):
    """The MiB that a row says are in use."""
    found = re.search(r"(\d+) MiB", row.inner_text())
    return int(found.group(1)) if found else 0


def open_tensorboard(person, row):
    page = person.page
    row.click(button="right")
    page.locator(".lm-Menu-itemLabel", has_text="Open Service").click()
    page.get_by_role("menuitem", name="tensorboard", exact=True).click()
    board = page.frame_locator('iframe[title="tensorboard"]').get_by_text(
        "No dashboards are active"
    )
    again = page.get_by_role("button", name="Load the page again")
    # A browser gives up on what it loads when a container of another test comes or goes.
    until(lambda: appears(board) or again.click(), what="TensorBoard in a tab")
    assert judge(page, '[id^="jupyter-sessmgr-service-"] iframe') == []
    page.get_by_role("tab", name=re.compile(r"Untitled.*\.ipynb")).click()


def appears(locator):
    """Wait a while for something to be seen."""
    try:
        locator.wait_for(timeout=15_000)
    except Late:
        return False
    return True


def restart(person, row):
    row.click(button="right")
    person.page.get_by_role("menuitem", name="Restart Session").click()
    person.accept()
    expect(row).to_contain_text("Running", timeout=PATIENCE)
    person.wait_ready()
    expect(person.run("print('much' in globals())")).to_have_text("False", timeout=PATIENCE)


def suspend_and_resume(person, row):
    person.run("before = 6")
    row.click(button="right")
    person.page.get_by_role("menuitem", name="Suspend Session").click()
    expect(row).to_contain_text("Suspended", timeout=PATIENCE)
    row.click(button="right")
    person.page.get_by_role("menuitem", name="Resume Session").click()
    expect(row).to_contain_text("Running", timeout=PATIENCE)
    expect(person.run("print(before * 7)")).to_have_text("42", timeout=PATIENCE)


def see_output_return(person, servers):
    output = person.run(LOOP)
    expect(output).to_contain_text("line 3", timeout=PATIENCE)
    person.server.kill()
    servers.again(person.server)
    expect(output).to_contain_text(f"line {LINES - 1}", timeout=PATIENCE)
    assert re.findall(r"line (\d+)", output.inner_text()) == [str(n) for n in range(LINES)]
    assert person.page.locator(".jp-Dialog").count() == 0


def stop(person, row):
    row.hover()
    row.get_by_role("button", name="Stop story").click()
    expect(person.page.get_by_role("dialog")).to_contain_text("are lost")
    person.accept()
    expect(row).to_have_count(0, timeout=PATIENCE)
    assert person.server.sessions() == []
    until(lambda: person.server.ask("GET", "api/kernels").json() == [], what="no kernel is left")
