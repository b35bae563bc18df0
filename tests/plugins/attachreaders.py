"""Readers of Attach answers, as strict as the clients that people have.

What .NET's serializer, a Java client and a C client do with the bytes is written down here in a
few lines each; nothing of theirs is copied.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from defusedxml.ElementTree import fromstring

INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
SESSION = "http://hpc.microsoft.com/"
COMMON = "http://schemas.microsoft.com/HPCS2008R2/common"
SYSTEM = "http://schemas.datacontract.org/2004/07/System"
NIL = f"{{{INSTANCE}}}nil"


class Unreadable(ValueError):
    """A client would throw."""


def split(tag):
    """Split a tag into namespace and name."""
    namespace, _, name = tag.rpartition("}")
    return namespace.removeprefix("{"), name


def contract(node, namespace, members):
    """Read an element as .NET's DataContractSerializer: forward only, in the contract's order.

    What comes before its turn is read; what comes after a later one is skipped without a word,
    and so is what has another namespace.
    """
    found, place = {}, 0
    for child in node:
        child_namespace, name = split(child.tag)
        if child_namespace == namespace and name in members[place:]:
            place = members.index(name) + 1
            found[name] = child
    return found


def root_of(text, namespace, name):
    """Parse a document whose root must be what the serializer was made for."""
    root = fromstring(text)
    if split(root.tag) != (namespace, name):
        raise Unreadable(f"expecting {name} of {namespace}, got {root.tag}")
    return root


def int32(text):
    """Read a number as Int32.Parse."""
    if not re.fullmatch(r"\s*[+-]?[0-9]+\s*", text or "") or not -(2**31) <= int(text) < 2**31:
        raise Unreadable(f"not an Int32: {text!r}")
    return int(text)


def boolean(text):
    """Read xs:boolean; ``True`` is none."""
    if text not in {"true", "false", "1", "0"}:
        raise Unreadable(f"not a boolean: {text!r}")
    return text in {"true", "1"}


def version(node):
    """Read System.Version: its four numbers in the order of the alphabet; text in it throws."""
    if node.get(NIL) == "true":
        return None
    if (node.text or "").strip():
        raise Unreadable(f"text where an element is expected: {node.text!r}")
    names = ["_Build", "_Major", "_Minor", "_Revision"]
    found = contract(node, SYSTEM, names)
    build, major, minor, revision = (
        int32(found[name].text) if name in found else 0 for name in names
    )
    return ".".join(str(part) for part in (major, minor, build, revision) if part >= 0)


MEMBERS = [
    "BrokerNode",
    "Id",
    "IsDurable",
    "MaxMessageSize",
    "ServiceOperationTimeout",
    "ServiceVersion",
]


@dataclass(frozen=True)
class Info:
    """What a client knows of a session then; None: it was lost."""

    broker_node: str | None
    id: int | None
    is_durable: bool | None
    max_message_size: int | None
    service_operation_timeout: int | None
    service_version: str | None


def dotnet_info(text):
    """Read session info as the .NET client."""
    found = contract(root_of(text, SESSION, "WebSessionInfo"), SESSION, MEMBERS)

    def value(name, read):
        return read(found[name].text) if name in found else None

    return Info(
        value("BrokerNode", str),
        value("Id", int32),
        value("IsDurable", boolean),
        value("MaxMessageSize", int32),
        value("ServiceOperationTimeout", int32),
        version(found["ServiceVersion"]) if "ServiceVersion" in found else None,
    )


def dotnet_fault(text, namespace=COMMON):
    """Read a fault as the .NET client; it puts the values into the braces of the message."""
    found = contract(
        root_of(text, namespace, "HpcWebServiceFault"), namespace, ["Code", "Message", "Values"]
    )
    if found["Values"].get(NIL) != "true":
        raise Unreadable("Values must be nil")
    return int32(found["Code"].text), found["Message"].text.format()


def dotnet_cluster(text):
    """Read the name of the first cluster as the .NET client, which needs it for every path."""
    rows = list(root_of(text, COMMON, "ArrayOfObject"))
    properties = contract(rows[0], COMMON, ["Properties"])["Properties"]
    return contract(properties[0], COMMON, ["Name", "Value"])["Value"].text


def java_info(text):
    """Read session info as a Java client that looks for texts in the raw answer."""

    def after(mark, end):
        if mark not in text:
            raise Unreadable(f"no {mark} in {text}")
        return text.split(mark, 1)[1].split(end, 1)[0]

    version_text = text.split('"ServiceVersion":', 1)[1].rstrip("}")
    return Info(
        after('"BrokerNode":"', '"'),
        int32(after('"Id":', ",")),
        boolean(after('"IsDurable":', ",")),
        int32(after('"MaxMessageSize":', ",")),
        int32(after('"ServiceOperationTimeout":', ",")),
        None if version_text == "null" else version_text.strip('"'),
    )


def c_address(broker_node):
    """Read BrokerNode as a C client: everything before the last colon, and a decimal port."""
    host, colon, port = broker_node.rpartition(":")
    if not host or not colon or "/" in broker_node or not port.isdigit():
        raise Unreadable(f"not host:port: {broker_node!r}")
    if not 0 < int(port) < 2**16:
        raise Unreadable(f"no port: {port}")
    return host, int(port)
