"""Walks over every route that the package serves."""

from __future__ import annotations

import re

from tornado.routing import PathMatches

METHODS = ("GET", "HEAD", "POST", "DELETE", "PATCH", "PUT", "OPTIONS")
#: Without it, the Attach API refuses before it looks for a session.
QUERY = "?api-version=2011-11-01&durable=true"


def rules_of(router):
    """Yield every path rule below a router."""
    for rule in router.rules:
        if isinstance(rule.matcher, PathMatches):
            yield rule
        elif hasattr(rule.target, "rules"):
            yield from rules_of(rule.target)


def our_paths(web_app, reference="some-session"):
    """List a path for every route of the REST door: the base URL cut off, ids filled in.

    A walk that finds nothing proves nothing, so that fails. Streams of events end at once from
    now on, so that a walk gets through.
    """
    base = web_app.settings["base_url"]
    web_app.settings["sessmgr_rest"].feeds.close()
    paths = []
    for rule in rules_of(web_app.default_router):
        if not rule.target.__module__.startswith("jupyter_sessmgr.rest"):
            continue
        pattern = rule.matcher.regex.pattern.removesuffix("$").removesuffix("/?")
        pattern = re.sub(r"\(\?i:([^)]*)\)", r"\1", pattern)
        path = pattern.replace("([^/]+)", reference).replace("(.*)", "more").replace("\\.", ".")
        assert rule.matcher.regex.fullmatch(path), (pattern, path)
        query = QUERY if "WindowsHpc" in path else ""
        paths.append(path.removeprefix(base) + query)
    assert len(paths) > 10
    return paths


def is_probe(path):
    """Whether this is the version probe, the one open route."""
    return path == "sessmgr"
