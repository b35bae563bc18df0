"""What a server is on its state folder: the one that leads, or one that follows."""

from __future__ import annotations

from abc import ABC, abstractmethod

from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.wishes import Wishes
from jupyter_sessmgr.store.base import Change


class Role(ABC):
    """Made, started and stopped by the manager; the other parts ask it to look at sessions."""

    #: Whether this server leads: it makes the facts.
    leads: bool

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        #: The pen for wishes.
        self.wishes = Wishes(parts, self)

    @abstractmethod
    async def start(self) -> None:
        """Begin."""

    @abstractmethod
    async def stop(self) -> None:
        """End what is not needed for sessions to end."""

    @abstractmethod
    async def finish(self) -> None:
        """End the rest; what is under way is taken up by the next server."""

    @abstractmethod
    def poke(self, session_id: str) -> None:
        """Have a session looked at, since something was wished or noted of it."""

    @abstractmethod
    def interrupt_start(self, session_id: str) -> None:
        """Break off a start that is under way, since its goal changed."""

    @abstractmethod
    def place_changed(self, place_id: str) -> None:
        """Hear that an agent said something, or hung up."""

    @abstractmethod
    def take(self, change: Change) -> None:
        """Hear what another server wrote."""

    @abstractmethod
    def notes(self) -> tuple[str, ...]:
        """Say in sentences for people what is special about it; from memory."""

    def reaches(self, session_id: str) -> bool:
        """Say whether a session that runs can be asked here, or is not worth waiting for."""
        _ = session_id
        return True
