"""Widgets go on where they were, in a page that missed some of it or was loaded anew."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.test_output_after_reload import Person
from tests.plugins.browser import until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

#: Ten steps a second, until a file says that it is enough.
STEPS = """\
import os, time
import ipywidgets
from IPython.display import display
label, log = ipywidgets.Label(), ipywidgets.Output()
display(ipywidgets.VBox([label, log]))
step = 0
while not os.path.exists("enough"):
    step += 1
    label.value = f"at {step}"
    with log:
        print("step", step)
    time.sleep(0.1)
label.value = "the end\""""


def at(shown):
    """Say how far the label is."""
    found = re.search(r"at (\d+)", shown.inner_text())
    return int(found[1]) if found else 0


def goes_on(shown):
    here = at(shown)
    until(lambda: at(shown) > here + 3, what="the label goes on")


@pytest.mark.parametrize("app", ["lab/tree", "notebooks"])
def test_widgets_of_a_running_cell_go_on(labs, page, servers, app):
    person = Person(page, labs())
    server = person.server
    person.write("a.ipynb", STEPS)
    person.open_file("a.ipynb", app)
    person.wait_connected()
    person.run_cell(0)
    shown = person.code(0).locator(".jp-Cell-outputArea")
    until(lambda: at(shown) > 5, what="the widget is shown")
    server.kill()
    servers.again(server)
    goes_on(shown)  # in the page that was there
    assert_each_step_once(shown)
    person.open_file("a.ipynb", app)
    goes_on(shown)  # in the one that was loaded
    (server.folder / "root" / "enough").touch()
    expect(shown).to_contain_text("the end")
    assert_each_step_once(shown)
    if app == "notebooks":
        return
    expect(person.prompt(0)).to_have_text("[1]:")
    kernel = server.ask("GET", "api/kernels").json()[0]["id"]
    assert server.ask("POST", f"api/kernels/{kernel}/restart").ok
    page.goto("about:blank")
    person.open_file("a.ipynb", app)  # which was not saved with its output
    expect(shown).to_contain_text("The widget that was here is gone with its kernel.")


def assert_each_step_once(shown):
    steps = [int(one) for one in re.findall(r"step (\d+)", shown.inner_text())]
    assert steps == list(range(1, len(steps) + 1))
