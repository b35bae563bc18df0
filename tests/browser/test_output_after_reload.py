"""A page that is loaded again shows what its cells did meanwhile, each in its place, once."""

from __future__ import annotations

import contextlib
import json
import re

import pytest
from playwright.sync_api import expect

from tests.plugins.browser import PATIENCE, Lab, until, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

#: A hundred lines a second, until a file says that it is enough.
ON_AND_ON = """\
import itertools, os, sys, time
for number in itertools.count():
    sys.stdout.write(f"line {number}\\n")
    sys.stdout.flush()
    if os.path.exists("enough"):
        break
    time.sleep(0.01)
print("the end")"""

#: Outputs that are not what was sent last.
SHOWN = (
    "import sys\nfor n in range(101): sys.stdout.write(f'\\r{n}%'); sys.stdout.flush()",
    "from IPython.display import *; print('the first'); clear_output(wait=True); print('the last')",
    "shown = display('shown', display_id=True)\nshown.update('shown anew')",
    "1 / 0",
)
ASKS = "input('your name? ') + '!'"
WAITS = """\
import os, time
print("begun")
while not os.path.exists("enough"): time.sleep(0.1)"""
#: With those before, more cells than output is brought to at a time.
MORE = 2
BACK = "Output that came while you were away was brought back."
AWAY = "The Jupyter server does not answer."
#: The tab of a notebook that is not saved.
UNSAVED = ".lm-TabBar-tab.jp-mod-dirty"
#: Notes what the quiet notice says.
LISTEN = """
window.saidHere = [];
new MutationObserver(changes => {
  const notice = document.querySelector('.jp-sessmgr-away > [role=status]');
  if (notice?.textContent && changes.some(one => one.target === notice)) {
    window.saidHere.push(notice.textContent);
  }
}).observe(document, {childList: true, subtree: true});
"""


#: Lists of what runs come late.
SLOW_LISTS = """
const ask = window.fetch;
window.fetch = async (asked, init) => {
  if (/api\\/sessions\\?/.test(asked.url ?? asked)) {
    await new Promise(resolve => setTimeout(resolve, 2000));
  }
  return ask(asked, init);
};
"""


class Person(Lab):
    """Works on notebooks that are files."""

    def __init__(self, page, server):
        super().__init__(page, server)
        page.on("dialog", lambda dialog: dialog.accept())  # leaves what is not saved
        page.add_init_script(LISTEN)

    def notices(self):
        return self.page.evaluate("window.saidHere")

    def write(self, path, *sources):
        write_notebook(self.server, path, *sources)

    def open_file(self, path, app="lab/tree"):
        self.page.goto(f"{self.server.url}{app}/{path}?token={self.server.token}")
        expect(self.code(0)).to_be_visible(timeout=PATIENCE)
        return self

    def code(self, number):
        return self.notebook.locator(".jp-CodeCell").nth(number)

    def run_cell(self, number):
        self.code(number).locator(".cm-content").focus()  # a click waits until nothing moves
        self.page.keyboard.press("Shift+Enter")

    def output(self, number):
        return self.code(number).locator(".jp-OutputArea-output")

    def prompt(self, number):
        return self.code(number).locator(".jp-InputPrompt")

    def save(self):
        """Save, again if need be: JupyterLab lets one go that comes during another."""

        def saved():
            self.page.keyboard.press("Control+s")
            with contextlib.suppress(AssertionError):
                expect(self.page.locator(UNSAVED)).to_have_count(0, timeout=3000)
                return True
            return False

        until(saved, what="the notebook is saved")


@pytest.fixture
def person(labs, page):
    return Person(page, labs())


def executions(server):
    (session,) = server.sessions()
    reply = server.ask("GET", f"sessmgr/session/{session['sessionId']}/executions")
    assert reply.status_code == 200, reply.text
    return [one for one in reply.json()["items"] if one["cell"]]


def lines(output):
    return [int(one) for one in re.findall(r"line (\d+)", output.inner_text())]


