"""The form for new sessions: the server's limits in it, what is refused, what is remembered."""

from __future__ import annotations

import json
import re

import pytest
from playwright.sync_api import expect

from tests.plugins.browser import PATIENCE, until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

GIB = 2**30


@pytest.fixture
def person(labs, lab, tmp_path):
    """Show JupyterLab to a person who has limits, and one session already."""
    (tmp_path / "data").mkdir()
    limits = {
        "max_cpu_per_owner": 4.0,
        "max_mem_per_owner": 8 * GIB,
        "max_sessions_per_owner": 3,
        "mounts": {"data": {"path": str(tmp_path / "data")}},
        "presets": {"big": {"title": "Big", "resources": {"cpu": "8"}}},
        "group_limits": {"default": {}, "physics": {"max_cpu": 1.0, "presets": ["python"]}},
    }
    server = labs(config={"AdmissionControl": limits})
    server.create(clientSessionToken="my-work", config={"resources": {"cpu": "2", "mem": "1g"}})
    return lab(server)


class Form:
    """What a person does with the form."""

    def __init__(self, person):
        self.person = person
        self.node = person.page.locator(".jp-sessmgr-form")
        self.start = person.page.locator(".jp-Dialog .jp-mod-accept")
        self.refusal = self.node.locator(".jp-sessmgr-refusal")

    def open(self):
        cards = self.person.page.locator('.jp-LauncherCard[data-category="Remote"]')
        cards.filter(has_text="New Session").last.click()
        expect(self.node).to_be_visible(timeout=PATIENCE)
        return self

    def field(self, label):
        return self.node.get_by_label(re.compile(f"^{label}"))

    def said_of(self, label):
        """What is said of a field, by what a screen reader would read out with it."""
        ids = self.field(label).get_attribute("aria-describedby").split()
        nodes = [self.person.page.locator(f'[id="{one}"]') for one in ids]
        return " ".join(node.inner_text() for node in nodes).strip()

    def refuses(self, label, value, words):
        """Enter what cannot be; then the field says why, and nothing can be started."""
        field = self.field(label)
        before = field.input_value()
        field.fill(value)
        expect(field).to_have_attribute("aria-invalid", "true")
        assert words in self.said_of(label), self.said_of(label)
        expect(self.start).to_be_disabled()
        field.fill(before)
        expect(field).to_have_attribute("aria-invalid", "false")
        expect(self.start).to_be_enabled()


def refuse_what_cannot_be(form):
    """Enter what is over the limits, and odd names."""
    assert form.said_of("Processors").startswith("2 of 4 processors left")
    assert form.said_of("Memory").startswith("7 of 8 GiB left")
    presets = form.field("Preset").locator("option").all_inner_texts()
    assert presets == ["Python (remote)", "Python (remote, isolated)", "Big"]
    form.refuses("Processors", "2.25", "2.25 is too much: you can have at most 2.")
    form.refuses("Processors", "0", "too little: it takes at least 0.25")
    form.refuses("Processors", "1.3", "multiple of 0.25")
    form.refuses("Memory", "7.25", "at most 7")
    form.refuses("Idle timeout", "0.5", "at least 1")
    form.refuses("Name", "a b c d", "cannot have “a space” in it")
    form.refuses("Name", "größe", "cannot have “ö” in it")
    form.refuses("Name", "../../etc", "cannot have “/” in it")
    form.refuses("Name", "abc", "this one has 3")
    form.refuses("Name", "-abcd", "begins and ends")
    form.refuses("Name", "n" * 65, "this one has 65")
    form.refuses("Name", "a\u202eb1", "cannot have “U+202E” in it")
    form.refuses("Environment", "A=1\nB=2\nA=3", "A is there twice")
    form.refuses("Environment", "1A=b", "not of the form NAME=value: 1A=b")
    form.field("Preset").select_option("Big")
    expect(form.field("Processors")).to_have_attribute("aria-invalid", "true")
    assert "Left empty, it would be 8, and there is room for 2" in form.said_of("Processors")
    form.field("Preset").select_option("Python (remote)")


