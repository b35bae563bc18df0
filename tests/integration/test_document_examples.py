"""What stands as an example in the two documents, sent as it stands, and the answers they show.

The JSON of the first has commas before closing braces, as people write them; JSON has not, and
neither have we.
"""

from __future__ import annotations

import json
import re
import sys

import pytest
from defusedxml import ElementTree

CREATE = """
   {
     "image": "python:3.6-ubuntu18.04",
     "clientSessionToken": "mysession-01",
     "enqueueOnly": false,
     "maxWaitSeconds": 0,
     "reuseIfExists": true,
     "domain": "default",
     "group": "default",
     "config": {
       "clusterSize": 1,
       "environ": {
         "MYCONFIG": "XXX",
       },
       "mounts": ["mydata", "mypkgs"],
       "resources": {
         "cpu": "2",
         "mem": "4g",
         "cuda.devices": "1",
       }
     },
     "tag": "example-tag"
   }
"""
CREATED = """
   {
     "sessId": "mysession-01",
     "status": "RUNNING",
     "servicePorts": [
       {"name": "jupyter", "protocol": "http"},
       {"name": "tensorboard", "protocol": "http"}
     ],
     "created": true
   }
"""
ATTACH = (
    "WindowsHpc/HPC_cluster_name/Session/session_identifier/Attach",
    "WindowsHpc/Session/session_identifier/Attach",
)
INFO_JSON = (
    '{"BrokerNode":node_name,"Id":session_identifier,"IsDurable":[true|false],'
    '"MaxMessageSize":size,"ServiceOperationTimeout":duration,"ServiceVersion":version}'
)
INFO_XML = """
<WebSessionInfo xmlns="http://hpc.microsoft.com/" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
    <BrokerNode>node_name</BrokerNode>
    <Id>session_identifier</Id>
    <IsDurable>[true|false]</IsDurable>
    <MaxMessageSize>size</MaxMessageSize>
    <ServiceOperationTimeout>duration</ServiceOperationTimeout>
    <ServiceVersion xmlns:a="http://schemas.datacontract.org/2004/07/System"/>version</ServiceVersion>
</WebSessionInfo>
"""
FAULT_XML = """
<HpcWebServiceFault xmlns="https://schemas.microsoft.com/HPCS2008R2/common" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">
  <Code>267386880</Code>
  <Message>Error message text.</Message>
  <Values i:nil="true" xmlns:a="http://schemas.datacontract.org/2004/07/System.Collections.Generic"/>
</HpcWebServiceFault>
"""
#: What the JSON text's words stand for.
PATTERNS = {
    "node_name": r'"[^"/]+:\d+"',
    "session_identifier": r"\d+",
    "[true|false]": "(true|false)",
    "size": r"\d+",
    "duration": r"\d+",
    "version": r'(null|"[\d.]+")',
}


JSON = {"Content-Type": "application/json"}
ENVIRONMENT = {"python:3.6-ubuntu18.04": sys.executable}
#: The example as JSON.
BODY = re.sub(r",(\s*})", r"\1", CREATE)


@pytest.fixture(scope="module")
def server(module_servers, tmp_path_factory):
    """Give a server as an admin of the example's site configured it."""
    shared = tmp_path_factory.mktemp("shared")
    for name in ("mydata", "mypkgs"):
        (shared / name).mkdir()
    mounts = {name: {"path": str(shared / name)} for name in ("mydata", "mypkgs")}
    return module_servers.start(
        "tests.plugins.documented.DocumentedEngine",
        config={
            "AdmissionControl": {"mounts": mounts, "allowed_images": list(ENVIRONMENT)},
            "ProcessEngine": {"environments": ENVIRONMENT},
            "AttachApi": {"fault_namespace": "https://schemas.microsoft.com/HPCS2008R2/common"},
        },
    )


@pytest.fixture(scope="module")
def created(server):
    """Send the example; return the answer."""
    return server.ask("POST", "session", data=BODY.encode(), headers=JSON)


def test_the_commas_are_an_error_that_says_where(server):
    reply = server.ask("POST", "session", data=CREATE.encode(), headers=JSON)
    assert reply.status_code == 401
    assert "line 14" in reply.json()["msg"]


def test_the_example_of_creating(server, created):
    assert created.status_code == 201, created.text
    told, shown = created.json(), json.loads(CREATED)
    ports = [{key: port[key] for key in ("name", "protocol")} for port in told["servicePorts"]]
    assert {**{key: told[key] for key in shown}, "servicePorts": ports} == shown


def test_the_example_is_what_was_made(server, created):
    info = server.info("mysession-01")
    asked = json.loads(BODY)
    assert {key: info[key] for key in ("domain", "group", "tag")} == {
        key: asked[key] for key in ("domain", "group", "tag")
    }
    assert set(asked["config"]["mounts"]) <= set(info["mounts"])
    assert info["memoryLimit"] == 4 * 2**20
    assert (info["resources"]["cpu"], info["resources"]["cuda.device"]) == ("2", 1)
    code = "import os; print(os.environ['MYCONFIG'])"
    assert server.execute(info["sessionId"], code).strip() == "XXX"


def test_the_example_again_reuses_the_session(server, created):
    again = server.ask("POST", "session/create", data=BODY.encode(), headers=JSON)
    assert again.status_code == 200
    assert (again.json()["sessId"], again.json()["created"]) == ("mysession-01", False)


def test_the_example_is_over_the_limits_of_a_machine_without_a_gpu(module_servers, server):
    config = {section: server.config[section] for section in ("AdmissionControl", "ProcessEngine")}
    plain = module_servers.start(config=config)
    reply = plain.ask("POST", "session", data=BODY.encode(), headers=JSON)
    assert reply.status_code == 406
    assert "GPU" in reply.json()["msg"]


@pytest.mark.parametrize("path", ATTACH)
def test_the_examples_of_attach(server, created, path):
    number = created.json()["sessionNumber"]
    params = {"durable": "True", "api-version": "2011-11-01"}
    path = path.replace("session_identifier", str(number))
    told = server.ask("GET", path, params=params, headers={"Accept": "application/json"})
    pattern = re.escape(INFO_JSON)
    for word, meaning in PATTERNS.items():
        pattern = pattern.replace(f":{re.escape(word)}", f":{meaning}")
    assert re.fullmatch(pattern, told.text), told.text

    told = server.ask("GET", path, params=params)
    assert told.status_code == 200
    shown = re.sub(r'System"/>version', 'System">version', INFO_XML)
    assert names_of(told.text) == names_of(shown)
    assert f"<Id>{number}</Id>" in told.text


def test_the_example_of_a_fault(server):
    params = {"durable": "True", "api-version": "2011-11-01"}
    told = server.ask("GET", "WindowsHpc/Session/4711/Attach", params=params)
    assert told.status_code == 404
    assert names_of(told.text) == names_of(FAULT_XML)
    nil = "{http://www.w3.org/2001/XMLSchema-instance}nil"
    for text in (told.text, FAULT_XML):
        code, message, values = ElementTree.fromstring(text)
        assert int(code.text) > 0
        assert message.text
        assert values.attrib == {nil: "true"}


def names_of(text):
    """List the elements in their order, with their namespaces."""
    return [element.tag for element in ElementTree.fromstring(text).iter()][:7]
