"""Real apps in real browsers: TensorBoard draws, a nested JupyterLab runs a cell, Streamlit moves."""

from __future__ import annotations

import io
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.plugins import clients
from tests.plugins.browser import fresh_window, log_in, show_in_frames, until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

#: Engine, browser, whether services have hosts of their own, and whether the page is in a frame.
WAYS = [
    ("docker", "chromium", "host", "tab"),
    ("docker", "firefox", "host", "frame"),
    ("docker", "firefox", "same-origin", "tab"),
    ("process", "firefox", "host", "tab"),
    ("process", "chromium", "host", "frame"),
    ("process", "chromium", "same-origin", "frame"),
]
MARKS = {"docker": [pytest.mark.docker], "process": []}
#: What the sessions before this one left to their owner.
EMPTY_HOME = "!find ~ -mindepth 1 -maxdepth 1 ! -name .ipython -exec rm -r {} +"
STREAMLIT = Path(__file__).with_name("streamlit.txt")
SLIDER = """
import streamlit
count = streamlit.slider("How many", 0, 100, 7)
streamlit.write(f"Squared: {count * count}")
"""
TRAIN = """
from tensorboardX import SummaryWriter
def train(first, last):
    with SummaryWriter("logs/first") as writer:
        for step in range(first, last):
            writer.add_scalar("loss", 1 / (1 + step), step)
"""


@pytest.fixture(scope="module")
def sites(request, module_servers):
    """Start a server for each engine on demand, as it comes."""
    started = {}

    def start(engine):
        if engine == "docker":
            request.getfixturevalue("reference_image")
        if engine not in started:
            started[engine] = module_servers.start(engine)
        return started[engine]

    return start


class Opened:
    """An app of a session, opened by a person from the URL in the session's info."""

    def __init__(self, page, server, made, name, way):
        self.page = page
        self.server = server
        self.session = made["sessionId"]
        self.visited = []
        self.has_host = way[2] == "host"
        self.is_framed = way[3] == "frame"
        self.view = page.frame_locator("iframe") if self.is_framed else page
        self._is_broken = False
        (path,) = (one["url"] for one in made["servicePorts"] if one["name"] == name)
        self.path = path.removeprefix("/base/")
        log_in(page, server)
        if not self.has_host:
            # What our page notes in a browser that does not reach hosts below localhost.
            page.context.add_cookies(
                [{"name": "sessmgr-no-hosts", "value": "1", "url": server.url}]
            )
        page.on("framenavigated", lambda frame: self.visited.append(frame.url))
        page.on("requestfailed", self._failed)
        self._open()

    def _open(self):
        url = self.server.url + self.path
        self._is_broken = False
        if self.is_framed:
            self.page.goto(f"{self.server.url}nothing-here")  # any page of Jupyter's
            show_in_frames(self.page, url)
        else:
            self.page.goto(url)

    def _failed(self, request):
        """Note that Chromium gave up on all that was loading, since a container came or went."""
        self._is_broken |= "NETWORK_CHANGED" in (request.failure or "")

    def first(self, locator):
        """Wait until the app shows something; a page that lost its network is opened again."""

        def shown():
            if self._is_broken:
                self._open()
            return locator.is_visible()

        until(shown, what=str(locator))
        return locator

    def run(self, code):
        """Run code in the session's own kernel."""
        return self.server.execute(self.session, code)

    def check_addresses(self):
        """No page for a login, no token where people, histories and logs see it."""
        shown = [url for url in self.visited if url.startswith("http")]
        assert not [url for url in shown if "login" in url or "token" in url]
        host = shown[-1].split("/")[2]
        assert host.startswith("sessmgr-") == self.has_host, shown


@pytest.fixture(params=[pytest.param(way, marks=MARKS[way[0]], id="-".join(way)) for way in WAYS])
def way(request):
    """Say on what an app is opened."""
    return request.param


@pytest.fixture
def opened(way, request, sites):
    """Open an app of a new session."""
    engine, browser, *_ = way
    with fresh_window(request.getfixturevalue(browser)) as page:
        made = sites(engine).create()
        sites(engine).execute(made["sessionId"], EMPTY_HOME)
        yield lambda name: Opened(page, sites(engine), made, name, way)
        sites(engine).ask("DELETE", f"sessmgr/session/{made['sessionId']}?forced=true")


