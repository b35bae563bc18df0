"""The main job, as a person does it: pick a remote kernel in the launcher, and work with it."""

from __future__ import annotations

import re
import socket

import pytest
from playwright.sync_api import expect

from tests.plugins.browser import PATIENCE, remote_kernelspecs, until, write_notebook

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

PLOT = """\
import matplotlib.pyplot as plt, numpy as np
x = np.linspace(0, 4 * np.pi, 400)
plt.figure(figsize=(7, 2.6))
plt.plot(x, np.sin(x) * np.exp(-x / 8));"""


#: As in the tutorial.
TRAIN = """\
import math
from tensorboardX import SummaryWriter

with SummaryWriter("logs/first") as writer:
    for step in range(200):
        writer.add_scalar("loss", math.exp(-step / 50), step)

%load_ext tensorboard
%tensorboard --logdir logs"""


@pytest.fixture(params=["process", pytest.param("docker", marks=pytest.mark.docker)])
def started(request, labs):
    """Give a server with JupyterLab on each engine."""
    if request.param == "docker":
        request.getfixturevalue("reference_image")
    return labs(request.param), request.param


def test_a_remote_kernel_is_picked_used_shared_and_shut_down(started, lab):
    server, engine = started
    person = lab(server)
    person.card(_title(server)).click()
    person.wait_ready()

    host = person.run("import socket\nprint('on', socket.gethostname())")
    expect(host).to_have_text(re.compile(r"^on \S+"), timeout=PATIENCE)
    if engine == "docker":
        assert host.inner_text() != f"on {socket.gethostname()}"
        plot = person.run(PLOT)
        expect(plot.locator("img").first).to_be_visible(timeout=PATIENCE)
        person.picture("lab.png")
    _interrupt_a_loop(person)
    _use_it_from_a_second_notebook(person)
    _restart(person)
    if engine == "docker":  # whose image has TensorBoard
        _watch_a_training(person)

    assert [one["status"] for one in server.sessions()] == ["RUNNING"]
    person.choose("Kernel", r"^Shut Down Kernel")
    _until_nothing_is_left(server)


def _watch_a_training(person):
    page = person.page
    output = person.run(TRAIN)
    board = page.frame_locator(".jp-OutputArea-output iframe")
    expect(board.locator("scalar-card").first).to_be_visible(timeout=PATIENCE)
    usual = page.viewport_size
    page.set_viewport_size({"width": 1200, "height": 900})
    output.first.evaluate("one => one.closest('.jp-Cell').scrollIntoView()")
    expect(board.get_by_text("199").first).to_be_visible(timeout=PATIENCE)  # the last step
    person.picture("tensorboard.png")
    page.set_viewport_size(usual)


def _run_before_the_kernel_is_there(person, server):
    """Two cells, while the request for the kernel is held up."""
    held = []
    person.page.route(
        lambda url: url.partition("?")[0].endswith("/api/sessions"),
        lambda route: held.append(route) if route.request.method == "POST" else route.continue_(),
    )
    write_notebook(server, "early.ipynb", "print(6 * 7)", "print('and', 6 * 7)")
    person.page.goto(f"{server.url}lab/tree/early.ipynb?token={server.token}")
    cells = person.notebook.locator(".jp-CodeCell")
    until(lambda: person.page.wait_for_timeout(50) or held, what="a kernel is asked for")
    cells.first.locator(".cm-content").click()
    for number in range(2):
        person.page.keyboard.press("Shift+Enter")
        expect(cells.nth(number).locator(".jp-InputPrompt")).to_have_text("[*]:")
    held.pop(0).continue_()
    person.page.unroute_all()
    for number, text in enumerate(("42", "and 42")):
        output = cells.nth(number).locator(".jp-OutputArea-output")
        expect(output).to_have_text(text, timeout=PATIENCE)
        expect(cells.nth(number).locator(".jp-InputPrompt")).to_have_text(f"[{number + 1}]:")


def test_an_ended_kernel_says_why(labs, lab):
    server = labs()
    person = lab(server)
    _run_before_the_kernel_is_there(person, server)
    person.wait_ready()
    person.run("import os; os.kill(os.getpid(), 9)")
    # JupyterLab says that it restarts; the session is the same one.
    expect(person.page.get_by_text(re.compile("Kernel Restarting"))).to_be_visible(timeout=PATIENCE)
    person.accept()
    person.wait_ready()
    expect(person.run("print('again')")).to_have_text("again", timeout=PATIENCE)


def _interrupt_a_loop(person):
    person.run("import time\nwhile True: time.sleep(0.05)")
    indicator = person.notebook.locator(".jp-Notebook-ExecutionIndicator")
    expect(indicator).to_have_attribute("data-status", "busy", timeout=PATIENCE)
    person.press("Interrupt the kernel")
    expect(person.notebook.get_by_text("KeyboardInterrupt").first).to_be_visible(timeout=PATIENCE)
    person.wait_ready()


def _use_it_from_a_second_notebook(person):
    expect(person.run("kept = 41; print('kept', kept)")).to_have_text("kept 41", timeout=PATIENCE)
    person.choose("File", r"^New$", r"^Notebook$")
    chooser = person.page.locator(".jp-Dialog select")
    expect(chooser).to_be_visible(timeout=PATIENCE)
    shared = chooser.locator("option", has_text=re.compile(r"\(python, Running\)$"))
    chooser.select_option(value=shared.get_attribute("value"))
    person.accept()
    person.wait_ready()
    shared = person.run("kept += 1; print('shared', kept)")
    expect(shared).to_have_text("shared 42", timeout=PATIENCE)


def _restart(person):
    person.press("Restart the kernel")
    person.accept()
    expect(person.run("print('kept' in globals())")).to_have_text("False", timeout=PATIENCE)


def _title(server):
    """Say how the remote kernel is called in the launcher."""
    return remote_kernelspecs(server)["sessmgr-python"]["display_name"]


def _until_nothing_is_left(server):
    until(lambda: server.sessions() == [], what="no session is left")
    until(lambda: server.ask("GET", "api/kernels").json() == [], what="no kernel is left")
