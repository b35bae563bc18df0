"""Tells all browsers that look at a kernel what became of it, whoever did it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.websocket import WebSocketClosedError

from jupyter_sessmgr.provisioning.channels.gate import RestartGate
from jupyter_sessmgr.provisioning.channels.writer import Writer

#: Close code of a websocket whose client should connect again.
_COME_AGAIN = 1012


def tell_dead(kernel_id: str) -> None:
    """Tell every browser that looks at a kernel that it is gone for good."""
    for connection in _connections(kernel_id):
        _tell(connection.on_restart_failed, connection)


def tell_restarted(kernel_id: str) -> None:
    """Tell every browser that looks at a kernel that another one takes its place."""
    for connection in _connections(kernel_id):
        _tell(connection.on_kernel_restarted, connection)


def tell_state(manager: Any, writer: Writer) -> None:
    """Tell a browser whether its kernel works, as the answers to Jupyter's questions would.

    A server in front connects again by itself; its browser does not know that and asks nothing.
    """
    if manager.execution_state in ("idle", "busy"):
        with contextlib.suppress(WebSocketClosedError):
            writer.say("status", {"execution_state": manager.execution_state}, {})


def gates_of(kernel_id: str) -> list[RestartGate]:
    """List the gates of all websockets to a kernel."""
    gates = [getattr(connection, "gate", None) for connection in _connections(kernel_id)]
    return [gate for gate in gates if gate is not None]  # other extensions' websockets have none


def hold_requests(kernel_id: str) -> None:
    """Have requests to a kernel wait, since it is being restarted."""
    for gate in gates_of(kernel_id):
        gate.shut()


def release_requests(kernel_id: str) -> None:
    """Let requests to a kernel go on, as soon as all websockets hear it."""
    for gate in gates_of(kernel_id):
        gate.runs()


def hang_up(kernel_id: str) -> None:
    """Close the websockets of every browser that looks at a kernel; each connects again."""
    for connection in _connections(kernel_id):
        connection.websocket_handler.close(_COME_AGAIN, "the kernel is reached elsewhere now")


def _connections(kernel_id: str) -> list[Any]:
    everybody = list(ZMQChannelsWebsocketConnection._open_sockets)  # noqa: SLF001 - the registry
    return [one for one in everybody if one.kernel_id == kernel_id]


def _tell(word: Callable[[], None], connection: Any) -> None:
    try:
        word()
    except WebSocketClosedError:
        connection.log.debug("A browser left before it heard what became of its kernel.")
