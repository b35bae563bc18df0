"""What can be asked for, set, met or seen is in the reference, and nothing else is."""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import re

import pytest

from jupyter_sessmgr.cli.arguments import make_parser
from jupyter_sessmgr.cli.failures import Exit, exit_code
from jupyter_sessmgr.model import errors
from jupyter_sessmgr.model.status import FINAL, Goal, SessionStatus
from tests.meta.tree import DOCS, PACKAGE, ROOT, package_sources, page, texts_of

ERRORS = [
    one
    for _, one in inspect.getmembers(errors, inspect.isclass)
    if issubclass(one, errors.SessmgrError)
]
#: What configuration snippets may name of others.
FOREIGN_SECTIONS = {"Authenticator", "GatewayClient", "JupyterHub", "Spawner", "SystemdSpawner"} | {
    "LabApp",
    "ServerApp",
    "NotebookClient",
}


def script(name):
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings_script():
    return script("document_settings")


def rows_of(name):
    """Read the tables of a page: cells by first cell, without backquotes."""
    rows = {}
    for line in page(name).splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
        if line.startswith("|") and not set(cells[0]) <= set("-: "):
            rows[cells[0].strip("`")] = cells
    return rows


def test_the_settings_pages_are_up_to_date():
    settings = settings_script()
    assert settings.CONFIG.read_text(encoding="utf-8") == settings.render_config(), "run make docs"
    assert settings.PAGE.read_text(encoding="utf-8") == settings.render_page(), "run make docs"


def test_the_page_of_the_http_api_is_up_to_date():
    rest = script("document_rest")
    assert rest.PAGE.read_text(encoding="utf-8") == rest.render_page(), "run make docs"


def test_the_configuration_file_can_be_read_by_traitlets():
    from traitlets.config.loader import PyFileConfigLoader

    config = settings_script().CONFIG
    loader = PyFileConfigLoader(config.name, path=str(config.parent))
    assert loader.load_config() == {}


