"""The websocket between a browser and a kernel: quick, and honest about why a kernel died."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

from jupyter_server.services.kernels.connection.base import serialize_msg_to_ws_v1
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from tornado.websocket import WebSocketClosedError

from jupyter_sessmgr.model.errors import SessmgrError
from jupyter_sessmgr.model.events import Event, StatusChanged
from jupyter_sessmgr.provisioning.held import Held, is_suspended
from jupyter_sessmgr.provisioning.refused import KernelRefused

V1 = "v1.kernel.websocket.jupyter.org"
_serialize: Callable[[Any, str, Any], bytes] = serialize_msg_to_ws_v1
#: Close code of a websocket whose client should connect again.
_COME_AGAIN = 1012
#: Requests that are remembered until they are answered.
MOST_PENDING = 1000


def channels_class(server: Any) -> type:
    """Choose the websocket class for a Jupyter server's kernels.

    Called by the extension, which puts the answer into the server's settings. It extends the
    class that is there; one that cannot be extended, of another extension, is left in place and
    named in the log: remote kernels work with it, with less.
    """
    there = server.web_app.settings.get("kernel_websocket_connection_class")
    there = there or server.kernel_websocket_connection_class
    if isinstance(there, type) and issubclass(there, ZMQChannelsWebsocketConnection):
        return session_channels(there)
    name = getattr(there, "__qualname__", repr(there))
    server.log.warning(
        "Another extension's kernel websockets (%s) are in use: notebooks will not say why a "
        "remote kernel died; the log and the session's page do.",
        name,
    )
    return there  # type: ignore[no-any-return]


def session_channels(base: type[ZMQChannelsWebsocketConnection]) -> type:
    """Extend a websocket class, once."""
    if issubclass(base, _SessionChannels):
        return base

    class SessionChannels(_SessionChannels, base):  # type: ignore[valid-type,misc]
        """A kernel's websocket; see `_SessionChannels`."""

    return SessionChannels


class Use:
    """One websocket as a user of its session: counted while it is open, and what it executes.

    Parameters
    ----------
    held : Held, optional
        The session of its kernel; None when that is not one of ours.
    """

    def __init__(self, held: Held | None) -> None:
        self._held = held
        self._open = contextlib.ExitStack()
        if held is not None:
            self._open.enter_context(held.home.sessions.activity.client(held.id))

    def connecting(self, connected: Any) -> None:
        """Keep the session awake until the kernel has answered for the first time.

        Before that nothing is read of the websocket, so no message of it could resume a session.
        """
        if self._held is not None and connected is not None:
            until = self._open.enter_context(contextlib.ExitStack())
            until.enter_context(kept_awake(self._held))
            connected.add_done_callback(lambda _done: until.close())

    def message(self, *, executes: bool) -> None:
        """Note a message to the kernel, and resume a session that was suspended meanwhile."""
        if self._held is None:
            return
        if executes:
            self._held.home.sessions.activity.note_query(self._held.id)
        if is_suspended(self._held):
            self._held.home.post(self._held.wake)

    def end(self) -> None:
        """Count it no longer."""
        self._open.close()


@contextlib.contextmanager
def kept_awake(held: Held | None) -> Iterator[None]:
    """Resume a session whenever it is suspended while the context lasts."""
    if held is None:
        yield
        return

    def wake(event: Event) -> None:
        if isinstance(event, StatusChanged) and event.session.id == held.id:
            held.home.post(held.wake)

    unsubscribe = held.home.sessions.subscribe(wake)
    if is_suspended(held):
        held.home.post(held.wake)
    try:
        yield
    finally:
        unsubscribe()


