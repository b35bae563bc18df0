"""What an image says of itself by its labels."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from types import MappingProxyType

from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.model.ports import ServicePort, parse_service_ports
from jupyter_sessmgr.model.resources import parse_count, parse_size

#: The image that comes with this package, and the process engine's name for the server's own
#: environment.
REFERENCE_IMAGE = "jupyter-sessmgr/python"

_REFERENCE = re.compile(
    r"[a-z0-9][a-z0-9._/:-]{0,200}(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[0-9a-f]{64})?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """An image (or, on the process engine, a local environment) that is here and can run."""

    #: As it is asked for: ``jupyter-sessmgr/python:latest``.
    reference: str
    #: What it is, exactly: changes when the image is built again.
    digest: str
    min_cpu: Decimal | None = None
    min_mem: int | None = None
    max_cpu: Decimal | None = None
    max_mem: int | None = None
    shmem: int | None = None
    service_ports: tuple[ServicePort, ...] = ()
    #: Absolute path of a Python >= 3.8 inside; "" means: whichever ``python3`` PATH finds.
    runtime_path: str = ""
    #: The language of its usual kernel, for kernelspecs; "" means python.
    language: str = ""
    #: Variables that are set to the allocated processor count.
    corecount_envs: tuple[str, ...] = ()
    #: What it has: ``query``, ``uid-match``, …
    features: frozenset[str] = frozenset()
    labels: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


def check_reference(value: object) -> str:
    """Return `value` when it is spelled like an image reference (THREATS E7).

    Raises
    ------
    InvalidRequest
        for option-like names, upper case, white space, non-ASCII and over-long texts.
    """
    if not isinstance(value, str) or _REFERENCE.fullmatch(value) is None:
        raise InvalidRequest(
            f"{value!r:.80} is not an image reference such as {REFERENCE_IMAGE}:latest.",
            field="image",
        )
    return value


def with_tag(reference: str) -> str:
    """Spell a reference in full: without tag or digest, ``:latest`` is meant."""
    last = reference.rsplit("/", 1)[-1]
    return reference if ":" in last or "@" in last else f"{reference}:latest"


def is_allowed(reference: str, patterns: Iterable[str]) -> bool:
    """Tell whether a reference matches one of the admin's patterns, whole, case counting."""
    full = with_tag(reference)
    return any(fnmatch.fnmatchcase(full, with_tag(pattern)) for pattern in patterns)


def describe(reference: str, digest: str, labels: Mapping[str, str]) -> Image:
    """Read an image's labels.

    Raises
    ------
    InvalidRequest
        naming the label that cannot be read.
    """
    return Image(
        reference=reference,
        digest=digest,
        min_cpu=_count(labels, "ai.backend.resource.min.cpu"),
        max_cpu=_count(labels, "ai.backend.resource.max.cpu"),
        min_mem=_size(labels, "ai.backend.resource.min.mem"),
        max_mem=_size(labels, "ai.backend.resource.max.mem"),
        shmem=_size(labels, "ai.backend.resource.preferred.shmem"),
        service_ports=parse_service_ports(labels.get("ai.backend.service-ports", "")),
        runtime_path=_absolute(labels.get("ai.backend.runtime-path", "")),
        language=labels.get("ai.backend.runtime-type", "")[:64],
        corecount_envs=tuple(filter(None, labels.get("ai.backend.envs.corecount", "").split(","))),
        features=frozenset(labels.get("ai.backend.features", "").split()),
        labels=MappingProxyType(dict(labels)),
    )


def _count(labels: Mapping[str, str], name: str) -> Decimal | None:
    return parse_count(labels[name], name) if name in labels else None


def _size(labels: Mapping[str, str], name: str) -> int | None:
    return parse_size(labels[name], name) if name in labels else None


def _absolute(path: str) -> str:
    if path and not path.startswith("/"):
        raise InvalidRequest(f"ai.backend.runtime-path: {path!r:.80} is not an absolute path.")
    return path
