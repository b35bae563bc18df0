"""Run all checks and write the report."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from jupyter_sessmgr.cli.check.containers import look_at_containers
from jupyter_sessmgr.cli.check.environment import look_at_environment
from jupyter_sessmgr.cli.check.findings import Finding, worst
from jupyter_sessmgr.cli.check.folder import look_at_folder
from jupyter_sessmgr.cli.check.servers import look_at_servers
from jupyter_sessmgr.cli.check.smoke import look_at_engine
from jupyter_sessmgr.cli.config import load_config
from jupyter_sessmgr.cli.failures import Exit
from jupyter_sessmgr.cli.output import mark, print_json, print_line

_WORDS = {
    "ok": "Everything is there.",
    "warn": "Kernels run; look at the lines marked above.",
    "fail": "Something is missing; the remedy stands below its line.",
}


def check(options: argparse.Namespace) -> Exit:
    """Say what is missing, each with its remedy; 1 when something fails."""
    findings: list[Finding] = []
    for finding in _look(options):
        findings.append(finding)
        if not options.json:
            _print(finding)
    level = worst(findings)
    if options.json:
        print_json({"level": level, "findings": [one.as_json() for one in findings]})
    else:
        print_line(_WORDS[level])
    return Exit.FAILED if level == "fail" else Exit.OK


def _look(options: argparse.Namespace) -> Iterator[Finding]:
    config = load_config(options.traits)
    yield from look_at_environment()
    yield from look_at_folder(config)
    if not options.no_server:
        yield from look_at_servers(options.server)
    yield from look_at_containers(config)
    yield from look_at_engine(config, smoke=not options.no_smoke)


def _print(finding: Finding) -> None:
    print_line(f"{mark(finding.level)} {finding.topic}: {finding.text}")
    if finding.remedy:
        print_line(f"      {finding.remedy}")