def test_the_configuration_file_works_when_everything_is_uncommented(tmp_path):
    from traitlets.config.loader import PyFileConfigLoader

    settings = settings_script()
    text = re.sub(
        r"^# (c\.)", r"\1", settings.CONFIG.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    (tmp_path / "all.py").write_text(text, encoding="utf-8")
    config = PyFileConfigLoader("all.py", path=str(tmp_path)).load_config()
    for one in settings.configurables():
        for name in settings.settings(one):
            assert name in config[one.__name__]


def test_every_setting_says_when_to_change_it():
    short = [
        f"{one.__name__}.{name}"
        for one in settings_script().configurables()
        for name, trait in settings_script().settings(one).items()
        if len(trait.help.split()) < 5
    ]
    assert short == []


def test_settings_stand_first_in_their_class():
    late = []
    for one in settings_script().configurables():
        members = [name for name, value in vars(one).items() if inspect.isfunction(value)]
        traits = [name for name in vars(one) if name in settings_script().settings(one)]
        order = list(vars(one))
        plain = [name for name in members if not is_of_a_trait(vars(one)[name])]
        if traits and plain and order.index(traits[-1]) > order.index(plain[0]):
            late.append(one.__name__)
    assert late == []


def is_of_a_trait(function):
    return function.__name__.startswith(("_default_", "_check_", "_validate_"))


def test_snippets_name_settings_that_exist():
    known = {
        f"{one.__name__}.{name}"
        for one in settings_script().configurables()
        for name in settings_script().settings(one)
    }
    wrong = []
    for path, text in texts_of(".md"):
        for section, name in re.findall(r"(?:\bc\.|--)([A-Z]\w+)\.([a-z]\w+)\s*=", text):
            if section not in FOREIGN_SECTIONS | {"Class"} and f"{section}.{name}" not in known:
                wrong.append(f"{path.name}: {section}.{name}")
    assert wrong == []


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_every_error_is_documented(error):
    from jupyter_sessmgr.rest.errors import ANSWERS

    cells = rows_of("reference/errors.md")[error.__name__]
    answer = next(ANSWERS[kind] for kind in error.__mro__ if kind in ANSWERS)
    assert str(answer.status) in cells[2]
    assert cells[3] == answer.slug
    assert cells[4] == str(int(exit_code(error("x"))))
    assert (cells[5] == "yes") is error.retryable


def test_no_error_is_documented_that_is_not_there():
    names = {one.__name__ for one in ERRORS}
    assert {name for name in rows_of("reference/errors.md") if name[0].isupper()} <= names


@pytest.mark.parametrize("status", SessionStatus)
def test_every_status_is_documented(status):
    cells = rows_of("reference/status.md")[status.value]
    assert (cells[2] == "✓") is (status in FINAL)


@pytest.mark.parametrize("goal", Goal)
def test_every_goal_is_documented(goal):
    assert f"`{goal}`" in page("reference/status.md")


def test_every_event_is_documented():
    text = page("reference/events.md")
    for path in sorted((PACKAGE / "event_schemas").glob("*.yaml")):
        schema = path.read_text(encoding="utf-8")
        assert re.search(r"^\$id: (\S+)$", schema, re.MULTILINE)[1] in text
        properties = schema.split("\nproperties:\n")[1]
        for name in re.findall(r"^  ([a-z_]+):$", properties, re.MULTILINE):
            assert f"`{name}`" in text, f"{path.name}: {name}"


def test_every_metric_is_documented_and_no_other():
    from prometheus_client import REGISTRY

    from jupyter_sessmgr.rest import metrics

    made = [one for one in vars(metrics).values() if hasattr(one, "_labelnames")]
    labels = {one.describe()[0].name: tuple(one._labelnames) for one in made}
    families = [one for one in REGISTRY.collect() if one.name.startswith("sessmgr_")]
    told = {}
    for family in families:
        sampled = tuple(family.samples[0].labels) if family.samples else ()
        name = family.name + "_total" * (family.type == "counter")
        told[name] = (family.type, labels.get(family.name, sampled))
    documented = {
        name: (cells[1], tuple(re.findall(r"`(\w+)`", cells[2])))
        for name, cells in rows_of("reference/metrics.md").items()
        if name.startswith("sessmgr_")
    }
    assert documented == told


def test_every_label_is_documented():
    text = page("reference/labels.md")
    pattern = re.compile(r"\b(?:ai\.backend|jupyter-sessmgr|sessmgr)\.[a-z][a-z.-]*[a-z]\b")
    sources = [path for path in PACKAGE.rglob("*.py") if "cli" not in path.parts]
    recipes = list((ROOT / "etc" / "images").rglob("Dockerfile"))
    used = set()
    for path in [*sources, *recipes, PACKAGE / "cli" / "image.py"]:
        if "engines" in path.parts or "images" in path.parts or path.name in LABEL_FILES:
            used |= set(pattern.findall(path.read_text(encoding="utf-8")))
    undocumented = {label for label in used if f"`{label}`" not in text}
    assert undocumented - NOT_LABELS == set()


#: Files outside the engines that name labels.
LABEL_FILES = {"images.py", "image.py"}
#: What looks like a label.
NOT_LABELS = {"ai.backend.resource.min", "ai.backend.resource.max"}


#: Variables that the page names though others read them; and those that it leaves to their makers.
OF_OTHERS = {"DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "JUPYTER_CONFIG_PATH", "OMP_NUM_THREADS"}
LEFT_OUT = {"JUPYTER_PATH"}


def test_every_environment_variable_is_documented_and_no_other():
    from jupyter_sessmgr.engines.process.processes import MARKER
    from jupyter_sessmgr.engines.process.spawn import INHERITED
    from jupyter_sessmgr.provisioning.launch import SESSION_NAME
    from jupyter_sessmgr.proxy.hosts import _HUB

    sources = "\n".join(path.read_text(encoding="utf-8") for path in package_sources())
    read = re.findall(r'\b(?:environ|merged)(?:\.get\(|\[)"([A-Z][A-Z_]+)"', sources)
    known = {*read, *INHERITED, *_HUB, MARKER, SESSION_NAME} - LEFT_OUT
    told = re.findall(r"`([A-Z][A-Z_]+)`", page("reference/environment.md"))
    assert set(told) == known | OF_OTHERS


def commands(parser, words=()):
    """List every command with its own parser."""
    deeper = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not deeper:
        yield " ".join(words), parser
    for action in deeper:
        for name, child in action.choices.items():
            yield from commands(child, (*words, name))


@pytest.mark.parametrize(
    ("name", "parser"), list(commands(make_parser("0"))), ids=lambda x: str(x)[:20]
)
def test_every_command_and_option_is_documented(name, parser):
    text = page("reference/cli.md")
    assert f"`{name}" in text
    for action in parser._actions:
        for option in action.option_strings:
            assert option in {"-h", "--help"} or re.search(rf"`(?:[^`]*\s)?{option}\b", text), (
                option
            )


def test_every_exit_code_is_documented():
    rows = rows_of("reference/cli.md")
    for code in Exit:
        assert rows[str(int(code))][1] == f"`{code.name}`"


def test_every_dependency_has_its_reason():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    text = page("adr/0003-dependencies.md")
    names = [re.match(r"[A-Za-z0-9_.-]+", one)[0] for one in project["dependencies"]]
    assert [name for name in names if f"| `{name}` |" not in text] == []


def test_every_decision_is_listed():
    text = page("adr/README.md")
    for path in sorted((DOCS / "adr").glob("[0-9]*.md")):
        number, title = path.read_text(encoding="utf-8").splitlines()[0][2:].split(" ", 1)
        assert f"[{number}]({path.name}) | {title}" in text, path.name


def test_every_event_that_listeners_hear_is_documented():
    from jupyter_sessmgr.rest.backendai.event_wire import NAMES

    listed = page("reference/events.md").partition("## Server-sent events")[2]
    documented = re.findall(r"`((?:session|kernel)_\w+)`", listed)
    assert sorted(documented) == sorted(NAMES)


@pytest.mark.parametrize("folder", ["manager", "agent"])
def test_the_map_of_a_large_folder_has_all_of_its_files(folder):
    text = page("architecture.md")
    begin = text.index(f"`{folder}/`,")
    rows = text[begin : text.index("\n\n", text.index("\n| ", begin))]
    mapped = set(re.findall(r"`([a-z]+/?)`", rows)) - {f"{folder}/"}
    there = {path.stem for path in (PACKAGE / folder).rglob("*.py")} - {"__init__"}
    there |= {f"{path.parent.name}/" for path in (PACKAGE / folder).glob("*/__init__.py")}
    assert mapped == there
