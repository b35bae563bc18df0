"""What our own routes answer."""

from __future__ import annotations

from typing import Annotated, TypedDict

from msgspec import Meta


class HealthReply(TypedDict):
    """How the whole is."""

    engine: Annotated[str, Meta(description="`docker`, `process`, or empty: none was chosen.")]
    available: Annotated[bool, Meta(description="Whether sessions can be started.")]
    reason: Annotated[str, Meta(description="Why not, and what to do.")]
    notes: Annotated[list[str], Meta(description="Why this engine, and what it does not enforce.")]
    follows: Annotated[str, Meta(description="Which server leads, if this one follows another.")]
    suspends: Annotated[bool, Meta(description="Whether sessions can be suspended.")]
    maxExtension: Annotated[
        float,
        Meta(description="Seconds that a session can be extended by at a time; 0: not at all."),
    ]


class OfferReply(TypedDict):
    """One thing that can be started."""

    kernelName: Annotated[str, Meta(description="Name of its kernelspec in this server.")]
    displayName: str
    language: str
    preset: Annotated[str, Meta(description="What to give as `preset`.")]
    title: str
    description: str
    image: str
    network: Annotated[str, Meta(description="`egress`, or `isolated`: none at all.")]
    notebookFolder: Annotated[bool, Meta(description="Whether it sees the notebook's folder.")]
    home: Annotated[bool, Meta(description="Whether its home folder outlives it.")]
    resources: Annotated[dict[str, str], Meta(description="Amounts by slot.")]
    listed: Annotated[bool, Meta(description="Whether launchers show it.")]


class OfferList(TypedDict):
    """All that can be started."""

    items: list[OfferReply]
