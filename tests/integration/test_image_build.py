"""Images are built on a real engine, leave nothing behind, and run hardened as anybody."""

from __future__ import annotations

import json
import uuid

import pytest

from jupyter_sessmgr.cli.image import INPUTS_LABEL, build_image, find_recipe, fingerprint
from jupyter_sessmgr.engines.docker.build import STAGE_LABEL
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable, InvalidRequest
from jupyter_sessmgr.model.images import describe

docker = pytest.mark.docker


@pytest.fixture
def recipe(tmp_path, docker_api, reference_image):
    """Write a recipe with a stage, built on the reference image; removes what was built."""
    folder = tmp_path / "recipe"
    folder.mkdir()
    tag = f"sessmgr-test-{uuid.uuid4().hex[:12]}:1"

    def write(command="true"):
        lines = (
            f"ARG BASE={reference_image}",
            "FROM ${BASE} AS first",
            f'LABEL {STAGE_LABEL}="{tag}"',
            "RUN echo staged > /tmp/staged",
            "FROM ${BASE}",
            "COPY --from=first /tmp/staged /tmp/staged",
            f"RUN {command}",
        )
        (folder / "Dockerfile").write_text("\n".join(lines))
        return folder, tag

    yield write
    for image in docker_api.images(name=tag, quiet=True):
        docker_api.remove_image(image, force=True)


def _build(docker_host, folder, tag, told=None, **options):
    def progress(text, share):
        if told is not None:
            told.append((text, share))

    return build_image(docker_host, tag, progress, recipe=str(folder), **options)


@docker
def test_a_recipe_is_built_once_and_again_after_a_change(docker_host, docker_api, recipe):
    folder, tag = recipe()
    told = []
    first = _build(docker_host, folder, tag, told)
    assert docker_api.inspect_image(tag)["Id"] == first
    assert [share for _, share in told if share is not None][-1] == 1.0
    assert _build(docker_host, folder, tag) == ""
    recipe("echo changed")
    second = _build(docker_host, folder, tag)
    assert second not in {"", first}
    left = docker_api.images(filters={"label": f"{STAGE_LABEL}={tag}", "dangling": True})
    assert left == []
    labels = docker_api.inspect_image(tag)["Config"]["Labels"]
    assert labels[INPUTS_LABEL] == fingerprint(folder, "")


@docker
def test_a_build_that_fails_says_what_the_step_said(docker_host, docker_api, recipe):
    folder, tag = recipe("echo the-word-of-the-step; exit 3")
    before = set(docker_api.images(filters={"dangling": True}, quiet=True))
    with pytest.raises(EngineError, match="the-word-of-the-step"):
        _build(docker_host, folder, tag)
    assert docker_api.images(name=tag) == []
    assert set(docker_api.images(filters={"dangling": True}, quiet=True)) <= before


@docker
def test_a_named_base_that_is_not_to_be_had_is_an_error(docker_host, recipe):
    folder, tag = recipe()
    with pytest.raises(EngineError, match="refused"):
        _build(docker_host, folder, tag, base="127.0.0.1:9/no-such-base:1")


@docker
def test_the_reference_image_runs_read_only_as_any_user(docker_api, reference_image):
    code = (
        "import json, os, site, sys, ipykernel, ipywidgets, jupyterlab, matplotlib, tensorboard;"
        "from jupyter_client.kernelspec import KernelSpecManager as M;"
        "spec = M().get_kernel_spec('python3');"
        "print(json.dumps([os.getuid(), site.ENABLE_USER_SITE, spec.argv[0], spec.metadata]))"
    )
    limits = docker_api.create_host_config(
        read_only=True, cap_drop=["ALL"], network_mode="none", tmpfs={"/tmp": "", "/home/work": ""}
    )
    made = docker_api.create_container(
        reference_image, ["python3", "-W", "ignore", "-c", code], user="12345", host_config=limits
    )
    try:
        docker_api.start(made["Id"])
        assert docker_api.wait(made["Id"], timeout=60)["StatusCode"] == 0
        said = json.loads(docker_api.logs(made["Id"], stderr=False))
    finally:
        docker_api.remove_container(made["Id"], force=True, v=True)
    uid, user_site, python, metadata = said
    assert uid == 12345
    # pip, which cannot write to the system, installs into the home.
    assert user_site is True
    assert python == "/opt/python/bin/python3"
    assert "curve" in metadata["supported_encryption"]


@docker
def test_the_reference_image_says_what_it_needs(docker_api, reference_image):
    config = docker_api.inspect_image(reference_image)["Config"]
    image = describe(reference_image, "", config["Labels"])
    assert [(port.name, port.ports) for port in image.service_ports] == [
        ("jupyter", (8081,)),
        ("jupyterlab", (8090,)),
        ("tensorboard", (6006,)),
    ]
    assert (image.min_cpu, image.min_mem) == (1, 256 * 2**20)
    assert image.runtime_path == "/opt/python/bin/python3"
    assert config["User"] == "1000:1000"


def test_no_engine_is_said_at_once(tmp_path):
    (tmp_path / "Dockerfile").write_text("ARG BASE=none\nFROM ${BASE}\n")
    with pytest.raises(EngineUnavailable, match="No Docker engine answers"):
        _build(f"unix://{tmp_path}/none.sock", tmp_path, "some/thing")


def test_an_unknown_recipe_is_an_error_that_lists_the_known(tmp_path):
    with pytest.raises(InvalidRequest, match=r"Known are: python, r"):
        find_recipe("fortran")


def test_a_recipe_has_another_name_after_any_change(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM a\n")
    names = {fingerprint(tmp_path, ""), fingerprint(tmp_path, "other")}
    (tmp_path / "Dockerfile").write_text("FROM b\n")
    names.add(fingerprint(tmp_path, ""))
    (tmp_path / "more").write_text("")
    names.add(fingerprint(tmp_path, ""))
    assert len(names) == 4
