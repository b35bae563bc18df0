"""Keeps a connection to the agent of every place that is in use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from jupyter_sessmgr.manager.agents.link import AgentLink
from jupyter_sessmgr.manager.agents.words import KernelState
from jupyter_sessmgr.manager.installation.secrets import InstallationSecrets
from jupyter_sessmgr.model.errors import NotRunning, SessmgrError
from jupyter_sessmgr.model.ports import Endpoint

#: Seconds between heartbeats; an agent's lease is at least three times as long.
HEARTBEAT = 20.0
#: Seconds that an agent may take to answer a heartbeat.
PATIENCE = 10.0


class AgentLinks:
    """The agents this server talks to, by place.

    Parameters
    ----------
    secrets
        derives each agent's token and certificate.
    on_change
        called with the place's id when a kernel's state changed or a link was lost.
    """

    def __init__(
        self,
        secrets: InstallationSecrets,
        on_change: Callable[[str], None],
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self._secrets = secrets
        self._on_change = on_change
        self._log = log
        self._links: dict[str, AgentLink] = {}
        self._hearts: dict[str, asyncio.Task[None]] = {}

    def get(self, place_id: str) -> AgentLink:
        """Return the living link to a place's agent.

        Raises
        ------
        NotRunning
            when there is none at the moment.
        """
        link = self._links.get(place_id)
        if link is None or link.closed.is_set():
            raise NotRunning("The session's agent is not connected at the moment; try again soon.")
        return link

    def kernel(self, place_id: str) -> KernelState | None:
        """Return what the agent last said of its kernel; None while it is not connected."""
        link = self._links.get(place_id)
        if link is None or link.closed.is_set():
            return None
        return link.kernel

    async def connect(self, place_id: str, endpoint: Endpoint, timeout: float) -> AgentLink:
        """Reach a place's agent and keep in touch with it.

        Raises
        ------
        AgentUnavailable
            when it did not answer within `timeout` seconds.
        """
        before = self._links.get(place_id)
        await self.drop(place_id)
        link = await AgentLink.connect(
            endpoint, place_id=place_id, secrets=self._secrets, timeout=timeout
        )
        if before is not None:  # streams outlive the link that they were asked for by
            link.streams = before.streams
        self._links[place_id] = link
        link.on_kernel(lambda _kernel: self._on_change(place_id))
        self._hearts[place_id] = asyncio.create_task(
            self._beat(place_id, link), name=f"sessmgr-heart-{place_id}"
        )
        return link

    async def drop(self, place_id: str) -> None:
        """Let go of a place's agent. Harmless when there is no link."""
        heart = self._hearts.pop(place_id, None)
        if heart is not None:
            heart.cancel()
            await asyncio.gather(heart, return_exceptions=True)
        link = self._links.pop(place_id, None)
        if link is not None:
            await link.close()

    async def cut(self, place_id: str) -> None:
        """Let go of a place's agent, and cut all streams into the place off.

        For a place that is reached at another address: what goes to the one of before hangs.
        """
        link = self._links.get(place_id)
        if link is not None:
            link.cut_streams()
        await self.drop(place_id)

    async def close(self) -> None:
        """Let go of all agents; they go on by themselves until their lease ends."""
        for place_id in tuple(self._links):
            await self.drop(place_id)

    async def _beat(self, place_id: str, link: AgentLink) -> None:
        while not link.closed.is_set():
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await link.closed.wait()
            except TimeoutError:
                await self._ping(place_id, link)
        self._on_change(place_id)

    async def _ping(self, place_id: str, link: AgentLink) -> None:
        try:
            await link.ping(timeout=PATIENCE)
        except SessmgrError as error:  # whatever it refuses a heartbeat with
            self._log.warning("The agent of place %s does not answer: %s", place_id, error)
            await link.close()
