"""The standard input of a container that has not started yet."""

from __future__ import annotations

import socket
import ssl

from jupyter_sessmgr.engines.docker.client import Api

_CHUNK = 4096


class Stdin:
    """Carries the agent into a container. Every method is called in a thread.

    What fits into the connection's buffer is written before the container starts, so that its
    Python never waits for it.

    Parameters
    ----------
    key : str
        The container's id.
    boot : bytes
        What to write.
    """

    def __init__(self, api: Api, key: str, boot: bytes) -> None:
        self._reply = api.attach_socket(key, params={"stdin": 1, "stream": 1})
        self._socket: socket.socket = getattr(self._reply, "_sock", self._reply)
        self._rest = memoryview(boot)
        try:
            if not isinstance(self._socket, ssl.SSLSocket):
                self._write_ahead()
        except BaseException:
            self.close()
            raise

    def _write_ahead(self) -> None:
        self._socket.setblocking(False)
        try:
            while self._rest:
                self._rest = self._rest[self._socket.send(self._rest) :]
        except BlockingIOError:
            return

    def finish(self, timeout: float) -> None:
        """Write the rest, and the end.

        Called when the container has started: an end that is written before is lost now and then.
        """
        self._socket.settimeout(timeout)
        if self._rest:
            self._socket.sendall(self._rest)
        self._socket.shutdown(socket.SHUT_WR)

    def wait(self, timeout: float) -> None:
        """Wait until the engine has passed everything on.

        Closed before, the connection would take the rest with it. An engine that does not end the
        connection is no failure: the agent knows how much it has to read.
        """
        self._socket.settimeout(timeout)
        try:
            while self._socket.recv(_CHUNK):
                continue
        except TimeoutError:
            return

    def close(self) -> None:
        """Let go of the connection. Never blocks."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return
        finally:
            self._reply.close()
