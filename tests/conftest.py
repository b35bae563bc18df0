"""What every test has: nothing may block the event loop, and Jupyter's folders are private."""

from __future__ import annotations

import pytest
from blockbuster import blockbuster_ctx

pytest_plugins = [
    "pytest_jupyter.jupyter_server",
    "tests.plugins.server",  # before browser, which imports it
    "tests.plugins.browser",
    "tests.plugins.kernels",
    "tests.plugins.managers",
    "tests.plugins.packaging",
]


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop():
    """Fail a test in which code of this package makes a blocking call on the event loop."""
    with blockbuster_ctx(scanned_modules=["jupyter_sessmgr"]) as watch:
        yield watch


@pytest.fixture
def state_dir(tmp_path):
    """Give a fresh state folder."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder
