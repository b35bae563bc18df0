"""Send generated requests to a server: ``python -m tests.generated.run`` (``make fuzz``).

They are made from its OpenAPI document by schemathesis: as the document says, and on purpose not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.plugins.openapi import strict
from tests.plugins.server import ROOT, Servers

#: Tells owners apart, one of them an admin, and has a service that starts quickly.
CONFIG = {
    "ServerApp": {"identity_provider_class": "tests.plugins.people.PeopleAndToken"},
    "SessMgrApp": {"admin_users": ["bob"]},
    "SessionServices": {
        "definitions": {
            "answers": {"command": ["{runtime_path}", "-m", "http.server", "{ports[0]}"]},
        }
    },
}
PEOPLE = ("alice", "bob")
CHECKS = (
    "promised_server_errors_only",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
#: They answer for ever, so they have tests of their own.
ENDLESS = "events"


def destroy_all(server):
    """Destroy what is left of everybody's sessions."""
    for person in PEOPLE:
        server.http.headers["X-Person"] = person
        server.destroy_sessions()
    del server.http.headers["X-Person"]


def generate(server, *, seed, examples, phases, folder, document=None):
    """Run schemathesis once; `document` instead of the server's own.

    Returns
    -------
    tuple of Counter, int and str
        How often each operation answered each status; the program's exit code and output.
    """
    tally = folder / f"tally-{seed}.json"
    document = document or server.ask("GET", "sessmgr/api/openapi.json").json()
    path = folder / "openapi.json"
    path.write_text(json.dumps(strict(document)), encoding="utf-8")
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", str(path), "--url", server.url),
        *("--seed", str(seed), "--max-examples", str(examples), "--phases", phases),
        *("--checks", ",".join(CHECKS), "--exclude-path-regex", ENDLESS),
        *("--request-timeout", "60", "--continue-on-failure", "--no-shrink", "--no-color"),
        *("--warnings", "off", "--suppress-health-check", "all"),
        *("--generation-database", "none", "--output-truncate", "false"),
    ]
    environ = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "SCHEMATHESIS_HOOKS": "tests.generated.hooks",
        "SESSMGR_GENERATED_BASE": server.url,
        "SESSMGR_GENERATED_TALLY": str(tally),
    }
    done = subprocess.run(
        command,
        env=environ,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=3600,
        check=False,
    )
    answers = json.loads(tally.read_text(encoding="utf-8")) if tally.exists() else {}
    return Counter(answers), done.returncode, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--examples", type=int, default=60, help="for each operation and seed")
    parser.add_argument("--phases", default="examples,coverage,fuzzing")
    arguments = parser.parse_args()
    total, failed = Counter(), False
    with tempfile.TemporaryDirectory() as folder:
        servers = Servers(Path(folder))
        try:
            server = servers.start(config=CONFIG)
            for seed in arguments.seeds:
                answers, code, output = generate(
                    server,
                    seed=seed,
                    examples=arguments.examples,
                    phases=arguments.phases,
                    folder=Path(folder),
                )
                total += answers
                failed = failed or code != 0
                print(output)
                destroy_all(server)
                failed = failed or "Traceback" in server.log()
                print(f"seed {seed}: {sum(answers.values())} requests, exit code {code}")
        finally:
            servers.clean()
    for answer, count in sorted(total.items()):
        print(f"{count:6} {answer}")
    print(f"{sum(total.values())} requests")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
