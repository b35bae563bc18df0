"""What the pages show is what examples/ has, and what the tests here run."""

from __future__ import annotations

import pytest
from traitlets.config.loader import PyFileConfigLoader

from tests.plugins.server import ROOT

EXAMPLES, PAGES = ROOT / "examples", ROOT / "docs" / "how-to"
SHOWN = {
    "jupyterhub/jupyterhub_config.py": "jupyterhub.md",
    "jupyterhub/single-user/jupyter_sessmgr_config.py": "jupyterhub.md",
    "shared-server/jupyter_server_config.py": "shared-server.md",
    "jupyter-sessmgr.service": "systemd.md",
}


@pytest.mark.parametrize("example", SHOWN)
def test_a_page_shows_the_file_as_it_is(example):
    text = (EXAMPLES / example).read_text(encoding="utf-8")
    assert f"\n{text}```\n" in (PAGES / SHOWN[example]).read_text(encoding="utf-8")


@pytest.mark.parametrize("example", [one for one in SHOWN if one.endswith(".py")])
def test_a_configuration_is_read_by_traitlets(example):
    path = EXAMPLES / example
    assert PyFileConfigLoader(path.name, path=str(path.parent)).load_config()
