"""What the route about limits answers."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta


class SessionCount(TypedDict):
    """How many live sessions one owner may have."""

    most: Annotated[int | None, Meta(description="`null`: any number.")]
    used: Annotated[int, Meta(description="How many you have.")]


class AmountLimits(TypedDict):
    """How much of one thing a session may have: processors, bytes, or devices."""

    least: float
    most: Annotated[
        float | None, Meta(description="Of one session; more is refused. `null`: no limit.")
    ]
    left: Annotated[
        float | None,
        Meta(description="What your sessions leave of what you may have. `null`: no limit."),
    ]
    used: Annotated[float, Meta(description="What your sessions have.")]
    there: Annotated[float | None, Meta(description="What the host has; `null`: not known.")]


class IdleLimits(TypedDict):
    """After how many seconds sessions end that nobody uses; `null`: never."""

    least: Annotated[float, Meta(description="The shortest that may be asked for.")]
    durable: Annotated[float | None, Meta(description="The longest, and usual, of durable ones.")]
    interactive: Annotated[float | None, Meta(description="The same of those that are not.")]


class UsualAmounts(TypedDict):
    """What a session has when nothing else is asked for."""

    cpu: Annotated[float | None, Meta(description="Processors; `null`: not limited.")]
    mem: Annotated[int | None, Meta(description="Bytes; `null`: not limited.")]
    devices: Annotated[dict[str, int], Meta(description="By slot.")]


class PresetReply(TypedDict):
    """A preset of which a session can be made now."""

    name: Annotated[str, Meta(description="What to give as `preset`.")]
    title: str
    description: str
    image: str
    kernel: Annotated[str, Meta(description="Kernelspec in the image; empty: no kernel.")]
    network: Annotated[str, Meta(description="`egress`, or `isolated`: none at all.")]
    notebookFolder: Annotated[bool, Meta(description="Whether it sees the notebook's folder.")]
    home: Annotated[bool, Meta(description="Whether its home folder outlives it.")]
    listed: Annotated[bool, Meta(description="Whether launchers show it.")]
    usual: UsualAmounts


class ImageReply(TypedDict):
    """An image that may be asked for, and what it needs and takes."""

    name: Annotated[str, Meta(description="What to give as `image`.")]
    leastCpu: float | None
    mostCpu: float | None
    leastMem: int | None
    mostMem: int | None


class MountReply(TypedDict):
    """A folder that may be mounted."""

    name: Annotated[str, Meta(description="What to give in `mounts`.")]
    writable: bool


class LimitsReply(TypedDict):
    """What you may still ask for."""

    group: Annotated[str, Meta(description="For which group this holds.")]
    groups: Annotated[list[str], Meta(description="Yours; empty: there are none to choose from.")]
    sessions: SessionCount
    cpu: AmountLimits
    mem: AmountLimits
    devices: Annotated[
        dict[str, AmountLimits], Meta(description="By slot; only what the engine can give.")
    ]
    idleTimeout: IdleLimits
    presets: Annotated[list[PresetReply], Meta(description="The default one first.")]
    images: list[ImageReply]
    mounts: list[MountReply]
    folders: Annotated[bool, Meta(description="Whether you may give a `folder`.")]
