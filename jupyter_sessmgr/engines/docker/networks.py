"""Networks of our own: sessions on them cannot reach each other (THREATS F1)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_sessmgr.engines.base import Signer
from jupyter_sessmgr.engines.docker.client import Api, DockerClient, Refused
from jupyter_sessmgr.engines.docker.container import INSTALL, LOOPBACK, PURPOSE, SIGNATURE
from jupyter_sessmgr.engines.docker.firewall import Firewall
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable
from jupyter_sessmgr.model.session import Network

#: Seconds after which a network that nothing uses is removed.
IDLE = 300.0
#: What begins the names of all our interfaces, and all of them in rules: whoever shuts these by
#: hand does it once, for every installation and network that comes later, too.
_BRIDGE = "sm"
ALL_BRIDGES = f"{_BRIDGE}+"
KINDS: tuple[Network, ...] = ("egress", "isolated")
_ICC = "com.docker.network.bridge.enable_icc"
_NOT_FOUND, _FORBIDDEN, _CONFLICT = 404, 403, 409


def network_name(prefix: str, install_id: str, kind: Network) -> str:
    """Make the name of an installation's network."""
    return f"{prefix}-{install_id}" + ("-isolated" if kind == "isolated" else "")


def bridge_name(network: str) -> str:
    """Make the name of a network's interface: known beforehand, for rules; at most 15 letters."""
    return f"{_BRIDGE}{hashlib.sha256(network.encode()).hexdigest()[:11]}"


def make_network(name: str, kind: Network, labels: Mapping[str, str]) -> dict[str, Any]:
    """Make the arguments of a network's creation. Pure."""
    return {
        "name": name,
        "driver": "bridge",
        "internal": kind == "isolated",
        "enable_ipv6": False,
        "check_duplicate": True,
        "labels": dict(labels),
        "options": {
            _ICC: "false",
            "com.docker.network.bridge.name": bridge_name(name),
            # Should anything ever be published without an address, then here.
            "com.docker.network.bridge.host_binding_ipv4": LOOPBACK,
        },
    }


def network_labels(signer: Signer, name: str) -> dict[str, str]:
    """Make the labels of a network."""
    return {
        INSTALL: signer.install_id,
        PURPOSE: "network",
        SIGNATURE: signer.sign("network", signer.install_id, name),
    }


def is_lost(words: str) -> bool:
    """Tell whether the engine's words mean that a network, or its bridge, is not there."""
    lower = words.lower()
    return ("network" in lower and "not found" in lower) or "could not find bridge" in lower


def _cut_off(name: str) -> str:
    return (
        f"The bridge of the network {name} was removed from this machine, so no session can be "
        "started on it, and those on it cannot be reached. Restart the Docker engine, or end "
        "those sessions."
    )


