"""A hub is a program of its own; no server and no loop of pytest-jupyter's is here."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def jp_asyncio_loop():
    """Replace pytest-jupyter's loop: it would take that of the browser's driver, and close it."""


@pytest.fixture(autouse=True)
def jp_server_cleanup():
    """Replace pytest-jupyter's: no server runs inside these tests."""


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop():
    """Replace the watch over the loop: the code under test runs in other processes."""
