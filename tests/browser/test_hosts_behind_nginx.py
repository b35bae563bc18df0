"""A service on a host of its own, by public names and HTTPS, in a real browser."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Error

from tests.browser.test_hostile_pages import (
    HOSTED,
    KEEPS,
    MODES,
    OTHER,
    PLACES,
    WORKS,
    Visit,
    check_isolated,
    check_stripped,
)
from tests.plugins import webapp
from tests.plugins.browser import chromium_with, fresh_window, log_in, show_in_frames, until
from tests.plugins.nginx import HOST, SUFFIX
from tests.plugins.pageapp import PageApp

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PORT, HOSTILE = 24799, MODES["subdomain"]
#: What a page needs, and what it must not get.
TRIES = """async jupyter => {
    localStorage.kept = "yes";
    const own = await (await fetch("/echo")).json();
    const post = await (await fetch("/echo", {method: "POST", body: "x"})).json();
    const api = await fetch(jupyter + "api/status", {credentials: "include"})
        .then((reply) => reply.status, () => "no");
    const spoken = performance.getEntriesByType("navigation")[0].nextHopProtocol;
    return [location.host, spoken, own.target, post.body, localStorage.kept, api, document.cookie];
}"""


@pytest.fixture(scope="module")
def nginx(module_servers, nginxes):
    nginx = nginxes(suffix=True, http2=True)
    config = nginx.config()
    config["ServiceProxy"]["service_isolation"] = {str(OTHER): "same-origin"}
    server = module_servers.start("process", config=config)
    session = server.create(config={"preopen_ports": [PORT]})["sessionId"]
    webapp.start_app(server, session, webapp.source(), PORT)
    nginx.start(server)
    nginx.service = f"{nginx.url}sessmgr/session/{session}/service/{PORT}/page"
    return nginx


@pytest.fixture(scope="module")
def far_away(playwright):
    """Start a browser to which the example's names lead here."""
    rules = f"--host-resolver-rules=MAP {HOST} 127.0.0.1, MAP *.{SUFFIX} 127.0.0.1"
    browser = chromium_with(playwright, rules, "--ignore-certificate-errors")
    yield browser
    browser.close()


def go(page, url):
    """Go there, again where Chromium gives up since a container's network came or went."""

    def went():
        try:
            return page.goto(url)
        except Error as error:
            if "ERR_NETWORK_CHANGED" not in str(error):
                raise

    until(went, what=url)


def test_C6_it_works_in_a_tab_and_in_a_frame_and_is_not_jupyter(nginx, far_away):
    with fresh_window(far_away) as page:
        go(page, nginx.url)
        log_in(page, nginx)
        go(page, nginx.service)
        page.wait_for_function("document.title == 'page'")
        host, *told = page.evaluate(TRIES, nginx.url)
        assert re.fullmatch(rf"sessmgr-[a-z2-7]{{26}}\.{SUFFIX}:{nginx.port}", host)
        assert told == ["h2", "/echo", "x", "yes", "no", ""]
        go(page, f"{nginx.url}nothing-here")
        show_in_frames(page, nginx.service)
        page.frame_locator("iframe").get_by_role("heading", name="A page").wait_for()
        assert page.frames[-1].evaluate(TRIES, nginx.url) == [host, *told]


@pytest.fixture(scope="module")
def apps(nginx):
    """Give a hostile app, and two good ones of another session."""
    ports = {HOSTILE: "hostile", OTHER: "other", HOSTED: "other"}
    made = {
        name: nginx.create(
            clientSessionToken=name,
            config={"preopen_ports": [port for port in ports if ports[port] == name]},
        )
        for name in ("hostile", "other")
    }
    return (
        PageApp(nginx, made["hostile"]["sessionId"], HOSTILE),
        PageApp(nginx, made["other"]["sessionId"], OTHER, HOSTED),
    )


@PLACES
def test_C3_a_page_on_a_public_host_of_its_own_gains_nothing(nginx, apps, far_away, place):
    with fresh_window(far_away) as tab:
        visit = Visit(tab, apps, "subdomain", HOST)
        told = visit.attack(place)
        assert told["origin"].endswith(f".{SUFFIX}:{nginx.port}")
        assert told["origin"] + "/" != visit.other_host
        assert told | WORKS | KEEPS == told
        check_isolated(visit, told)
        check_stripped(visit)
