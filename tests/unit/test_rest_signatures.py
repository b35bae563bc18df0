"""Signatures of the Backend.AI API: what is read, what is refused, and in which words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from jupyter_sessmgr.model.errors import AuthFailed
from jupyter_sessmgr.rest.signatures import is_signed, read_signed
from tests.plugins.signing import Signature

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SECRET = "5ecret" * 10
GOOD = Signature(
    "AKEY",
    SECRET,
    method="POST",
    target="/base/sessmgr/session?owner_access_key=a%2Fb",
    host="host.example:8888",
    date=NOW.isoformat(),
    content_type="application/json",
)


def read(signed, now=NOW, **headers):
    sent = HTTPHeaders({**signed.headers(), **headers})
    return read_signed(signed.method, signed.target, sent, now)


def is_right(signed, **headers):
    return read(signed, **headers).is_signed_by(SECRET, ["host.example:8888"])


def test_what_a_stock_client_makes_is_right():
    # Made by backend.ai-client 23.9.10's generate_signature().
    signed = read_signed(
        "GET",
        "/sessmgr/session/a-name?x=1",
        HTTPHeaders(
            {
                "Authorization": "BackendAI signMethod=HMAC-SHA256, credential=AKEY:"
                "4cd7cf7ce2b737cc046739bdf11d76a4c48083db5ab7650d93057aa2c4f177f1",
                "Date": "2026-11-22T12:00:00+00:00",
                "Content-Type": "text/plain",
                "X-BackendAI-Version": "v5.20191215",
            }
        ),
        NOW,
    )
    assert signed.is_signed_by("the-secret", ["localhost:8888"])
    assert not signed.is_signed_by("the-secret", ["localhost"])
    assert not signed.is_signed_by("another", ["localhost:8888"])


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"target": "/base/sessmgr/session?owner_access_key=a/b"},
        {"host": "host.example"},
        {"date": (NOW + timedelta(seconds=1)).isoformat()},
        {"content_type": "text/plain"},
        {"version": "v4.20190615"},
        {"secret": "another"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_everything_that_is_signed_counts(change):
    assert is_right(GOOD)
    wrong = GOOD.but(**change).headers()["Authorization"]
    assert not is_right(GOOD, Authorization=wrong)


def test_parameters_of_the_content_type_do_not_count():
    form = GOOD.but(content_type="multipart/form-data")
    assert is_right(form, **{"Content-Type": "Multipart/Form-Data; boundary=x"})


def test_without_a_content_type_it_is_a_stream_of_bytes():
    stream = GOOD.but(content_type="application/octet-stream")
    headers = HTTPHeaders(stream.headers())
    del headers["Content-Type"]
    signed = read_signed(stream.method, stream.target, headers, NOW)
    assert signed.is_signed_by(SECRET, [stream.host])


def test_any_of_the_accepted_hosts_will_do():
    signed = read(GOOD)
    assert signed.is_signed_by(SECRET, ["inner:80", "host.example:8888", "other"])
    assert not signed.is_signed_by(SECRET, ["inner:80", "other"])
    assert not signed.is_signed_by(SECRET, [])


KOREA = timezone(timedelta(hours=9))


@pytest.mark.parametrize(
    ("date", "day"),
    [
        ("2026-11-22T12:00:00.123456+00:00", "20261122"),
        ("2026-11-22T12:00:00Z", "20261122"),
        ("2026-11-22T12:00:00.000Z", "20261122"),
        ("20261122T120000Z", "20261122"),
        ("2026-11-22T12:00:00", "20261122"),
        ("Sun, 22 Nov 2026 12:00:00 GMT", "20261122"),
        ("22 Nov 2026 12:00:00 +0000", "20261122"),
        ("2026-11-22T21:00:00+09:00", "20261122"),
        ("2026-11-23T02:00:00+14:00", "20261123"),
        ("Mon, 23 Nov 2026 02:00:00 +1400", "20261123"),
    ],
)
def test_dates_as_clients_write_them(date, day):
    signed = read(GOOD, Date=date)
    assert (signed.day, signed.date) == (day, date)


def test_where_programs_may_not_set_a_date_they_send_another_header():
    headers = HTTPHeaders(GOOD.headers())
    headers["X-BackendAI-Date"] = headers.pop("Date")
    signed = read_signed(GOOD.method, GOOD.target, headers, NOW)
    assert signed.is_signed_by(SECRET, [GOOD.host])


@pytest.mark.parametrize("minutes", [-14.9, 14.9])
def test_a_clock_may_be_off_a_little(minutes):
    assert is_right(GOOD.but(date=(NOW + timedelta(minutes=minutes)).isoformat()))


@pytest.mark.parametrize("minutes", [-15.1, 15.1, -60 * 24 * 365, 60 * 24 * 365 * 1000])
def test_an_old_signature_is_refused_and_so_is_one_of_the_future(minutes):
    with pytest.raises(AuthFailed, match="Date: more than 15 minutes"):
        read(GOOD.but(date=(NOW + timedelta(minutes=minutes)).isoformat()))


BAD_HEADERS = [
    ("Authorization", "BackendAI", "Authorization: write"),
    ("Authorization", "BackendAI signMethod=HMAC-MD5, credential=AKEY:" + "0" * 64, "Authoriz"),
    ("Authorization", "BackendAI signMethod=HMAC-SHA256, credential=AKEY:00", "Authorization"),
    ("Authorization", "BackendAI signMethod=HMAC-SHA256, credential=A/Y:" + "0" * 64, "Authoriz"),
    ("Authorization", "BackendAI credential=AKEY:" + "0" * 64, "Authorization"),
    ("Authorization", f"BackendAI signMethod=HMAC-SHA256, credential={'A' * 65}:{'0' * 64}", "Au"),
    ("Date", "", "Date: missing"),
    ("Date", "yesterday", "Date: missing or unreadable"),
    ("Date", "0001-01-01T00:00:00+23:59", "Date: more than"),
    ("Date", "9999-12-31T23:59:59-23:59", "Date: more than"),
    ("Date", "2026-11-22", "Date: more than"),
    ("X-BackendAI-Version", "", "X-BackendAI-Version: missing"),
    ("X-BackendAI-Version", "5", "X-BackendAI-Version: missing"),
    ("X-BackendAI-Version", "v5.2019121x", "X-BackendAI-Version: missing"),
    ("X-BackendAI-Version", "v4.20181214", "too old"),
]


@pytest.mark.parametrize(("name", "value", "words"), BAD_HEADERS)
def test_a_malformed_header_is_named(name, value, words):
    with pytest.raises(AuthFailed, match=words) as refused:
        read(GOOD, **{name: value})
    assert GOOD.hexdigest() not in refused.value.message


def test_the_scheme_says_whether_it_is_signed():
    assert is_signed(HTTPHeaders(GOOD.headers()))
    assert is_signed(HTTPHeaders({"Authorization": "backendai x"}))
    for other in ("", "token abc", "BackendAItoken", "Bearer BackendAI"):
        assert not is_signed(HTTPHeaders({"Authorization": other}))
    assert not is_signed(HTTPHeaders())


@given(date=st.text(max_size=60), version=st.text(max_size=20), authorization=st.text(max_size=90))
def test_whatever_is_sent_is_refused_and_never_breaks(date, version, authorization):
    headers = {
        "Authorization": f"BackendAI {authorization}",
        "Date": date,
        "X-BackendAI-Version": version,
    }
    with pytest.raises(AuthFailed):
        read_signed("GET", "/", headers, NOW)
    with pytest.raises(AuthFailed):
        read_signed("GET", "/", {**GOOD.headers(), "Date": date}, NOW)
