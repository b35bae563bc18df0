"""Tickets, and the headers that keep a service's pages apart."""

from __future__ import annotations

import pytest

from jupyter_sessmgr.proxy.isolation import Isolation, isolation_headers
from jupyter_sessmgr.proxy.tickets import Ticket, is_genuine, read_ticket, write_ticket

TICKET = Ticket(
    owner="ädä",
    session_id="0a2f4c3e-0000-4000-8000-000000000001",
    service="tensorboard",
    expires=2**33,
)
KEY = "k" * 64


def test_a_ticket_comes_back_as_it_was():
    text = write_ticket(TICKET, KEY)
    assert read_ticket(text) == TICKET
    assert is_genuine(text, KEY)
    assert all(sign.isalnum() or sign in "-_." for sign in text), "it is one piece of a path"


def test_a_ticket_of_another_place_is_not_genuine():
    assert not is_genuine(write_ticket(TICKET, "another place's key"), KEY)


@pytest.mark.parametrize("at", range(0, 200, 7))
def test_a_changed_ticket_is_not_genuine(at):
    text = write_ticket(TICKET, KEY)
    at %= len(text)
    changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
    assert not is_genuine(changed, KEY)


@pytest.mark.parametrize(
    "text", ["", ".", "x", "x.y", "W10.y", "é.é", "A" * 5000, "bnVsbA.é", "WzEsMiwzLDRd.x"]
)
def test_nonsense_is_no_ticket(text):
    assert read_ticket(text) is None
    assert not is_genuine(text, KEY)


def test_C3_a_sandbox_gives_scripts_and_never_the_origin():
    headers = isolation_headers(Isolation.SANDBOX, [("Content-Security-Policy", "default-src *")])
    policies = [value for name, value in headers if name == "Content-Security-Policy"]
    (sandbox,) = (policy for policy in policies if policy.startswith("sandbox"))
    assert "allow-scripts" in sandbox
    assert "allow-same-origin" not in sandbox
    assert "allow-top-navigation" not in sandbox
    assert "default-src *" in policies, "the service's own policy holds as well"
    assert ("Access-Control-Allow-Credentials", "true") not in headers


def test_framing_is_jupyters_alone():
    headers = isolation_headers(Isolation.SAME_ORIGIN, [("X-Frame-Options", "DENY")])
    assert "X-Frame-Options" not in dict(headers)
    assert "frame-ancestors 'self'" in [value for _, value in headers]
