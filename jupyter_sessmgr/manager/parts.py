"""What the parts of the manager share."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from jupyter_sessmgr.engines.base import Engine
from jupyter_sessmgr.manager.agents.links import AgentLinks
from jupyter_sessmgr.manager.bus import EventBus
from jupyter_sessmgr.manager.installation.others import Others
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.manager.use.activity import Activity
from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.store.base import Store

#: A kernel that lived longer than this died for the first time again.
DEATHS_WITHIN = 120.0
#: Seconds that another server has to start the kernel again that it asked to end.
PATIENCE = 30.0
#: Seconds until a kernel that died for the second time is started again; then twice as many.
FIRST_PAUSE = 0.5


@dataclass(slots=True, kw_only=True)
class Memory:
    """What is known only while this server runs."""

    #: Wishes to stop that the store could not take, by id: what each makes of the session.
    unsaved_stops: dict[str, Callable[[ComputeSession], ComputeSession]] = field(
        default_factory=dict
    )
    #: The path of the server whose pages show services.
    base_url: str = "/"
    #: Bytes and seconds that a journal may have.
    journal_bounds: tuple[int, float] = (32 * 2**20, 0.0)
    #: Rows that ended but could not be written.
    unsaved_ends: dict[str, ComputeSession] = field(default_factory=dict)
    #: Why a session cannot be judged at the moment, by id.
    unknown: dict[str, str] = field(default_factory=dict)
    #: Sessions of whose place the engine had news: it is asked once, whatever the agent says.
    news: set[str] = field(default_factory=set)
    #: When this server saw a place's agent start, on the monotonic clock.
    booted_at: dict[str, float] = field(default_factory=dict)
    #: Sessions whose dead kernel somebody else starts again, and by how many that is.
    keepers: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    #: Sessions whose kernel was asked to end by whoever keeps it: no death to tell of.
    expected_exits: set[str] = field(default_factory=set)
    #: The latest generation whose kernel was asked to end through this server, which follows.
    asked_exits: dict[str, int] = field(default_factory=dict)
    #: Since when a kernel is dead that another server asked to end, on the monotonic clock.
    left_to_others: dict[str, float] = field(default_factory=dict)
    #: When a session's kernel died by itself, on the monotonic clock.
    deaths: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    first_pause: float = FIRST_PAUSE
    #: Since when a start finds no engine, on the monotonic clock.
    no_engine_since: dict[str, float] = field(default_factory=dict)
    #: What was wrong with the store when it was opened, for people; and whether rows may be lost.
    damage: str = ""
    rows_lost: bool = False
    #: What carries our signature but is unknown to the store, by name: left alone, and told.
    quarantine: dict[str, str] = field(default_factory=dict)
    #: Why the engine refused to suspend a session, by its id: it goes on.
    unsuspendable: dict[str, str] = field(default_factory=dict)
    #: Places without a session that the warm pool keeps: the sweep leaves them alone.
    kept: set[str] = field(default_factory=set)
    #: Places that were spares and whose agents know by now whose they are.
    settled: set[str] = field(default_factory=set)

    def booting_for(self, place_id: str) -> float:
        """Seconds since a place's agent was started, as far as this server knows."""
        return time.monotonic() - self.booted_at.setdefault(place_id, time.monotonic())

    def is_kept(self, session: ComputeSession) -> bool:
        """Say whether somebody else starts a dead kernel again: here, or where it was ended."""
        ended = session.kernel_exit
        if ended is None or session.exit_wished < max(ended.generation, session.generation):
            self.left_to_others.pop(session.id, None)
            return self.keepers.get(session.id, 0) > 0
        now = time.monotonic()
        return now - self.left_to_others.setdefault(session.id, now) < PATIENCE

    def note_death(self, session_id: str) -> None:
        """Count a kernel that died by itself."""
        self.deaths[session_id].append(time.monotonic())

    def recent_deaths(self, session_id: str) -> int:
        """How often a session's kernel died by itself lately."""
        since = time.monotonic() - DEATHS_WITHIN
        if session_id not in self.deaths:
            return 0
        self.deaths[session_id] = [when for when in self.deaths[session_id] if when > since]
        return len(self.deaths[session_id])

    def restart_in(self, session_id: str) -> float:
        """Seconds until a kernel that died by itself may start again: at first none."""
        before = self.recent_deaths(session_id) - 1
        if before < 1:
            return 0.0
        pause = self.first_pause * 2.0 ** (before - 1)
        return max(0.0, self.deaths[session_id][-1] + pause - time.monotonic())

    def forget_place(self, place_id: str) -> None:
        """Drop what is known of a place that was removed, or that its session left."""
        self.booted_at.pop(place_id, None)
        self.settled.discard(place_id)

    def forget(self, session_id: str) -> None:
        """Drop what is known of a session that ended."""
        for known in (
            self.unsaved_stops,
            self.unknown,
            self.deaths,
            self.no_engine_since,
            self.unsuspendable,
            self.asked_exits,
            self.left_to_others,
        ):
            known.pop(session_id, None)
        self.expected_exits.discard(session_id)
        self.news.discard(session_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The rim and the tools that reconciler, steps and sweeper work with."""

    store: Store
    engine: Engine
    links: AgentLinks
    secrets: InstallationSecrets
    #: The state folder.
    folder: Path
    bus: EventBus
    memory: Memory
    log: logging.Logger | logging.LoggerAdapter[logging.Logger]
    #: Wishes for another generation of a session whose kernel died; the manager's.
    autorestart: Callable[[ComputeSession], Awaitable[None]]
    #: Who uses what; rows get it with other facts.
    activity: Activity = field(default_factory=Activity)
    #: The other servers on the same state folder.
    others: Others = field(default_factory=Others)
