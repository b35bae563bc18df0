"""The recorder's sockets to one kernel."""

from __future__ import annotations

import time

from . import heard

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Mapping

    from .heard import Message

#: A longer message ends the connection, which begins anew.
_MAX_MESSAGE = 256 * 2**20
#: Milliseconds between attempts to reach a kernel that starts.
_KNOCK = 3
#: Seconds until a kernel that was not heard to answer is asked again, first and at most.
_ASK_AGAIN, _MOST_PATIENCE = 1.0, 60.0
#: Who listens at all addresses is reached at the nearest.
_EVERYWHERE = ("0.0.0.0", "*", "::")


class Ear:
    """Subscribed to all that the kernel says, from before its first word if it starts now.

    Parameters
    ----------
    zmq : module
        pyzmq.
    context : zmq.Context
        Theirs.
    kernel : dict
        Generation, connection and keys.
    session : str
        What the recorder calls itself.
    """

    def __init__(self, zmq: Any, context: Any, kernel: Mapping[str, Any], session: str) -> None:
        self.generation: int = kernel["generation"]
        #: Whether it is certain that everything is heard from now on.
        self.hears = False
        self._zmq, self._context, self._kernel = zmq, context, kernel
        self._session = session
        self._topic = b"recorder-" + session.encode()
        self._iopub = self._socket(zmq.SUB, "iopub")
        self._shell = self._socket(zmq.DEALER, "shell")
        # in this order: a kernel that greets its subscribers does so when it knows of both
        self._iopub.subscribe(b"")
        self._iopub.subscribe(self._topic)
        self._answered = False
        self._pause = _ASK_AGAIN
        self._ask()

    def sockets(self) -> list[Any]:
        """Return the sockets that are open."""
        return [one for one in (self._iopub, self._shell) if not one.closed]

    def is_ready(self, ready: Mapping[Any, int]) -> bool:
        """Tell whether the kernel said something, of the sockets that are ready."""
        return self._iopub in ready

    def patience(self) -> float:
        """Say in how many seconds to look again."""
        if self.hears:
            return float("inf")
        return max(0.0, self._ask_at - time.monotonic())

    def hear(self, most: int) -> Iterator[list[bytes]]:
        """Take messages that are here."""
        for _ in range(most):
            try:
                frames = self._iopub.recv_multipart(self._zmq.NOBLOCK)
            except self._zmq.ZMQError:
                break
            greeted = frames[:1] == [self._topic]
            self.hears = self.hears or greeted or self._session.encode() in b"".join(frames[:5])
            yield frames
        if self.patience() <= 0:
            self._ask()

    def answers(self) -> Iterator[Message]:
        """Take what the kernel answered."""
        while not self._shell.closed:
            try:
                message = heard.read(self._shell.recv_multipart(self._zmq.NOBLOCK))
            except self._zmq.ZMQError:
                return
            except heard.Unreadable:
                continue
            self._answered = True
            if self.hears:
                self._shell.close(0)
            yield message

    def close(self) -> None:
        """Let go of the kernel."""
        for one in self.sockets():
            one.close(0)

    def _ask(self) -> None:
        """Ask the kernel what it is; what it says of that on iopub shows that it is heard."""
        self._ask_at = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _MOST_PATIENCE)
        key = str(self._kernel["connection"].get("key", "")).encode()
        try:
            self._shell.send_multipart(heard.question(key, self._session), self._zmq.NOBLOCK)
        except self._zmq.ZMQError:
            return

    def _socket(self, kind: int, channel: str) -> Any:
        connection, curve = self._kernel["connection"], self._kernel.get("curve")
        made = self._context.socket(kind)
        made.linger = 0
        made.rcvhwm = 0
        made.reconnect_ivl = _KNOCK
        made.maxmsgsize = _MAX_MESSAGE
        if curve:
            made.curve_secretkey = curve["secret"].encode()
            made.curve_publickey = made.curve_serverkey = curve["public"].encode()
        port = connection[channel + "_port"]
        ip = "127.0.0.1" if connection["ip"] in _EVERYWHERE else connection["ip"]
        separator = "-" if connection["transport"] == "ipc" else ":"
        made.connect("%s://%s%s%s" % (connection["transport"], ip, separator, port))
        return made
