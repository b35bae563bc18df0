"""Names of services' hosts, where they are to be had, and how a service is shown there."""

from __future__ import annotations

import logging
import socket

import pytest
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine
from traitlets import TraitError

from jupyter_sessmgr.model.errors import NotAllowed
from jupyter_sessmgr.proxy.choosing import NO_HOSTS, Chooser
from jupyter_sessmgr.proxy.handover import Handover, Handovers
from jupyter_sessmgr.proxy.hosts import (
    AnyServiceHost,
    ChosenSuffix,
    label_in,
    label_of,
    local_suffix,
)
from jupyter_sessmgr.proxy.isolation import Isolation, isolation_headers
from jupyter_sessmgr.proxy.loopback import hold_loopback
from jupyter_sessmgr.proxy.settings import ServiceProxy
from jupyter_sessmgr.proxy.tickets import Ticket

LABEL = label_of("0a2f4c3e-0000-4000-8000-000000000001", "tensorboard")


def request_to(host, headers=(), peer="127.0.0.1", scheme="http"):
    """Make a request as tornado hands it to handlers."""

    class Connection:
        class context:  # noqa: N801 - tornado's name
            protocol = scheme
            remote_ip = peer

    all_headers = HTTPHeaders({"Host": host, **dict(headers)})
    line = RequestStartLine("GET", "/", "HTTP/1.1")
    return HTTPServerRequest(headers=all_headers, connection=Connection(), start_line=line)


class Services:
    """Stands for a manager whose definitions are trusted, or not."""

    def __init__(self, *trusted):
        self.services = self
        self._trusted = trusted

    async def is_trusted(self, session_id, name):
        return name in self._trusted


class Session:
    id = "0a2f4c3e-0000-4000-8000-000000000001"


def chooser(*trusted, **settings):
    return Chooser(ServiceProxy(**settings), Services(*trusted), logging.getLogger("proxy"))


def test_a_label_is_the_same_for_the_same_service_only():
    assert len(LABEL) == 34
    assert label_of("0a2f4c3e-0000-4000-8000-000000000001", "tensorboard") == LABEL
    assert label_of("0a2f4c3e-0000-4000-8000-000000000001", "tensorboar") != LABEL
    assert label_of("0a2f4c3e-0000-4000-8000-000000000002", "tensorboard") != LABEL


@pytest.mark.parametrize(
    ("host", "suffix", "found"),
    [
        (f"{LABEL}.localhost:8888", "", True),
        (f"{LABEL}.localhost", "", True),
        (f"{LABEL}.apps.example.net", "apps.example.net", True),
        (f"{LABEL}.apps.example.net:8443", "apps.example.net", True),
        (f"{LABEL}.apps.example.net", "", False),
        (f"{LABEL}.apps.example.net.", "apps.example.net", False),
        (f"{LABEL}.apps.example.net.evil.example", "apps.example.net", False),
        (f"{LABEL}.localhost.", "", False),
        (f"{LABEL}.localhost:8888:1", "", False),
        (f"x.{LABEL}.localhost", "", False),
        (f"{LABEL.upper()}.localhost", "", False),
        (f"{LABEL[:-1]}.localhost", "", False),
        (f"{LABEL}x.localhost", "", False),
        (f"{LABEL[:-1]}1.localhost", "", False),
        (f"me@{LABEL}.localhost", "", False),
        (LABEL, "", False),
        ("", "", False),
        ("localhost", "", False),
    ],
)
def test_a_host_is_read_to_its_end(host, suffix, found):
    assert label_in(host, suffix) == (LABEL if found else None)


@pytest.mark.parametrize(
    ("host", "caught"),
    [
        (f"{LABEL}.localhost:8888", True),
        (f"{LABEL}.localhost.:8888", True),
        (f"{LABEL.upper()}.LOCALHOST", True),
        (f"{LABEL}.evil.example", True),
        (LABEL, True),
        ("jupyter.localhost:8888", False),
        ("sessmgr-x.localhost", False),
        ("localhost", False),
        ("127.0.0.1:8888", False),
        ("[::1]:8888", False),
    ],
)
def test_whatever_looks_like_a_service_host_is_caught(host, caught):
    assert (AnyServiceHost().match(request_to(host)) is not None) is caught