class _SessionChannels:
    """What is added to a `ZMQChannelsWebsocketConnection`.

    Small messages leave at once: with Nagle's algorithm a short execution takes 48 ms instead
    of 6-10. When a session's kernel dies, the cell that was running says why.
    """

    async def prepare(self) -> None:
        """See to it that the kernel can answer. Called before the websocket opens."""
        held = _held(self.kernel_manager)  # type: ignore[attr-defined]
        if held is not None:
            try:
                await held.home.sessions.resume_for_use(held.id)
            except SessmgrError as error:
                raise KernelRefused(error) from error
        with kept_awake(held):
            await super().prepare()  # type: ignore[misc]

    def connect(self) -> Any:
        """Begin to pass messages. Called by jupyter_server when the websocket is open."""
        self._pending: dict[str, dict[str, Any]] = {}
        self._use = Use(_held(self.kernel_manager))  # type: ignore[attr-defined]
        self.websocket_handler.set_nodelay(True)  # type: ignore[attr-defined]
        connected = super().connect()  # type: ignore[misc]
        self._use.connecting(connected)
        return connected

    def handle_incoming_message(self, incoming_msg: Any) -> None:
        """Pass a message on to the kernel, noting which executions are asked for."""
        header = _execute_header(incoming_msg)
        if header is not None and len(self._pending) < MOST_PENDING:
            self._pending[header["msg_id"]] = header
        self._use.message(executes=header is not None)
        super().handle_incoming_message(incoming_msg)  # type: ignore[misc]

    def disconnect(self) -> None:
        """End with the websocket."""
        use = getattr(self, "_use", None)
        if use is not None:
            use.end()
        super().disconnect()  # type: ignore[misc]

    def handle_outgoing_message(self, stream: Any, outgoing_msg: list[Any]) -> None:
        """Pass a message on to the browser, noting which executions were answered."""
        if self._pending and getattr(stream, "channel", stream) == "shell":
            self._note_reply(outgoing_msg)
        super().handle_outgoing_message(stream, outgoing_msg)  # type: ignore[misc]

    def on_kernel_restarted(self) -> None:
        """Say why the kernel died. Called when Jupyter is about to start it again."""
        self._say_why("It is started again; its variables are lost.")
        super().on_kernel_restarted()  # type: ignore[misc]

    def on_restart_failed(self) -> None:
        """Say why the kernel died. Called when Jupyter gives it up."""
        self._say_why("It is not started again.")
        super().on_restart_failed()  # type: ignore[misc]

    def _note_reply(self, parts: list[Any]) -> None:
        session = self.session  # type: ignore[attr-defined]
        _, message = session.feed_identities(parts)
        parent = session.unpack(message[2])
        self._pending.pop(parent.get("msg_id", ""), None)

    def _say_why(self, what_next: str) -> None:
        reason = kernel_end(self.kernel_manager)  # type: ignore[attr-defined]
        if not reason:
            return
        log: logging.Logger = self.log  # type: ignore[attr-defined]
        log.warning("Kernel %s: %s", self.kernel_id, reason)  # type: ignore[attr-defined]
        parent = next(iter(self._pending.values()), None)
        self._pending.clear()
        if parent is None:
            return
        try:
            self._send_stderr(f"{reason} {what_next}\n", parent)
        except WebSocketClosedError:
            log.debug("The browser left before it heard why the kernel died.")

    def _send_stderr(self, text: str, parent: dict[str, Any]) -> None:
        session = self.session  # type: ignore[attr-defined]
        message = session.msg("stream", {"name": "stderr", "text": text}, parent=parent)
        message["parent_header"] = parent
        write = self.write_message  # type: ignore[attr-defined]
        if self.subprotocol == V1:  # type: ignore[attr-defined]
            write(_serialize(message, "iopub", session.pack), binary=True)
        else:
            message["channel"] = "iopub"
            write(session.pack(message).decode())


def kernel_end(manager: Any) -> str:
    """Say for people why the kernel of a session ended; "" when it is not ours or unknown."""
    held = _held(manager)
    return held.why_ended() if held is not None else ""


def _held(manager: Any) -> Held | None:
    held = getattr(getattr(manager, "provisioner", None), "held", None)
    return held if isinstance(held, Held) else None


def tell_dead(kernel_id: str) -> None:
    """Tell every browser that looks at a kernel that it is gone for good."""
    for connection in _connections(kernel_id):
        _tell(connection.on_restart_failed, connection)


def tell_restarted(kernel_id: str) -> None:
    """Tell every browser that looks at a kernel that another one takes its place."""
    for connection in _connections(kernel_id):
        _tell(connection.on_kernel_restarted, connection)


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


def _execute_header(message: Any) -> dict[str, Any] | None:
    """Find the header of a request to execute code; None in all other messages.

    What makes no sense is not judged here: it is forwarded, and answered, as ever.
    """
    try:
        if isinstance(message, bytes):
            header = json.loads(_shell_header(message) or b"null")
        else:
            whole = json.loads(message) if '"execute_request"' in message else None
            header = whole.get("header") if isinstance(whole, dict) else None
    except ValueError:
        return None
    if not isinstance(header, dict) or header.get("msg_type") != "execute_request":
        return None
    return header if isinstance(header.get("msg_id"), str) else None


def _shell_header(message: bytes) -> bytes | None:
    """Cut the header out of a message to the shell channel, without reading the rest of it.

    The message begins with the number of offsets, then has offsets of channel, header, ….
    """
    start, end, after = (
        int.from_bytes(message[8 * item : 8 * (item + 1)], "little") for item in (1, 2, 3)
    )
    if message[start:end] != b"shell":
        return None
    header = message[end:after]
    return header if b'"execute_request"' in header else None
