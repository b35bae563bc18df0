"""Makes, boots, finds and removes the containers of places."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jupyter_sessmgr.engines.base import Checkpoint, Signer, agent_command
from jupyter_sessmgr.engines.docker.answers import endpoints, item_labels, item_name, item_state
from jupyter_sessmgr.engines.docker.client import (
    ATTEMPTS,
    Api,
    Broken,
    DockerClient,
    Refused,
)
from jupyter_sessmgr.engines.docker.container import (
    ATTEMPT,
    INSTALL,
    Hardening,
    Shape,
    is_ours,
    make_config,
    make_labels,
)
from jupyter_sessmgr.engines.docker.images import Images, LocalImage
from jupyter_sessmgr.engines.docker.landings import Landings
from jupyter_sessmgr.engines.docker.networks import Networks, is_lost
from jupyter_sessmgr.engines.docker.stdin import Stdin
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable, ImageNotFound
from jupyter_sessmgr.model.naming import place_name
from jupyter_sessmgr.model.session import Place, SessionSpec

_NOT_FOUND, _CONFLICT = 404, 409
_REMOVED = "Somebody removed its container while it was being started; start the session again."
#: Where every image has it that has any; it finds Python in the image's PATH.
_ENV = "/usr/bin/env"
#: Pause between looks at something that is ending, in seconds.
_PAUSE = 0.05
#: Seconds that the engine may take to pass on what it was fed.
_PASSED_ON = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds that the engine may take to answer."""

    create: float
    start: float
    inspect: float
    remove: float


class _NotStarted(Exception):
    """The engine answered that it did not start a container."""

    def __init__(self, error: Refused | Broken) -> None:
        super().__init__(error.message)
        self.words = error.words
        #: It tried, and failed; it may do better another time.
        self.failed = isinstance(error, Broken)