@pytest.mark.parametrize(
    ("host", "headers", "peer", "name"),
    [
        ("localhost:8888", {}, "127.0.0.1", "localhost:8888"),
        ("127.0.0.1:8888", {}, "127.0.0.1", "localhost:8888"),
        ("[::1]:8888", {}, "::1", "localhost:8888"),
        ("jupyter.localhost", {}, "127.0.0.1", "localhost"),
        ("jupyter.example.net", {}, "127.0.0.1", None),
        ("localhost:8888", {}, "192.0.2.7", None),
        ("localhost:8888", {"X-Forwarded-For": "192.0.2.7"}, "127.0.0.1", None),
        ("localhost:8888", {"Forwarded": "for=192.0.2.7"}, "127.0.0.1", None),
        ("localhost:8888", {"Via": "1.1 x"}, "127.0.0.1", None),
        ("localhost.evil.example", {}, "127.0.0.1", None),
    ],
)
def test_hosts_below_localhost_are_for_browsers_beside_the_server(host, headers, peer, name):
    suffix = local_suffix(host, "http", HTTPHeaders(headers), peer)
    assert (suffix.name if suffix else None) == name


def test_there_are_none_below_a_hub(monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_API_URL", "http://127.0.0.1:8081/hub/api")
    assert local_suffix("localhost:8888", "http", HTTPHeaders(), "127.0.0.1") is None


@pytest.mark.parametrize(
    ("suffix", "jupyter", "fits"),
    [
        ("apps.example.net", "jupyter.example.org", True),
        ("apps.example.net", "jupyter.example.net", False),
        ("example.net", "jupyter.example.net", False),
        ("jupyter.example.net", "example.net", False),
        ("apps.one.co.uk", "jupyter.two.co.uk", True),
        ("apps.one.co.uk", "jupyter.one.co.uk", False),
        ("one.github.io", "two.github.io", True),
        ("apps.example.net", "127.0.0.1:8888", True),
        ("apps.example.net", "localhost", True),
    ],
)
def test_C6_a_suffix_is_below_another_domain_than_jupyter(suffix, jupyter, fits):
    chosen = ChosenSuffix(suffix)
    if fits:
        assert chosen.for_host(jupyter).origin("x") == f"https://x.{suffix}"
    else:
        with pytest.raises(ValueError, match="set cookies for Jupyter"):
            chosen.for_host(jupyter)


@pytest.mark.parametrize("suffix", ["http://x", "*.x", "a b", "x/", "-x", "x:port", "é.net", "@x"])
def test_a_suffix_is_a_host_name(suffix):
    with pytest.raises(TraitError, match="host_suffix"):
        ServiceProxy(host_suffix=suffix)


def test_a_suffix_may_have_a_port():
    chosen = ChosenSuffix(ServiceProxy(host_suffix="Apps.Example.net:8443").host_suffix)
    assert chosen.host == "apps.example.net"
    assert chosen.for_host("localhost").origin("x") == "https://x.apps.example.net:8443"


CHOICES = [
    # settings, trusted, host, headers -> isolation
    ({}, ("tb",), "localhost:1", {}, "subdomain"),
    ({}, (), "localhost:1", {}, "subdomain"),
    ({}, ("tb",), "example.org", {}, "same-origin"),
    ({}, (), "example.org", {}, "sandbox"),
    ({}, ("tb",), "localhost:1", {"Cookie": f"{NO_HOSTS}=1"}, "same-origin"),
    ({}, (), "localhost:1", {"Cookie": f"{NO_HOSTS}=1"}, "sandbox"),
    ({"allow_same_origin": False}, ("tb",), "example.org", {}, "sandbox"),
    ({"host_suffix": "example.net"}, (), "example.org", {}, "subdomain"),
    ({"host_suffix": "example.net"}, (), "lab.example.net", {}, "sandbox"),
    ({"isolation": "sandbox"}, ("tb",), "localhost:1", {}, "sandbox"),
    ({"isolation": "same-origin"}, (), "localhost:1", {}, "same-origin"),
    ({"isolation": "same-origin", "allow_same_origin": False}, (), "localhost", {}, "sandbox"),
    ({"service_isolation": {"tb": "sandbox"}}, ("tb",), "localhost:1", {}, "sandbox"),
    ({"service_isolation": {"other": "sandbox"}}, ("tb",), "localhost:1", {}, "subdomain"),
    ({"isolation": "sandbox", "service_isolation": {"tb": "auto"}}, (), "x:1", {}, "sandbox"),
]


@pytest.mark.parametrize(("settings", "trusted", "host", "headers", "isolation"), CHOICES)
async def test_the_best_that_is_to_be_had_is_chosen(settings, trusted, host, headers, isolation):
    choice = await chooser(*trusted, **settings).choose(request_to(host, headers), Session, "tb")
    assert choice.isolation == isolation
    assert (choice.suffix is not None) is (isolation == "subdomain")


async def test_who_insists_on_hosts_is_told_why_there_are_none():
    strict = chooser("tb", isolation="subdomain")
    assert (await strict.choose(request_to("localhost"), Session, "tb")).is_default is False
    with pytest.raises(NotAllowed, match="host_suffix"):
        await strict.choose(request_to("example.org"), Session, "tb")


async def test_a_host_that_is_not_safe_is_not_used(caplog):
    careful = chooser("tb")
    careful.loopback_trouble = "another program listens on [::1]:8888"
    for _ in range(3):
        choice = await careful.choose(request_to("localhost:8888"), Session, "tb")
        assert choice.isolation is Isolation.SAME_ORIGIN
    assert sum("[::1]:8888" in record.message for record in caplog.records) == 1
    assert sum("Jupyter's own origin" in record.message for record in caplog.records) == 1


def test_codes_end_after_half_a_minute():
    now = [0.0]
    handovers = Handovers(clock=lambda: now[0])
    ticket = Ticket(owner="me", session_id="s", service="tb", expires=9, home="http://localhost")
    wanted = Handover(ticket=ticket, label=LABEL, page="/")
    first, second = handovers.issue(wanted), handovers.issue(wanted)
    now[0] = 30.0
    assert handovers.redeem(first, LABEL) == wanted
    now[0] = 30.1
    assert handovers.redeem(second, LABEL) is None
    assert handovers.known(LABEL).home == "http://localhost"


def test_codes_that_nobody_takes_are_given_up():
    handovers = Handovers()
    ticket = Ticket(owner="me", session_id="s", service="tb", expires=9)
    codes = [handovers.issue(Handover(ticket=ticket, label=LABEL, page="/")) for _ in range(1001)]
    assert handovers.redeem(codes[0], LABEL) is None
    assert handovers.redeem(codes[1], LABEL) is not None


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("frame-ancestors 'none'", []),
        ("default-src 'self'; Frame-Ancestors *; img-src *", ["default-src 'self'; img-src *"]),
        ("frame-ancestors 'none', script-src 'self'", ["script-src 'self'"]),
        ("script-src 'self'", ["script-src 'self'"]),
        (" ; ", []),
    ],
)
def test_a_hosted_page_may_be_framed_by_jupyter_alone(said, left):
    headers = [("content-security-policy", said), ("X-Frame-Options", "DENY")]
    told = isolation_headers(Isolation.SUBDOMAIN, headers, "http://localhost:8888")
    policies = [value for name, value in told if name.lower() == "content-security-policy"]
    assert policies == [*left, "frame-ancestors 'self' http://localhost:8888"]
    assert "x-frame-options" not in {name.lower() for name, _ in told}
    assert ("Cross-Origin-Opener-Policy", "same-origin") in told


