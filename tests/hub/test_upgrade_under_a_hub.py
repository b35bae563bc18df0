"""What a hub's admin deploys, upgrades and removes is a wheel: the pages about it, seen."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.plugins.browser import until
from tests.plugins.hubs import PEOPLE
from tests.plugins.notebooks import Notebook, parent
from tests.plugins.packaging import later_release
from tests.plugins.processes import processes_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LATER = "99.1.0"
COUNT = """
import time
for number in range(10**6):
    print(number, flush=True)
    time.sleep(0.02)
"""


class Cell:
    """A cell of somebody's notebook, which counts, and what its page has of it."""

    def __init__(self, person):
        self.person = person
        wish = {"path": "a.ipynb", "name": "a.ipynb", "type": "notebook"}
        reply = person.ask(
            "POST", "api/sessions", json={**wish, "kernel": {"name": "sessmgr-python"}}
        )
        assert reply.status_code == 201, reply.text
        self.kernel = reply.json()["kernel"]["id"]
        with Notebook(person, self.kernel) as notebook:
            self.asked = notebook.ask(COUNT)
            self._hear(notebook, 20)
        self._page, self._position = notebook.session, notebook.position

    def resume(self):
        """Open the page's connection again, and hear more."""
        last = self._seen[-1]
        options = {"session": self._page, "replay": [self._position]}
        with Notebook(self.person, self.kernel, **options) as notebook:
            self._hear(notebook, last + 20, before=self._seen)

    def _hear(self, notebook, most, before=()):
        def enough(_message):
            self._seen = [*before, *map(int, notebook.output(self.asked).split())]
            return max(self._seen, default=0) > most

        notebook.hear(enough)

    @property
    def seen(self):
        """The numbers that its page was told, in order."""
        return self._seen

    def kept(self):
        """Return the numbers that the journal has."""
        items = self.person.ask("GET", f"sessmgr/session/{self.kernel}/output").json()["items"]
        said = [one["message"] for one in items if parent(one["message"]) == self.asked]
        return [int(word) for one in said for word in one["content"].get("text", "").split()]


def version(person):
    return person.ask("GET", "sessmgr").json()["manager"]


def data(hub, name):
    """Name the folder where Jupyter keeps what is somebody's."""
    return hub.home(name) / ".local" / "share" / "jupyter"


def left_of(hub, name):
    """List what is on the machine of somebody's installation."""
    yield from (path for path in hub.home(name).rglob("*") if "sessmgr" in path.name)
    yield from data(hub, name).glob("runtime/kernel-*")
    if hub.has_users:
        yield from Path("/tmp").glob(f"sessmgr-{hub.uid(name)}-*")


def test_cells_of_two_people_count_on_through_an_upgrade_and_purge_leaves_nothing(
    hubs, deployment, wheel, tmp_path
):
    hub = hubs(python=deployment.python)
    with ThreadPoolExecutor() as both:
        people = dict(zip(PEOPLE, both.map(hub.person, PEOPLE), strict=True))
        cells = dict(zip(PEOPLE, both.map(Cell, people.values()), strict=True))
        deployment.install(later_release(wheel, tmp_path, LATER))
        assert LATER not in map(version, people.values())
        list(both.map(hub.stop_server, PEOPLE))
        list(both.map(hub.start_server, PEOPLE))
        assert [version(person) for person in people.values()] == [LATER, LATER]
        list(both.map(Cell.resume, cells.values()))
    for cell in cells.values():
        assert cell.seen == list(range(len(cell.seen)))
        kept = cell.kept()
        assert kept == list(range(len(kept)))
        assert kept[-1] >= cell.seen[-1]
    for name in PEOPLE:
        remove(hub, name, deployment.python)


def remove(hub, name, python):
    """Stop somebody's server, and purge as they would."""
    (place,) = {path.name for path in data(hub, name).glob("sessmgr/*/places/[!.]*")}
    (connection,) = data(hub, name).glob("runtime/kernel-*")
    hub.stop_server(name)
    assert processes_of(place)
    said = hub.run(name, python, "-m", "jupyter_sessmgr.cli", "purge", "--yes")
    assert place in said
    assert str(connection) in said
    assert "removed" in said
    assert list(left_of(hub, name)) == []
    until(lambda: not processes_of(place), what="its processes have ended")
