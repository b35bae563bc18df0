"""Output that a page missed while the server was away comes back, in its cell, once."""

from __future__ import annotations

import re
import signal
import time

import pytest
from playwright.sync_api import expect

from tests.plugins.browser import PATIENCE, log_in

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

#: A hundred lines of ten a second, which go on while the server is away.
LOOP = """\
import sys, time
for number in range({lines}):
    sys.stdout.write(f"line {{number}}\\n")
    sys.stdout.flush()
    time.sleep(0.1)"""
AWAY = 3.0


@pytest.fixture
def person(labs, lab):
    """Show a notebook on a remote kernel."""
    person = lab(labs())
    person.card("Python (remote)").click()
    person.wait_ready()
    return person


def _lines(output):
    return [int(one) for one in re.findall(r"line (\d+)", output.inner_text())]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_loop_goes_on_in_the_same_tab(person, servers, how):
    server, page = person.server, person.page
    output = person.run(LOOP.format(lines=100))
    expect(output).to_contain_text("line 5", timeout=PATIENCE)
    server.process.send_signal(how)
    server.process.wait(30)
    expect(page.get_by_text("output is kept")).to_be_visible(timeout=PATIENCE)
    time.sleep(AWAY)
    servers.again(server)
    expect(output).to_contain_text("line 99", timeout=PATIENCE)
    assert _lines(output) == list(range(100))
    assert page.locator(".jp-Dialog").count() == 0
    prompt = person.notebook.locator(".jp-InputPrompt").first
    expect(prompt).to_have_text("[1]:", timeout=PATIENCE)


def test_a_cell_that_ended_meanwhile_is_ended(person, servers):
    server = person.server
    output = person.run(LOOP.format(lines=20))
    expect(output).to_contain_text("line 3", timeout=PATIENCE)
    server.kill()
    time.sleep(AWAY)  # the loop ends within two seconds
    servers.again(server)
    expect(output).to_contain_text("line 19", timeout=PATIENCE)
    assert _lines(output) == list(range(20))
    prompt = person.notebook.locator(".jp-InputPrompt").first
    expect(prompt).to_have_text("[1]:", timeout=PATIENCE)
    indicator = person.notebook.locator(".jp-Notebook-ExecutionIndicator")
    expect(indicator).to_have_attribute("data-status", "idle", timeout=PATIENCE)
    expect(person.run("print('and on')")).to_have_text("and on", timeout=PATIENCE)


def test_who_is_logged_out_goes_on_after_logging_in_in_another_tab(person, servers):
    server, page = person.server, person.page
    output = person.run(LOOP.format(lines=40))
    expect(output).to_contain_text("line 3", timeout=PATIENCE)
    page.keyboard.press("Control+s")
    person.accept()  # how it is called, which is asked once
    expect(page.locator(".jp-Dialog")).to_have_count(0)
    server.kill()
    (server.folder / "run" / "jupyter_cookie_secret").unlink()
    server.token = "another"
    server.http.headers["Authorization"] = "token another"
    servers.again(server, config={"IdentityProvider": {"token": "another"}})
    expect(page.get_by_text("You are logged out.")).to_be_visible(timeout=PATIENCE)
    person.notebook.locator(".jp-CodeCell .cm-content").last.click()
    page.keyboard.insert_text("# typed while logged out")
    page.keyboard.press("Control+s")
    time.sleep(AWAY)
    assert page.locator(".jp-Dialog").all_inner_texts() == []
    log_in(page.context.new_page(), server)
    expect(output).to_contain_text("line 39", timeout=PATIENCE)
    assert _lines(output) == list(range(40))
    # Saved by now, unless an earlier save was held; then it is marked as not saved.
    page.keyboard.press("Control+s")
    expect(page.locator(".lm-TabBar-tab.jp-mod-dirty")).to_have_count(0)
    assert "typed while logged out" in (server.folder / "root" / "Untitled.ipynb").read_text()
    assert page.locator(".jp-Dialog").count() == 0
    assert len(server.ask("GET", "api/kernels").json()) == 1


def test_a_console_goes_on_in_the_same_tab_and_is_empty_in_another(labs, lab, servers):
    person = lab(labs())
    server, page = person.server, person.page
    page.locator('.jp-LauncherCard[data-category="Console"]', has_text="Python (remote)").click()
    person.wait_connected()
    page.locator(".jp-CodeConsole-promptCell .cm-content").click()
    page.keyboard.insert_text(LOOP.format(lines=60))
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-CodeConsole-content .jp-OutputArea-output")
    expect(output).to_contain_text("line 5", timeout=PATIENCE)
    server.kill()
    servers.again(server)
    expect(output).to_contain_text("line 59", timeout=PATIENCE)
    assert _lines(output) == list(range(60))
    assert page.locator(".jp-Dialog").count() == 0
    page.reload()
    page.locator(".jp-CodeConsole-promptCell .cm-content").click()
    page.keyboard.insert_text("number")
    page.keyboard.press("Shift+Enter")
    expect(output).to_have_text("59", timeout=PATIENCE)  # and nothing of before
