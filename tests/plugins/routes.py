"""Walks over every route that the package serves."""

from __future__ import annotations

import re
from urllib.parse import quote

from tornado.routing import PathMatches

from jupyter_sessmgr.rest.operations import operation_of

METHODS = ("GET", "HEAD", "POST", "DELETE", "PATCH", "PUT", "OPTIONS")
#: Without it, the Attach API refuses before it looks for a session.
QUERY = "?api-version=2011-11-01&durable=true"
#: What works where a route has no examples.
BODIES = {
    "files": {"path": "."},
    "download": {"files": ["note.txt"]},
    "download_single": {"file": "note.txt"},
    "shutdown-service": {"service_name": "tensorboard"},
}


def rules_of(router):
    """Yield every path rule below a router."""
    for rule in router.rules:
        if isinstance(rule.matcher, PathMatches):
            yield rule
        elif hasattr(rule.target, "rules"):
            yield from rules_of(rule.target)


def our_routes(web_app, reference="some-session"):
    """List a path for every route of the REST door, and its handler: the base URL cut off, ids filled in.

    A walk that finds nothing proves nothing, so that fails. Streams of events end at once from
    now on, so that a walk gets through.
    """
    base = web_app.settings["base_url"]
    web_app.settings["sessmgr_rest"].feeds.close()
    found = []
    for rule in rules_of(web_app.default_router):
        if not rule.target.__module__.startswith("jupyter_sessmgr.rest"):
            continue
        pattern = rule.matcher.regex.pattern.removesuffix("$").removesuffix("/?")
        pattern = re.sub(r"\(\?i:([^)]*)\)", r"\1", pattern)
        path = (
            pattern.replace("([^/]+)", reference)
            .replace("(.*)", "more")
            .replace("(.*[^/])", "unknown")
            .replace("\\.", ".")
        )
        assert rule.matcher.regex.fullmatch(path), (pattern, path)
        query = QUERY if "WindowsHpc" in path else ""
        found.append((path.removeprefix(base) + query, rule.target))
    assert len(found) > 10
    return found


def our_paths(web_app, reference="some-session"):
    """List a path for every route of the REST door."""
    return [path for path, _ in our_routes(web_app, reference)]


def good_calls(path, handler, method):
    """Give what works on a route, by what is said of it: paths with queries, and bodies."""
    told = operation_of(getattr(handler, method.lower()))
    if told is None:
        return [(path, {})]
    needed = [one for one in told.parameters if one.where == "query" and one.required]
    query = "&".join(f"{one.name}={quote(str(one.example))}" for one in needed)
    if query:
        path += ("&" if "?" in path else "?") + query
    bodies = list(told.examples.values()) or [BODIES.get(path.rpartition("/")[2], {})]
    return [(path, body) for body in bodies]


def is_probe(path):
    """Whether this is the version probe, the one open route."""
    return path == "sessmgr"
