"""Pages of services in real browsers, as people use them: in tabs, in frames, by bookmarks."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.plugins.browser import chromium_of, chromium_with, fresh_window, log_in, show_in_frames
from tests.plugins.pageapp import PageApp

pytestmark = [pytest.mark.browser, pytest.mark.slow]

FRIENDLY = Path(__file__).with_name("friendly.js").read_text(encoding="utf-8")
FIRST, SECOND, THIRD, BOXED = 24881, 24882, 24883, 24884
HOST = re.compile(r"http://sessmgr-[a-z2-7]{26}\.localhost:\d+/[^?]*")
HOSTS = pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])


@pytest.fixture(scope="module")
def apps(module_servers):
    """Give two sessions with apps, on a server as it comes: it gives them hosts of their own."""
    boxed = {"service_isolation": {str(BOXED): "sandbox"}}
    server = module_servers.start(config={"ServiceProxy": boxed})
    made = []
    for ports in ([FIRST, SECOND, BOXED], [THIRD]):
        session = server.create(config={"preopen_ports": ports})
        made.append(PageApp(server, session["sessionId"], *ports))
        made[-1].run(FRIENDLY)
    return made


def opened(page, port, visits):
    """Wait for a page of the app, and for what it heard and kept."""
    expect(page.locator("#ready")).to_have_text(f"{port} says {port}, visits: {visits}")


def later(frame, code):
    """Have a frame do what ends its page, after this call: which fails with a page that ended."""
    frame.evaluate(f"setTimeout(() => {code})")


def use(tab, page, port, leave):
    """Follow links, go back, load again, post and download; `leave` goes back in history."""
    opened(page, port, 1)
    page.locator("#second").click()
    expect(page.locator("h1")).to_have_text("Second page")
    opened(page, port, 2)
    leave()
    expect(page.locator("h1")).to_have_text("An app")
    opened(page, port, 3)
    page.locator("button").click()
    expect(page.locator("h1")).to_have_text("Posted")
    opened(page, port, 4)
    leave()
    opened(page, port, 5)
    with tab.expect_download() as download:
        page.locator("#kept").click()
    assert Path(download.value.path()).read_text() == "kept"
    with tab.expect_popup() as popup:
        page.locator("#new").click()
    return popup.value


@HOSTS
def test_C3_an_app_works_in_a_tab(apps, tab, host):
    app = apps[0]
    url = app.server.url.replace("127.0.0.1", host)
    log_in(tab, app.server, url)
    tab.goto(f"{url}{app.path(FIRST)}")
    tab.wait_for_url(HOST)
    new = use(tab, tab, FIRST, tab.go_back)
    expect(new.locator("h1")).to_have_text("New tab")
    opened(new, FIRST, 6)
    new.reload()
    opened(new, FIRST, 7)
    cookies = tab.context.cookies(new.url)
    ours = next(one for one in cookies if one["name"] == "__Host-sessmgr")
    assert (ours["httpOnly"], ours["secure"]) == (True, True)
    assert {one["name"] for one in cookies} == {"__Host-sessmgr"}, "none of Jupyter's goes there"


@HOSTS
def test_C3_an_app_works_in_a_frame_of_a_page_of_jupyters(apps, tab, host):
    app = apps[0]
    url = app.server.url.replace("127.0.0.1", host)
    log_in(tab, app.server, url)
    tab.goto(f"{url}nothing-here")
    show_in_frames(tab, f"{url}{app.path(FIRST)}")
    framed = tab.frame_locator("iframe")
    opened(framed, FIRST, 1)
    frame = tab.frames[-1]
    assert HOST.fullmatch(frame.url)
    new = use(tab, framed, FIRST, lambda: later(frame, "history.back()"))
    # It has no cookie of that host in a tab: Jupyter hands it over anew, to the page that was meant.
    expect(new.locator("h1")).to_have_text("New tab")
    opened(new, FIRST, 1)
    later(frame, "location.reload()")
    opened(framed, FIRST, 6)
    assert tab.url == f"{url}nothing-here"


def test_C3_services_of_one_and_of_two_sessions_side_by_side(apps, tab):
    one, two = apps
    url = one.server.url
    log_in(tab, one.server)
    wanted = {FIRST: one, SECOND: one, THIRD: two}
    pages = {port: tab.context.new_page() for port in wanted}
    for port, page in pages.items():
        page.goto(url + wanted[port].path(port))
        opened(page, port, 1)
    for port, page in pages.items():
        page.reload()
        opened(page, port, 2)
    assert len({page.evaluate("origin") for page in pages.values()}) == len(wanted)
    # And framed in one page.
    tab.goto(f"{url}nothing-here")
    show_in_frames(tab, *(url + wanted[port].path(port) for port in wanted))
    for place, port in enumerate(wanted):
        opened(tab.frame_locator("iframe").nth(place), port, 1)


def test_C6_a_bookmark_of_a_services_host_leads_back_through_jupyter(apps, browser, tab):
    app = apps[0]
    log_in(tab, app.server)
    tab.goto(app.server.url + app.path(FIRST) + "second?title=Second+page")
    opened(tab, FIRST, 1)
    bookmark = tab.url
    assert HOST.match(bookmark)
    with fresh_window(browser) as later:  # that host's cookies are gone
        log_in(later, app.server)
        later.goto(bookmark)
        expect(later.locator("h1")).to_have_text("Second page")
        opened(later, FIRST, 1)
        assert later.url == bookmark
    with fresh_window(browser) as anonymous:  # and Jupyter's
        anonymous.goto(bookmark)
        anonymous.locator("#password_input").fill(app.server.token)
        anonymous.locator("#login_submit").click()
        opened(anonymous, FIRST, 1)
        assert anonymous.url == bookmark


def test_C6_a_page_says_what_to_do_where_nobody_is_known(apps, browser, tab):
    app = apps[0]
    log_in(tab, app.server)
    tab.goto(app.server.url + app.path(FIRST))
    opened(tab, FIRST, 1)
    host = tab.url
    # A server that was started anew does not remember which host is whose.
    unknown = re.sub("sessmgr-[a-z2-7]{26}", f"sessmgr-{'a' * 26}", host)
    assert tab.goto(unknown).status == 403
    expect(tab.locator("body")).to_contain_text("open the service from Jupyter again")
    # Jupyter's login would not be shown in a frame.
    with fresh_window(browser) as later:
        later.goto(f"{app.server.url}login")
        show_in_frames(later, host)
        framed = later.frame_locator("iframe").locator("body")
        expect(framed).to_contain_text("open the service from Jupyter again")


def test_C6_a_link_that_hands_over_works_once(apps, tab):
    app = apps[0]
    log_in(tab, app.server)
    seen = []
    tab.on("request", lambda request: seen.append(request.url))
    tab.goto(app.server.url + app.path(FIRST))
    opened(tab, FIRST, 1)
    enter = next(url for url in seen if "/.sessmgr/enter" in url)
    tab.context.clear_cookies()
    assert tab.goto(enter).status == 403
    expect(tab.locator("body")).to_contain_text("This link was used")
    assert tab.context.cookies() == []


def test_C4_a_page_in_the_sandbox_is_opened_anew_with_a_new_ticket(apps, tab):
    app = apps[0]
    log_in(tab, app.server)
    tab.goto(app.server.url + app.path(BOXED))
    opened(tab, BOXED, "none")
    first = tab.url
    assert "/sessmgr/s/" in first
    assert tab.goto(first.replace("/s/", "/s/x")).status == 404, "a forged one is none"
    time.sleep(1.1)  # tickets tell their end in seconds
    tab.goto(app.server.url + app.path(BOXED))
    assert tab.url != first
    opened(tab, BOXED, "none")


def test_C5_a_browser_that_finds_no_hosts_of_services_shows_them_in_a_sandbox(apps, playwright):
    """As Safari does before macOS 26: it asks DNS for names below localhost."""
    app = apps[0]
    deaf = chromium_with(playwright, "--host-resolver-rules=MAP *.localhost ~NOTFOUND")
    try:
        with fresh_window(deaf) as tab:
            log_in(tab, app.server)
            tab.goto(app.server.url + app.path(FIRST))
            opened(tab, FIRST, "none")
            assert "/sessmgr/s/" in tab.url
    finally:
        deaf.close()


PROBES = re.compile(r"/\.sessmgr/probe\?")


def test_C6_a_question_that_breaks_off_is_asked_again(apps, tab):
    """As when the network changes: a container started."""
    app = apps[0]
    log_in(tab, app.server)
    broken = []

    def break_off(route):
        broken.append(route.request.url)
        route.abort() if len(broken) < 3 else route.continue_()

    tab.route(PROBES, break_off)
    tab.goto(app.server.url + app.path(FIRST))
    tab.wait_for_url(HOST)
    opened(tab, FIRST, 1)
    assert len(broken) == 3


def test_C6_a_busy_browser_is_not_shown_less_isolated_pages(apps, tab):
    app = apps[0]
    log_in(tab, app.server)
    tab.route(PROBES, lambda route: None)  # nobody ever answers
    tab.goto(app.server.url + app.path(FIRST))
    expect(tab.locator("p")).to_contain_text("does not reach http://sessmgr-")
    assert tab.url == app.server.url + app.path(FIRST)
    assert "sessmgr-no-hosts" not in {one["name"] for one in tab.context.cookies()}


#: Has Chromium keep no cookies of any host below localhost, as people and firms set it up.
NO_COOKIES = {"[*.]localhost,*": {"setting": 2}}


def test_C6_a_browser_that_keeps_no_cookies_of_a_service_is_told_so(apps, playwright, tmp_path):
    """It would be sent from Jupyter to the service's host and back, for ever."""
    app = apps[0]
    (tmp_path / "Default").mkdir()
    settings = {"profile": {"content_settings": {"exceptions": {"cookies": NO_COOKIES}}}}
    (tmp_path / "Default" / "Preferences").write_text(json.dumps(settings))
    with chromium_of(playwright, tmp_path) as context:
        page = context.new_page()
        log_in(page, app.server)
        entered = []
        page.on("request", lambda one: entered.append(one.url) if "/enter?" in one.url else None)
        page.goto(f"{app.server.url}{app.path(FIRST)}")
        expect(page.locator("p")).to_contain_text("keeps no cookie of the service's own address")
        assert len(entered) == 1
