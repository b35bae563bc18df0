"""Traits and a configurable base that traitlets lacks."""

from __future__ import annotations

import math
from abc import ABCMeta
from typing import Any

from traitlets import Float, Integer, MetaHasTraits, TraitError
from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.model.resources import parse_size


class _ABCMetaHasTraits(ABCMeta, MetaHasTraits):
    """Lets a configurable have abstract methods."""


class ConfigurableABC(LoggingConfigurable, metaclass=_ABCMetaHasTraits):
    """A configurable class that may have abstract methods."""


class Quantity(Float[float, Any]):
    """A number that others are compared with; `inf` is more than anything, and NaN is none."""

    def validate(self, obj: Any, value: Any) -> Any:
        """Refuse what cannot be compared."""
        amount = super().validate(obj, value)
        if amount is not None and math.isnan(amount):
            raise TraitError(f"{self.name}: NaN is no amount.")
        return amount


class ByteSize(Integer[int, Any]):
    """A number of bytes, written as ``512m``, ``4.5g`` or an integer."""

    def validate(self, obj: Any, value: Any) -> int:
        """Turn text into bytes."""
        try:
            size = parse_size(value, self.name or "size")
        except InvalidRequest as error:
            raise TraitError(error.message) from error
        return int(super().validate(obj, size) or 0)

    def from_string(self, s: str) -> Any:
        """Read what the command line gave."""
        return s
