"""JupyterLab below a hub's prefix, in a browser, as Ann uses it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.plugins.browser import PATIENCE, Lab, set_up

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

#: Goes on while the hub stops the server, and while it starts it again.
LOOP = """\
import time
for number in range(200):
    print("line", number, flush=True)
    time.sleep(0.1)"""


def test_a_person_starts_their_server_again_and_output_returns_to_the_page_that_was_there(
    hubs, page
):
    hub = hubs(lab=True)
    ann = hub.person("ann")
    set_up(ann, "apputils-extension:notification", fetchNews="false")
    page.goto(hub.base)
    page.get_by_label("Username").fill("ann")
    page.get_by_label("Password").fill("x")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{ann.url}lab**", timeout=PATIENCE)
    person = Lab(page, ann)
    person.card("Python (remote)").click()
    person.wait_ready()
    session = ann.sessions()[0]["sessionId"]
    output = person.run(LOOP)
    expect(output).to_contain_text("line 5", timeout=PATIENCE)
    hub.stop_server("ann")
    dialog = page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("not running", timeout=PATIENCE)
    expect(page.get_by_text("output is kept")).to_be_visible(timeout=PATIENCE)
    with page.expect_popup() as popup:
        dialog.get_by_role("button", name="Restart").click()
    popup.value.wait_for_url(f"{ann.url}lab**", timeout=PATIENCE)
    popup.value.close()
    assert [one["sessionId"] for one in ann.sessions()] == [session]
    expect(output).to_contain_text("line 199", timeout=PATIENCE)
    lines = [int(one) for one in re.findall(r"line (\d+)", output.inner_text())]
    assert lines == list(range(200))
    expect(person.notebook.locator(".jp-InputPrompt").first).to_have_text("[1]:")
