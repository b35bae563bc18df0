"""Spares: places with a kernel that nobody uses yet, for starts that ask for just such a one."""

from jupyter_sessmgr.manager.pool.stock import MISSES, SPARE_STATES
from jupyter_sessmgr.manager.pool.warm import WarmPool

__all__ = ["MISSES", "SPARE_STATES", "WarmPool"]
