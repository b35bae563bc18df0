"""Loaded by schemathesis: who asks, about which sessions, and what may be answered.

Half of the requests name sessions that are there, so that more than the 404 is tried. What a
request made is destroyed again, and what it destroyed is made again, so that each finds the same.
"""

from __future__ import annotations

import atexit
import json
import os
import random
import re
from collections import Counter
from pathlib import Path

import requests
import schemathesis

BASE = os.environ["SESSMGR_GENERATED_BASE"]
TALLY = Path(os.environ["SESSMGR_GENERATED_TALLY"])
#: The header ``X-Person`` of those who ask; nobody has no credentials.
PEOPLE = ("alice", "bob", "alice", "bob", "")
#: Sessions that are there; the first is the document's example of one.
SESSIONS = ("my-session", "session-two")
#: What there is in these sessions, by the name of what is sent.
KNOWN = {
    "file": "numbers.csv",
    "files": ["numbers.csv"],
    "path": ".",
    "app": "answers",
    "service_name": "answers",
    "mode": "query",
    "code": "6 * 7",
    "durable": "true",
}
CREDENTIALS = ("Authorization", "Cookie", "X-Person")
CREATES = re.compile(r"/session$")
#: What takes a session a second or so to come back from.
COSTS = re.compile(r"^(DELETE|PATCH) |/Close$|/rename$")
#: What makes, ends or renames sessions.
CHANGES = re.compile(r"^DELETE |^POST .*(/session|/Create|/Close|/rename)$")
#: Server errors that the document may promise.
PROMISED = {501, 503}
#: Seconds that a create may wait here, whatever was generated.
WAIT = 5

answers = Counter()
atexit.register(lambda: TALLY.write_text(json.dumps(dict(answers)), encoding="utf-8"))


def pick(seed, choices):
    """Choose by what was generated, so that the same seed asks the same."""
    return random.Random(repr(seed)).choice(choices)


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    """Name sessions that are there."""
    if path_parameters and "reference" in path_parameters:
        generated = path_parameters["reference"]
        path_parameters["reference"] = pick(generated, (*SESSIONS, generated, *SESSIONS))
    return path_parameters


@schemathesis.hook
def before_call(context, case, kwargs):
    """Choose who asks; spare most requests what would end them at once, and all a long wait."""
    seed = (case.path, sum(answers.values()))
    headers = {k: v for k, v in (case.headers or {}).items() if k not in CREDENTIALS}
    person = pick(seed, PEOPLE)
    if person:
        headers["X-Person"] = person
    if "WindowsHpc" in case.path and pick(seed, (True, True, True, False)):
        headers["api-version"] = "2011-11-01"
    case.headers = headers
    if COSTS.search(f"{case.method} {case.path}") and pick(seed, (True, True, False)):
        case.path_parameters["reference"] = "absent-session"
    for sent in (case.query, case.body):
        if isinstance(sent, dict):
            spare(sent, seed)
    if isinstance(case.body, dict) and CREATES.search(case.path):
        case.body["maxWaitSeconds"] = WAIT
        case.body["enqueueOnly"] = pick(seed, (True, True, True, False))
    if not answers:
        tidy("alice")
        tidy("bob")


def spare(sent, seed):
    """Let three of four be by the owner, and half of them about what there is."""
    if pick((seed, "owner"), (True, True, True, False)):
        sent.pop("owner_access_key", None)
    if pick((seed, "known"), (True, False)):
        sent.update({name: value for name, value in KNOWN.items() if name in sent})


@schemathesis.hook
def after_call(context, case, response):
    answers[f"{case.method} {case.path} {response.status_code}"] += 1
    person = (case.headers or {}).get("X-Person")
    if person and response.status_code < 300 and CHANGES.search(f"{case.method} {case.path}"):
        tidy(person)


def tidy(person):
    """See to it that a person has the sessions of these names, and no others."""
    listed = ask("GET", "sessmgr/session?limit=1000", person).json()["items"]
    for session in listed:
        if session["sessionName"] not in SESSIONS:
            ask("DELETE", f"sessmgr/session/{session['sessionId']}?forced=true", person)
    for name in set(SESSIONS) - {session["sessionName"] for session in listed}:
        ask("POST", "sessmgr/session", person, json={"name": name, "maxWaitSeconds": 30})
        files = {"src": ("numbers.csv", b"1,2,3\n")}
        ask("POST", f"sessmgr/session/{name}/upload", person, files=files)


def ask(method, path, person, **sent):
    headers = {"X-Person": person}
    return requests.request(method, BASE + path, headers=headers, timeout=60, **sent)


@schemathesis.check
def promised_server_errors_only(context, response, case):
    """A server's own error is a defect, unless it says that it cannot now, or never."""
    status = response.status_code
    assert status < 500 or status in PROMISED, f"it answers {status}: {response.text[:500]}"
