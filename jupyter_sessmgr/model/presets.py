"""Presets: named, complete sets of defaults, and what is offered to people from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from jupyter_sessmgr.model.images import REFERENCE_IMAGE
from jupyter_sessmgr.model.session import Encryption, Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Defaults under a name that people choose by."""

    name: str
    #: A few words for a launcher card.
    title: str
    #: What holds and what does not, in one or two sentences; shown to people.
    description: str
    image: str = REFERENCE_IMAGE
    kernel: str = "python3"
    network: Network = "egress"
    #: The notebook's folder is the working folder inside, writable.
    notebook_folder: bool = True
    #: The home folder survives the session; one per owner.
    home: bool = True
    #: Resource slots as a request writes them; the image's minima fill the rest.
    resources: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    encryption: Encryption = "auto"
    #: Whether it gets a launcher card.
    listed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One kernelspec: a preset whose image is here and allowed."""

    #: Kernelspec name, such as ``sessmgr-python``.
    kernel_name: str
    display_name: str
    language: str
    preset: Preset
