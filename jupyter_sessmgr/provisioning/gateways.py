"""Tells servers whose kernels are a gateway's from all others."""

from __future__ import annotations

from typing import Any

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_server.gateway.gateway_client import GatewayClient


def kernelspec_manager_class(server: Any) -> type[KernelSpecManager] | None:
    """Say which kernelspec manager a server will have; None when its kernels are a gateway's."""
    if server.trait_has_value("kernel_spec_manager_class"):
        chosen: type[KernelSpecManager] = server.kernel_spec_manager_class
        return chosen
    # The server looks at the same settings, but later.
    gateway = GatewayClient(parent=server)  # type: ignore[no-untyped-call]
    return None if gateway.gateway_enabled else KernelSpecManager
