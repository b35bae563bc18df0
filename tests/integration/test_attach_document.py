"""Attach to Session on a real server: each row of its document, and of the contract beside it."""

from __future__ import annotations

import base64
import json

import pytest
import requests

from tests.plugins.attachreaders import (
    Info,
    c_address,
    dotnet_cluster,
    dotnet_fault,
    dotnet_info,
    java_info,
)

VERSION = {"api-version": "2011-11-01"}


@pytest.fixture(scope="module")
def sessions(shared_server):
    """Make one session of each kind, for all tests of the module."""
    made = {
        "durable": shared_server.create(name="durable-one"),
        "interactive": shared_server.create(name="interactive-one", durable=False),
        "finished": shared_server.create(name="finished-one", kernel=""),
    }
    shared_server.ask("DELETE", f"sessmgr/session/{made['finished']['sessionId']}?forced=true")
    yield made
    shared_server.destroy_sessions()


@pytest.fixture
def number(sessions):
    return sessions["durable"]["sessionNumber"]


@pytest.fixture
def attach(shared_server, number):
    def ask(
        reference=None,
        *,
        path="WindowsHpc/Session/{}/Attach",
        method="GET",
        params=None,
        headers=None,
        **kwargs,
    ):
        params = {"durable": "true"} if params is None else params
        headers = VERSION if headers is None else headers
        path = path.format(number if reference is None else reference)
        if "Authorization" in headers:
            shared_server.http.cookies.clear()  # Jupyter gives whoever has the token a login
        return shared_server.ask(method, path, params=params, headers=headers, **kwargs)

    return ask


def assert_fault(reply, status, code):
    assert reply.status_code == status, reply.text
    assert reply.headers["Content-Type"].startswith("application/xml")
    found, message = dotnet_fault(reply.content)
    assert found == code, reply.text
    assert message
    return message


# The document: the request


def test_row_GET_of_hpc_pack_2016(attach):
    assert attach().status_code == 200


def test_row_GET_before_hpc_pack_2016(attach):
    reply = attach(path="WindowsHpc/jupyter/Session/{}/Attach")
    assert reply.content == attach().content
    assert attach(path="WindowsHpc/AnyCluster/Session/{}/Attach").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "WindowsHPC/jupyter/session/{}/Attach",
        "windowshpc/session/{}/attach",
        "WINDOWSHPC/SESSION/{}/ATTACH",
    ],
)
def test_row_paths_match_without_regard_to_case(attach, path):
    assert attach(path=path).content == attach().content


def test_row_the_cluster_name_is_got_by_get_clusters(shared_server, attach):
    reply = shared_server.ask("GET", "WindowsHPC/Clusters", headers=VERSION)
    assert (reply.status_code, reply.headers["Content-Type"]) == (
        200,
        "application/xml; charset=utf-8",
    )
    cluster = dotnet_cluster(reply.content)
    assert attach(path=f"WindowsHPC/{cluster}/session/{{}}/Attach").status_code == 200
    assert shared_server.ask("GET", "WindowsHpc/Clusters").content == reply.content
    bad = shared_server.ask("GET", "WindowsHpc/Clusters", headers={"api-version": "1"})
    assert_fault(bad, 400, 50331700)
    listed = shared_server.ask(
        "GET", "WindowsHpc/Clusters", headers={**VERSION, "Accept": "application/json"}
    )
    assert listed.json() == [{"Properties": [{"Name": "Name", "Value": cluster}]}]


@pytest.mark.parametrize("durable", [None, "", "maybe", "1"])
def test_row_durable_is_required(attach, durable):
    params = {} if durable is None else {"durable": durable}
    assert "durable" in assert_fault(attach(params=params), 400, 251723775)


@pytest.mark.parametrize(
    ("kind", "durable"), [("durable", "True"), ("durable", "true"), ("interactive", "FALSE")]
)
def test_row_durable_says_which_kind_of_session(attach, sessions, kind, durable):
    reply = attach(sessions[kind]["sessionNumber"], params={"durable": durable})
    assert dotnet_info(reply.content).is_durable is (kind == "durable")


@pytest.mark.parametrize(
    "version", ["2011-11-01", "2011-11", "2012-03-31.3.4", "2012-11-01", "2012-11-01.4.0"]
)
def test_row_api_version_as_a_parameter(attach, version):
    reply = attach(params={"durable": "true", "api-version": version}, headers={})
    assert reply.status_code == 200


def test_row_api_version_as_a_header(attach):
    assert attach(headers={"API-Version": "2012-11-01"}).status_code == 200


def test_row_the_header_overrides_the_parameter(attach):
    parameter = {"durable": "true", "api-version": "1999"}
    assert attach(params=parameter).status_code == 200
    good = {"durable": "true", "api-version": "2011-11-01"}
    assert_fault(attach(params=good, headers={"api-version": "1999"}), 400, 50331700)


