"""The socket by which a kernel manager speaks to its kernel's control channel, made safe."""

from __future__ import annotations

from typing import Any

import zmq


class NeverWaits:
    """Sends what can be sent at once, and drops the rest.

    jupyter_client sends on this socket as one that waits for a peer, on the event loop. A kernel
    that breaks a handshake, as code in a session can, leaves the socket without any peer for good:
    the whole server would wait. Whatever is dropped was polite: a kernel that does not hear that
    it should end is killed, after the usual time.

    Parameters
    ----------
    socket : zmq.Socket
        Connected to the kernel.
    log : logging.Logger
        Hears of what was dropped.
    """

    def __init__(self, socket: Any, log: Any) -> None:
        self._socket = socket
        self._log = log

    def send_multipart(self, frames: list[Any], flags: int = 0, *, copy: bool = True) -> None:
        """Send a message. Called by `jupyter_client.session.Session`."""
        try:
            # Not as the asyncio socket that it may be: nobody waits for the answer.
            plain: zmq.Socket[bytes] = zmq.Socket.shadow(self._socket.underlying)
            plain.send_multipart(frames, flags | zmq.NOBLOCK, copy=copy)
        except zmq.Again:
            self._log.warning(
                "The kernel takes no messages on its control channel any more. Shut it down if "
                "it does not do what you ask."
            )

    def close(self) -> None:
        """Let go of the kernel. Called by the kernel manager."""
        self._socket.close()


def never_wait(manager: Any) -> None:
    """Have a kernel manager's control socket never wait. Called when that was just connected."""
    socket = getattr(manager, "_control_socket", None)
    if socket is not None and not isinstance(socket, NeverWaits):
        manager._control_socket = NeverWaits(socket, manager.log)  # noqa: SLF001 - there is no public way
