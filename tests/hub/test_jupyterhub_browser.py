"""A page of JupyterLab below a hub's prefix, whose server the hub stopped and started again."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.plugins.browser import PATIENCE, Lab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

#: Goes on while the hub stops the server, and while it starts it again.
LOOP = """\
import time
for number in range(200):
    print("line", number, flush=True)
    time.sleep(0.1)"""


def test_output_returns_to_the_page_that_was_there(hubs, page):
    hub = hubs(lab=True)
    ann = hub.person("ann")
    settings = "lab/api/settings/@jupyterlab/apputils-extension:notification"
    assert ann.ask("PUT", settings, json={"raw": '{"fetchNews": "false"}'}).status_code == 204
    page.goto(hub.base)
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Password").fill("x")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{ann.url}lab**", timeout=PATIENCE)
    person = Lab(page, ann)
    person.card("Python (remote)").click()
    person.wait_ready()
    output = person.run(LOOP)
    expect(output).to_contain_text("line 5")
    hub.stop_server("ann")
    dialog = page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("not running")
    with page.expect_popup() as popup:
        dialog.get_by_role("button", name="Restart").click()
    popup.value.wait_for_url(f"{ann.url}lab**", timeout=PATIENCE)
    popup.value.close()
    expect(output).to_contain_text("line 199")
    lines = [int(one) for one in re.findall(r"line (\d+)", output.inner_text())]
    assert lines == list(range(200))
    expect(person.notebook.locator(".jp-InputPrompt").first).to_have_text("[1]:")
