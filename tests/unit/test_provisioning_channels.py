"""Which execution a browser is told about when its kernel dies."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import pytest
from jupyter_client.session import Session
from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

from jupyter_sessmgr.provisioning.channels import _execute_header, channels_class, session_channels


def on_the_wire(msg_type, channel="shell", *, legacy=False):
    session = Session(key=b"")
    message = session.msg(msg_type, {"code": "1"})
    if legacy:
        return message["header"], session.pack({**message, "channel": channel}).decode()
    return message["header"], serialize_msg_to_ws_v1(message, channel, session.pack)


@pytest.mark.parametrize("legacy", [True, False])
def test_requests_to_execute_are_seen(legacy):
    header, message = on_the_wire("execute_request", legacy=legacy)
    assert _execute_header(message)["msg_id"] == header["msg_id"]


@pytest.mark.parametrize(
    "message",
    [
        on_the_wire("complete_request")[1],
        on_the_wire("execute_request", "control")[1],
        on_the_wire("complete_request", legacy=True)[1],
        b"",
        b"\xff" * 40,
        b"\x01" * 9,
        (2**62).to_bytes(8, "little"),
        "",
        "execute_request",
        '"execute_request"',
        json.dumps(["execute_request"]),
        json.dumps({"header": "execute_request"}),
        json.dumps({"header": {"msg_type": "execute_request"}}),
        json.dumps({"header": {"msg_type": "execute_request", "msg_id": 7}}),
    ],
)
def test_other_messages_and_nonsense_are_not(message):
    assert _execute_header(message) is None


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