def test_row_neither_header_nor_parameter_is_400(attach):
    assert "api-version" in assert_fault(attach(headers={}), 400, 50331700)


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("application/json", "application/json; charset=utf-8"),
        ("application/xml", "application/xml; charset=utf-8"),
        ("*/*", "application/xml; charset=utf-8"),
        (None, "application/xml; charset=utf-8"),
        ("text/html", "application/xml; charset=utf-8"),
        ("application/xml;q=0.4, application/json;q=0.5", "application/json; charset=utf-8"),
    ],
)
def test_row_accept_chooses_the_format_and_xml_is_the_default(attach, accept, media):
    reply = attach(headers={**VERSION, "Accept": accept})
    assert (reply.status_code, reply.headers["Content-Type"]) == (200, media)
    assert "Accept" in reply.headers["Vary"]


def test_row_no_request_body(attach):
    assert attach(data=b"what ever").status_code == 200


# The document: the response


def test_row_status_200(attach):
    assert (attach().status_code, attach().reason) == (200, "OK")


def test_row_response_headers(attach):
    headers = attach().headers
    assert headers["Transfer-Encoding"] == "chunked"
    assert {"Content-Type", "Date", "Server"} <= set(headers)
    assert "Etag" not in headers
    assert headers["Cache-Control"] == "no-store"


def test_row_the_json_body(shared_server, attach, number):
    reply = attach(headers={**VERSION, "Accept": "application/json"})
    node = shared_server.url.split("/")[2]
    assert reply.text == (
        f'{{"BrokerNode":"{node}","Id":{number},"IsDurable":true,"MaxMessageSize":10485760,'
        '"ServiceOperationTimeout":86400000,"ServiceVersion":null}'
    )


def test_row_the_xml_body(shared_server, attach, number):
    node = shared_server.url.split("/")[2]
    assert attach().text == (
        '<WebSessionInfo xmlns="http://hpc.microsoft.com/"'
        ' xmlns:i="http://www.w3.org/2001/XMLSchema-instance">'
        f"<BrokerNode>{node}</BrokerNode><Id>{number}</Id><IsDurable>true</IsDurable>"
        "<MaxMessageSize>10485760</MaxMessageSize>"
        "<ServiceOperationTimeout>86400000</ServiceOperationTimeout>"
        '<ServiceVersion i:nil="true" xmlns:a="http://schemas.datacontract.org/2004/07/System"/>'
        "</WebSessionInfo>"
    )


def test_rows_of_the_items_as_every_client_reads_them(shared_server, attach, number):
    node = shared_server.url.split("/")[2]
    expected = Info(node, number, True, 10_485_760, 86_400_000, None)
    assert dotnet_info(attach().content) == expected
    assert java_info(attach(headers={**VERSION, "Accept": "application/json"}).text) == expected
    assert c_address(expected.broker_node) == ("127.0.0.1", int(node.split(":")[1]))


def test_row_broker_node_is_where_the_kernel_is_reached(shared_server, attach, sessions):
    host, port = c_address(dotnet_info(attach().content).broker_node)
    kernel = sessions["durable"]["sessionId"]
    url = f"http://{host}:{port}/base/api/kernels/{kernel}"
    reply = requests.get(url, headers=shared_server.http.headers, timeout=60)
    assert reply.json()["id"] == kernel


def test_row_broker_node_believes_no_forwarded_header(shared_server, attach):
    for name in ("X-Forwarded-Host", "X-Host", "Forwarded", "X-Original-Host"):
        reply = attach(headers={**VERSION, name: "evil.test:1"})
        assert dotnet_info(reply.content).broker_node == shared_server.url.split("/")[2]


def test_row_the_error_response_is_a_descriptive_fault(attach):
    reply = attach("0")
    message = assert_fault(reply, 404, 50331649)
    assert reply.text == (
        '<HpcWebServiceFault xmlns="http://schemas.microsoft.com/HPCS2008R2/common"'
        ' xmlns:i="http://www.w3.org/2001/XMLSchema-instance">'
        f"<Code>50331649</Code><Message>{message}</Message>"
        '<Values i:nil="true"'
        ' xmlns:a="http://schemas.datacontract.org/2004/07/System.Collections.Generic"/>'
        "</HpcWebServiceFault>"
    )


def test_row_an_error_is_json_when_json_is_accepted(attach):
    reply = attach("0", headers={**VERSION, "Accept": "application/json"})
    assert (reply.status_code, reply.headers["Content-Type"]) == (
        404,
        "application/json; charset=utf-8",
    )
    body = reply.json()
    assert (list(body), body["Code"], body["Values"]) == (
        ["Code", "Message", "Values"],
        50331649,
        None,
    )


# The contract


