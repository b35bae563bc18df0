"""A log in which one line stays one line (THREATS A6)."""

from __future__ import annotations

import logging

#: Characters of one line. Paths, hosts and referers that strangers send are repeated in it.
MAX_LINE = 800


class ShortLog(logging.LoggerAdapter[logging.Logger]):
    """Cuts what is too long to be read anyway; traces stay whole.

    Handlers give it to Jupyter in place of its log: Jupyter repeats what was asked for, before it
    is known who asks.
    """

    def log(self, level: int, msg: object, *args: object, **kwargs: object) -> None:
        """Log one line."""
        if self.isEnabledFor(level):
            text = logging.LogRecord("", level, "", 0, msg, args, None).getMessage()
            if len(text) > MAX_LINE:
                text = f"{text[:MAX_LINE]}... ({len(text)} characters)"
            self.logger.log(level, "%s", text, **kwargs)  # type: ignore[arg-type]  # as given