def refuse_what_is_no_number(form):
    """Type half of a number: browsers tell no value of it, nor that it went."""
    form.field("Processors").press_sequentially("e")
    expect(form.field("Processors")).to_have_attribute("aria-invalid", "true")
    assert "This is not a number" in form.said_of("Processors")
    form.field("Processors").press("Backspace")
    expect(form.field("Processors")).to_have_attribute("aria-invalid", "false")


def choose_among_groups_and_devices(form):
    """See what another group may have, and what there is of devices."""
    form.refuses("GPUs", "2", "2 is too much: you can have at most 1.")
    form.refuses("GPUs", "0.5", "multiple of 1")
    assert form.said_of("GPUs") == "1 of 2 devices left; the machine has 2"
    presets = form.field("Preset").locator("option")
    form.field("Group").select_option("physics")
    expect(presets).to_have_text(["Python (remote)"])
    assert form.said_of("Processors").startswith("at most 1; 2 of 4 processors left")
    form.refuses("Processors", "1.25", "at most 1")
    form.field("Group").select_option("default")
    expect(presets).to_have_count(3)


def pretend_devices(page):
    """Let the limits tell of devices, which the engine here has none of."""

    def answer(route):
        limits = route.fetch().json()
        spans = {"least": 0, "most": 2, "left": 1, "used": 1, "there": 2}
        route.fulfill(json={**limits, "devices": {"cuda.device": spans}})

    page.route(re.compile("/sessmgr/api/limits"), answer)


def change_kernel(person):
    """Choose another session for the notebook, by its name."""
    page = person.page
    page.get_by_text("Python (remote)", exact=True).last.click()
    options = page.locator(".jp-Dialog select")
    remote = options.locator('optgroup[label="Connect to Remote Session"] option')
    expect(remote).to_have_text(["by-form (python, Running)", "my-work (python, Running)"])
    specs = options.locator('optgroup[label="Start Remote Kernel"] option').all_inner_texts()
    assert sorted(specs) == ["Big (remote)", "Python (remote)", "Python (remote, isolated)"]
    person.picture("kernel-picker.png")
    options.select_option("my-work (python, Running)")
    person.accept()
    until(lambda: "my-work" in page.locator(".jp-sessmgr-item").inner_text(), what="changed")


def test_a_session_is_made_within_the_limits_that_the_form_shows(person):
    page, server = person.page, person.server
    pretend_devices(page)
    form = Form(person).open()
    refuse_what_cannot_be(form)
    refuse_what_is_no_number(form)
    choose_among_groups_and_devices(form)
    form.field("Processors").fill("2")
    form.field("Memory").fill("1.5")
    form.field("Idle timeout").fill("90")
    form.field("Name").fill("by-form")
    form.field("Environment").press_sequentially("GREETING=hello world\nOTHER=1")
    form.node.get_by_label("data (can only be read)").check()
    form.node.evaluate("node => node.scrollTo(0, 0)")
    person.picture("limits-form.png")

    # Somebody was faster: the server's refusal is shown, and nothing is lost.
    server.create(clientSessionToken="faster", config={"resources": {"cpu": "1"}})
    form.start.click()
    expect(form.refusal).to_contain_text("You have 3 processors in sessions, and 4 are allowed")
    expect(form.refusal).to_contain_text("ask for at most 1")
    expect(form.field("Name")).to_have_value("by-form")
    server.ask("DELETE", "sessmgr/session/faster")
    form.field("Name").fill("my-work")
    form.start.click()
    expect(form.refusal).to_contain_text("my-work is RUNNING")
    expect(form.field("Environment")).to_have_value("GREETING=hello world\nOTHER=1")
    assert len(server.sessions()) == 1

    form.field("Name").fill("by-form")
    with page.expect_request(lambda one: one.method == "POST" and "session" in one.url) as asked:
        form.start.click()
    assert asked.value.post_data_json["idleTimeout"] == 5400
    expect(form.node).to_have_count(0, timeout=PATIENCE)
    person.wait_ready()
    code = "import os; print(os.environ['GREETING'], os.environ['OTHER'], os.getcwd())"
    said = person.run(code)
    expect(said).to_have_text(f"hello world 1 {server.folder / 'root'}", timeout=PATIENCE)
    info = server.info("by-form")
    assert (info["memoryLimit"], info["mounts"].count("data")) == (3 * 2**19, 1)

    change_kernel(person)
    person.new_launcher()
    form.open()
    assert form.field("Processors").input_value() == "2"
    assert form.field("Idle timeout").input_value() == "90"
    assert form.field("Name").input_value() == ""
    assert form.field("Environment").input_value() == ""
    assert "2 of 4 processors left" in form.said_of("Processors")  # of by-form's, which is gone


