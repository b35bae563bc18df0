"""A message of the kernel that arrived live, as far as it is looked at."""

from __future__ import annotations

from typing import Any

#: Where the parts of a message stand, behind its signature.
_HEADER, _PARENT, _METADATA, _CONTENT, _BUFFERS = 1, 2, 3, 4, 5


class Told:
    """What a message is, and of which request. What cannot be read of it is empty (THREATS F10).

    Parameters
    ----------
    session : jupyter_client.session.Session
        Reads messages.
    parts : list of bytes
        The message as it came.
    """

    def __init__(self, session: Any, parts: list[Any]) -> None:
        self._session = session
        try:
            _, self._parts = session.feed_identities(parts)
        except ValueError:
            self._parts = []
        header, parent = self._read(_HEADER), self._read(_PARENT)
        self.msg_id = _word(header, "msg_id")
        self.kind = _word(header, "msg_type")
        #: Who says it: each kernel has a name of its own.
        self.session = _word(header, "session")
        #: Id of the request, and its whole header.
        self.parent, self.above = _word(parent, "msg_id"), parent

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return sum(map(len, self._parts))

    @property
    def content(self) -> dict[str, Any]:
        """What it says."""
        return self._read(_CONTENT)

    def saying(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return the whole message, as it is but for its content."""
        return {
            "header": self._read(_HEADER),
            "parent_header": self.above,
            "metadata": self._read(_METADATA),
            "content": content,
            "buffers": [bytes(one) for one in self._parts[_BUFFERS:]],
        }

    @property
    def is_end(self) -> bool:
        """Whether it says that its request is done."""
        if self.kind != "status":
            return False
        return bool(self.content.get("execution_state") == "idle")

    def _read(self, part: int) -> dict[str, Any]:
        try:
            said = self._session.unpack(self._parts[part])
        except (ValueError, TypeError, IndexError, RecursionError):
            return {}
        return said if isinstance(said, dict) else {}


def _word(said: dict[str, Any], name: str) -> str:
    value = said.get(name)
    return value if isinstance(value, str) else ""
