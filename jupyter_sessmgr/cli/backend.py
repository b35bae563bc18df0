"""What commands need of whoever can answer: a running server, or the state folder itself."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.model.status import SessionStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A session as the command line shows it; its fields are the keys of ``--json``."""

    id: str
    name: str
    number: int
    status: str
    #: What it is doing, or why it failed.
    info: str
    image: str
    durable: bool
    #: Seconds since it was made.
    age: float
    #: What it may use: ``{"cpu": "2", "mem": 1073741824}``.
    resources: Mapping[str, object] = field(default_factory=dict)

    @property
    def is_final(self) -> bool:
        """Whether nothing of the session exists any more."""
        return SessionStatus(self.status).is_final

    @property
    def is_settled(self) -> bool:
        """Whether a start has come to its end, good or bad."""
        return self.is_final or self.status == SessionStatus.RUNNING

    def as_json(self) -> dict[str, Any]:
        """Give what ``--json`` prints."""
        return {
            "id": self.id,
            "name": self.name,
            "number": self.number,
            "status": self.status,
            "info": self.info,
            "image": self.image,
            "durable": self.durable,
            "age": round(self.age, 3),
            "resources": dict(self.resources),
        }


def row_of(session: ComputeSession, now: float) -> Row:
    """Show a session that this program's own manager holds."""
    resources: dict[str, object] = {"shmem": session.spec.resources.shmem}
    if session.spec.resources.cpu is not None:
        resources["cpu"] = str(session.spec.resources.cpu)
    if session.spec.resources.mem is not None:
        resources["mem"] = session.spec.resources.mem
    resources.update(session.spec.resources.devices)
    return Row(
        id=session.id,
        name=session.name,
        number=session.number,
        status=session.status.value,
        info=session.why,
        image=session.spec.image,
        durable=session.spec.durable,
        age=max(0.0, now - session.created_at),
        resources=resources,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What ``create`` was asked for; empty means: the server's default."""

    image: str = ""
    preset: str = ""
    name: str = ""
    resources: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    mounts: tuple[str, ...] = ()
    durable: bool = True
    group: str = ""
    tag: str = ""
    #: What a batch session runs; "" means an interactive one.
    command: str = ""
    #: Text of a shell script.
    bootstrap: str = ""
    ports: tuple[int, ...] = ()


class Sessions(ABC):
    """The sessions of this person, wherever they are kept. A context manager.

    Every method may raise an error of the tree in `model.errors`, or `CommandFailed`.
    """

    #: Who answers, for people.
    where: str
    #: Nobody works on the sessions when this command has ended.
    ends_with_command: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:  # noqa: B027 - a server needs no goodbye
        """Let go of whatever is held. Sessions go on."""

    @abstractmethod
    def list(self, *, ended: bool) -> Sequence[Row]:
        """List the sessions, newest first; with `ended`, those that are over too."""

    @abstractmethod
    def get(self, reference: str) -> Row:
        """Find a session by name, UUID or number."""

    @abstractmethod
    def create(self, wanted: Wanted) -> tuple[Row, bool]:
        """Ask for a session; tells whether it is a new one."""

    @abstractmethod
    def settled(self, row: Row, timeout: float, tell: Callable[[str], None]) -> Row:
        """Wait until it runs or is over, telling what happens meanwhile.

        Raises
        ------
        TimeoutError
            when that takes longer than `timeout` seconds; the start goes on.
        """

    @abstractmethod
    def stop(self, row: Row, *, forced: bool) -> None:
        """End a session; returns after it was removed."""

    @abstractmethod
    def logs(self, row: Row) -> str:
        """Return the last lines that it wrote."""

    @abstractmethod
    def connection_info(self, row: Row) -> Mapping[str, Any]:
        """Say how to reach the session's kernel, in the words of a connection file."""


def read_variables(pairs: Sequence[str]) -> dict[str, str]:
    """Read ``K=V`` texts of ``--env``.

    Raises
    ------
    ValueError
        naming the first one without a name or ``=``.
    """
    variables: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name, re.ASCII):
            raise ValueError(f"--env {name!r:.60}: write NAME=VALUE.")
        variables[name] = value
    return variables
