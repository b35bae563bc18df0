"""Spare sessions that are kept ready, so that most starts need none."""

from jupyter_sessmgr.manager.pool.stock import MISSES, SPARE_STATES
from jupyter_sessmgr.manager.pool.warm import WarmPool

__all__ = ["MISSES", "SPARE_STATES", "WarmPool"]
