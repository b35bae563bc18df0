"""The same extension in Notebook 7: its list, its notices, its kernel picker, output that returns."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.plugins.browser import PATIENCE, Lab, remote_kernelspecs, until, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

KERNEL = "sessmgr-python"
LINES = 60
LOOP = f"""\
import time
for number in range({LINES}):
    print("line", number)
    time.sleep(0.1)"""


#: Serves an empty folder; tells the port.
SERVE = """\
import functools, http.server, tempfile, threading
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tempfile.mkdtemp())
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port)"""


@pytest.fixture
def server(labs):
    """Give a server with a session that no notebook uses."""
    server = labs()
    assert KERNEL in remote_kernelspecs(server)
    server.create(clientSessionToken="my-work")
    return server


def test_sessions_are_listed_picked_told_of_and_survive(server, servers, page):
    session = server.info("my-work")["sessionId"]
    port = server.execute(session, SERVE).strip()
    assert server.ask("PUT", f"sessmgr/api/session/{session}/ports/{port}").ok
    see_the_list(server, page)
    see_details_and_a_service(server, page, port)
    write_notebook(server, "seven.ipynb", LOOP)
    page.goto(f"{server.url}notebooks/seven.ipynb?token={server.token}")
    Lab(page, server).wait_connected()
    until(lambda: len(server.sessions()) == 2, what="the notebook has a session of its own")
    output = see_output_return(server, servers, page)
    see_a_failed_start(server, page)
    pick(server, page)
    assert re.findall(r"line (\d+)", output.inner_text()) == [str(n) for n in range(LINES)]


def see_the_list(server, page):
    page.goto(f"{server.url}tree?token={server.token}")
    page.get_by_role("tab", name="Running").click()
    section = page.get_by_text("Remote Sessions", exact=True)
    expect(section.first).to_be_visible(timeout=PATIENCE)
    expect(page.locator(".jp-sessmgr-running", has_text="my-work")).to_be_visible(timeout=PATIENCE)


def command(page, name):
    page.keyboard.press("Control+Shift+C")
    page.locator(".lm-CommandPalette-input").fill(name)
    page.locator(".lm-CommandPalette-item", has_text=name).click()


def see_details_and_a_service(server, page, port):
    """There is no room for tabs: the first are shown over the page, the other beside it."""
    command(page, "Show Log and History of Session")
    details = page.locator(".jp-Dialog .jp-sessmgr-details")
    expect(details.get_by_role("row", name="Running")).to_be_visible(timeout=PATIENCE)
    page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(details).to_have_count(0)
    command(page, "Open Service of Session")
    page.locator(".jp-Dialog").get_by_role("combobox").select_option(label=port)
    with page.context.expect_page() as opened:
        page.locator(".jp-Dialog .jp-mod-accept").click()
    listing = opened.value.get_by_text("Directory listing for /").first
    expect(listing).to_be_visible(timeout=PATIENCE)
    opened.value.close()


def see_output_return(server, servers, page):
    page.locator(".jp-CodeCell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-OutputArea-output").first
    expect(output).to_contain_text("line 3", timeout=PATIENCE)
    server.kill()
    servers.again(server)
    expect(output).to_contain_text(f"line {LINES - 1}", timeout=PATIENCE)
    expect(page.locator(".jp-InputPrompt").first).to_have_text("[1]:", timeout=PATIENCE)
    assert page.locator(".jp-Dialog").count() == 0
    return output


def see_a_failed_start(server, page):
    told = page.locator(".Toastify__toast", has_text="no kernel named").first

    def shown():  # the page listens again some time after the server is back
        server.ask("POST", "sessmgr/session", json={"kernel": "none"})
        page.wait_for_timeout(2000)
        return told.is_visible()

    until(shown, what="a failed start is told of, with its reason")


def pick(server, page):
    """Put the notebook on the session that is there."""
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_role("menuitem", name=re.compile("^Change Kernel")).click()
    chooser = page.locator(".jp-Dialog select")
    expect(chooser).to_be_visible(timeout=PATIENCE)
    chosen = next(one["sessionId"] for one in server.sessions() if one["sessionName"] == "my-work")
    expect(chooser.locator("option", has_text="my-work")).to_have_count(1)
    value = chooser.locator("option", has_text="my-work").get_attribute("value")
    assert chosen in value
    chooser.select_option(value=value)
    page.locator(".jp-Dialog .jp-mod-accept").click()

    def used():
        notebooks = server.ask("GET", "api/sessions").json()
        return [one["kernel"]["id"] for one in notebooks] == [chosen]

    until(used, what="the notebook uses the session")
