"""Which headers go through the proxy, and as what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_sessmgr.proxy.headers import (
    Passage,
    confined_cookie,
    request_headers,
    response_headers,
    rewritten_location,
    without_token,
)

PREFIX = "/base/sessmgr/session/7/service/tb/"
PASSAGE = Passage(
    prefix=PREFIX,
    scheme="https",
    host="hub.example:8888",
    client="192.0.2.7",
    upstream="127.0.0.1:6006",
    home=PREFIX,
)
SECRET = "s3cret"


def is_ours(kind, value):
    return value in (SECRET, f"token {SECRET}")


def told(*headers):
    return request_headers(headers, PASSAGE, is_ours=is_ours)


def test_our_token_never_reaches_a_service():
    assert ("Authorization", f"token {SECRET}") not in told(("Authorization", f"token {SECRET}"))
    assert SECRET not in str(told(("Referer", f"https://hub.example:8888{PREFIX}?token={SECRET}")))


def test_a_credential_of_the_service_itself_passes():
    assert ("Authorization", "Bearer theirs") in told(("Authorization", "Bearer theirs"))


def test_jupyters_cookies_never_reach_a_service():
    cookies = (
        "_xsrf=a; username-hub-example=b; jupyterhub-session-id=c; jupyterhub-user-ada=d;"
        " hub-hub-login=e; theme=dark; sid=1"
    )
    assert dict(told(("Cookie", cookies)))["Cookie"] == "theme=dark; sid=1"
    assert "Cookie" not in dict(told(("Cookie", "_xsrf=a")))


@pytest.mark.parametrize("name", ["Keep-Alive", "TE", "Upgrade", "Transfer-Encoding", "X-Mine"])
def test_headers_of_the_connection_end_with_it(name):
    headers = [("Connection", "close, X-Mine"), (name, "x")]
    assert name not in dict(told(*headers))
    assert name not in dict(response_headers(headers, PASSAGE))
    assert "Connection" not in dict(told(*headers))


def test_forwarded_headers_are_replaced_and_not_appended():
    headers = dict(told(("X-Forwarded-For", "10.0.0.1"), ("Forwarded", "for=10.0.0.1")))
    assert headers["X-Forwarded-For"] == "192.0.2.7"
    assert headers["X-Forwarded-Proto"] == "https"
    assert headers["X-Forwarded-Host"] == "hub.example:8888"
    assert headers["X-Forwarded-Prefix"] == headers["X-ProxyContextPath"] == PREFIX.rstrip("/")
    assert "Forwarded" not in headers


def test_a_service_is_called_by_its_own_name():
    headers = dict(
        told(
            ("Host", "hub.example:8888"),
            ("Origin", "https://hub.example:8888"),
            ("Referer", f"https://hub.example:8888{PREFIX}page?a=1"),
        )
    )
    assert headers["Host"] == "127.0.0.1:6006"
    assert headers["Origin"] == "http://127.0.0.1:6006"
    assert headers["Referer"] == "http://127.0.0.1:6006/page?a=1"


def test_other_sites_stay_what_they_are():
    headers = dict(told(("Origin", "https://evil.example"), ("Referer", "https://evil.example/x")))
    assert headers["Origin"] == "https://evil.example"
    assert "Referer" not in headers


def test_a_page_of_jupyter_is_not_told():
    assert "Referer" not in dict(
        told(("Referer", "https://hub.example:8888/lab/tree/secret.ipynb"))
    )


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (f"token={SECRET}", ""),
        (f"a=1&token={SECRET}&b=%2F", "a=1&b=%2F"),
        (f"tok%65n={SECRET}", ""),
        ("token=theirs&empty=&x", "token=theirs&empty=&x"),
        ("a=;b@c", "a=;b@c"),
    ],
)
def test_only_our_token_is_taken_out_of_a_query(query, left):
    assert without_token(query, is_ours) == left


@pytest.mark.parametrize(
    ("cookie", "confined"),
    [
        ("a=1", f"a=1; Path={PREFIX}"),
        ("a=1; Path=/; Domain=example; HttpOnly", f"a=1; HttpOnly; Path={PREFIX}"),
        ("a=1; path=/sub", f"a=1; Path={PREFIX}sub"),
        (f"a=1; Path={PREFIX}x", f"a=1; Path={PREFIX}x"),
        ("a=1; Path=/../..", f"a=1; Path={PREFIX}"),
        ("_xsrf=evil; Path=/", ""),
        ("username-127-0-0-1-8888=evil", ""),
        ("jupyterhub-session-id=evil", ""),
        ("__Host-a=1; Path=/; Secure", ""),
        ("no cookie at all", ""),
    ],
)
def test_C2_cookies_are_confined_to_the_service(cookie, confined):
    assert confined_cookie(cookie, PREFIX) == confined


def test_C2_what_reaches_beyond_the_service_is_withheld():
    evil = [
        ("Clear-Site-Data", '"*"'),
        ("Service-Worker-Allowed", "/"),
        ("Strict-Transport-Security", "max-age=1"),
        ("Set-Cookie2", "a=1"),
        ("Access-Control-Allow-Origin", "*"),
        ("Access-Control-Allow-Credentials", "true"),
        ("Secure-Session-Registration", '(ES256);path="/take"'),
        ("Use-As-Dictionary", 'match="/*"'),
        ("Accept-CH", "Sec-CH-UA-Model"),
        ("Set-Login", "logged-in"),
        ("X-LIGHTTPD-send-tempfile", "/etc/passwd"),
    ]
    assert response_headers(evil, PASSAGE) == []


@pytest.mark.parametrize(
    ("challenge", "passes"),
    [
        ('Basic realm="mine"', True),
        ('Digest realm="ntlms", nonce="x"', True),
        ("Negotiate", False),
        ("NTLM TlRMTVNTUAAB", False),
        ('Basic realm="mine", negotiate', False),
    ],
)
def test_C1_no_service_has_a_browser_log_in_silently(challenge, passes):
    told = response_headers([("WWW-Authenticate", challenge)], PASSAGE)
    assert bool(told) is passes


def test_everything_else_passes_untouched_and_repeated():
    plain = [
        ("Content-Type", "text/html"),
        ("Content-Encoding", "gzip"),
        ("Content-Range", "bytes 0-1/2"),
        ("ETag", '"x"'),
        ("Link", "<a>; rel=preload"),
        ("Link", "<b>; rel=preload"),
        ("Set-Cookie", "a=1"),
        ("Set-Cookie", "b=2"),
    ]
    confined = [
        (name, f"{value}; Path={PREFIX}" if name == "Set-Cookie" else value)
        for name, value in plain
    ]
    assert response_headers(plain, PASSAGE) == confined


@pytest.mark.parametrize(
    ("location", "rewritten"),
    [
        ("/login", f"{PREFIX}login"),
        ("http://127.0.0.1:6006/login?next=%2F", f"{PREFIX}login?next=%2F"),
        ("https://hub.example:8888/x", f"{PREFIX}x"),
        (f"{PREFIX}x", f"{PREFIX}x"),
        ("sub/page", "sub/page"),
        ("?a=1", "?a=1"),
        ("https://elsewhere.example/x", "https://elsewhere.example/x"),
        ("//elsewhere.example/x", "//elsewhere.example/x"),
        ("javascript:alert(1)", PREFIX),
        (" JavaScript:alert(1)", PREFIX),
        ("data:text/html,x", PREFIX),
        ("/\\evil.example", PREFIX),
        ("\\\\evil.example", PREFIX),
        ("http://[", PREFIX),
    ],
)
def test_C8_locations(location, rewritten):
    assert rewritten_location(location, PASSAGE) == rewritten


@given(st.lists(st.tuples(st.text(max_size=20), st.text(max_size=50)), max_size=8))
def test_whatever_a_service_says_can_be_sent(headers):
    for name, value in response_headers(headers, PASSAGE):
        assert not set("\r\n\0") & set(name + value)


@given(st.text(max_size=60))
def test_no_location_leads_to_another_host_by_a_trick(path):
    rewritten = rewritten_location("/" + path.lstrip("/"), PASSAGE)
    assert not rewritten.startswith(("//", "/\\", "\\"))
