"""Real browsers at real servers: Chromium and Firefox, driven by Playwright, as a person would."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from contextlib import contextmanager
from functools import partial

import pytest
from playwright.sync_api import expect, sync_playwright

from tests.plugins import firefox as firefoxes
from tests.plugins.server import ROOT, merge

#: Where the README's pictures go when this is set.
PICTURES = os.environ.get("SESSMGR_PICTURES", "")
#: What frames of services may do in pages of Jupyter's: all but to lead the tab around them away.
#: Windows that they open escape that; browsers would show nothing there, since the pages say that
#: they want no opener (``Cross-Origin-Opener-Policy``), which a window with limits cannot give.
_FRAME = (
    "allow-scripts allow-same-origin allow-forms allow-downloads allow-modals "
    "allow-popups allow-popups-to-escape-sandbox"
)
#: Milliseconds for anything that a person waits for, on a busy machine.
PATIENCE = 60_000

_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # In place of Playwright's own list, which takes their storage from frames of other sites.
    "--disable-features=MediaRouter,OptimizationHints,HttpsUpgrades",
)


def _program(*names):
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        assert not os.environ.get("CI"), f"CI must have a {names[0]}: scripts/test-needs.sh"
        pytest.skip(f"no {names[0]} here: apt-get install {names[0]}")
    return path


@pytest.fixture(scope="module")
def playwright():
    """Run the driver of browsers."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as driver:
        yield driver


def chromium_with(playwright, *flags):
    """Start Chromium with more flags."""
    path = _program("chromium", "chromium-browser", "google-chrome")
    return playwright.chromium.launch(executable_path=path, args=[*_FLAGS, *flags])


@contextmanager
def chromium_of(playwright, folder):
    """Start Chromium as somebody who has settings in a folder."""
    path = _program("chromium", "chromium-browser", "google-chrome")
    start = playwright.chromium.launch_persistent_context
    context = start(str(folder), executable_path=path, args=[*_FLAGS])
    context.set_default_timeout(PATIENCE)
    try:
        yield context
    finally:
        context.close()


@pytest.fixture(scope="module")
def chromium(playwright):
    """Start Chromium for the tests of a module."""
    browser = chromium_with(playwright)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def one_process():
    """Whether Firefox shows all sites in one process: a test clicks in frames of other sites."""
    return True


@pytest.fixture(scope="module")
def firefox(playwright, one_process, tmp_path_factory):
    """Start Firefox for the tests of a module."""
    path = _program("firefox-esr", "firefox")
    folder = tmp_path_factory.mktemp("firefox")
    browser = firefoxes.launch(playwright, path, folder, one_process=one_process)
    yield browser
    browser.close()


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def browser(request):
    """Give each browser in turn, as Playwright's `Browser`."""
    return request.getfixturevalue(request.param)


@contextmanager
def fresh_window(browser):
    """Open a window of a new person, who has no cookies; fail when code of ours broke in it."""
    context = browser.new_context(viewport={"width": 1200, "height": 680})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    errors = []
    page.on("pageerror", lambda error: errors.append(error.stack or str(error)))
    try:
        yield page
    finally:
        context.close()
    ours = [error for error in errors if is_ours(error)]
    assert not ours, ours


def is_ours(stack):
    """Tell whether code of ours broke: all that JupyterLab asks of its server passes through it."""
    message, *frames = stack.splitlines()
    asks = len(frames) > 1 and "handleRequest" in frames[1]
    return any("jupyter-sessmgr" in one for one in (message, *frames[asks:]))


@pytest.fixture
def page(chromium):
    """Open a fresh window of Chromium."""
    with fresh_window(chromium) as page:
        yield page


@pytest.fixture
def tab(browser):
    """Open a fresh window of each browser in turn."""
    with fresh_window(browser) as page:
        yield page


def log_in(page, server, url=""):
    """Log in to Jupyter as who has its token; `url` is its base by another name."""
    url = url or server.url
    page.goto(f"{url}login?token={server.token}")
    assert any(one["name"].startswith("username-") for one in page.context.cookies(url))


def show_in_frames(page, *urls, sandbox=_FRAME):
    """Replace what a page shows by frames, as JupyterLab frames services; None lifts their limits."""
    page.evaluate(
        """([urls, sandbox]) => document.body.replaceChildren(...urls.map((src) => {
            const frame = Object.assign(document.createElement('iframe'), {width: 900, height: 500});
            if (sandbox !== null) { frame.sandbox = sandbox; }
            frame.src = src;
            return frame;
        }))""",
        [urls, sandbox],
    )


def picture(page, name):
    """Take a picture for the documents, when they are being made."""
    if PICTURES:
        folder = ROOT / "docs" / "images"
        folder.mkdir(exist_ok=True)
        page.screenshot(path=folder / name)


