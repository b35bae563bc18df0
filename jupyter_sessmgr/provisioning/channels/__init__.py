"""The websockets between browsers and kernels.

``choosing`` takes the class, ``connection`` is the class; ``past`` gives it what the journal has,
by ``catchup``, ``position``, ``replies``, ``questions``, ``widgets`` and ``screen``; ``frames`` and
``writer`` know the protocols; ``kernelinfo`` answers for busy kernels; ``gate`` waits for restarted
ones, and ``greeting`` knows when one is heard; ``use`` and ``telling`` are what the rest of the
package needs of open websockets.
"""

from jupyter_sessmgr.provisioning.channels.choosing import channels_class
from jupyter_sessmgr.provisioning.channels.connection import session_channels
from jupyter_sessmgr.provisioning.channels.telling import (
    hang_up,
    hold_requests,
    release_requests,
    tell_dead,
    tell_restarted,
)

__all__ = [
    "channels_class",
    "hang_up",
    "hold_requests",
    "release_requests",
    "session_channels",
    "tell_dead",
    "tell_restarted",
]
