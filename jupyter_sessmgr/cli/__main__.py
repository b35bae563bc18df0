"""``python -m jupyter_sessmgr.cli``: the same as ``jupyter sessmgr``, for this very Python."""

from __future__ import annotations

import sys

from jupyter_sessmgr.cli.main import main

sys.exit(main())
