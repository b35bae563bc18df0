"""JupyterLab below a hub's prefix, in a browser, as Ann uses it."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.plugins.browser import PATIENCE, Lab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

LOOP = """\
import time
for number in range(100):
    print("line", number, flush=True)
    time.sleep(0.1)"""


def test_a_person_works_in_jupyterlab_and_starts_their_server_again(hubs, page):
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
    # The page that was there is refused from now on: the hub forgets logins at a stopped server.
    assert [one["sessionId"] for one in ann.sessions()] == [session]
