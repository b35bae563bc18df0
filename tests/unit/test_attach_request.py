"""What clients of the Attach API may send."""

from __future__ import annotations

import base64

import pytest
from traitlets import TraitError

from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.rest.hpcpack.faults import BAD_ARGUMENT, BAD_VERSION, Refused
from jupyter_sessmgr.rest.hpcpack.request import (
    VERSIONS,
    broker_node,
    check_version,
    choose_format,
    parse_basic,
    parse_durable,
    parse_expand,
    parse_start,
)
from jupyter_sessmgr.rest.hpcpack.settings import AttachApi


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_that_was_is_known(version):
    check_version([version], [])
    check_version([], [version])


def test_the_version_in_the_header_wins_even_when_it_is_the_bad_one():
    check_version(["2011-11-01"], ["nonsense"])
    with pytest.raises(Refused) as refused:
        check_version(["nonsense"], ["2011-11-01"])
    assert refused.value.fault is BAD_VERSION


@pytest.mark.parametrize(
    ("headers", "parameters"),
    [
        ([], []),
        ([""], []),
        ([], [""]),
        ([], ["2010-01-01"]),
        ([], ["2011-11-01", "2011-11-01"]),
        (["2011-11-01,2011-11-01"], []),
        ([], ["2011-11-011"]),
    ],
)
def test_no_version_and_an_unknown_one_are_refused(headers, parameters):
    with pytest.raises(Refused, match="api-version") as refused:
        check_version(headers, parameters)
    assert (refused.value.fault.status, refused.value.fault.code) == (400, 50331700)


@pytest.mark.parametrize(
    ("text", "durable"),
    [("true", True), ("True", True), ("TRUE", True), ("false", False), ("fALSE", False)],
)
def test_durable_is_read_in_any_case(text, durable):
    assert parse_durable([text]) is durable


@pytest.mark.parametrize(
    "given", [[], [""], ["1"], ["yes"], ["0"], ["durable"], ["true", "true"], ["true,false"]]
)
def test_durable_is_required_and_true_or_false(given):
    with pytest.raises(Refused, match="durable") as refused:
        parse_durable(given)
    assert (refused.value.fault.status, refused.value.fault.code) == (400, 251723775)


ACCEPTS = {
    "": "xml",
    "*/*": "xml",
    "application/*": "xml",
    "text/html": "xml",
    "text/html, image/png;q=0.5": "xml",
    "application/xml": "xml",
    "APPLICATION/JSON": "json",
    "application/json": "json",
    "application/json; charset=utf-8": "json",
    "application/json, */*": "json",
    "application/json, text/plain, */*": "json",
    "application/json, application/xml": "xml",
    "application/json, application/xml;q=0.9": "json",
    "application/json;q=0.8, application/xml;q=0.9": "xml",
    "application/json;q=0.8, */*;q=0.9": "xml",
    "application/json;q=0.8, */*;q=0.1": "json",
    "application/json;q=0": "xml",
    "application/json;q=0, application/xml;q=0": "xml",
    "application/xml;q=0, application/json;q=0.001": "json",
    "application/xml;q=0, */*": "json",
    "application/json;Q=1.0;x=y": "json",
    "application/json;q=2": "xml",
    "application/json;q=high": "xml",
    ",;,": "xml",
    "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8": "xml",
}


@pytest.mark.parametrize("accept", ACCEPTS)
def test_the_format_is_what_the_client_wants_more(accept):
    assert choose_format(accept) == ACCEPTS[accept]


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("header", "password"),
    [
        (basic("me:secret"), "secret"),
        (basic(":secret"), "secret"),
        (basic("domain\\me:se:cret"), "se:cret"),
        (basic("me:"), ""),
        (basic("me:grün"), "grün"),
        ("bASIC   bWU6c2VjcmV0", "secret"),
        ("Basic", ""),
        ("Basic bWU6c2VjcmV0x!", None),
        ("Basic /w==", None),
        ("token bWU6c2VjcmV0", None),
        ("", None),
    ],
)
def test_basic_credentials(header, password):
    assert parse_basic(header) == password


@pytest.mark.parametrize(
    ("configured", "host", "protocol", "node"),
    [
        ("", "h:8888", "http", "h:8888"),
        ("", "h", "http", "h:80"),
        ("", "hub.example.org", "https", "hub.example.org:443"),
        ("", "[::1]:8888", "http", "[::1]:8888"),
        ("", "[::1]", "https", "[::1]:443"),
        ("", "127.0.0.1:1", "http", "127.0.0.1:1"),
        ("broker:9087", "h:8888", "http", "broker:9087"),
        ("broker:9087", "%2Frun%2Fsocket", "http", "broker:9087"),
    ],
)
def test_the_broker_node(configured, host, protocol, node):
    assert broker_node(configured, host, protocol) == node


@pytest.mark.parametrize(
    "host", ["", "h:8888/path", "user@h:1", "h:", "h:123456", "%2Frun%2Fsocket", "h:80,i:80", "a b"]
)
def test_a_host_that_is_none_names_the_header_and_the_remedy(host):
    with pytest.raises(Refused, match=r"Host: .* AttachApi\.broker_node"):
        broker_node("", host, "http")


@pytest.mark.parametrize("node", ["https://h:1", "h:1/path", "h", ":1", "h:", "a b:1"])
def test_a_broker_node_that_clients_cannot_read_is_refused_at_start(node):
    with pytest.raises(TraitError, match="host:port"):
        AttachApi(broker_node=node)
    assert AttachApi(broker_node="[::1]:9087").broker_node == "[::1]:9087"


def test_only_jupyter_can_be_expanded():
    assert parse_expand(["jupyter"])
    assert not parse_expand([])
    with pytest.raises(Refused, match="expand") as refused:
        parse_expand(["everything"])
    assert refused.value.fault is BAD_ARGUMENT


def test_create_understands_hpc_packs_names_and_those_of_the_session_api():
    request = parse_start(
        {
            "ServiceName": "some/image:1",
            "Environments": {"A": "1"},
            "clientSessionToken": "my-name",
            "config": {"resources": {"cpu": "1"}},
        },
        durable=False,
    )
    assert (request.image, request.environ, request.name) == ("some/image:1", {"A": "1"}, "my-name")
    assert request.resources == {"cpu": "1"}
    assert request.durable is False
    assert parse_start({}, durable=True).durable is True


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"ServiceName": 1}, "image"),
        ({"Environments": 1}, "environ"),
        ({"Environments": {"A": 1}}, "environ"),
        ({"Environments": {"A": "1"}, "config": []}, "config"),
    ],
)
def test_a_bad_body_of_create_names_the_field(body, field):
    with pytest.raises((InvalidRequest, Refused), match=field):
        parse_start(body, durable=True)
