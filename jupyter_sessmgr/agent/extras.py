"""What a place does besides its kernel; imported when it is asked for first."""

from __future__ import annotations

from .control import MAX_STREAMS
from .premises import Premises
from .refusals import Invalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Mapping

    from .frames import Frames
    from .pairs import Pairs
    from .reaper import Reaper
    from .services import App, Services


class Extras:
    """Services, files and streams.

    Parameters
    ----------
    orders : dict
        The agent's config.
    reaper : Reaper
        Collects what ended.
    """

    verbs = (
        "start_service",
        "stop_service",
        "services",
        "service_log",
        "find_port",
        "land",
        "make_folder",
        "journal_notes",
        "journal_executions",
        "journal_position",
        "journal_state",
    )

    def __init__(self, orders: Mapping[str, Any], reaper: Reaper) -> None:
        self.premises = Premises(orders, reaper)
        #: Tells all clients something; set when there can be any.
        self.push: Callable[[Mapping[str, Any]], None] = _nobody_listens
        self._services: Services | None = None
        self._pairs: Pairs | None = None

    def describe(self) -> list[dict[str, Any]]:
        """Tell about the services that were started."""
        return [] if self._services is None else self._services.describe()

    async def do(self, verb: str, args: Mapping[str, Any]) -> dict[str, Any]:
        """Do one of `verbs`."""
        if verb.startswith("journal_"):
            from .journalverbs import do  # noqa: PLC0415 - a start must not wait for it

            return await do(verb, args, self.premises.recorder)
        services = self._have_services()
        if verb == "start_service":
            return {"service": await services.start(args)}
        if verb == "stop_service":
            return {"service": await services.stop(args)}
        if verb == "services":
            return services.survey(args)
        if verb == "service_log":
            return {"logs": services.log(args)}
        if verb == "find_port":
            from .tunnel import find_port  # noqa: PLC0415 - a start must not wait for it

            return find_port(args)
        if verb == "land":
            from .landing import land  # noqa: PLC0415 - a start must not wait for it

            return await land(args, self.premises, self._have_pairs())
        if verb == "make_folder":
            from .files import make_folder  # noqa: PLC0415 - a start must not wait for it

            await make_folder(args, self.premises)
            return {}
        raise Invalid("unknown verb %.60r" % verb)

    async def serve(self, kind: str, args: Mapping[str, Any], frames: Frames) -> None:
        """Serve a stream until it ends."""
        from .opening import serve  # noqa: PLC0415 - a start must not wait for it

        await serve(kind, args, frames, self.premises)

    async def close(self, grace: float) -> None:
        """End all services."""
        if self._services is not None:
            await self._services.close(grace)

    def _have_services(self) -> Services:
        if self._services is None:
            from .services import Services  # noqa: PLC0415 - a start must not wait for it

            self._services = Services(self.premises, self._tell)
        return self._services

    def _have_pairs(self) -> Pairs:
        if self._pairs is None:
            from .pairs import Pairs  # noqa: PLC0415 - a start must not wait for it

            self._pairs = Pairs(MAX_STREAMS)
        return self._pairs

    def _tell(self, app: App) -> None:
        self.push({"event": "service", "service": app.describe()})


def _nobody_listens(_: Mapping[str, Any]) -> None:
    """Stand in until the control port is open."""
