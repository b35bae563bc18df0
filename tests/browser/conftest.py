"""The browser's driver has the thread's event loop; other loops stay away."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def jp_asyncio_loop():
    """Replace pytest-jupyter's loop: it would take the driver's, and close it."""


@pytest.fixture(autouse=True)
def jp_server_cleanup():
    """Replace pytest-jupyter's: no server runs inside these tests."""


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop():
    """Replace the watch over the loop: here it is the driver's, under which the tests run."""
