"""What can be asked of the agent of a place about the apps in it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jupyter_sessmgr.manager.agents.landing import Landing
from jupyter_sessmgr.manager.agents.stream import BUFFER
from jupyter_sessmgr.manager.agents.wire import ANSWER_TIMEOUT, AgentWire
from jupyter_sessmgr.manager.agents.words import (
    AgentService,
    ServiceOffer,
    ServiceSurvey,
    read_service,
    read_services,
    read_survey,
    read_text,
)
from jupyter_sessmgr.model.errors import AgentError, AgentUnavailable, InvalidRequest

#: Where apps are asked for that share the server's network.
LOOPBACKS = ("127.0.0.1", "::1")


class AgentServices(AgentWire):
    """The half of `AgentLink` that is about services; errors and times as there."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._landing: asyncio.Future[Landing] | None = None

    async def start_service(self, order: Mapping[str, object], *, timeout: float) -> AgentService:
        """Have an app run; returns when its port answers, or it failed: look at its state."""
        return self._learn_service(await self.call("start_service", timeout, **order))

    async def stop_service(self, name: str, *, timeout: float = ANSWER_TIMEOUT) -> AgentService:
        """End an app and all that it started."""
        return self._learn_service(await self.call("stop_service", timeout, name=name))

    async def service_offers(
        self, *, timeout: float = ANSWER_TIMEOUT
    ) -> Mapping[str, ServiceOffer]:
        """Ask which apps the image itself says how to start, and how those are that were."""
        return (await self.survey_services((), timeout=timeout)).offers

    async def survey_services(
        self, ports: Sequence[int], *, timeout: float = ANSWER_TIMEOUT
    ) -> ServiceSurvey:
        """Ask the same, and on which of `ports` something of the place listens."""
        answer = await self.call("services", timeout, ports=list(ports))
        told = answer.get("services") if isinstance(answer, dict) else None
        for service in self._believe(read_services, told):
            self._note_service(service)
        return self._believe(read_survey, answer)

    async def service_log(self, name: str, tail: int, *, timeout: float = ANSWER_TIMEOUT) -> str:
        """Ask for the last `tail` bytes that an app wrote, also after it ended."""
        answer = await self.call("service_log", timeout, name=name, tail=tail)
        told = answer.get("logs") if isinstance(answer, dict) else None
        return self._believe(lambda told: read_text(told, tail), told)

    async def find_port(
        self, port: int, network: str, *, timeout: float = ANSWER_TIMEOUT
    ) -> Sequence[str]:
        """Ask at which loopback addresses the place listens, if it has the network named so.

        Whatever an agent says, nothing but such addresses comes of it (THREATS D1).
        """
        answer = await self.call("find_port", timeout, port=port, network=network)
        told = answer.get("hosts") if isinstance(answer, dict) else None
        return [host for host in LOOPBACKS if isinstance(told, list) and host in told]

    async def land(
        self, port: int, folder: Path | None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Have a connection to a port brought here, by a folder that the place sees.

        None when that does not work; after a while it is not tried any more.

        Raises
        ------
        NotRunning
            when nothing of the place answers at the port.
        """
        landing = await self._open_landing(folder)
        if landing is None or not landing.is_open:
            return None
        with landing.ticket() as ticket:
            try:
                told = await self.call("land", port=port, name=landing.name, ticket=ticket)
            except AgentUnavailable:
                raise
            except (AgentError, InvalidRequest):
                told = None
            came = await landing.arrival(ticket) if told == {"landed": True} else None
        if came is None:
            landing.fail()
            return None
        return await asyncio.open_connection(sock=came, limit=BUFFER)

    async def _open_landing(self, folder: Path | None) -> Landing | None:
        """Listen in the folder; once, for all who want it."""
        if folder is None:
            return None
        if self._landing is None:
            self._landing = asyncio.ensure_future(Landing.open(folder))
        await asyncio.wait({self._landing})
        return None if self._landing.exception() else self._landing.result()

    async def close(self) -> None:
        """Let go of the agent, which goes on; what was brought here stays."""
        await super().close()
        landing, self._landing = self._landing, None
        if landing is not None:
            await asyncio.wait({landing})
            if not landing.exception():
                await landing.result().close()

    def _learn_service(self, answer: object) -> AgentService:
        """Take a service's state from an answer."""
        told = answer.get("service") if isinstance(answer, dict) else None
        service = self._believe(read_service, told)
        self._note_service(service)
        return service