class Containers:
    """Turns a place and its spec into a container, and back into nothing.

    Owned by the engine.
    """

    def __init__(
        self,
        client: DockerClient,
        signer: Signer,
        images: Images,
        networks: Networks,
        landings: Landings,
        *,
        hardening: Hardening,
        published: bool,
        gpus: Sequence[str],
        timeouts: Timeouts,
    ) -> None:
        self._client = client
        self._signer = signer
        self._images = images
        self._networks = networks
        self._landings = landings
        self._hardening = hardening
        self._published = published
        self._gpus = gpus
        self._timeouts = timeouts
        self._seeing_off: set[asyncio.Task[None]] = set()

    async def start(
        self, place: Place, spec: SessionSpec, boot: bytes, *, pull: bool
    ) -> AsyncIterator[Checkpoint]:
        """Make a place's container and boot the agent in it; see `Engine.start`."""
        await self._client.settle(place.id, self._timeouts.create)
        try:
            local = await self._images.get(spec.image)
        except ImageNotFound:
            if not pull:
                raise
            async for part in self._images.pull(spec.image):
                info = "pulling" if part is None else f"pulling {part:.0%}"
                yield Checkpoint(phase="pulling", info=info, progress=part)
            local = await self._images.get(spec.image)
        digest = local.image.digest
        yield Checkpoint(phase="creating", info="creating", image_digest=digest)
        attempt = secrets.token_hex(8)
        config = await self._configure(place, spec, local, attempt)
        for left in reversed(range(ATTEMPTS)):
            key = await self._create(place, config, attempt)
            yield Checkpoint(phase="creating", info="creating", key=key, image_digest=digest)
            try:
                await self._boot(place, key, boot)
            except _NotStarted as error:
                await self._undo(place, spec, error, is_last=not left)
            else:
                break
        seen = await self.inspect(key)
        if seen is None:
            raise EngineError(f"The engine could not start the session. {_REMOVED}")
        yield Checkpoint(
            phase="booting",
            info="booting",
            key=key,
            image_digest=str(seen.get("Image") or digest),
            endpoints=endpoints(seen),
        )

    async def _configure(
        self, place: Place, spec: SessionSpec, local: LocalImage, attempt: str
    ) -> dict[str, Any]:
        return make_config(
            spec,
            Shape(
                network=await self._networks.ensure(spec.network),
                published=self._published,
                command=_command(local.image.runtime_path),
                labels=make_labels(self._signer, place, spec, attempt),
                landing=await self._landings.make(place.id),
                volumes=local.volumes,
                gpus=self._gpus,
            ),
            self._hardening,
        )

    async def _create(self, place: Place, config: dict[str, Any], attempt: str) -> str:
        """Create the container; the engine's rule that names are unique is the lock."""
        name = place_name(self._signer.install_id, place.id)

        def create(api: Api) -> str:
            made: dict[str, str] = api.create_container_from_config(config, name)  # type: ignore[no-untyped-call]
            return made["Id"]

        for _ in range(3):
            try:
                key = await self._client.call(
                    "create a container",
                    create,
                    timeout=self._timeouts.create,
                    about=place.id,
                    slow=True,
                )
            except Broken as error:
                # It answered several times, and each time that it cannot.
                raise EngineError(_why_not_started(error.words)) from error
            except Refused as error:
                if error.status != _CONFLICT:
                    raise _explained(error, config) from error
            else:
                return key
            existing = await self.inspect(name)
            if existing is None:
                continue
            labels = item_labels(existing)
            if not is_ours(self._signer, name, labels):
                raise EngineError(
                    f"The engine has a container {name} that this server did not make. Look at "
                    "it, and remove it by hand."
                )
            if labels.get(ATTEMPT) == attempt:
                return str(existing["Id"])  # the reply to our own request was lost
            await self.remove(place)
        raise EngineUnavailable(f"The container {name} comes and goes; is another server at work?")

    async def _undo(
        self, place: Place, spec: SessionSpec, error: _NotStarted, *, is_last: bool
    ) -> None:
        """Remove a container that the engine failed to start, where a fresh one may do better.

        What became of its input is unknown, so it is not started again itself.
        """
        if is_last or not (error.failed or is_lost(error.words)):
            raise EngineError(_why_not_started(error.words)) from error
        await self.remove(place)
        if is_lost(error.words):
            await self._networks.mend(spec.network)
        await asyncio.sleep(_PAUSE)

    async def _boot(self, place: Place, key: str, boot: bytes) -> None:
        """Start the container, and feed the agent to it by its standard input."""

        def attach(api: Api) -> Stdin:
            return Stdin(api, key, boot)

        # Not repeated: what the first connection carried would stay in the container's input.
        try:
            stdin = await self._client.call(
                "attach to a container",
                attach,
                timeout=self._timeouts.inspect,
                about=place.id,
                attempts=1,
            )
        except Refused as error:
            raise _NotStarted(error) from error
        try:
            await self._run(place, key)
            await self._client.call(
                "feed a container",
                lambda _: stdin.finish(self._timeouts.start),
                timeout=self._timeouts.start,
                about=place.id,
                attempts=1,
            )
        except BaseException:
            stdin.close()
            raise
        seeing_off = asyncio.create_task(self._see_off(stdin), name=f"sessmgr-stdin-{place.id}")
        self._seeing_off.add(seeing_off)
        seeing_off.add_done_callback(self._seeing_off.discard)

    async def _see_off(self, stdin: Stdin) -> None:
        """Close the connection when the engine has passed everything on, which nobody awaits."""
        try:
            await self._client.call(
                "feed a container",
                lambda _: stdin.wait(_PASSED_ON),
                timeout=_PASSED_ON,
                attempts=1,
            )
        except EngineUnavailable:
            return  # whether the agent has all of it, the agent shows
        finally:
            stdin.close()

    async def close(self) -> None:
        """End what goes on in the background. Containers go on."""
        tasks = list(self._seeing_off)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, place: Place, key: str) -> None:
        try:
            await self._client.call(
                "start the container",
                lambda api: api.start(key),
                timeout=self._timeouts.start,
                about=place.id,
                attempts=1,  # its input may be lost by then, and the agent with it
                slow=True,
            )
        except (Refused, Broken) as error:
            raise _NotStarted(error) from error

    async def stop(self, place: Place, grace: float) -> bool:
        """End and remove a place's container; see `Engine.stop`. False when there was none."""
        await self._client.settle(place.id, self._timeouts.create + self._timeouts.start)
        if grace > 0:
            await self._ask_to_end(place, grace)
        return await self.remove(place)

    async def _ask_to_end(self, place: Place, grace: float) -> None:
        name = place_name(self._signer.install_id, place.id)
        seen = await self._own(name)
        if seen is None or item_state(seen) != "running":
            return
        try:
            await self._client.call(
                "signal a container",
                lambda api: api.kill(name, "SIGTERM"),
                timeout=self._timeouts.inspect,
                about=place.id,
            )
        except Refused:
            return  # it ended meanwhile
        ends = asyncio.get_running_loop().time() + grace
        while asyncio.get_running_loop().time() < ends:
            await asyncio.sleep(_PAUSE)
            seen = await self.inspect(name)
            if seen is None or item_state(seen) != "running":
                return

    async def remove(self, place: Place) -> bool:
        """Kill and remove a place's container with its volumes; False when there was none."""
        name = place_name(self._signer.install_id, place.id)
        ends = asyncio.get_running_loop().time() + self._timeouts.remove
        while await self._own(name) is not None:
            left = ends - asyncio.get_running_loop().time()
            if left <= 0:
                raise EngineUnavailable(f"The engine takes too long to remove {name}.")
            try:
                await self._client.call(
                    "remove a container",
                    lambda api: api.remove_container(name, v=True, force=True),
                    timeout=left,
                    about=place.id,
                    slow=True,
                )
            except Refused as error:
                if error.status == _NOT_FOUND:
                    return True
                if error.status != _CONFLICT:
                    raise
                await asyncio.sleep(_PAUSE)  # somebody else is removing it
            else:
                return True
        return False

    async def _own(self, name: str) -> Mapping[str, Any] | None:
        """Look at a container of ours; None when there is none, or it is not provably ours."""
        seen = await self.inspect(name)
        if seen is None or not is_ours(self._signer, item_name(seen), item_labels(seen)):
            return None
        return seen

    async def inspect(self, name: str) -> Mapping[str, Any] | None:
        """Look at a container; None when the engine answers that there is none."""
        try:
            return await self._client.call(
                "look at a container",
                lambda api: api.inspect_container(name),
                timeout=self._timeouts.inspect,
            )
        except Refused as error:
            if error.status == _NOT_FOUND:
                return None
            raise

    async def list(self, *, own: bool) -> Sequence[Mapping[str, Any]]:
        """List containers that carry our label, running or not; `own`: of this installation."""
        label = f"{INSTALL}={self._signer.install_id}" if own else INSTALL
        return await self._client.call(
            "list containers",
            lambda api: api.containers(all=True, filters={"label": label}),
            timeout=self._timeouts.inspect,
        )


