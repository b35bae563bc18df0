"""Who waits to be started, where in the line, and why."""

from jupyter_sessmgr.manager.queue.line import StartQueue
from jupyter_sessmgr.manager.queue.telling import Queued

__all__ = ["Queued", "StartQueue"]