@pytest.mark.parametrize("key", ["sessionNumber", "sessionId", "sessionName"])
def test_the_session_is_named_by_number_uuid_or_name(attach, sessions, number, key):
    assert dotnet_info(attach(sessions["durable"][key]).content).id == number


@pytest.mark.parametrize(
    "reference", ["0", "99999999", "-1", "2147483648", "absent", "a%7B0%7Db", "%00", "x" * 2000]
)
def test_an_unknown_session_is_404(attach, reference):
    assert_fault(attach(reference), 404, 50331649)


def test_a_durable_session_asked_for_as_interactive_is_409(attach):
    assert_fault(attach(params={"durable": "false"}), 409, 50331658)


def test_an_interactive_session_asked_for_as_durable_is_409(attach, sessions):
    assert_fault(attach(sessions["interactive"]["sessionNumber"]), 409, 50331659)


def test_a_finished_session_is_410(attach, sessions):
    assert_fault(attach(sessions["finished"]["sessionNumber"]), 410, 50331675)


def test_the_order_of_checks(shared_server, attach):
    anonymous = {"Authorization": None}
    assert attach("0", headers=anonymous, params={}).status_code == 401
    assert_fault(attach("0", headers={}, params={}), 400, 50331700)
    assert_fault(attach("0", params={}), 400, 251723775)
    assert_fault(attach("0"), 404, 50331649)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_other_methods_are_405_with_allow(attach, method):
    reply = attach(method=method, json={})
    assert_fault(reply, 405, 267386880)
    assert reply.headers["Allow"] == "GET, HEAD, OPTIONS"
    assert attach(method=method, data=b"x").status_code == 405


def test_get_of_what_is_posted_is_405_with_allow(shared_server):
    for path in ("WindowsHpc/Sessions/Create", "WindowsHpc/Session/1/Close"):
        reply = shared_server.ask("GET", path, headers=VERSION)
        assert (reply.status_code, reply.headers["Allow"]) == (405, "POST, OPTIONS")


def test_head_is_get_without_the_body(attach):
    reply = attach(method="HEAD")
    assert (reply.status_code, reply.content) == (200, b"")
    assert reply.headers["Content-Type"] == attach().headers["Content-Type"]
    assert attach("0", method="HEAD").status_code == 404
    assert attach(path="WindowsHpc/Clusters", method="HEAD").status_code == 200


def test_links_lead_clients_of_jupyter_on(shared_server, attach, sessions):
    headers = attach().headers
    one = sessions["durable"]["sessionId"]
    assert headers["Link"] == (
        f'</base/api/kernels/{one}/channels>; rel="channels", '
        f'</base/api/kernels/{one}>; rel="kernel", '
        f'</base/sessmgr/session/{one}>; rel="session"'
    )
    assert shared_server.token not in str(headers)
    for name in ("kernel", "session"):
        path = headers["Link"].split(f'>; rel="{name}"')[0].rpartition("<")[2]
        assert shared_server.ask("GET", path.removeprefix("/base/")).status_code == 200


def test_expand_jupyter_appends_one_last_member(attach, sessions):
    reply = attach(
        params={"durable": "true", "expand": "jupyter"},
        headers={**VERSION, "Accept": "application/json"},
    )
    one = sessions["durable"]["sessionId"]
    plain = attach(headers={**VERSION, "Accept": "application/json"}).text
    assert reply.text.startswith(plain.removesuffix("}") + ',"Jupyter":{')
    told = reply.json()["Jupyter"]
    assert told == {
        "sessionId": one,
        "kernelId": one,
        "kernelName": told["kernelName"],
        "channelsUrl": f"/base/api/kernels/{one}/channels",
        "servicePorts": told["servicePorts"],
        "replayFrom": 0,
    }
    assert [port["name"] for port in told["servicePorts"]] == [
        "jupyter",
        "jupyterlab",
        "tensorboard",
    ]
    assert told["kernelName"].startswith("sessmgr-")
    xml = attach(params={"durable": "true", "expand": "jupyter"})
    assert dotnet_info(xml.content) == dotnet_info(attach().content)
    assert_fault(attach(params={"durable": "true", "expand": "all"}), 400, 251723775)


# Credentials


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.fixture
def token(shared_server):
    return shared_server.token


@pytest.mark.parametrize("user", ["", "me", "DOMAIN\\me", "grün"])
def test_basic_with_any_user_name_and_the_token(attach, token, user):
    reply = attach(headers={**VERSION, "Authorization": basic(user, token)})
    assert reply.status_code == 200
    assert token not in str(reply.headers)


def test_basic_is_taken_on_these_routes_only(shared_server, token):
    for path in ("sessmgr/session", "api/kernels"):
        shared_server.http.cookies.clear()
        reply = shared_server.ask("GET", path, headers={"Authorization": basic("me", token)})
        assert reply.status_code == 403, path