def test_a_page_that_is_loaded_again_in_the_middle_of_a_cell(person):
    server, page = person.server, person.page
    for path in ("a.ipynb", "copy.ipynb"):
        person.write(path, "6 * 7", ON_AND_ON, "print('and then')")
    person.open_file("a.ipynb")
    person.wait_ready()
    (kernel,) = server.ask("GET", "api/kernels").json()
    shared = {"path": "copy.ipynb", "name": "", "type": "notebook", "kernel": {"id": kernel["id"]}}
    assert server.ask("POST", "api/sessions", json=shared).status_code == 201
    person.run_cell(0)
    expect(person.output(0)).to_have_text("42")
    person.save()
    person.run_cell(1)
    person.run_cell(2)
    expect(person.output(1)).to_contain_text("line 50")
    person.open_file("a.ipynb")
    expect(person.output(1)).to_contain_text("line 200")
    expect(person.prompt(1)).to_have_text("[*]:")
    expect(person.prompt(2)).to_have_text("[*]:")
    other = Person(page.context.new_page(), server).open_file("a.ipynb", "notebooks")
    expect(other.prompt(1)).to_have_text("[*]:")
    (server.folder / "root" / "enough").touch()
    for one in (person, other):
        expect(one.output(1)).to_contain_text("the end")
        expect(one.prompt(1)).to_have_text("[2]:")
        expect(one.output(2)).to_have_text("and then")
        expect(one.prompt(2)).to_have_text("[3]:")
        said = lines(one.output(1))
        assert said == list(range(len(said)))
        until(lambda one=one: one.notices() == [BACK], what="it is said once")
    # Keys that are pressed sooner are lost on this page.
    with other.page.expect_websocket(lambda one: kernel["id"] in one.url, timeout=PATIENCE):
        other.open_file("copy.ipynb", "notebooks")
    other.run_cell(0)
    expect(other.prompt(0)).to_have_text("[4]:")
    expect(other.prompt(1)).to_have_text("[ ]:")
    assert other.output(1).count() == 0
    assert other.notices() == []


def test_a_cell_that_is_run_before_the_page_found_its_kernel_goes_to_that(person):
    server, page = person.server, person.page
    person.write("a.ipynb", "kept = globals().get('kept', 0) + 1; print(kept)")
    person.open_file("a.ipynb")
    person.wait_ready()
    person.run_cell(0)
    expect(person.output(0)).to_have_text("1")
    person.save()
    other = Person(page.context.new_page(), server)
    other.page.add_init_script(SLOW_LISTS)
    asked = []
    other.page.on("request", lambda one: asked.append((one.method, one.url)))
    other.open_file("a.ipynb").run_cell(0)
    expect(other.output(0)).to_have_text("2")
    expect(other.prompt(0)).to_have_text("[2]:")
    assert {method for method, url in asked if "/api/sessions" in url} == {"GET"}
    assert len(server.sessions()) == 1


def test_what_ended_while_nobody_looked(person, servers):
    server, page = person.server, person.page
    root = server.folder / "root"
    person.write("a.ipynb", WAITS, *SHOWN, ASKS, *("pass",) * MORE)
    person.open_file("a.ipynb")
    person.wait_ready()
    for number in range(len(SHOWN) + 1):
        person.run_cell(number)
    expect(person.output(0)).to_have_text("begun")
    person = Person(page.context.new_page(), server)
    page.close()
    server.kill()
    (root / "enough").touch()
    servers.again(server)
    until(lambda: executions(server)[-1]["state"] == "ended", what="all have ended")
    person.open_file("a.ipynb")
    for number, text in enumerate(("begun", "100%", "the last", "'shown anew'")):
        expect(person.output(number)).to_have_text(text)
    expect(person.output(4)).to_contain_text("ZeroDivisionError")
    for number in range(5):
        expect(person.prompt(number)).to_have_text(f"[{number + 1}]:")
    until(lambda: person.notices() == [BACK], what="it is said once")
    _what_a_cell_asks_is_asked_again(person)
    _saves_wait_for_the_server(person, servers)
    _what_was_cleared_stays_so(person)
    _nothing_waits_for_a_kernel_that_was_restarted(person)
    _nothing_comes_back_to_who_does_not_want_it(person)


