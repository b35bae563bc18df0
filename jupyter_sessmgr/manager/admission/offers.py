"""Which kernelspecs there are: presets and allowed images that are here."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterable
from dataclasses import replace

from jupyter_sessmgr.engines.base import Engine
from jupyter_sessmgr.manager.admission import AdmissionControl
from jupyter_sessmgr.model.errors import EngineError
from jupyter_sessmgr.model.images import Image, is_allowed, with_tag
from jupyter_sessmgr.model.presets import Offer, Preset

NOTHING = (
    "no allowed image is here. Build the reference image with `jupyter sessmgr image build`, or "
    "allow another one (AdmissionControl.allowed_images)."
)

#: The usual kernelspec name of a language's kernel, where it is not the language's own.
_KERNELS = {"": "python3", "python": "python3", "r": "ir"}

#: Seconds between looks at which images there are.
INTERVAL = 30.0


class OfferBoard:
    """Keeps the list of offers fresh, so that it can be read from memory."""

    def __init__(
        self,
        admission: AdmissionControl,
        engine: Engine,
        log: logging.Logger | logging.LoggerAdapter[logging.Logger],
    ) -> None:
        self.offers: tuple[Offer, ...] = ()
        #: Images that are here, allowed or not.
        self.images: tuple[Image, ...] = ()
        self._admission = admission
        self._engine = engine
        self._log = log
        self._due = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._told = ""

    async def start(self) -> None:
        """Make the first list, and refresh it from then on."""
        await self._refresh()
        self._task = asyncio.create_task(self._refresh_forever(), name="sessmgr-offers")

    async def stop(self) -> None:
        """End the refreshing, and wait for its end."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.offers = self.images = ()

    def refresh_soon(self) -> None:
        """Make a new list soon, since the engine came or went."""
        self._due.set()

    async def _refresh_forever(self) -> None:
        while True:
            try:
                async with asyncio.timeout(INTERVAL):
                    await self._due.wait()
            except TimeoutError:
                self._log.debug("Looking again which images there are")
            self._due.clear()
            await self._refresh()

    async def _refresh(self) -> None:
        """Make the list. An engine that does not answer offers nothing: no dead cards."""
        problem = "" if self._engine.engine_id else f"the {self._engine.name} engine is away"
        try:
            self.images = () if problem else tuple(await self._engine.images())
        except EngineError as error:
            self.images, problem = (), error.message
        self.offers = () if problem else make_offers(self._admission, self._engine, self.images)
        if problem and problem != self._told:
            self._log.warning("No remote kernels can be offered: %s", problem)
        elif not problem and not self.offers and self._told != NOTHING:
            problem = NOTHING
            self._log.warning("No remote kernels can be offered: %s", problem)
        self._told = problem


def make_offers(
    admission: AdmissionControl, engine: Engine, images: Iterable[Image]
) -> tuple[Offer, ...]:
    """List what people can pick now of the images that are here, presets first.

    A preset is offered when its image is here, or can be fetched, and its network can be given; an
    image that an admin allowed beside the presets is offered with the default preset's terms.
    """
    here = {with_tag(image.reference): image for image in images}
    presets = admission.all_presets()
    offers = [
        _offer(preset.name, preset, here.get(with_tag(preset.image)))
        for preset in presets.values()
        if preset.listed
        and (with_tag(preset.image) in here or engine.capabilities.pull)
        and preset.network in engine.capabilities.networks
    ]
    taken = {with_tag(preset.image) for preset in presets.values()}
    usual = presets.get(admission.default_preset)
    if usual is None:
        return tuple(offers)
    for reference, image in sorted(here.items()):
        if reference not in taken and is_allowed(reference, admission.allowed_images):
            offers.append(_image_offer(reference, image, usual))
    return tuple(offers)


def _image_offer(reference: str, image: Image, usual: Preset) -> Offer:
    short = reference.rsplit("/", 1)[-1].removesuffix(":latest")
    preset = replace(
        usual,
        image=reference,
        kernel=_KERNELS.get(image.language.lower(), image.language),
        title=f"{short} (remote)",
    )
    return _offer(reference.removesuffix(":latest"), preset, image)


def _offer(name: str, preset: Preset, image: Image | None) -> Offer:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return Offer(
        kernel_name=f"sessmgr-{slug}",
        display_name=_display(preset.title),
        language=(image.language if image is not None else "") or "python",
        preset=preset,
    )


def _display(title: str) -> str:
    """Name a kernelspec, which stands among local ones, so that one sees where it runs."""
    return title if "remote" in title.lower() else f"{title} (remote)"
