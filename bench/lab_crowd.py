"""How JupyterLab's page bears 200 live sessions: the list of sessions is open in the side bar.

The server is real; its engine has the sessions in memory. The bars: a session's change is seen
within 500 ms of the request that makes it; no task of the page takes more than 50 ms while the list
is scrolled or gets new figures; and nothing happening, the page asks the server's part at most once
in 10 s, and never while it is hidden.

    python bench/lab_crowd.py [SESSIONS]
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from playwright.sync_api import sync_playwright

from tests.plugins.browser import Lab, chromium_with, fresh_window, with_lab
from tests.plugins.crowd import CONFIG, ENGINE, gather
from tests.plugins.server import Servers

SEEN, TASK, PER_10_S = 500, 50, 1.0
CHANGES, IDLE, REFRESH = 20, 40.0, 12_000
#: Resolves to the time when a session's row says a word.
SAYS = """([id, word]) => new Promise(resolve => {
  const look = () => {
    const row = document.querySelector(`.jp-sessmgr-row[data-session="${id}"]`);
    if (row?.textContent.includes(word)) { observer.disconnect(); resolve(Date.now()); }
  };
  const observer = new MutationObserver(look);
  const changes = { childList: true, subtree: true, characterData: true };
  observer.observe(document.body, changes);
  window.looking = true;
  look();
})"""
SCROLL = """async () => {
  const rows = document.querySelector('.jp-sessmgr-row');
  let box = rows;
  while (box.scrollHeight <= box.clientHeight + 1 || getComputedStyle(box).overflowY === 'visible') {
    box = box.parentElement;
  }
  const ends = [box.scrollHeight, 0];
  for (const end of [...ends, ...ends]) {
    while (Math.abs(box.scrollTop - end) > 1) {
      const before = box.scrollTop;
      box.scrollTop += Math.sign(end - before) * 120;
      await new Promise(requestAnimationFrame);
      if (box.scrollTop === before) { break; }
    }
  }
}"""
#: Makes a page think that nobody sees it.
HIDE = """() => {
  Object.defineProperty(document, 'hidden', { get: () => true, configurable: true });
  Object.defineProperty(document, 'visibilityState', { get: () => 'hidden', configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}"""


def changes(page, server, ids):
    """Return the seconds from each request that changes a session until its row says so."""
    seconds = []
    for number in range(CHANGES):
        one = ids[-1 - number // 2 % 5]
        verb, word = (("suspend", "Suspended"), ("resume", "Running"))[number % 2]
        page.evaluate(f"() => {{ window.seen = ({SAYS})({[one, word]!r}); }}")
        began = time.time()
        reply = server.ask("POST", f"sessmgr/api/session/{one}/{verb}", json={})
        assert reply.ok, reply.text
        seconds.append(page.evaluate("window.seen") / 1000 - began)
        time.sleep(0.5)
    return seconds


def longest_task(page, work):
    """Return the ms of the longest of the page's tasks while something is done.

    Of processor time: what else runs on the machine makes no task longer.
    """
    browser = page.context.browser
    browser.start_tracing(page=page, categories=["toplevel"])
    work()
    page.wait_for_timeout(300)
    events = json.loads(browser.stop_tracing())["traceEvents"]
    pages = {
        (one["pid"], one["tid"])
        for one in events
        if one["name"] == "thread_name" and one["args"]["name"] == "CrRendererMain"
    }
    return max(one.get("tdur", 0) for one in events if (one["pid"], one["tid"]) in pages) / 1000


def asked_in(page, seconds):
    """Return how often the page asks the server's part meanwhile."""
    asked = []
    note = lambda request: "/sessmgr/" in request.url and asked.append(request.url)  # noqa: E731
    page.on("request", note)
    page.wait_for_timeout(seconds * 1000)
    page.remove_listener("request", note)
    print(*asked, sep="\n")
    return len(asked)


def measure(page, server, ids):
    """Measure in the open page; print, and return the names of the bars that are missed."""
    page.locator(".jp-sessmgr-row").first.wait_for()
    page.wait_for_timeout(3000)
    missed = []

    def tell(name, figure, bar, unit=""):
        print(f"{name} {figure:.4g}{unit} (bar <= {bar}{unit})", flush=True)
        missed.extend([name] if figure > bar else [])

    seen = changes(page, server, ids)
    print(f"a change is seen after {statistics.median(seen) * 1000:.0f} ms (median)")
    tell("a change is seen after at most", max(seen) * 1000, SEEN, " ms")
    tell(
        "longest task of scrolling", longest_task(page, lambda: page.evaluate(SCROLL)), TASK, " ms"
    )
    refreshed = longest_task(page, lambda: page.wait_for_timeout(REFRESH))
    tell("longest task of new figures", refreshed, TASK, " ms")
    tell("requests in 10 s, idle", asked_in(page, IDLE) * 10 / IDLE, PER_10_S)
    page.evaluate(HIDE)
    page.wait_for_timeout(1000)
    tell("requests while hidden", asked_in(page, IDLE), 0)
    return missed


def main(sessions="200"):
    """Measure, print, and fail when a bar is missed."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        servers = Servers(Path(folder))
        try:
            server = with_lab(servers, Path(folder) / "labextensions", ENGINE, CONFIG)
            ids = gather(server, int(sessions))
            browser = chromium_with(driver)
            with fresh_window(browser) as page:
                Lab(page, server).open()
                page.get_by_role("tab", name="Remote sessions").click()
                missed = measure(page, server, ids)
            browser.close()
        finally:
            servers.clean()
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
