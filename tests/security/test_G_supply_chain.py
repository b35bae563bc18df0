"""What the package is made of, and made with: floors of dependencies, and a look at its own code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.meta.tree import PACKAGE, ROOT, texts_of

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Below these there are known holes that matter here; the newest reasons stand beside each.
#: Not counted are holes of functions that nothing here calls, as cryptography's of X.509
#: verification and PKCS#7 that 50 mended (CVE-2026-69247 to -69249).
FLOORS = {
    "jupyter_server": ("2.21", "CVE-2026-86049; 2.20: CVE-2026-44727; 2.18: CVE-2026-35397"),
    "jupyterlab": ("4.6.4", "CVE-2026-102830, -102831; 4.6.2: CVE-2026-73415, -73417, -73627"),
    "notebook": ("7.6.3", "CVE-2026-102831"),
    "jupyterhub": ("5.4.5", "CVE-2026-40864"),
    "jupyter-server-proxy": ("4.2", "CVE-2024-35225; 4.1.1: CVE-2024-28179"),
    "jupyter_core": ("5.8.1", "5.8: CVE-2025-30167; 5.8.1 mends what that broke"),
    "tornado": ("6.5.9", "its security release; 6.5.8: CVE-2026-82397; 6.5.5: CVE-2026-31958"),
    "aiohttp": ("3.14.4", "PYSEC-2026-4369 to -4371; 3.14.3: CVE-2026-69244, by what answers"),
    "h11": ("0.16", "CVE-2025-43859"),
    "cryptography": ("48.0.1", "GHSA-537c-gmf6-5ccf, its OpenSSL; 46.0.7: CVE-2026-39892"),
    "tqdm": ("4.66.3", "CVE-2024-34062"),
}
#: What bandit calls medium, judged: kind of finding and file, and why it is none.
JUDGED = {
    ("B102", "agent/bootstrap.py"): "the agent's own sources, by standard input of who starts it",
    ("B102", "agent/stem.py"): "the agent's own sources, over a socket that only it has",
    ("B302", "agent/bootstrap.py"): "the same as code, from the same",
    ("B104", "agent/ear.py"): "names an address to be recognised",
    ("B104", "agent/listening.py"): "names an address to be recognised",
    ("B104", "engines/docker/container.py"): "binds inside a container without published ports",
    ("B104", "proxy/loopback.py"): "names an address to be recognised",
    ("B104", "testing.py"): "a double's endpoint; binds nothing",
    ("B108", "agent/usage.py"): "looks how full a session's own folders are",
    ("B108", "engines/bubblewrap.py"): "the sandbox's own empty folder",
    ("B108", "engines/docker/container.py"): "the container's own tmpfs",
    ("B108", "engines/process/records.py"): "has its owner and mode checked before it is used",
    ("B608", "agent/changes.py"): "joins clauses of this file; values are bound",
    ("B608", "agent/shelf.py"): "joins names of our tables; values are bound",
}


def requirements():
    extras = PROJECT["optional-dependencies"].values()
    texts = [*PROJECT["dependencies"], *(text for extra in extras for text in extra)]
    return [Requirement(text) for text in texts]


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize("name", FLOORS)
def test_G1_no_version_with_a_known_hole_is_allowed(name):
    floor = Version(FLOORS[name][0])
    asked = [one for one in requirements() if plain(one.name) == plain(name)]
    assert asked
    for requirement in asked:
        bounds = [Version(one.version) for one in requirement.specifier if one.operator == ">="]
        assert max(bounds) >= floor, f"{requirement}: {FLOORS[name][1]}"


@pytest.mark.parametrize("asked", PROJECT["dependencies"])
def test_G1_what_runs_here_is_what_is_asked_for(asked):
    requirement = Requirement(asked)
    assert requirement.specifier.contains(version(requirement.name), prereleases=True)


def test_G2_no_scanner_that_skips_is_believed():
    scans = [
        f"{path.name}: {line.strip()}"
        for path, text in texts_of()
        if path.name in {"Makefile", "run", "pyproject.toml"} or path.suffix in {".sh", ".yml"}
        for line in text.splitlines()
        if "pip-audit" in line and "--strict" not in line
    ]
    assert scans == []


def test_G3_bandit_finds_nothing_that_nobody_has_judged():
    command = [sys.executable, "-m", "bandit", "-q", "-r", str(PACKAGE), "-ll", "-f", "json"]
    done = subprocess.run(
        [*command, "-x", str(PACKAGE / "labextension")],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert report["errors"] == []
    found = {
        (one["test_id"], str((ROOT / one["filename"]).relative_to(PACKAGE)))
        for one in report["results"]
    }
    assert found - JUDGED.keys() == set()
    assert JUDGED.keys() - found == set(), "no longer found: take it out of the table"
    assert [one for one in report["results"] if one["issue_severity"] == "HIGH"] == []


def test_G3_holes_are_reported_in_private():
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert "private channel" in text
    assert "90 days" in text
