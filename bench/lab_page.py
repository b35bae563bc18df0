"""What the browser's part costs a page of JupyterLab: its download, and the time until Lab is ready.

One server; its page is opened by fresh browsers, in turn with the extension and with it disabled as
`jupyter labextension disable` does it. Ready is when the launcher is seen. The bars: 300 kB
compressed in all, and 5 % more time (median of 15 each).

    python bench/lab_page.py [ROUNDS]
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from playwright.sync_api import sync_playwright

from tests.plugins.browser import chromium_with, fresh_window, with_lab
from tests.plugins.built import download
from tests.plugins.server import Servers

SIZE, SLOWER = 300_000, 1.05
#: Notes when the launcher is first seen, on the page's own clock.
NOTE = """
new MutationObserver((_, observer) => {
  if (document.querySelector('.jp-Launcher-section')) {
    window.readyAfter = performance.now();
    observer.disconnect();
  }
}).observe(document, { childList: true, subtree: true });
"""


def switch(server, on):
    """Enable or disable the extension, as a person does it."""
    path = server.folder / "config" / "labconfig" / "page_config.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"disabledExtensions": {"jupyter-sessmgr": not on}}))


def ready(browser, server, on):
    """Return the seconds until a fresh browser shows the launcher."""
    switch(server, on)
    with fresh_window(browser) as page:
        page.add_init_script(NOTE)
        page.goto(f"{server.url}lab?reset&token={server.token}")
        page.wait_for_function("window.readyAfter !== undefined")
        page.wait_for_load_state("networkidle")
        there = page.evaluate("document.querySelector('.jp-LauncherCard[data-category=Remote]')")
        assert (there is not None) == on, "the extension is not as it was set"
        return page.evaluate("window.readyAfter") / 1000


def measure(browser, server, rounds):
    """Return seconds with the extension and without, asked in turn; the first of each warms up."""
    seconds = {True: [], False: []}
    for number in range(rounds + 1):
        for on in (True, False) if number % 2 else (False, True):
            seconds[on].append(ready(browser, server, on))
    return seconds[True][1:], seconds[False][1:]


def main(rounds="15"):
    """Measure, print, and fail when a bar is missed."""
    size = download()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        servers = Servers(Path(folder))
        try:
            server = with_lab(servers, Path(folder) / "labextensions")
            browser = chromium_with(driver)
            with_it, without = measure(browser, server, int(rounds))
            browser.close()
        finally:
            servers.clean()
    ours, bare = statistics.median(with_it), statistics.median(without)
    print(f"download {size / 1000:.0f} kB (bar <= {SIZE / 1000:.0f})")
    print(f"ready after {ours:.2f} s, without the extension {bare:.2f} s")
    print(f"  ratio {ours / bare:.3f} (bar <= {SLOWER})")
    return int(size > SIZE or ours / bare > SLOWER)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