def _set(server, **settings):
    """Choose settings of ours, as the settings' editor does."""
    path = "lab/api/settings/jupyter-sessmgr:settings"
    reply = server.ask("PUT", path, json={"raw": json.dumps(settings)})
    assert reply.status_code == 204, reply.text


def test_settings_hold_at_once_and_choices_are_remembered(labs, lab):
    server = labs()
    _set(server, defaultPreset="isolated", openWith="console")
    person = lab(server)
    page, form = person.page, Form(person).open()
    assert form.field("Preset").input_value() == "isolated"
    assert form.field("Open with").input_value() == "console"
    form.field("Memory").fill("0.5")
    form.start.click()
    expect(page.locator(".jp-CodeConsole")).to_be_visible(timeout=PATIENCE)
    person.wait_connected()
    assert [one["preset"] for one in server.sessions()] == ["isolated"]
    until(
        lambda: "last-choices" in server.ask("GET", "lab/api/workspaces/default").text,
        what="JupyterLab kept what was chosen",
    )

    status = page.locator(".jp-sessmgr-item")
    expect(status).to_be_visible()
    person.choose("Settings", "Settings Editor")
    page.get_by_role("tab", name=re.compile("^Remote Sessions")).last.click()
    editor = page.locator(".jp-SettingsPanel")
    expect(editor.get_by_text("Notices of slow starts", exact=True)).to_be_visible(timeout=PATIENCE)
    person.picture("settings.png")
    cards = page.locator('.jp-LauncherCard[data-category="Remote"]')
    editor.get_by_label("Item in the status bar").uncheck()
    path = "lab/api/settings/jupyter-sessmgr:settings"
    until(lambda: "statusBar" in server.ask("GET", path).json()["raw"], what="it is kept")
    editor.get_by_label("Section in the launcher").uncheck()
    page.get_by_role("tab", name=re.compile("^Console")).click()
    expect(status).to_be_hidden()
    person.new_launcher()
    expect(page.locator(".jp-LauncherCard:visible").first).to_be_visible(timeout=PATIENCE)
    expect(cards).to_have_count(0)

    _set(server, defaultPreset="", launcherSection=True)
    page.goto(f"{server.url}lab?token={server.token}")
    person.new_launcher()
    form.open()
    assert form.field("Preset").input_value() == "isolated"
    assert form.field("Memory").input_value() == "0.5"


def test_notebook_7_makes_sessions_by_the_form_too(labs, page):
    server = labs()
    page.goto(f"{server.url}tree?token={server.token}")
    expect(page.locator(".jp-DirListing-content")).to_be_visible(timeout=PATIENCE)
    page.keyboard.press("Control+Shift+C")
    page.locator(".lm-CommandPalette-input").fill("New Remote Session")
    page.locator(".lm-CommandPalette-item", has_text="New Remote Session…").click()
    form = page.locator(".jp-sessmgr-form")
    form.get_by_label(re.compile("^Name")).fill("from-notebook")
    with page.context.expect_page() as opened:
        page.locator(".jp-Dialog .jp-mod-accept").click()
    notebook = opened.value
    expect(notebook.locator(".jp-Notebook")).to_be_visible(timeout=PATIENCE)

    def connected():
        kernels = server.ask("GET", "api/kernels").json()
        return [one["connections"] for one in kernels] == [1]

    until(connected, what="the notebook is on the session's kernel")
