"""What axe-core, the judge of accessibility, says of parts of a page."""

from __future__ import annotations

from tests.plugins.server import ROOT

_SOURCE = ROOT / "labextension" / "node_modules" / "axe-core" / "axe.min.js"
#: What may not be found.
_BAD = ("serious", "critical")
_RUN = """async ([parts, bad]) => {
  const include = parts.filter(part => document.querySelector(part) !== null);
  const { violations } = await axe.run(
    { include },
    { iframes: false, resultTypes: ['violations'] }
  );
  const found = violations.filter(one => bad.includes(one.impact)).flatMap(one =>
    one.nodes.map(node => `${one.id}: ${node.target.join(' ')}: ${node.failureSummary}`)
  );
  return [include, found];
}"""


def judge(page, *parts):
    """Return what is serious or critical within parts of a page; fail when a part is not there.

    What frames show is not looked at: that is a service's.
    """
    assert _SOURCE.is_file(), "install what the browser's part is tested with: make check"
    if not page.evaluate("'axe' in window"):
        page.evaluate(_SOURCE.read_text(encoding="utf-8"))
    there, found = page.evaluate(_RUN, [list(parts), list(_BAD)])
    assert there == list(parts), f"not in the page: {set(parts) - set(there)}"
    return found
