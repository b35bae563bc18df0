"""Sessions as processes of the server's own machine."""

from jupyter_sessmgr.engines.process.engine import ProcessEngine

__all__ = ["ProcessEngine"]
