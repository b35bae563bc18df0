"""A hostile page of a service in a real browser: what it tries, and what comes of it."""

from __future__ import annotations

import json
import time

import pytest

from tests.plugins import webapp

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PORT = 24688
#: Tries everything that would give a page the user's authority, and writes down how it went.
HOSTILE = """
const base = location.pathname.split('/sessmgr/')[0] + '/';
const tries = {
  own: async () => (await (await fetch('echo?own')).json()).target,
  posts: async () => (await (await fetch('echo', {method: 'POST', body: '{}',
    headers: {'Content-Type': 'application/json'}})).json()).body,
  contents: async () => (await fetch(base + 'api/contents')).status,
  kernel: async () => (await fetch(base + 'api/kernels', {method: 'POST'})).status,
  session: async () => (await fetch(base + 'sessmgr/session', {credentials: 'include'})).status,
  reads: async () => document.cookie,
  writes: async () => { document.cookie = '_xsrf=evil; path=/'; return document.cookie; },
  storage: async () => localStorage.length,
  opener: async () => window.opener ? window.opener.location.href : 'none',
  worker: async () => (await navigator.serviceWorker.register('script')).scope,
  top: async () => { window.top.location = 'about:blank#gone'; return 'sent'; },
};
(async () => {
  const told = {origin: self.origin};
  for (const name of Object.keys(tries).filter((one) => one !== 'top' || window.top !== window)) {
    try { told[name] = String(await tries[name]()); } catch (error) { told[name] = 'no: ' + error.name; }
  }
  await fetch('told?' + encodeURIComponent(JSON.stringify(told)), {method: 'POST'});
  document.body.append(Object.assign(document.createElement('pre'),
    {id: 'told', textContent: JSON.stringify(told)}));
})();
"""


@pytest.fixture
def app(servers):
    """Give a server with a session in which a hostile app runs, and the app's path."""
    server = servers.start("process")
    made = server.create(clientSessionToken="hostile", config={"preopen_ports": [PORT]})
    server.execute(made["sessionId"], f"open('script.js', 'w').write({HOSTILE!r})")
    webapp.start_app(server, made["sessionId"], webapp.source(), PORT)
    return server, f"sessmgr/session/{made['sessionId']}/service/{PORT}/"


def log_in(page, server):
    page.goto(f"{server.url}api/status?token={server.token}")
    page.goto(f"{server.url}login?token={server.token}")
    assert any(one["name"].startswith("username-") for one in page.context.cookies())


def told_by(page):
    page.wait_for_selector("#told")
    return json.loads(page.text_content("#told"))


def test_C3_a_page_in_the_sandbox_gains_nothing(app, page):
    server, path = app
    log_in(page, server)
    before = page.context.cookies()
    page.goto(server.url + path + "page")
    assert "/sessmgr/s/" in page.url
    told = told_by(page)
    assert told["origin"] == "null"
    assert told["own"] == "/echo?own", "it reads what is its own"
    assert told["posts"] == "{}"
    for name in ("contents", "kernel", "session", "reads", "writes", "storage", "worker"):
        assert told[name].startswith("no: "), (name, told)
    assert told["opener"] == "none"
    assert server.ask("GET", "api/kernels").json()[1:] == [], "no kernel but the session's own"
    assert page.context.cookies() == before


def test_C3_a_framed_page_stays_in_its_frame(app, page):
    server, path = app
    log_in(page, server)
    page.goto(f"{server.url}nothing-here")  # any page of Jupyter that may have frames
    page.evaluate(
        "url => { document.body.innerHTML = `<iframe src='${url}' width=600 height=300></iframe>`; }",
        server.url + path + "page",
    )
    frame = page.frame_locator("iframe")
    frame.locator("#told").wait_for()
    told = json.loads(frame.locator("#told").text_content())
    assert told["origin"] == "null"
    assert told["top"].startswith("no: ")
    assert page.url.endswith("/nothing-here")


def test_C4_a_page_that_was_opened_goes_on_after_its_ticket(app, page):
    """A page whose time is over is asked for anew when it is loaded again."""
    server, path = app
    log_in(page, server)
    page.goto(server.url + path + "page")
    told_by(page)
    first = page.url
    expired = first.replace("/s/", "/s/x")
    reply = page.goto(expired)
    assert reply.status == 404, "a forged one is none"
    time.sleep(1.1)  # tickets tell their end in seconds
    page.goto(server.url + path + "page")
    assert page.url != first
    assert told_by(page)["own"] == "/echo?own"