@pytest.mark.parametrize(
    "path", ["Session/1/Attach", "Clusters", "jupyter/Session/x/Attach?durable=true"]
)
def test_no_credentials_are_401_and_ask_for_basic(attach, path):
    reply = attach(path=f"WindowsHpc/{path}", headers={"Authorization": None})
    assert "Jupyter's token as password" in assert_fault(reply, 401, 267386880)
    assert reply.headers["WWW-Authenticate"].startswith("Basic ")


def test_no_credentials_are_401_where_one_posts(attach):
    reply = attach(
        path="WindowsHpc/Sessions/Create", method="POST", headers={"Authorization": None}, json={}
    )
    assert_fault(reply, 401, 267386880)


@pytest.mark.parametrize(
    "header", [basic("me", "wrong"), basic("me", ""), "Basic !!!", "Basic", "token wrong", "x"]
)
def test_wrong_credentials_are_403(attach, header):
    reply = attach(headers={**VERSION, "Authorization": header})
    assert_fault(reply, 403, 267386880)
    assert "WWW-Authenticate" not in reply.headers


def test_a_wrong_token_in_the_url_is_403(attach):
    params = {"durable": "true", "token": "wrong"}
    reply = attach(params=params, headers={**VERSION, "Authorization": None})
    assert_fault(reply, 403, 267386880)


# Create and Close


@pytest.mark.parametrize("prefix", ["WindowsHpc", "WindowsHPC/jupyter"])
def test_create_attach_close(shared_server, attach, prefix):
    reply = attach(
        path=f"{prefix}/sessions/Create",
        method="POST",
        params={"durable": "True"},
        json={"clientSessionToken": "thin-door", "Environments": {"THE_ANSWER": "42"}},
    )
    assert reply.status_code == 201, reply.text
    made = dotnet_info(reply.content)
    assert made.is_durable is True
    info = shared_server.info(made.id)
    assert (info["status"], info["sessionName"]) == ("RUNNING", "thin-door")
    assert attach(made.id).content == reply.content
    again = attach(
        path=f"{prefix}/Sessions/create", method="POST", json={"clientSessionToken": "thin-door"}
    )
    assert (again.status_code, again.content) == (200, reply.content)
    other = attach(
        path=f"{prefix}/Sessions/create",
        method="POST",
        params={"durable": "false"},
        json={"clientSessionToken": "thin-door"},
    )
    assert_fault(other, 409, 50331658)
    # As .NET closes: no body, and so no type of it.
    headers = {**VERSION, "Content-Length": "0"}
    closed = attach(made.id, path=f"{prefix}/session/{{}}/Close", method="POST", headers=headers)
    assert (closed.status_code, closed.content) == (200, b"")
    assert shared_server.info(made.id)["status"] == "TERMINATED"
    again = attach(made.id, path=f"{prefix}/session/{{}}/Close", method="POST", json={})
    assert_fault(again, 410, 50331675)
    assert_fault(attach(made.id), 410, 50331675)


def test_create_takes_json_only(attach):
    for media in ("application/xml", "text/xml; charset=utf-8", "text/plain", None):
        reply = attach(
            path="WindowsHpc/Sessions/Create",
            method="POST",
            data=b"<WebSessionStartInfo/>",
            headers={**VERSION, "Content-Type": media},
        )
        assert_fault(reply, 415, 267386880)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"[]", 400, 251723775),
        (b'{"a": ', 400, 251723775),
        (b'{"ServiceName": 1}', 400, 251723775),
        (b'{"ServiceName": "no/such:image"}', 404, 251723775),
        (b'{"Environments": {"A=B": "1"}}', 400, 251723775),
        (b'{"config": {"resources": {"mem": "900t"}}}', 406, 267386880),
    ],
)
def test_a_bad_body_of_create_is_a_fault(shared_server, attach, body, status, code):
    before = len(shared_server.sessions(ended=True))
    reply = attach(
        path="WindowsHpc/Sessions/Create",
        method="POST",
        data=body,
        headers={**VERSION, "Content-Type": "application/json"},
    )
    assert_fault(reply, status, code)
    assert len(shared_server.sessions(ended=True)) == before


def test_close_wants_credentials_a_version_and_a_session(attach):
    path = "WindowsHpc/Session/{}/Close"
    assert attach("1", path=path, method="POST", headers={"Authorization": None}).status_code == 401
    assert_fault(attach("1", path=path, method="POST", headers={}), 400, 50331700)
    assert_fault(attach("0", path=path, method="POST"), 404, 50331649)


def test_what_is_told_of_a_session_is_json_that_json_reads(attach, number):
    body = json.loads(attach(headers={**VERSION, "Accept": "application/json"}).content)
    assert body["Id"] == number
