"""What is shown when something is wrong: with starts, ends, names, logins, and the way to the server."""

from __future__ import annotations

import re
import time
from datetime import datetime

import psutil
import pytest
from playwright.sync_api import expect

from tests.plugins.browser import PATIENCE, remote_kernelspecs, until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

TOASTS = ".Toastify__toast"
SCHEMAS = "https://events.jupyter.org/jupyter_sessmgr"
ODD = "<img src=x onerror=alert(1)>&amp; ünï \u202e"
LONG = "n" * 200
LIST = re.compile(r"/sessmgr/session\?")
HEALTH = re.compile("/sessmgr/api/health")
SILENT = "The docker engine does not answer. Start it."
#: Makes a page believe that it is hidden, or shown again.
TURN = """hidden => {
  Object.defineProperty(document, 'hidden', { get: () => hidden, configurable: true });
  document.dispatchEvent(new Event('visibilitychange'));
}"""
#: Memory that sessions get unless they say so, in GiB.
USUAL = 2


def _row(person, name):
    return person.page.locator(".jp-sessmgr-row", has_text=name)


def _toast(person, words):
    return person.page.locator(TOASTS).filter(has_text=re.compile(words))


def _show_list(person):
    person.page.get_by_role("tab", name="Remote sessions").click()


def _emit(server, schema, **data):
    event = {"schema_id": f"{SCHEMAS}/{schema}/v1", "version": "1", "data": data}
    assert server.ask("POST", "api/events", json=event).status_code == 204


def _freeze(page, server, lists):
    """Let the page see Jupyter's lists as they are now."""
    known = {name: server.ask("GET", f"api/{name}").json() for name in ("sessions", "kernels")}

    def answer(route):
        name = lists.search(route.request.url)[1]
        route.fulfill(json=known[name]) if route.request.method == "GET" else route.continue_()

    page.route(lists, answer)


def test_a_start_that_waits_says_why_and_is_cancelled_for_who_waits(labs, lab):
    room = 1.5 * USUAL * 2**30 / psutil.virtual_memory().total
    server = labs(config={"StartQueue": {"memory_overcommit": room}})
    server.create(clientSessionToken="takes-all")
    person = lab(server)
    page = person.page
    _show_list(person)
    person.card(remote_kernelspecs(server)["sessmgr-python"]["display_name"]).click()
    waiting = _row(person, "Waiting")
    expect(waiting).to_contain_text("position 1 in the queue: waits for", timeout=PATIENCE)
    expect(waiting.get_by_role("progressbar")).to_be_visible()
    toast = _toast(person, r"^session-\w+: waits for 2 GiB of memory")
    expect(toast).to_be_visible(timeout=PATIENCE)
    person.picture("waiting.png")
    toast.get_by_role("button", name="Cancel Start").click()
    dialog = page.locator(".jp-Dialog")
    expect(dialog).to_contain_text("The start of the kernel was cancelled.", timeout=PATIENCE)
    person.accept()
    expect(waiting).to_have_count(0, timeout=PATIENCE)
    expect(toast).to_have_count(0)
    assert [one["sessionName"] for one in server.sessions()] == ["takes-all"]
    assert server.ask("GET", "api/sessions").json() == []