class Networks:
    """Makes an installation's networks when they are needed first, and removes unused ones.

    Owned by the engine.

    Parameters
    ----------
    prefix : str
        What the networks' names begin with.
    timeout : float
        Seconds that a call may take.
    """

    def __init__(
        self,
        client: DockerClient,
        signer: Signer,
        firewall: Firewall,
        *,
        prefix: str,
        timeout: float,
    ) -> None:
        self._client = client
        self._signer = signer
        self._firewall = firewall
        self._prefix = prefix
        self._timeout = timeout
        self._lock = asyncio.Lock()
        #: Networks that are there or may be, by kind, and when they were wanted last.
        self._wanted_at: dict[Network, float] = {}
        #: Those that are there.
        self._ready: set[Network] = set()
        #: Those whose bridge is gone while sessions are on them.
        self._broken: set[Network] = set()

    async def ensure(self, kind: Network) -> str:
        """Return the name of a network that is there.

        Raises
        ------
        EngineError
            when it cannot be made, or another's has its name.
        """
        name = network_name(self._prefix, self._signer.install_id, kind)
        async with self._lock:
            self._wanted_at[kind] = time.monotonic()
            if kind not in self._ready:
                # Somebody who wanted it may have left while it was being made.
                await self._client.settle(name, self._timeout)
                await self._find(name) or await self._make(name, kind)
                await self._firewall.shut(bridge_name(name))
                self._ready.add(kind)
        return name

    async def mend(self, kind: Network) -> None:
        """Make a network anew: it, or its bridge, was not there.

        Raises
        ------
        EngineError
            when sessions are on it, whose connections are lost with the bridge.
        """
        name = network_name(self._prefix, self._signer.install_id, kind)
        async with self._lock:
            self._ready.discard(kind)
            if not await self._remove(name):
                self._broken.add(kind)
                raise EngineError(_cut_off(name))
            self._broken.discard(kind)
        await self.ensure(kind)

    @property
    def trouble(self) -> str:
        """Why sessions cannot be started on a network of ours; "" when they can."""
        names = (network_name(self._prefix, self._signer.install_id, one) for one in KINDS)
        broken = [name for name, kind in zip(names, KINDS, strict=True) if kind in self._broken]
        return " ".join(map(_cut_off, broken))

    async def look_after(self) -> None:
        """Mend what could not be mended before, and remove what nobody needs any more."""
        for kind in tuple(self._broken):
            with contextlib.suppress(EngineError):
                await self.mend(kind)
        await self.remove_unused()

    async def remove_unused(self, idle: float = IDLE) -> None:
        """Remove those of ours that nothing uses and nobody wanted for `idle` seconds."""
        async with self._lock:
            for kind in KINDS:
                wanted_at = self._wanted_at.get(kind)
                if wanted_at is None or time.monotonic() - wanted_at < idle:
                    continue
                name = network_name(self._prefix, self._signer.install_id, kind)
                if await self._remove(name):
                    del self._wanted_at[kind]
                    self._ready.discard(kind)

    async def close(self) -> None:
        """Remove those of ours that nothing uses."""
        try:
            async with asyncio.timeout(self._timeout):
                await self.remove_unused(idle=0.0)
        except (EngineError, TimeoutError):
            return  # the next server finds and uses them

    async def adopt(self, listed: Sequence[Mapping[str, Any]]) -> None:
        """Take over what an earlier server left, from a list of networks."""
        for kind in KINDS:
            name = network_name(self._prefix, self._signer.install_id, kind)
            if any(self._is_ours(network, name) for network in listed):
                await self._firewall.shut(bridge_name(name))
                self._wanted_at[kind] = time.monotonic()
                self._ready.add(kind)

    def _is_ours(self, network: Mapping[str, Any], name: str) -> bool:
        signature = (network.get("Labels") or {}).get(SIGNATURE, "")
        return network.get("Name") == name and self._signer.verify(
            signature, "network", self._signer.install_id, name
        )

    async def _find(self, name: str) -> dict[str, Any] | None:
        try:
            network: dict[str, Any] = await self._client.call(
                "look at a network", lambda api: api.inspect_network(name), timeout=self._timeout
            )
        except Refused as error:
            if error.status == _NOT_FOUND:
                return None
            raise
        if not self._is_ours(network, name):
            raise EngineError(
                f"There is a network {name} on the engine that was not made by this server. "
                "Remove it, or set DockerEngine.network_prefix."
            )
        return network

    async def _make(self, name: str, kind: Network) -> dict[str, Any]:
        arguments = make_network(name, kind, network_labels(self._signer, name))

        def make(api: Api) -> dict[str, Any]:
            return api.create_network(**arguments)

        try:
            return await self._client.call(
                "make a network", make, timeout=self._timeout, about=name
            )
        except Refused as error:
            # A reply that was lost, and the same asked again (FAULTS D1).
            network = await self._find(name) if error.status == _CONFLICT else None
            if network is not None:
                return network
            raise EngineError(f"{error.message} Sessions need a network of their own.") from error
        except EngineUnavailable as error:
            if "address pool" in error.message:
                raise EngineError(
                    "The Docker engine has no addresses left for another network. Remove unused "
                    "networks (docker network prune), or add default-address-pools to its "
                    "configuration."
                ) from error
            raise

    async def _remove(self, name: str) -> bool:
        """Remove a network of ours; False when something uses it."""
        await self._client.settle(name, self._timeout)
        network = await self._find(name)
        if network is not None and network.get("Containers"):
            return False
        try:
            await self._client.call(
                "remove a network", lambda api: api.remove_network(name), timeout=self._timeout
            )
        except Refused as error:
            if error.status in (_FORBIDDEN, _CONFLICT):
                return False
            if error.status != _NOT_FOUND:
                raise
        await self._firewall.open(bridge_name(name))
        return True
