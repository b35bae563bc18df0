"""Sessions in containers of a Docker engine, or of Podman's Docker socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from traitlets import Bool, Enum, Float, Integer, List, Unicode

from jupyter_sessmgr.engines.base import (
    MISSING,
    Capabilities,
    Capacity,
    Checkpoint,
    Engine,
    Found,
    Layout,
    Observation,
    Signer,
)
from jupyter_sessmgr.engines.docker.answers import found, needs_inspection, observation
from jupyter_sessmgr.engines.docker.client import Refused
from jupyter_sessmgr.engines.docker.container import LANDING, LAYOUT
from jupyter_sessmgr.engines.docker.opening import Connected, connect, require
from jupyter_sessmgr.engines.docker.settings import read_settings
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable
from jupyter_sessmgr.model.images import Image
from jupyter_sessmgr.model.naming import place_name
from jupyter_sessmgr.model.session import Place, SessionSpec
from jupyter_sessmgr.traits import ByteSize

_NOT_FOUND = 404
#: Lines of a container's log that are fetched at most; the log itself is cut by the engine.
_LOG_LINES = 5000
#: Seconds between looks at what is being created.
_MOMENT = 0.05


class DockerEngine(Engine):
    """Runs each session in a hardened container.

    Calls to the engine are made in threads of their own, each with a deadline; see
    `client.DockerClient`. Containers that are not provably of this installation are never
    touched.
    """

    docker_host = Unicode(
        "",
        config=True,
        help="""Address of the engine, such as unix:///run/user/1000/podman/podman.sock. Set it
        when the environment's DOCKER_HOST is not the engine to use. Default: DOCKER_HOST, else
        unix:///var/run/docker.sock.""",
    )
    user = Unicode(
        "",
        config=True,
        help="""Numbers of the user and group that sessions run as, such as 1000:1000. Set it
        when files in mounted folders should belong to somebody else. Default: the server's own,
        or 1000:1000 when the server runs as root.""",
    )
    pull = Enum(
        ["never", "missing"],
        "never",
        config=True,
        help="""Whether an allowed image that is not here is fetched when a session wants it
        ("missing"). Leave it when only images that an administrator fetched may run.""",
    )
    reach = Enum(
        ["auto", "address", "published"],
        "auto",
        config=True,
        help="""How sessions are reached: by the container's own address, or by ports on
        127.0.0.1. Set it when the choice that is made by itself is wrong. With "published" there
        are no sessions without network access.""",
    )
    host_mounts = Enum(
        ["auto", "yes", "no"],
        "auto",
        config=True,
        help="""Whether the engine sees this machine's folders, so that they can be mounted. Set
        it when the server itself runs in a container, or in a virtual machine that shares
        folders.""",
    )
    firewall = Enum(
        ["auto", "off"],
        "auto",
        config=True,
        help="""Whether the packet filter keeps sessions from services of this machine and from a
        cloud's metadata service, where the server may set it (as root, with iptables). Switch it
        off when the machine's own rules do this already.""",
    )
    tmp_size = ByteSize(
        2**30,
        config=True,
        help="""Size of /tmp in a session; what is there counts as the session's memory. Raise it
        when large packages are built there.""",
    )
    home_size = ByteSize(
        2**30,
        config=True,
        help="""Size of the home folder of a session that has no lasting one; it counts as the
        session's memory. Raise it when such sessions need more.""",
    )
    nofile = Integer(
        16384,
        config=True,
        help="""How many files a session may have open. Raise it for programs that need more;
        lower it when the engine itself may not have so many.""",
    )
    log_max_size = ByteSize(
        2**20,
        config=True,
        help="""Size of each log file of a session. Raise it when more of what a session's main
        process says should be kept.""",
    )
    log_max_files = Integer(
        2,
        config=True,
        help="""How many log files of a session are kept. Raise it for the same reason.""",
    )
    network_prefix = Unicode(
        "sessmgr",
        config=True,
        help="""What the names of the sessions' networks begin with. Change it when such names are
        taken.""",
    )
    runtime = Unicode(
        "",
        config=True,
        help="""Container runtime, such as runsc (gVisor), which keeps sessions further from the
        machine's kernel. Default: the engine's own.""",
    )
    create_timeout = Float(
        30.0,
        config=True,
        help="""Seconds to create a container. Raise it for slow disks.""",
    )
    start_timeout = Float(
        60.0,
        config=True,
        help="""Seconds to start a container. Raise it for slow machines.""",
    )
    inspect_timeout = Float(
        10.0,
        config=True,
        help="""Seconds for questions to the engine. Raise it for an engine with thousands of
        containers.""",
    )
    pull_timeout = Float(
        3600.0,
        config=True,
        help="""Seconds to fetch an image. Raise it for slow connections.""",
    )
    cap_add = List(
        Unicode(),
        config=True,
        help="""Loosens the hardening: capabilities that sessions keep, such as SYS_PTRACE for
        debuggers. Default: none.""",
    )
    read_only_root = Bool(
        True,
        config=True,
        help="""Loosens the hardening when false: sessions may change files of their image, and
        fill the engine's disk. Switch it off for images that need it.""",
    )
    no_new_privileges = Bool(
        True,
        config=True,
        help="""Loosens the hardening when false: programs in a session may gain privileges, as
        sudo does. Switch it off only for images that need it.""",
    )
    seccomp = Unicode(
        "",
        config=True,
        help="""Seccomp profile as JSON text instead of the engine's own. Set it for programs
        whose system calls the engine's profile forbids, or to forbid more.""",
    )
    swap = Bool(
        False,
        config=True,
        help="""Loosens the hardening when true: sessions may use swap beyond their memory. Switch
        it on when slow is better than ended.""",
    )
    core_size = ByteSize(
        0,
        config=True,
        help="""Loosens the hardening: size of core dumps. Raise it to debug crashes of kernels.""",
    )

    name = "docker"
    #: What is certain before an engine answered.
    capabilities = Capabilities(images=True, networks=frozenset({"egress", "isolated"}))
    _connected: Connected | None = None

    async def open(self, signer: Signer, folder: Path) -> None:
        """Connect to the engine and learn what it is and can."""
        if self._connected is not None:
            await self._connected.close()
            self._connected = None
        self._connected = connected = await connect(read_settings(self), signer, folder, self.log)
        self.capabilities = connected.capabilities
        self.engine_id = connected.facts.engine_id

    async def close(self) -> None:
        """Let go of connections and threads, and remove networks that nothing uses."""
        connected, self._connected = self._connected, None
        if connected is not None:
            await connected.close()

    async def images(self) -> Sequence[Image]:
        """List the images that have a name."""
        return await require(self._connected).images.all()

    async def image(self, reference: str) -> Image:
        """Describe an image that is here."""
        return (await require(self._connected).images.get(reference)).image

    def layout(self, place: Place, spec: SessionSpec) -> Layout:  # noqa: ARG002 - same for all
        """Say where things are inside: the same in every container."""
        here = self._connected.landings.path(place.id) if self._connected else None
        return replace(LAYOUT, landing=LANDING, landing_here=here) if here else LAYOUT

    async def start(
        self, place: Place, spec: SessionSpec, boot: bytes
    ) -> AsyncIterator[Checkpoint]:
        """Create a container and start the agent in it."""
        connected = require(self._connected)
        _refuse_foreign(place, self.engine_id)
        await connected.confirm_if_doubtful()
        steps = connected.containers.start(place, spec, boot, pull=self.pull != "never")
        try:
            async for checkpoint in steps:
                yield checkpoint
        finally:
            self.trouble = connected.networks.trouble

    async def stop(self, place: Place, grace: float) -> None:
        """End a container and remove it with its volumes."""
        connected = require(self._connected)
        _refuse_foreign(place, self.engine_id)
        await connected.confirm_if_doubtful()
        while not await connected.containers.stop(place, grace):
            # Gone, or on another engine, or being created at this very moment by a request that
            # was given up: then it is listed before it can be removed (FAULTS D3).
            await connected.confirm()
            if place.id not in await connected.list_own():
                break
            await asyncio.sleep(_MOMENT)
        await connected.landings.remove(place.id)

    async def suspend(self, place: Place) -> None:
        """Freeze a container. Harmless when it is frozen."""
        await _freeze(require(self._connected), place, frozen=True)

    async def resume(self, place: Place) -> None:
        """Let a frozen container go on. Harmless when it runs."""
        await _freeze(require(self._connected), place, frozen=False)

    async def look(self, places: Sequence[Place]) -> Mapping[str, Observation]:
        """Look at containers, in one call and one more for each that does not run.

        A place of another engine has no entry in the answer.
        """
        connected = require(self._connected)
        await connected.confirm_if_doubtful()
        wanted = [place.id for place in places if place.engine_id in ("", self.engine_id)]
        items = await connected.list_own()
        if any(place_id not in items for place_id in wanted):
            await connected.confirm()  # gone, or never on the engine that answers now
        seen = {place_id: items[place_id] for place_id in wanted if place_id in items}
        ended = [place_id for place_id, item in seen.items() if needs_inspection(item)]
        details = await asyncio.gather(
            *(connected.containers.inspect(str(seen[place_id]["Id"])) for place_id in ended)
        )
        inspected = dict(zip(ended, details, strict=True))
        return {place_id: _observed(seen.get(place_id), place_id, inspected) for place_id in wanted}

    async def survey(self) -> Sequence[Found]:
        """List all containers that carry our label, and tidy up networks that nothing uses."""
        connected = require(self._connected)
        await connected.confirm()
        items = await connected.containers.list(own=False)
        await connected.networks.look_after()
        self.trouble = connected.networks.trouble
        seen = [found(connected.signer, item) for item in items]
        await connected.landings.sweep({one.place_id for one in seen})
        return seen

    async def watch(self) -> AsyncIterator[str]:
        """Yield hints from the engine's stream of events, until it ends."""
        connected = require(self._connected)
        async for hint in connected.events.hints(connected.client.api):
            yield hint

    async def logs(self, place: Place, tail: int) -> bytes:
        """Return the last bytes that the container's main process wrote."""
        connected = require(self._connected)
        key = (await connected.list_own()).get(place.id, {}).get("Id")
        if key is None:
            return b""
        try:
            log: bytes = await connected.client.call(
                "read a log",
                lambda api: api.logs(key, tail=_LOG_LINES),
                timeout=self.inspect_timeout,
            )
        except Refused as error:
            if error.status == _NOT_FOUND:
                return b""
            raise
        return log[-tail:] if tail else b""

    async def capacity(self) -> Capacity:
        """Say what the engine's host has."""
        return require(self._connected).capacity

    def notes(self) -> Sequence[str]:
        """Say which engine it is, and what it does not prevent."""
        notes = self._connected.notes if self._connected is not None else ()
        return tuple(filter(None, (self.why, *notes)))


def _refuse_foreign(place: Place, engine_id: str) -> None:
    if place.engine_id not in ("", engine_id):
        raise EngineUnavailable(
            "The session's container is on another engine than the one that answers now; "
            "connect to that one again."
        )


def _observed(
    item: Mapping[str, Any] | None,
    place_id: str,
    inspected: Mapping[str, Mapping[str, Any] | None],
) -> Observation:
    if item is None or (place_id in inspected and inspected[place_id] is None):
        return MISSING
    return observation(item, inspected.get(place_id))


async def _freeze(connected: Connected, place: Place, *, frozen: bool) -> None:
    name = place_name(connected.signer.install_id, place.id)
    item = (await connected.list_own()).get(place.id)
    if item is None:
        raise EngineError("There is no container to suspend or resume.")
    if (str(item.get("State", "")).lower() == "paused") is frozen:
        return
    await connected.client.call(
        "suspend a container" if frozen else "resume a container",
        lambda api: api.pause(name) if frozen else api.unpause(name),
        timeout=connected.timeouts.inspect,
        about=place.id,
        attempts=1,
    )
