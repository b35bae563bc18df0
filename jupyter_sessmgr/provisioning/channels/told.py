"""A message of the kernel that arrived live, as far as it is looked at."""

from __future__ import annotations

from typing import Any


class Told:
    """What a message is, and of which request.

    Parameters
    ----------
    session : jupyter_client.session.Session
        Reads messages.
    parts : list of bytes
        The message as it came.
    """

    def __init__(self, session: Any, parts: list[Any]) -> None:
        self._session = session
        _, self._parts = session.feed_identities(parts)
        header = session.unpack(self._parts[1])
        self.msg_id: str = header.get("msg_id", "")
        self.kind: str = header.get("msg_type", "")
        #: Id of the request.
        self.parent: str = session.unpack(self._parts[2]).get("msg_id", "")

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return sum(map(len, self._parts))

    @property
    def content(self) -> dict[str, Any]:
        """What it says."""
        said: dict[str, Any] = self._session.unpack(self._parts[4])
        return said

    @property
    def is_end(self) -> bool:
        """Whether it says that its request is done."""
        if self.kind != "status":
            return False
        return bool(self.content.get("execution_state") == "idle")