def test_C5_tensorboard_draws_a_curve_that_moves(opened):
    board = opened("tensorboard")
    board.first(board.view.get_by_text("No dashboards are active"))
    expect(board.view.get_by_text(re.compile("/logs"))).to_be_visible()  # where it looks for them
    board.run(TRAIN + "train(0, 50)")
    card = board.view.locator("scalar-card").first
    reload = board.view.locator("app-header-reload button")
    until(lambda: reload.click() or card.is_visible(), what="a curve")
    expect(card.get_by_text("49", exact=True).first).to_be_visible()
    until(lambda: drawn(card), what="a curve is drawn")
    board.run("train(50, 100)")
    moved = card.get_by_text("99", exact=True).first
    until(lambda: reload.click() or moved.is_visible(), what="the curve moves")
    board.check_addresses()


def drawn(card):
    """Tell whether there are pixels in the colour of the run that is shown."""
    shot = Image.open(io.BytesIO(card.locator("line-chart").first.screenshot())).convert("RGB")
    return sum(count for count, colour in shot.getcolors(1 << 20) if is_coloured(colour)) > 50


def is_coloured(colour):
    return max(colour) - min(colour) > 25


def test_a_nested_jupyterlab_is_a_jupyterlab(opened, way, tmp_path):
    lab = opened("jupyterlab")
    lab.first(lab.view.locator('.jp-LauncherCard[data-category="Notebook"]').first).click()
    until(lambda: kernels_at_rest(lab), what="a browser is connected to a kernel inside")
    lab.view.locator(".jp-CodeCell .cm-content").first.click()
    lab.page.keyboard.insert_text("print(6 * 7)")
    lab.page.keyboard.press("Shift+Enter")
    expect(lab.view.locator(".jp-OutputArea-output").first).to_have_text("42")

    if way[1:] != ("firefox", "host", "frame"):  # its driver chooses no files in frames
        note = tmp_path / "note.txt"
        note.write_text("uploaded")
        with lab.page.expect_file_chooser() as chooser:
            lab.view.get_by_role("button", name=re.compile("Upload")).first.click()
        chooser.value.set_files(note)
        expect(lab.view.locator(".jp-DirListing-item").filter(has_text="note.txt")).to_be_visible()
        assert lab.run("open('note.txt').read()") == "'uploaded'"

    lab.view.get_by_title("New Launcher").first.click()
    lab.view.locator('.jp-LauncherCard[title="Start a new terminal session"]').click()
    lab.view.locator(".jp-Terminal .xterm").click()
    lab.page.keyboard.type("echo $((6 * 7)) > sum.txt\n")
    shown = "import os; os.path.exists('sum.txt') and open('sum.txt').read()"
    until(lambda: lab.run(shown) == "'42\\n'", what="the terminal ran a command")
    lab.check_addresses()


def kernels_at_rest(lab):
    """Ask the Jupyter inside whether a browser is connected to an idle kernel of its own."""
    kernels = lab.server.ask("GET", lab.path + "api/kernels").json()
    return any(one["connections"] and one["execution_state"] == "idle" for one in kernels)


@pytest.fixture(scope="module")
def slider(module_servers):
    """Give a server, and a session in which Streamlit can show a slider."""
    if clients.python() is None:
        pytest.skip("what Streamlit needs is pinned for another Python")
    python = clients.environment(STREAMLIT) / "bin" / "python"
    config = {
        "ProcessEngine": {"environments": {"team/streamlit": str(python)}},
        "AdmissionControl": {"allowed_images": ["team/streamlit"]},
    }
    server = module_servers.start(config=config)
    command = f"printf %s {shlex.quote(SLIDER)} > app.py; sleep 600"
    made = server.create(image="team/streamlit", sessionType="batch", startupCommand=command)
    return server, server.until(made["sessionId"], "RUNNING")


@pytest.mark.parametrize("name", ["chromium", "firefox"])
def test_streamlit_moves_with_its_slider(request, slider, name):
    way = ("process", name, "host", "tab")
    with fresh_window(request.getfixturevalue(name)) as page:
        app = Opened(page, *slider, "streamlit", way)
        app.first(page.get_by_text("Squared: 49"))
        page.get_by_role("slider").press("ArrowRight")
        expect(page.get_by_text("Squared: 64")).to_be_visible()
        app.check_addresses()