@cache
def agent_arguments() -> tuple[str, ...]:
    """Return what follows the interpreter; the first call reads a file, so make it in a thread."""
    return tuple(agent_command("")[1:])


def _command(runtime_path: str) -> list[str]:
    interpreter = [runtime_path] if runtime_path else [_ENV, "python3"]
    return [*interpreter, *agent_arguments()]


def _explained(error: Refused, config: Mapping[str, Any]) -> EngineError:
    if error.status == _NOT_FOUND and "image" in error.words.lower():
        return ImageNotFound(f"The image {config['Image']} is not here any more.")  # type: ignore[return-value]
    return EngineError(_why_not_started(error.words))


def _why_not_started(words: str) -> str:
    """Say what the engine's words mean, and what to do."""
    lower = words.lower()
    if "rlimit" in lower or "ulimit" in lower:
        hint = "Set DockerEngine.nofile to a number that the engine itself has."
    elif "executable file not found" in lower or "no such file or directory: unknown" in lower:
        hint = (
            "The image needs Python 3.8 or later, in its PATH or named by its label "
            "ai.backend.runtime-path."
        )
    elif "no such container" in lower:
        hint = _REMOVED
    elif "bind source path does not exist" in lower:
        hint = "The engine does not see this folder; set DockerEngine.host_mounts to 'no'."
    elif "no space left" in lower:
        hint = "Free space where the engine keeps its containers."
    else:
        hint = "The engine's own log may say more."
    return f"The engine could not start the session: {words} {hint}"
