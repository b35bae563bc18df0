"""The machine that the session management document's example is written for."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from jupyter_sessmgr.engines.process.engine import ProcessEngine
from jupyter_sessmgr.model.ports import ServicePort

#: What the example's image promises.
PROMISED = (
    ServicePort("jupyter", "http", (8080,)),
    ServicePort("tensorboard", "http", (6006,)),
)


class DocumentedEngine(ProcessEngine):
    """Processes that have the example's services, and, as far as anybody can ask, a GPU."""

    async def open(self, signer, folder):
        await super().open(signer, folder)
        self.capabilities = replace(self.capabilities, devices=frozenset({"cuda.device"}))

    async def image(self, reference):
        return replace(await super().image(reference), service_ports=PROMISED)

    def start(self, place, spec, boot):
        resources = replace(spec.resources, devices=MappingProxyType({}))
        return super().start(place, replace(spec, resources=resources), boot)
