"""A machine whose images say how small and how big their sessions may be."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from tests.plugins.documented import DocumentedEngine

#: What the image says that it needs, and takes at most.
MIN_CPU, MIN_MEM, MAX_MEM, SHMEM = Decimal("0.5"), 256 * 2**20, 6 * 2**30, 32 * 2**20


class LabelledEngine(DocumentedEngine):
    """Processes, with the labels of a container image."""

    async def image(self, reference):
        found = await super().image(reference)
        return replace(found, min_cpu=MIN_CPU, min_mem=MIN_MEM, max_mem=MAX_MEM, shmem=SHMEM)
