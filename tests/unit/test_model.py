"""The nouns keep their rules."""

from __future__ import annotations

from decimal import Decimal

import pytest

from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.model.images import check_reference, is_allowed
from jupyter_sessmgr.model.naming import check_environ, check_session_name
from jupyter_sessmgr.model.ports import parse_service_ports
from jupyter_sessmgr.model.resources import parse_count, parse_size
from jupyter_sessmgr.model.status import FINAL, TRANSITIONS, SessionStatus


def test_every_path_that_made_something_ends_through_terminating():
    for before, afters in TRANSITIONS.items():
        for after in afters & {SessionStatus.TERMINATED, SessionStatus.ERROR}:
            assert before is SessionStatus.TERMINATING, after
    assert all(not TRANSITIONS[status] for status in FINAL)
    assert set(TRANSITIONS) == set(SessionStatus)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("512m", 512 << 20),
        ("4g", 4 << 30),
        ("4.5g", 9 << 29),
        (1024, 1024),
        ("1024", 1024),
        ("2GiB", 2 << 30),
    ],
)
def test_sizes(text, size):
    assert parse_size(text, "mem") == size


@pytest.mark.parametrize(
    "bad", ["-1", "NaN", "0x10", "1e9", str(2**63), True, None, "4 g", "", "٤g", "4g\n", [], 1e300]
)
def test_E8_bad_sizes_and_counts_are_refused(bad):
    with pytest.raises(InvalidRequest):
        parse_size(bad, "mem")
    if bad != str(2**63):
        with pytest.raises(InvalidRequest):
            parse_count(bad, "cpu")


def test_counts_are_decimal():
    assert parse_count("0.5", "cpu") == Decimal("0.5")


@pytest.mark.parametrize(
    "bad",
    [
        "abcd\n",
        "abc",
        "-abcd",
        "abcd-",
        "a" * 65,
        "١٢٣٤",
        "create",
        "a b c",
        "",
        None,
        "ab\0cd",
        "a/bcd",
    ],
)
def test_E9_bad_names_are_refused(bad):
    with pytest.raises(InvalidRequest):
        check_session_name(bad)


@pytest.mark.parametrize(
    "bad",
    [
        {"A=B": "x"},
        {"A\nB": "x"},
        {"": "x"},
        {"É": "x"},
        {"JPY_X": "x"},
        {"JUPYTER_TOKEN": "x"},
        {"KERNEL_ID": "x"},
        {"SESSMGR_X": "x"},
        {"A": "x\0"},
        {"A": 1},
        {"A": "\ud800"},
        {"A": "x" * 33000},
        {f"A{i}": "x" * 32000 for i in range(9)},
        ["A"],
    ],
)
def test_E5_bad_environments_are_refused(bad):
    with pytest.raises(InvalidRequest):
        check_environ(bad)


def test_E5_a_preload_is_the_sessions_own_business():
    assert check_environ({"LD_PRELOAD": "/x.so"}) == {"LD_PRELOAD": "/x.so"}


@pytest.mark.parametrize(
    "bad", ["--flag", "Image", "im age", "img\n", "ïmg", "", None, "a" * 300, "img@sha256:xyz"]
)
def test_E7_bad_references_are_refused(bad):
    with pytest.raises(InvalidRequest):
        check_reference(bad)


def test_E7_the_allow_list_matches_whole_references():
    allowed = ["jupyter-sessmgr/python", "lab/*:1.*"]
    assert is_allowed("jupyter-sessmgr/python:latest", allowed)
    assert is_allowed("lab/r:1.2", allowed)
    assert not is_allowed("jupyter-sessmgr/python:other", allowed)
    assert not is_allowed("evil/jupyter-sessmgr/python", allowed)
    assert not is_allowed("jupyter-sessmgr/python@sha256:" + "0" * 64, allowed)


def test_service_ports_are_read():
    ports = parse_service_ports("jupyter:http:8081,tensorboard:http:[6006,6007],sh:pty:7681")
    assert [(port.name, port.ports) for port in ports] == [
        ("jupyter", (8081,)),
        ("tensorboard", (6006, 6007)),
    ]


@pytest.mark.parametrize(
    "bad",
    [
        "a:http:80",
        "a:http:8080,",
        "a:http:8080,a:http:8081",
        "a:http:8080,b:tcp:8080",
        "a:ftp:8080",
        "a:http:8080;",
        "a:http:[8080,]",
        "x",
    ],
)
def test_bad_service_ports_are_refused(bad):
    with pytest.raises(InvalidRequest):
        parse_service_ports(bad)