def with_lab(servers, folder, engine="process", config=None):
    """Start a server that has JupyterLab and Notebook with the browser's part of this tree."""
    built = ROOT / "jupyter_sessmgr" / "labextension"
    assert (built / "package.json").is_file(), "build the browser's part first: make check"
    shutil.copytree(built, folder / "jupyter-sessmgr", dirs_exist_ok=True)
    front = {"extra_labextensions_path": [str(folder)]}
    wanted = {
        "ServerApp": {"jpserver_extensions": {"jupyterlab": True, "notebook": True}},
        "LabApp": front,
        "JupyterNotebookApp": front,
    }
    full = merge(wanted, config or {})
    full["ServerApp"]["jpserver_extensions"] = {
        "jupyter_sessmgr": True,
        **wanted["ServerApp"]["jpserver_extensions"],
        **full["ServerApp"]["jpserver_extensions"],
    }
    server = servers.start(engine, config=full)
    # Jupyter's news would ask for consent in the corner where our notices are.
    set_up(server, "apputils-extension:notification", fetchNews="false")
    return server


def set_up(server, plugin, **settings):
    """Change a person's settings of one of JupyterLab's plugins."""
    path = f"lab/api/settings/@jupyterlab/{plugin}"
    reply = server.ask("PUT", path, json={"raw": json.dumps(settings)})
    assert reply.status_code == 204, reply.text


@pytest.fixture
def labs(servers, tmp_path):
    """Start servers that have JupyterLab and Notebook with the browser's part of this tree."""
    return partial(with_lab, servers, tmp_path / "labextensions")


def remote_kernelspecs(server):
    """Return the kernelspecs of ours by name, once there is one."""

    def remote():
        specs = server.ask("GET", "api/kernelspecs").json()["kernelspecs"]
        return {name: one["spec"] for name, one in specs.items() if name.startswith("sessmgr-")}

    return until(remote, what="a remote kernelspec")


class Lab:
    """What a person does in JupyterLab."""

    def __init__(self, page, server):
        self.page = page
        self.server = server

    def open(self):
        """Open a clean workspace and wait for its launcher."""
        self.page.goto(f"{self.server.url}lab?reset&token={self.server.token}")
        expect(self.page.locator(".jp-Launcher-section").first).to_be_visible(timeout=PATIENCE)
        return self

    def card(self, title):
        """The launcher's card of a notebook kernel."""
        return self.page.locator('.jp-LauncherCard[data-category="Notebook"]').filter(
            has_text=re.compile(re.escape(title))
        )

    def new_launcher(self):
        """Open another launcher."""
        self.page.get_by_title("New Launcher").first.click()

    @property
    def notebook(self):
        """The notebook in front."""
        return self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")

    def wait_ready(self):
        """Wait until the notebook in front has a kernel that is idle.

        JupyterLab says "idle" also before there is one, and would start a second one for a cell
        that is run then.
        """
        self.wait_connected()
        indicator = self.notebook.locator(".jp-Notebook-ExecutionIndicator")
        expect(indicator).to_have_attribute("data-status", "idle", timeout=PATIENCE)

    def wait_connected(self):
        """Wait until the server has an idle kernel to which a browser is connected."""

        def connected():
            kernels = self.server.ask("GET", "api/kernels").json()
            return any(one["connections"] and one["execution_state"] == "idle" for one in kernels)

        until(connected, what="the browser is connected to an idle kernel")

    def run(self, code):
        """Type code into the last cell and run it; return that cell's outputs."""
        cells = self.notebook.locator(".jp-CodeCell")
        at = cells.count() - 1
        cells.nth(at).locator(".cm-content").click()
        self.page.keyboard.insert_text(code)
        self.page.keyboard.press("Shift+Enter")
        expect(cells).to_have_count(at + 2)
        return cells.nth(at).locator(".jp-OutputArea-output")

    def press(self, button):
        """Press a button of the notebook's toolbar, by its label."""
        self.notebook.get_by_role("button", name=re.compile(button)).first.click()

    def accept(self):
        """Say yes in the dialog."""
        self.page.locator(".jp-Dialog .jp-mod-accept").click()

    def choose(self, menu, *items):
        """Choose from the menu bar, through submenus; items are regular expressions."""
        self.page.get_by_role("menuitem", name=menu, exact=True).click()
        for depth, item in enumerate(items):
            shown = self.page.locator(".lm-Menu").nth(depth)
            shown.locator(".lm-Menu-item").filter(
                has=self.page.locator(".lm-Menu-itemLabel", has_text=re.compile(item))
            ).first.click()

    def picture(self, name):
        """Take a picture for the documents, when they are being made."""
        picture(self.page, name)


@pytest.fixture
def lab(page):
    """Give what opens a server's JupyterLab in the browser."""

    def make(server):
        return Lab(page, server).open()

    return make


def until(condition, timeout=60, what=""):
    """Return the first truthy answer of `condition`; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {timeout} s: {what}"
        time.sleep(0.05)


def write_notebook(server, path, *sources):
    """Put a notebook for the remote kernel into the server's folder: a cell `cell-N` for each."""
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "source": source,
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(sources)
    ]
    kernel = {"name": "sessmgr-python", "display_name": "Python (remote)", "language": "python"}
    content = {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    model = {"type": "notebook", "format": "json", "content": content}
    reply = server.ask("PUT", f"api/contents/{path}", json=model)
    assert reply.status_code == 201, reply.text
