"""What watches sessions while they run: who uses them, how much, and for how long still."""

from __future__ import annotations

from collections.abc import Callable

from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.manager.loop.facts import Facts
from jupyter_sessmgr.manager.parts import Parts
from jupyter_sessmgr.manager.use.activity import Activity
from jupyter_sessmgr.manager.use.idle import IdleCuller
from jupyter_sessmgr.manager.use.meter import UsageMeter
from jupyter_sessmgr.manager.use.pulse import Pulse
from jupyter_sessmgr.manager.wishes import Wishes
from jupyter_sessmgr.model.errors import StoreError


class Watching:
    """The board, and those who write on it or act by it. Owned by the manager."""

    def __init__(self, parent: LoggingConfigurable) -> None:
        self.activity = Activity()
        self.idle = IdleCuller(self.activity, parent=parent)
        self.meter = UsageMeter(self.activity, parent=parent)
        self._pulse: Pulse | None = None

    def follow(self, parts: Parts, wishes: Wishes) -> None:
        """Begin to watch as a server that follows: it ends nothing, and writes no facts."""
        self.activity.on_due(lambda _session_id: None)
        self.meter.start(parts)
        self.idle.start(parts, wishes, judges=False)

    def start(self, parts: Parts, poke: Callable[[str], None], wishes: Wishes) -> None:
        """Begin to watch. `poke` has the row of a session written, with what is new of it."""
        self.activity.on_due(poke)
        self._pulse = Pulse(parts, self.activity)
        self._pulse.start()
        self.meter.start(parts)
        self.idle.start(parts, wishes)

    async def stop(self) -> None:
        """Stop watching."""
        await self.idle.stop()
        await self.meter.stop()
        if self._pulse is not None:
            await self._pulse.stop()
            self._pulse = None

    async def write_down(self, parts: Parts) -> None:
        """Write what is new of sessions that go on. Called when the reconciler has stopped."""
        facts = Facts(parts)
        self.activity.on_due(lambda _session_id: None)
        self.activity.write_all()
        for session in parts.store.sessions():
            try:
                await facts.save_use(session)
            except StoreError as error:
                parts.log.warning("The use of session %s is not known: %s", session.name, error)
