"""What is read and written on the websockets of kernels, and which class they are of."""

from __future__ import annotations

import json
import logging
import struct
from types import SimpleNamespace

import pytest
from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import (
    deserialize_binary_message,
    deserialize_msg_from_ws_v1,
    serialize_binary_message,
    serialize_msg_to_ws_v1,
)
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

from jupyter_sessmgr.provisioning.channels import channels_class, session_channels
from jupyter_sessmgr.provisioning.channels.frames import read_asked, unpack_buffers, write_message

SESSION = Session(key=b"")
#: How a request can arrive: by v1, as JSON, as JSON with buffers.
WIRES = ["v1", "json", "binary"]


def on_the_wire(msg_type, channel="shell", *, wire="v1", metadata=None):
    message = SESSION.msg(msg_type, {"code": "1"}, metadata=metadata)
    header = message["header"]
    if wire == "json":
        return header, SESSION.pack({**message, "channel": channel}).decode()
    if wire == "binary":
        buffers = [b"\0" * 5, b"abc"]
        return header, serialize_binary_message({**message, "channel": channel, "buffers": buffers})
    return header, serialize_msg_to_ws_v1(message, channel, SESSION.pack)


def asked(message, wire):
    return read_asked(message, v1=wire == "v1")


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("kind", ["execute_request", "kernel_info_request"])
def test_requests_are_seen(wire, kind):
    header, message = on_the_wire(kind, wire=wire, metadata={"cellId": "a-b"})
    found = asked(message, wire)
    assert found.msg_id == header["msg_id"]
    assert found.executes == (kind == "execute_request")
    assert found.cell == "a-b"
    assert not found.reattaches


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    ("metadata", "cell", "reattaches"),
    [
        ({}, None, False),
        ({"cellId": 7, "sessmgr": True}, None, False),
        ({"cellId": "", "sessmgr": {"reattach": 1}}, None, False),
        ({"cellId": "x" * 200, "sessmgr": {"reattach": True}}, None, True),
        ({"cellId": "x", "sessmgr": {"reattach": True}}, "x", True),
    ],
)
def test_what_a_request_is_for(wire, metadata, cell, reattaches):
    _, message = on_the_wire("execute_request", wire=wire, metadata=metadata)
    found = asked(message, wire)
    assert found.cell == cell
    assert found.reattaches == reattaches


def test_only_executions_can_be_attached_to():
    _, message = on_the_wire("kernel_info_request", metadata={"sessmgr": {"reattach": True}})
    assert not asked(message, "v1").reattaches


@pytest.mark.parametrize(
    "message",
    [
        on_the_wire("complete_request")[1],
        on_the_wire("execute_request", "control")[1],
        b"",
        b"\xff" * 40,
        b"\x01" * 9,
        (2**62).to_bytes(8, "little"),
        "text",
    ],
)
def test_other_messages_and_nonsense_are_not_in_v1(message):
    assert asked(message, "v1") is None


@pytest.mark.parametrize(
    "message",
    [
        on_the_wire("complete_request", wire="json")[1],
        on_the_wire("complete_request", wire="binary")[1],
        on_the_wire("execute_request", "control", wire="json")[1],
        b"",
        b"\xff" * 40,
        struct.pack("!3I", 2, 12, 2**32 - 1) + b"{}",
        struct.pack("!3I", 2, 12, 40) + b'"execute_request" \xff',
        "",
        "execute_request",
        '"execute_request"',
        '{"execute_request":' + "[" * 100_000,
        json.dumps(["execute_request"]),
        json.dumps({"header": "execute_request"}),
        json.dumps({"header": {"msg_type": "execute_request"}}),
        json.dumps({"header": {"msg_type": "execute_request", "msg_id": 7}}),
    ],
)
def test_other_messages_and_nonsense_are_not_in_json(message):
    assert asked(message, "json") is None


def message_with(buffers=()):
    return {
        "header": {"msg_id": "m", "msg_type": "display_data"},
        "parent_header": {"msg_id": "p"},
        "metadata": {"sessmgr": {"seq": 3}},
        "content": {"text": "\N{SNOWMAN}"},
        "buffers": list(buffers),
    }


@pytest.mark.parametrize("buffers", [[], [b"", b"\0\xff"]])
def test_messages_in_v1(buffers):
    message = message_with(buffers)
    written = write_message(message, "iopub", v1=True, pack=SESSION.pack)
    channel, parts = deserialize_msg_from_ws_v1(written)
    assert channel == "iopub"
    names = ("header", "parent_header", "metadata", "content")
    assert [json.loads(part) for part in parts[:4]] == [message[name] for name in names]
    assert parts[4:] == buffers


def test_messages_in_json():
    message = message_with()
    written = write_message(message, "shell", v1=False, pack=SESSION.pack)
    ids = {"msg_id": "m", "msg_type": "display_data", "channel": "shell"}
    assert json.loads(written) == {**message, **ids}


def test_messages_with_buffers_in_json():
    written = write_message(message_with([b"", b"\0\xff"]), "iopub", v1=False, pack=SESSION.pack)
    read = deserialize_binary_message(written)
    assert [bytes(buffer) for buffer in read["buffers"]] == [b"", b"\0\xff"]
    assert read["content"] == {"text": "\N{SNOWMAN}"}
    assert read["channel"] == "iopub"


def test_buffers_of_the_journal():
    assert unpack_buffers(["AP8=", ""]) == [b"\0\xff", b""]
    assert unpack_buffers(None) == []
    assert unpack_buffers(["?", 7, "AP8="]) == [b"", b"", b"\0\xff"]


def server(there, settings=()):
    return SimpleNamespace(
        web_app=SimpleNamespace(settings=dict(settings)),
        kernel_websocket_connection_class=there,
        log=logging.getLogger("test"),
    )


def test_the_class_that_is_there_is_extended():
    class Theirs(ZMQChannelsWebsocketConnection):
        pass

    assert issubclass(channels_class(server(Theirs)), Theirs)
    other = session_channels(Theirs)
    assert issubclass(
        channels_class(server(Theirs, {"kernel_websocket_connection_class": other})), other
    )


def test_one_that_cannot_be_extended_stays_and_is_named(caplog):
    class Theirs:
        pass

    assert channels_class(server(Theirs)) is Theirs
    assert "Theirs" in caplog.text
    assert "output" in caplog.text