@pytest.fixture
def listening():
    """Give a server that listens on the loopback address of IPv4 alone."""
    server = HTTPServer(lambda request: None)
    server.listen(0, "127.0.0.1")
    (one,) = server._sockets.values()
    yield server, one.getsockname()[1]
    server.stop()


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback address")
async def test_C6_both_loopback_addresses_are_held(listening):
    server, port = listening
    assert hold_loopback(server) == ""
    with socket.socket(socket.AF_INET6) as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind(("::1", port))
    assert hold_loopback(server) == "", "it is ours already"


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback address")
async def test_C6_a_stranger_on_the_other_address_is_told(listening):
    server, port = listening
    with socket.socket(socket.AF_INET6) as stranger:
        stranger.bind(("::1", port))
        stranger.listen()
        assert f"[::1]:{port}" in hold_loopback(server)


@pytest.mark.parametrize(
    ("host", "settings", "isolation", "words"),
    [
        ("localhost:8888", {}, "subdomain", "host of its own"),
        ("jupyter.example.net", {}, "same-origin", "only where a browser reaches Jupyter as"),
        ("jupyter.example.net", {"allow_same_origin": False}, "sandbox", "host_suffix"),
        ("localhost:8888", {"isolation": "sandbox"}, "sandbox", "sandbox"),
        ("jupyter.example.net", {"isolation": "subdomain"}, "refused", "host_suffix"),
    ],
)
def test_how_pages_are_shown_is_said_with_the_reason(host, settings, isolation, words, caplog):
    shown = chooser(**settings).explain(request_to(host), "board", trusted=True)
    assert shown.isolation == isolation
    assert words in shown.info
    assert not caplog.records  # nobody was shown anything yet
