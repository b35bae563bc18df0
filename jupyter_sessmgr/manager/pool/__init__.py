"""Spare sessions that are kept ready, so that most starts need none."""

from jupyter_sessmgr.manager.pool.warm import WarmPool

__all__ = ["WarmPool"]