def test_an_end_is_put_off_and_one_that_came_is_explained(labs, lab):
    server = labs(config={"IdleCuller": {"idle_timeout": 900.0}})
    session = server.create(clientSessionToken="short-lived", durable=False)["sessionId"]
    server.until_listed(session)
    person = lab(server)
    page = person.page
    _show_list(person)
    expect(_row(person, "short-lived")).to_contain_text("if it is not used", timeout=PATIENCE)

    def end():
        return datetime.fromisoformat(server.info(session)["idleTimeoutAt"]).timestamp()

    _emit(server, "session_expiring", session_id=session, ends_at=end(), limit="idle")
    toast = _toast(person, "short-lived ends at .*, since nobody uses it")
    toast.get_by_role("button", name="Keep for an Hour").click()
    expect(_toast(person, "short-lived is kept until")).to_be_visible(timeout=PATIENCE)
    assert end() - time.time() == pytest.approx(3600, abs=120)
    expect(toast).to_have_count(0)

    _row(person, "short-lived").get_by_role("button", name=re.compile("notebook")).click()
    person.wait_ready()
    expect(person.run("print(6 * 7)")).to_have_text("42", timeout=PATIENCE)
    lists = re.compile("/api/(sessions|kernels)([?]|$)")
    _freeze(page, server, lists)  # JupyterLab itself may notice the end at any moment
    server.ask("DELETE", f"sessmgr/session/{session}")
    toast = _toast(person, r"short-lived, which Untitled\S* used, has ended: somebody stopped it")
    expect(toast).to_be_visible(timeout=PATIENCE)
    item = page.locator(".jp-sessmgr-item")
    expect(item).to_have_text("Remote session ended", timeout=PATIENCE)
    person.picture("ended.png")
    person.run("print('lost')")
    prompt = person.notebook.locator(".jp-CodeCell").nth(1).locator(".jp-InputPrompt")
    expect(prompt).to_have_text("[ ]:", timeout=PATIENCE)
    page.unroute(lists)
    toast.get_by_role("button", name="Start a New One").click()
    until(lambda: len(server.sessions()) == 1, what="there is a new session")
    person.wait_ready()
    expect(person.run("print('again')")).to_have_text("again", timeout=PATIENCE)
    expect(item).to_have_text(re.compile("^Remote: session-"), timeout=PATIENCE)
    page.get_by_text("Finished", exact=True).click()
    expect(_row(person, "short-lived")).to_contain_text("somebody stopped it", timeout=PATIENCE)


def test_odd_names_a_lost_login_and_a_lost_server_are_told_in_words(labs, lab):
    server = labs()
    server.create(clientSessionToken="my-work")
    odd = [
        {**server.info("my-work"), "sessionId": f"odd-{number}", "sessionName": name, **more}
        for number, (name, more) in enumerate(
            [(ODD, {"statusInfo": ODD}), (LONG, {"image": f"registry/{LONG}:latest"})]
        )
    ]
    page_of = {"items": odd, "total": len(odd), "next": None}
    answers = [
        lambda route: route.fulfill(json=page_of),
        lambda route: route.fulfill(status=403, json={"message": "Forbidden", "reason": None}),
        lambda route: route.fulfill(status=502, body="<html>Bad gateway</html>"),
        lambda route: route.abort(),
    ]
    person = lab(server)
    page = person.page
    _show_list(person)
    expect(_row(person, "my-work")).to_be_visible(timeout=PATIENCE)
    again = page.get_by_role("button", name="Refresh")
    trouble = page.locator(".jp-sessmgr-panel [role=alert]")
    words = ["", "You are logged out", r"does not answer \(502\)", "does not answer. See whether"]
    for answer, said in zip(answers, words, strict=True):
        page.route(LIST, answer)
        again.click()
        if said:
            expect(trouble).to_have_text(re.compile(said), timeout=PATIENCE)
        expect(_row(person, ODD)).to_be_visible(timeout=PATIENCE)
        page.unroute(LIST)
    long = _row(person, LONG)
    assert long.evaluate("one => one.scrollWidth <= one.clientWidth"), "names push nothing out"
    assert page.locator(".jp-sessmgr-panel img[src=x]").count() == 0
    person.picture("troubled.png")
    again.click()
    expect(_row(person, "my-work")).to_be_visible(timeout=PATIENCE)
    expect(trouble).to_have_count(0)
    health = server.ask("GET", "sessmgr/api/health").json()
    page.route(HEALTH, lambda route: route.fulfill(json={**health, "reason": SILENT}))
    _emit(server, "engine_health", available=False)
    expect(trouble).to_have_text(SILENT, timeout=PATIENCE)
    page.unroute(HEALTH)
    _emit(server, "engine_health", available=True)
    expect(trouble).to_have_count(0)


def test_without_events_the_list_is_looked_at_again(labs, lab, page):
    server = labs()
    page.route_web_socket(re.compile("/api/events/subscribe"), lambda socket: socket.close())
    with page.expect_request(LIST, timeout=PATIENCE):
        person = lab(server)
    page.evaluate(TURN, True)
    with page.expect_request(LIST, timeout=PATIENCE):  # by itself it would ask in a minute
        page.evaluate(TURN, False)
    _show_list(person)
    expect(page.get_by_text("No sessions. Start one")).to_be_visible(timeout=PATIENCE)
    server.create(clientSessionToken="made-elsewhere")
    expect(_row(person, "made-elsewhere")).to_be_visible(timeout=PATIENCE)
