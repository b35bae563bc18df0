"""Connects to an engine, and learns what it is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_sessmgr.engines.base import Capabilities, Capacity, Signer
from jupyter_sessmgr.engines.docker.answers import item_labels, item_name
from jupyter_sessmgr.engines.docker.client import DockerClient
from jupyter_sessmgr.engines.docker.container import INSTALL, PLACE, Hardening, is_ours
from jupyter_sessmgr.engines.docker.containers import Containers, Timeouts, agent_arguments
from jupyter_sessmgr.engines.docker.events import Events
from jupyter_sessmgr.engines.docker.facts import (
    Facts,
    Nearness,
    count_gpus,
    judge_nearness,
    make_notes,
    read_facts,
)
from jupyter_sessmgr.engines.docker.firewall import Firewall, advice
from jupyter_sessmgr.engines.docker.images import Images
from jupyter_sessmgr.engines.docker.landings import Landings
from jupyter_sessmgr.engines.docker.networks import ALL_BRIDGES, Networks
from jupyter_sessmgr.engines.docker.settings import Settings
from jupyter_sessmgr.model.errors import EngineUnavailable

_GPU = "cuda.device"
_PODMAN_NPROC = 32768


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """An engine that answers, and everything that talks to it."""

    client: DockerClient
    facts: Facts
    nearness: Nearness
    signer: Signer
    images: Images
    networks: Networks
    landings: Landings
    firewall: Firewall
    containers: Containers
    events: Events
    timeouts: Timeouts
    capabilities: Capabilities
    capacity: Capacity
    notes: Sequence[str]

    async def confirm(self) -> None:
        """Make sure that it is still the same engine that answers.

        Raises
        ------
        EngineUnavailable
            when another one does: what it says is about other containers.
        """
        facts = await _ask_facts(self.client, self.timeouts.inspect)
        if facts.engine_id != self.facts.engine_id:
            raise EngineUnavailable(
                f"Another engine answers at {self.client.host} than before; nothing is known of "
                "the sessions of the first one. Start it again, or restart the server."
            )
        self.client.doubtful = False

    async def confirm_if_doubtful(self) -> None:
        """Do the same when an answer failed to come since the last time."""
        if self.client.doubtful:
            await self.confirm()

    async def list_own(self) -> dict[str, Mapping[str, Any]]:
        """List the containers that are provably ours, by place id."""
        items = await self.containers.list(own=True)
        return {
            item_labels(item)[PLACE]: item
            for item in items
            if is_ours(self.signer, item_name(item), item_labels(item))
        }

    async def close(self) -> None:
        """Let go of everything."""
        self.events.close()
        await self.containers.close()
        await self.networks.close()
        await self.client.close()


async def connect(
    settings: Settings,
    signer: Signer,
    folder: Path,
    log: logging.Logger | logging.LoggerAdapter[logging.Logger],
) -> Connected:
    """Connect to the engine that the settings name.

    Raises
    ------
    EngineUnavailable
        when none answers, or its containers could not be reached; with the remedy.
    """
    client = await asyncio.to_thread(DockerClient, settings.host)  # may read certificates
    try:
        await client.open(settings.timeouts.inspect)
        await asyncio.to_thread(agent_arguments)
        return await _assemble(client, settings, signer, folder, log)
    except BaseException:
        await client.close()
        raise


async def _assemble(
    client: DockerClient,
    settings: Settings,
    signer: Signer,
    folder: Path,
    log: logging.Logger | logging.LoggerAdapter[logging.Logger],
) -> Connected:
    timeouts = settings.timeouts
    facts, listed = await asyncio.gather(
        _ask_facts(client, timeouts.inspect), _list_networks(client, timeouts.inspect)
    )
    nearness = await _judge(client, facts, listed, settings)
    images = Images(
        client,
        log,
        podman=facts.podman,
        timeout=timeouts.inspect,
        pull_timeout=settings.pull_timeout,
    )
    firewall = await asyncio.to_thread(
        Firewall, settings.firewall, log, local=nearness.local_network
    )
    networks = Networks(
        client,
        signer,
        firewall,
        prefix=settings.network_prefix,
        timeout=timeouts.create,
    )
    await networks.adopt(listed)
    landings = Landings(folder / "landings" if nearness.same_files else None)
    user = (0, 0) if facts.rootless and settings.default_user else settings.user
    hardening = Hardening(user=user, podman=facts.podman, nproc=_nproc(facts), **settings.hardening)
    gpus = await asyncio.to_thread(count_gpus, facts, local=nearness.same_files)
    client.doubtful = False
    return Connected(
        client=client,
        facts=facts,
        nearness=nearness,
        signer=signer,
        images=images,
        networks=networks,
        landings=landings,
        firewall=firewall,
        containers=Containers(
            client,
            signer,
            images,
            networks,
            landings,
            hardening=hardening,
            published=not nearness.by_address,
            gpus=facts.gpu_names,
            timeouts=timeouts,
        ),
        events=Events(f"{INSTALL}={signer.install_id}", PLACE),
        timeouts=timeouts,
        capabilities=_capabilities(facts, nearness, user, gpus, may_pull=settings.may_pull),
        capacity=Capacity(cpu=facts.cpus, mem=facts.mem, devices={_GPU: gpus} if gpus else {}),
        notes=make_notes(
            facts,
            nearness,
            host=client.host,
            shut=firewall.active,
            advice=advice(ALL_BRIDGES),
        ),
    )


async def _judge(
    client: DockerClient, facts: Facts, listed: Sequence[Mapping[str, Any]], settings: Settings
) -> Nearness:
    if not facts.engine_id:
        raise EngineUnavailable(f"The engine at {client.host} does not say which one it is.")
    nearness = await asyncio.to_thread(
        judge_nearness,
        client.host,
        facts,
        listed,
        settings.reach,
        forced_files=settings.host_mounts,
    )
    if not nearness.by_address and not nearness.near:
        raise EngineUnavailable(
            f"The engine at {client.host} is on another machine, and this one does not reach its "
            "containers. If it does, set DockerEngine.reach to 'address'."
        )
    return nearness


def _nproc(facts: Facts) -> int | None:
    """Say which limit Podman is to set: its own is more than root may set everywhere."""
    return _PODMAN_NPROC if facts.podman else None


def _capabilities(
    facts: Facts, nearness: Nearness, user: tuple[int, int], gpus: int, *, may_pull: bool
) -> Capabilities:
    return Capabilities(
        images=True,
        pull=may_pull,
        hard_memory=facts.hard_memory,
        hard_cpu=facts.hard_cpu,
        pids=facts.pids,
        shmem=True,
        devices=frozenset({_GPU} if gpus else ()),
        networks=frozenset({"egress", "isolated"} if nearness.by_address else {"egress"}),
        isolation=True,
        host_mounts=nearness.same_files,
        suspend=True,
        runs_as=user,
        kernel_transport="tcp",
    )


async def _ask_facts(client: DockerClient, timeout: float) -> Facts:
    info, version = await asyncio.gather(
        client.call("say what it is", lambda api: api.info(), timeout=timeout),
        client.call("say its version", lambda api: api.version(), timeout=timeout),
    )
    try:
        return await asyncio.to_thread(read_facts, info, version)  # of Podman it reads a file
    except (KeyError, TypeError, ValueError, ArithmeticError) as error:
        raise EngineUnavailable(f"The engine at {client.host} makes no sense: {error}") from error


async def _list_networks(client: DockerClient, timeout: float) -> Sequence[Mapping[str, Any]]:
    return await client.call(
        "list networks", lambda api: api.networks(filters={"driver": "bridge"}), timeout=timeout
    )


def require(connected: Connected | None) -> Connected:
    """Return what is connected.

    Raises
    ------
    EngineUnavailable
        when nothing is.
    """
    if connected is None:
        raise EngineUnavailable("The Docker engine does not answer yet; it is tried again.")
    return connected