def test_good_news_does_not_hide_that_the_server_is_away(person, servers):
    person.write("a.ipynb", WAITS)
    person.open_file("a.ipynb")
    person.wait_ready()
    person.run_cell(0)
    expect(person.output(0)).to_have_text("begun")
    person.open_file("a.ipynb")
    expect(person.output(0)).to_have_text("begun")
    person.server.kill()
    until(lambda: any(AWAY in one for one in person.notices()), what="it is said")
    person.page.wait_for_timeout(3000)  # by then it would be said what came back
    assert BACK not in person.notices()
    expect(person.page.get_by_text(AWAY)).to_be_visible()
    servers.again(person.server)
    until(lambda: person.notices()[-1] == "The Jupyter server is back.", what="it is back")


def _what_a_cell_asks_is_asked_again(person):
    person.run_cell(5)
    expect(person.code(5).locator(".jp-Stdin-input")).to_be_visible()
    person.open_file("a.ipynb")
    box = person.code(5).locator(".jp-Stdin-input")
    expect(box).to_be_visible()
    box.fill("you")
    box.press("Enter")
    expect(person.output(5).last).to_have_text("'you!'")
    expect(person.prompt(5)).to_have_text("[6]:")


def _saves_wait_for_the_server(person, servers):
    server, page = person.server, person.page
    server.kill()
    person.code(0).locator(".cm-content").click()
    page.keyboard.insert_text("# typed while it was away\n")
    with page.expect_request(lambda one: "api/contents/a.ipynb" in one.url):
        page.keyboard.press("Control+s")  # as JupyterLab does by itself now and then
    expect(page.get_by_text("output is kept")).to_be_visible()
    page.keyboard.insert_text("# typed after that\n")
    with page.expect_response(lambda one: "a.ipynb/checkpoints" in one.url):  # after the save
        servers.again(server)
    saved = server.folder / "root" / "a.ipynb"
    assert "typed while it was away" in saved.read_text()
    assert "typed after that" not in saved.read_text()
    expect(page.locator(UNSAVED)).to_have_count(1)
    person.save()
    assert "typed after that" in saved.read_text()
    assert page.locator(".jp-Dialog").count() == 0


def _what_was_cleared_stays_so(person):
    person.wait_connected()
    person.choose("Edit", r"^Clear Outputs of All Cells")
    expect(person.prompt(1)).to_have_text("[ ]:")
    until(lambda: not [one for one in executions(person.server) if one["cell"]], what="forgotten")
    person.save()
    person.open_file("a.ipynb")
    person.wait_connected()
    person.run_cell(1)
    expect(person.prompt(1)).to_have_text("[7]:")
    expect(person.prompt(2)).to_have_text("[ ]:")
    assert person.notices() == []


def _nothing_waits_for_a_kernel_that_was_restarted(person):
    cells = 1 + len(SHOWN) + 1 + MORE
    (person.server.folder / "root" / "enough").unlink()
    for number in range(cells):
        person.run_cell(number)
    expect(person.output(0)).to_contain_text("begun")
    person.open_file("a.ipynb")
    for number in range(cells):
        expect(person.prompt(number)).to_have_text("[*]:")
    person.choose("Kernel", r"^Restart Kernel…")
    person.accept()
    for number in range(cells):
        expect(person.prompt(number)).to_have_text("[ ]:")


def _nothing_comes_back_to_who_does_not_want_it(person):
    raw = json.dumps({"reattachOutput": False})
    path = "lab/api/settings/jupyter-sessmgr:settings"
    assert person.server.ask("PUT", path, json={"raw": raw}).status_code == 204
    person.wait_connected()
    person.run_cell(3)
    expect(person.prompt(3)).to_have_text("[1]:")
    person.open_file("a.ipynb")
    person.wait_connected()
    person.run_cell(1)
    expect(person.prompt(1)).to_have_text("[2]:")
    expect(person.prompt(3)).to_have_text("[ ]:")
