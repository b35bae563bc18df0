"""Keeps jupyter_server's own culler from ending what is to last."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

_culling: ContextVar[str] = ContextVar("sessmgr_culling", default="")


class CullGuard:
    """Has jupyter_server's culler let go of durable sessions' kernels instead of ending them.

    Whether a session ends for want of use is decided by the manager alone, which knows all its
    users; jupyter_server knows its own websockets. Its culler calls `shutdown_kernel` like
    everybody else and has no hook, so both methods are wrapped on the kernel manager that is
    there, of whichever class.

    Parameters
    ----------
    kernels : jupyter_server.services.kernels.kernelmanager.MappingKernelManager
        The server's kernels.
    let_go : callable
        Called with a kernel's id; lets go of a durable session's kernel and returns True, or
        leaves another one alone and returns False.
    """

    def __init__(self, kernels: Any, let_go: Callable[[str], bool]) -> None:
        self._kernels = kernels
        self._let_go = let_go
        self._cull = kernels.cull_kernel_if_idle
        self._shutdown = kernels.shutdown_kernel
        kernels.cull_kernel_if_idle = self._cull_kernel_if_idle
        kernels.shutdown_kernel = self._shutdown_kernel

    def close(self) -> None:
        """Put the methods back."""
        del self._kernels.cull_kernel_if_idle
        del self._kernels.shutdown_kernel

    async def _cull_kernel_if_idle(self, kernel_id: str) -> None:
        token = _culling.set(kernel_id)
        try:
            await self._cull(kernel_id)
        finally:
            _culling.reset(token)

    def _shutdown_kernel(self, kernel_id: str, *args: Any, **kwargs: Any) -> Any:
        if _culling.get() == kernel_id and self._let_go(kernel_id):
            return None
        return self._shutdown(kernel_id, *args, **kwargs)
