"""Writes sessions and faults as HPC Pack spells them. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import quote

from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.rest.hpcpack import markup
from jupyter_sessmgr.rest.hpcpack.types import Cluster, JupyterInfo, SessionInfo

#: Clients read numbers as signed 32-bit integers.
INT32 = 2**31 - 1

_SESSION = "http://hpc.microsoft.com/"
_COMMON = "http://schemas.microsoft.com/HPCS2008R2/common"
_SYSTEM = "http://schemas.datacontract.org/2004/07/System"
_GENERIC = "http://schemas.datacontract.org/2004/07/System.Collections.Generic"
_VERSION = re.compile(r"\d{1,9}(?:\.\d{1,9}){1,3}", re.ASCII)
#: In the order in which .NET reads them; what is absent is -1.
_VERSION_PARTS = {"a:_Build": 2, "a:_Major": 0, "a:_Minor": 1, "a:_Revision": 3}


def to_json(value: object) -> str:
    """Write JSON without any spaces: one client reads it by looking for texts."""
    return json.dumps(value, separators=(",", ":"))


def render_info(
    session: ComputeSession, *, broker_node: str, max_message: int, timeout: int
) -> SessionInfo:
    """Write a session as the document has it.

    Parameters
    ----------
    session : ComputeSession
        Which one.
    broker_node : str
        ``host:port``.
    max_message : int
        Bytes.
    timeout : int
        Milliseconds.
    """
    return {
        "BrokerNode": broker_node,
        "Id": session.number,
        "IsDurable": session.spec.durable,
        "MaxMessageSize": min(max_message, INT32),
        "ServiceOperationTimeout": min(timeout, INT32),
        "ServiceVersion": service_version(session.spec.image),
    }


def service_version(image: str) -> str | None:
    """Say an image's version when it is two to four numbers: .NET has no others."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    if not _VERSION.fullmatch(tag):
        return None
    return ".".join(str(int(part)) for part in tag.split("."))


def render_jupyter(
    session: ComputeSession,
    *,
    base_url: str,
    kernel_name: str,
    listed: bool,
    replay_from: int | None,
) -> JupyterInfo:
    """Write what clients of Jupyter need besides.

    Parameters
    ----------
    session : ComputeSession
        Which one.
    base_url : str
        The server's path.
    kernel_name : str
        Name of its kernelspec.
    listed : bool
        Whether Jupyter knows the kernel.
    replay_from : int, optional
        Where what is kept of its output begins.
    """
    kernel = f"{base_url}api/kernels/{session.id}"
    services = f"{base_url}sessmgr/session/{session.id}/service/"
    return {
        "sessionId": session.id,
        "kernelId": session.id if listed else None,
        "kernelName": kernel_name,
        "channelsUrl": f"{kernel}/channels" if listed else None,
        "servicePorts": [
            {
                "name": port.name,
                "protocol": port.protocol,
                "ports": list(port.ports),
                "url": f"{services}{quote(port.name, safe='')}/",
            }
            for port in session.spec.service_ports
        ],
        "replayFrom": replay_from,
    }


def links(session: ComputeSession, *, base_url: str, listed: bool) -> list[str]:
    """Write the ``Link`` headers: relative to the origin, and never with a token."""
    found = {"session": f"{base_url}sessmgr/session/{session.id}"}
    if listed:
        kernel = f"{base_url}api/kernels/{session.id}"
        found |= {"kernel": kernel, "channels": f"{kernel}/channels"}
    return [f'<{url}>; rel="{rel}"' for rel, url in sorted(found.items())]


def info_xml(info: SessionInfo) -> str:
    """Write a session as XML. The order of the elements counts: .NET loses what comes late."""
    parts = []
    for name, value in info.items():
        if name == "ServiceVersion":
            parts.append(_version(info["ServiceVersion"]))
        else:
            parts.append(markup.tree(name, value))
    return markup.element("WebSessionInfo", "".join(parts), xmlns=_SESSION, xmlns_i=markup.INSTANCE)


def _version(version: str | None) -> str:
    if version is None:
        return markup.nil("ServiceVersion", xmlns_a=_SYSTEM)
    numbers = [int(part) for part in version.split(".")]
    children = "".join(
        markup.leaf(name, numbers[place] if place < len(numbers) else -1)
        for name, place in _VERSION_PARTS.items()
    )
    return markup.element("ServiceVersion", children, xmlns_a=_SYSTEM)


def render_clusters(name: str) -> list[Cluster]:
    """Write the list of clusters, which has one."""
    return [{"Properties": [{"Name": "Name", "Value": name}]}]


def clusters_xml(clusters: list[Cluster]) -> str:
    """Write the list of clusters as XML."""
    rows = "".join(
        markup.element(
            "Object",
            markup.element(
                "Properties",
                "".join(markup.tree("Property", dict(one)) for one in cluster["Properties"]),
            ),
        )
        for cluster in clusters
    )
    return markup.element("ArrayOfObject", rows, xmlns=_COMMON, xmlns_i=markup.INSTANCE)


def render_fault(code: int, message: str) -> dict[str, object]:
    """Write a fault. Clients put values into braces of the message, so it must have none."""
    plain = message.translate({ord("{"): "(", ord("}"): ")"})
    return {"Code": code, "Message": plain, "Values": None}


def fault_xml(fault: Mapping[str, object], namespace: str) -> str:
    """Write a fault as XML."""
    parts = (
        markup.tree("Code", fault["Code"]),
        markup.tree("Message", fault["Message"]),
        markup.nil("Values", xmlns_a=_GENERIC),
    )
    return markup.element(
        "HpcWebServiceFault", "".join(parts), xmlns=namespace, xmlns_i=markup.INSTANCE
    )
