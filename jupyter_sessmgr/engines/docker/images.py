"""Images: which are here, what they say of themselves, and fetching one where that is allowed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jupyter_sessmgr.engines.docker.client import Api, DockerClient, Refused
from jupyter_sessmgr.model.errors import EngineError, ImageNotFound, InvalidRequest
from jupyter_sessmgr.model.images import REFERENCE_IMAGE, Image, describe, with_tag

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalImage:
    """An image that is here, with what a container of it needs to know."""

    image: Image
    #: Folders that it declares as volumes.
    volumes: tuple[str, ...]


@dataclass(slots=True)
class PullProgress:
    """Adds up what the layers of an image say."""

    _layers: dict[str, tuple[int, int]]
    _seen: set[str]
    _complete: set[str]

    @classmethod
    def begin(cls) -> PullProgress:
        """Know of no layer yet."""
        return cls({}, set(), set())

    def note(self, line: Mapping[str, Any]) -> None:
        """Take in one line of the engine's answer.

        Raises
        ------
        EngineError
            when it says that the image cannot be fetched.
        """
        if line.get("error"):
            raise EngineError(f"The image could not be fetched: {str(line['error'])[:300]}")
        layer, status = str(line.get("id") or ""), str(line.get("status") or "")
        if status in ("Pulling fs layer", "Waiting", "Already exists"):
            self._seen.add(layer)
        if status in ("Download complete", "Pull complete", "Already exists"):
            self._complete.add(layer)
        detail = line.get("progressDetail") or {}
        if status == "Downloading" and detail.get("total"):
            self._layers[layer] = (int(detail.get("current") or 0), int(detail["total"]))

    @property
    def fraction(self) -> float | None:
        """How much is here, between 0 and 1; None while nothing is known."""
        if not self._seen:
            return None
        parts = [1.0 if one in self._complete else self._part(one) for one in self._seen]
        return min(sum(parts) / len(parts), 1.0)

    def _part(self, layer: str) -> float:
        done, total = self._layers.get(layer, (0, 1))
        return done / total


class Images:
    """The images of one engine. Owned by the engine.

    Parameters
    ----------
    podman : bool
        The engine is Podman.
    timeout : float
        Seconds that looking at an image may take.
    pull_timeout : float
        Seconds that fetching one may take.
    """

    def __init__(
        self,
        client: DockerClient,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
        *,
        podman: bool,
        timeout: float,
        pull_timeout: float,
    ) -> None:
        self._client = client
        self._log = log
        self._podman = podman
        self._timeout = timeout
        self._pull_timeout = pull_timeout

    async def all(self) -> Sequence[Image]:
        """List all that have a name, whatever they are for."""
        items = await self._client.call(
            "list images",
            lambda api: api.images(filters={"dangling": False}),
            timeout=self._timeout,
        )
        listed: list[Image] = []
        for item in items:
            for name in item.get("RepoTags") or ():
                # Podman's word for images that come from no registry.
                tag = name.removeprefix("localhost/") if self._podman else name
                try:
                    listed.append(describe(tag, item["Id"], item.get("Labels") or {}))
                except InvalidRequest as error:
                    self._log.warning("The image %s is left out: %s", tag, error.message)
        return listed

    async def get(self, reference: str) -> LocalImage:
        """Describe one.

        Raises
        ------
        ImageNotFound
            when it is not here; says how to get it.
        """
        try:
            seen = await self._client.call(
                "look at an image",
                lambda api: api.inspect_image(with_tag(reference)),  # type: ignore[no-untyped-call]
                timeout=self._timeout,
            )
        except Refused as error:
            if error.status != _NOT_FOUND:
                raise
            raise ImageNotFound(_how_to_get(reference), image=reference) from None
        config = seen.get("Config") or {}
        image = describe(reference, str(seen["Id"]), config.get("Labels") or {})
        return LocalImage(image=image, volumes=tuple(config.get("Volumes") or ()))

    async def pull(self, reference: str) -> AsyncIterator[float | None]:
        """Fetch one, yielding how much is here, between 0 and 1."""
        loop = asyncio.get_running_loop()
        progress = PullProgress.begin()
        told: asyncio.Queue[float | None] = asyncio.Queue()

        def fetch(api: Api) -> None:
            for line in _pull_lines(api, reference):
                progress.note(line)
                loop.call_soon_threadsafe(told.put_nowait, progress.fraction)

        fetching = asyncio.ensure_future(
            self._client.call(
                f"fetch {reference}", fetch, timeout=self._pull_timeout, attempts=1, slow=True
            )
        )
        try:
            while not fetching.done():
                next_word = asyncio.ensure_future(told.get())
                await asyncio.wait([fetching, next_word], return_when=asyncio.FIRST_COMPLETED)
                if next_word.done():
                    yield next_word.result()
                next_word.cancel()
            fetching.result()
        finally:
            fetching.cancel()


def _pull_lines(api: Api, reference: str) -> Iterable[Mapping[str, Any]]:
    name, _, tag = with_tag(reference).rpartition(":")
    if "@" in reference:
        name, tag = reference, ""
    lines: Iterable[Mapping[str, Any]] = api.pull(name, tag=tag or None, stream=True, decode=True)
    return lines


def _how_to_get(reference: str) -> str:
    if with_tag(reference) == with_tag(REFERENCE_IMAGE):
        return f"There is no image {reference} here. Build it with: jupyter sessmgr image build"
    return f"There is no image {reference} here. Fetch it with: docker pull {reference}"
