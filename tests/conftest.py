"""What every test has: nothing may block the event loop, and Jupyter's folders are private."""

from __future__ import annotations

import signal

import pytest
from blockbuster import blockbuster_ctx

pytest_plugins = [
    "pytest_jupyter.jupyter_server",
    "tests.plugins.managers",  # before server, which imports it
    "tests.plugins.server",  # before browser, which imports it
    "tests.plugins.browser",
    "tests.plugins.clients",
    "tests.plugins.docker",
    "tests.plugins.faultproxy",
    "tests.plugins.hubs",
    "tests.plugins.podman",
    "tests.plugins.kernels",
    "tests.plugins.nginx",  # before caddy, which imports it
    "tests.plugins.caddy",
    "tests.plugins.packaging",
]

# Shells start background jobs with Ctrl-C ignored, and everything below would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

JUPYTERS_OWN = {"find_kernel_specs", "get_kernel_spec", "get_all_specs"}


@pytest.fixture(autouse=True)
def _nothing_blocks_the_loop():
    """Fail a test in which code of this package makes a blocking call on the event loop."""
    with blockbuster_ctx(scanned_modules=["jupyter_sessmgr"]) as watch:
        for function in watch.functions.values():
            # Jupyter reads the files of its own kernelspecs on the loop, also below our subclass.
            function.can_block_in("jupyter_client/kernelspec.py", JUPYTERS_OWN)
            # And its own templates, when it shows its first page.
            function.can_block_in("jupyter_server/base/handlers.py", {"render_template"})
        yield watch


@pytest.fixture
def state_dir(tmp_path):
    """Give a fresh state folder."""
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder
