"""Sessions and faults as HPC Pack's clients read them: the order and every byte count."""

from __future__ import annotations

import json

import pytest

from jupyter_sessmgr.model.ports import ServicePort
from jupyter_sessmgr.model.session import SessionSpec
from jupyter_sessmgr.rest.hpcpack import wire
from jupyter_sessmgr.testing import make_session
from tests.plugins.attachreaders import (
    COMMON,
    Info,
    c_address,
    dotnet_cluster,
    dotnet_fault,
    dotnet_info,
    java_info,
)


def session(image="jupyter-sessmgr/python", **spec):
    return make_session(number=7, spec=SessionSpec(image=image, **spec))


def info(image="jupyter-sessmgr/python", timeout=86_400_000, max_message=10_485_760, **spec):
    return wire.render_info(
        session(image, **spec), broker_node="h:8888", max_message=max_message, timeout=timeout
    )


def test_json_to_the_letter():
    assert wire.to_json(info()) == (
        '{"BrokerNode":"h:8888","Id":7,"IsDurable":true,"MaxMessageSize":10485760,'
        '"ServiceOperationTimeout":86400000,"ServiceVersion":null}'
    )


def test_xml_to_the_letter():
    assert wire.info_xml(info(durable=False)) == (
        '<WebSessionInfo xmlns="http://hpc.microsoft.com/"'
        ' xmlns:i="http://www.w3.org/2001/XMLSchema-instance">'
        "<BrokerNode>h:8888</BrokerNode><Id>7</Id><IsDurable>false</IsDurable>"
        "<MaxMessageSize>10485760</MaxMessageSize>"
        "<ServiceOperationTimeout>86400000</ServiceOperationTimeout>"
        '<ServiceVersion i:nil="true" xmlns:a="http://schemas.datacontract.org/2004/07/System"/>'
        "</WebSessionInfo>"
    )


def test_a_version_is_four_elements_in_xml_and_a_text_in_json():
    told = info("some/image:1.2")
    assert (
        '<ServiceVersion xmlns:a="http://schemas.datacontract.org/2004/07/System">'
        "<a:_Build>-1</a:_Build><a:_Major>1</a:_Major><a:_Minor>2</a:_Minor>"
        "<a:_Revision>-1</a:_Revision></ServiceVersion>"
    ) in wire.info_xml(told)
    assert wire.to_json(told).endswith('"ServiceVersion":"1.2"}')


VERSIONS = {
    "image": None,
    "image:latest": None,
    "image:1": None,
    "image:1.2": "1.2",
    "image:01.02": "1.2",
    "image:1.2.3": "1.2.3",
    "image:1.2.3.4": "1.2.3.4",
    "image:1.2.3.4.5": None,
    "image:1.2-slim": None,
    "image:v1.2": None,
    "image:1.2.": None,
    "image:1.9999999999": None,
    "registry.example:5000/image": None,
    "registry.example:5000/image:3.11": "3.11",
    f"image:1.2@sha256:{'0' * 64}": "1.2",
    f"image@sha256:{'0' * 64}": None,
}


@pytest.mark.parametrize("image", VERSIONS)
def test_the_service_version_is_the_images_when_it_is_numeric(image):
    assert wire.service_version(image) == VERSIONS[image]


@pytest.mark.parametrize("version", [None, "1.2", "1.2.3", "1.2.3.4"])
@pytest.mark.parametrize("durable", [True, False])
def test_every_reader_reads_the_same(version, durable):
    told = info(f"image:{version}" if version else "image", durable=durable)
    expected = Info("h:8888", 7, durable, 10_485_760, 86_400_000, version)
    assert dotnet_info(wire.info_xml(told)) == expected
    assert java_info(wire.to_json(told)) == expected
    assert c_address(told["BrokerNode"]) == ("h", 8888)


def test_swapped_elements_lose_their_value_in_the_reader_as_in_dotnet():
    told = dict(reversed(info().items()))
    assert dotnet_info(wire.info_xml(told)).broker_node is None


@pytest.mark.parametrize("number", [2**31 - 1, 2**31, 2**63])
def test_numbers_are_clamped_to_what_clients_can_hold(number):
    told = info(timeout=number, max_message=number)
    assert (told["MaxMessageSize"], told["ServiceOperationTimeout"]) == (2**31 - 1, 2**31 - 1)
    assert dotnet_info(wire.info_xml(told)).service_operation_timeout == 2**31 - 1


def test_what_jupyters_clients_need_comes_last_and_disturbs_no_reader():
    ports = (ServicePort("tensor board", "http", (6006,)),)
    one = session(service_ports=ports)
    told = wire.render_info(one, broker_node="h:8888", max_message=1, timeout=1)
    plain = dotnet_info(wire.info_xml(told)), java_info(wire.to_json(told))
    told["Jupyter"] = wire.render_jupyter(
        one, base_url="/base/", kernel_name="sessmgr-python", listed=True, replay_from=7
    )
    assert list(told)[-1] == "Jupyter"
    assert told["Jupyter"] == {
        "sessionId": one.id,
        "kernelId": one.id,
        "kernelName": "sessmgr-python",
        "channelsUrl": f"/base/api/kernels/{one.id}/channels",
        "servicePorts": [
            {
                "name": "tensor board",
                "protocol": "http",
                "ports": [6006],
                "url": f"/base/sessmgr/session/{one.id}/service/tensor%20board/",
            }
        ],
        "replayFrom": 7,
    }
    assert dotnet_info(wire.info_xml(told)) == plain[0]
    assert "<servicePorts><item><name>tensor board</name>" in wire.info_xml(told)


def test_a_kernel_that_is_not_listed_is_not_named():
    one = session()
    told = wire.render_jupyter(
        one, base_url="/", kernel_name="python3", listed=False, replay_from=None
    )
    assert (told["kernelId"], told["channelsUrl"]) == (None, None)
    assert wire.links(one, base_url="/", listed=False) == [
        f'</sessmgr/session/{one.id}>; rel="session"'
    ]


def test_links_are_relative_to_the_origin():
    one = session()
    assert wire.links(one, base_url="/base/", listed=True) == [
        f'</base/api/kernels/{one.id}/channels>; rel="channels"',
        f'</base/api/kernels/{one.id}>; rel="kernel"',
        f'</base/sessmgr/session/{one.id}>; rel="session"',
    ]


def test_a_fault_to_the_letter():
    fault = wire.render_fault(267386880, "Error message text.")
    assert wire.fault_xml(fault, COMMON) == (
        '<HpcWebServiceFault xmlns="http://schemas.microsoft.com/HPCS2008R2/common"'
        ' xmlns:i="http://www.w3.org/2001/XMLSchema-instance">'
        "<Code>267386880</Code><Message>Error message text.</Message>"
        '<Values i:nil="true"'
        ' xmlns:a="http://schemas.datacontract.org/2004/07/System.Collections.Generic"/>'
        "</HpcWebServiceFault>"
    )
    assert wire.to_json(fault) == (
        '{"Code":267386880,"Message":"Error message text.","Values":null}'
    )


@pytest.mark.parametrize("message", ["{0}", "}{", "a {b} c", "<&>\"'", "\0\x0b\ufffe\ud800x"])
def test_a_message_can_be_formatted_without_values(message):
    code, text = dotnet_fault(wire.fault_xml(wire.render_fault(1, message + "."), COMMON))
    assert code == 1
    assert text.endswith(".")


def test_clusters_to_the_letter():
    clusters = wire.render_clusters("jupyter")
    text = wire.clusters_xml(clusters)
    assert text == (
        '<ArrayOfObject xmlns="http://schemas.microsoft.com/HPCS2008R2/common"'
        ' xmlns:i="http://www.w3.org/2001/XMLSchema-instance">'
        "<Object><Properties><Property><Name>Name</Name><Value>jupyter</Value></Property>"
        "</Properties></Object></ArrayOfObject>"
    )
    assert dotnet_cluster(text) == "jupyter"
    assert json.loads(wire.to_json(clusters)) == [
        {"Properties": [{"Name": "Name", "Value": "jupyter"}]}
    ]
