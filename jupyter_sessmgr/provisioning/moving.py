"""Follows a kernel whose session is reached at other addresses than before (FAULTS C8)."""

from __future__ import annotations

from typing import Any

from jupyter_sessmgr.model.session import ComputeSession
from jupyter_sessmgr.provisioning.channels import hang_up
from jupyter_sessmgr.provisioning.launch import kernel_connection
from jupyter_sessmgr.provisioning.locate import Home
from jupyter_sessmgr.provisioning.provisioner import take_over


async def follow(kernels: Any, home: Home, session: ComputeSession) -> None:
    """Have a Jupyter server reach a listed kernel where it is now. Called by the adopter.

    Browsers are hung up on: they connect again by themselves, and find the kernel as it was.
    """
    manager = kernels.get_kernel(session.id)
    info = kernel_connection(home.sessions.connection_info(session.id))
    manager.provisioner.connection_info = info
    await take_over(manager, info)
    manager._close_control_socket()  # noqa: SLF001 - it is opened anew when it is needed
    kernels.stop_buffering(session.id)
    kernels.stop_watching_activity(session.id)
    kernels.start_watching_activity(session.id)
    hang_up(session.id)
