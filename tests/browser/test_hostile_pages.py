"""A hostile page of a service in real browsers: what it tries, in every mode, and what it gains."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.plugins.browser import log_in, show_in_frames
from tests.plugins.pageapp import PageApp

pytestmark = [pytest.mark.browser, pytest.mark.slow]

HOSTILE = Path(__file__).with_name("hostile.js").read_text(encoding="utf-8")
#: The tests behind nginx have the same ports, and may run beside these.
_PORTS = 24900 + 10 * int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
MODES = {"sandbox": _PORTS, "subdomain": _PORTS + 1, "same-origin": _PORTS + 2}
OTHER, HOSTED = _PORTS + 3, _PORTS + 4
SECRET = "a secret of Jupyter"
#: What every page can do.
WORKS = {"own": "/echo?own", "posts": "{}", "socket": "got hello"}
KEEPS = {"stores": "kept", "bakes": "kept"}
#: What a page always may try; what came of it is seen from outside.
SEEN_OUTSIDE = {
    "blindKernel",
    "overwrites",
    "reaches",
    "escapes",
    "form",
    "sessionForm",
    "otherForm",
    "turnsOpener",
    "turnsTop",
    "origin",
}
#: What a page at Jupyter's own origin gains: without the wall, each of the tries is a good one.
GAINED = {
    "contents": "200",
    "session": "200",
    "channels": "opened",
    "events": "opened",
    "other": "/echo",
    "otherSocket": "opened",
    "reads": "_xsrf",
    "stored": SECRET,
}


@pytest.fixture(scope="module")
def one_process():
    """Let Firefox keep sites apart, as people have it."""
    return False


@pytest.fixture(scope="module")
def apps(module_servers):
    """Give an app that is shown in every mode, and one of another session."""
    ports = {str(port): mode for mode, port in MODES.items()}
    isolation = {**ports, str(OTHER): "same-origin", str(HOSTED): "subdomain"}
    server = module_servers.start(config={"ServiceProxy": {"service_isolation": isolation}})
    made = server.create(config={"preopen_ports": list(MODES.values())})
    other = server.create(config={"preopen_ports": [OTHER, HOSTED]})
    return (
        PageApp(server, made["sessionId"], *MODES.values()),
        PageApp(server, other["sessionId"], OTHER, HOSTED),
    )


class Visit:
    """A person who is logged in, uses another service, and opens the hostile page."""

    def __init__(self, tab, apps, mode, host):
        self.tab = tab
        self.app, self.other = apps
        self.server = self.app.server
        self.mode = mode
        self.jupyter = self.server.url.replace("127.0.0.1", host)
        log_in(tab, self.server, self.jupyter)
        self._open_other()

    def _open_other(self):
        """Have the browser know the other service, as who uses both."""
        self.other.run("document.body.id = 'good'")
        self.tab.goto(f"{self.jupyter}{self.other.path(HOSTED)}")
        self.tab.wait_for_selector("#good")
        self.other_host = f"{self.tab.evaluate('location.origin')}/"
        assert "://sessmgr-" in self.other_host

    def attack(self, place):
        """Open the page in a tab or a frame of a page of Jupyter's; return what it tells."""
        self.app.run(
            HOSTILE,
            jupyter=self.jupyter,
            channels=f"{self.jupyter.replace('http', 'ws', 1)}api/kernels/{self.app.session}/channels",
            other=f"{self.jupyter}{self.other.path(OTHER)}",
            otherHost=self.other_host,
            scope=self.jupyter[self.jupyter.index("/", 8) :],
            harmless=self.mode == "same-origin",
        )
        self.other.run("")
        self.tab.goto(f"{self.jupyter}nothing-here?secret")
        self.tab.evaluate("secret => localStorage.setItem('jupyters', secret)", SECRET)
        url = f"{self.jupyter}{self.app.path(MODES[self.mode])}"
        self.before = self.owned()
        told = getattr(self, f"_in_{place}")(url).locator("#told")
        told.wait_for()
        return json.loads(told.text_content())

    def _in_tab(self, url):
        with self.tab.expect_popup() as popup:
            self.tab.evaluate("([url, name]) => { window.open(url, name) }", [url, SECRET])
        return popup.value

    def _in_frame(self, url):
        limits = {} if self.mode == "subdomain" else {"sandbox": None}
        show_in_frames(self.tab, url, **limits)
        return self.tab.frame_locator("iframe")

    def owned(self):
        """Tell what is Jupyter's: its page that is open, what that can do, kernels, sessions."""
        contents = "async url => (await fetch(url + 'api/contents')).status"
        return {
            "page": self.tab.url,
            "contents": self.tab.evaluate(contents, self.jupyter),
            "cookies": self.tab.evaluate("document.cookie"),
            "storage": self.tab.evaluate("({ ...localStorage })"),
            "kernels": {one["id"] for one in self.server.ask("GET", "api/kernels").json()},
            "sessions": {one["sessionId"] for one in self.server.sessions()},
        }

    def secrets(self):
        """List what opens this Jupyter."""
        cookies = self.tab.context.cookies(self.jupyter)
        assert any(one["name"].startswith("username-") for one in cookies)
        ours = [one for one in cookies if one["name"] != "mine"]
        return [self.server.token, *(one["value"] for one in ours)]


PLACES = pytest.mark.parametrize("place", ["tab", "frame"])


def check_isolated(visit, told, allowed=frozenset()):
    gained = {name for name in set(told) - SEEN_OUTSIDE if not told[name].startswith("no: ")}
    assert gained <= set(WORKS) | set(KEEPS) | allowed, told
    assert visit.owned() == visit.before
    # What a form without an origin, or of another one, asks of the other service never comes there.
    assert visit.other.seen(OTHER) == visit.other.seen(HOSTED) == []


def check_stripped(visit):
    """Check that the app saw nothing that opens Jupyter."""
    told = json.dumps(visit.app.seen(MODES[visit.mode]))
    assert "/echo" in told
    assert [secret for secret in visit.secrets() if secret in told] == []


@PLACES
def test_C2_C3_a_page_in_the_sandbox_gains_nothing(apps, tab, place):
    visit = Visit(tab, apps, "sandbox", "127.0.0.1")
    told = visit.attack(place)
    assert told["origin"] == "null"
    assert told | WORKS == told
    assert told["stores"].startswith("no: "), "an origin of nobody has no storage"
    # A window keeps the name that it was opened by; Jupyter gives none that says anything.
    check_isolated(visit, told, {"windowName"})
    check_stripped(visit)


@PLACES
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_C2_C3_a_page_on_a_host_of_its_own_gains_nothing(apps, tab, place, host):
    visit = Visit(tab, apps, "subdomain", host)
    told = visit.attack(place)
    assert told["origin"].startswith("http://sessmgr-")
    assert told["origin"] + "/" != visit.other_host
    assert told | WORKS | KEEPS == told
    check_isolated(visit, told)
    check_stripped(visit)


@PLACES
def test_C3_a_trusted_page_is_jupyters_equal_and_gets_no_credentials(apps, tab, place):
    visit = Visit(tab, apps, "same-origin", "127.0.0.1")
    told = visit.attack(place)
    assert told["origin"] + "/base/" == visit.jupyter
    assert told | WORKS | KEEPS | GAINED == told
    assert ["POST", "/echo?form"] in [one[:2] for one in visit.other.seen(OTHER)]
    check_stripped(visit)
