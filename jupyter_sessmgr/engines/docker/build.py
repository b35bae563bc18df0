"""Build images on a Docker engine: for ``jupyter sessmgr image build``, which is not a server.

Unlike the engine, this blocks its caller. Everything goes through the engine's HTTP API, so no
Docker client needs to be installed.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

import docker
import requests
from docker.errors import APIError, DockerException, NotFound
from docker.utils import kwargs_from_env

from jupyter_sessmgr.engines.docker.client import cause
from jupyter_sessmgr.model.errors import EngineError, EngineUnavailable
from jupyter_sessmgr.model.images import with_tag

#: Called with what is being done, for people, and how far it is (0 to 1, None when unknown).
Progress = Callable[[str, float | None], None]

#: Marks the stages of a build that only later stages need.
STAGE_LABEL = "jupyter-sessmgr.stage"

#: Says from which recipe an image was built, so that building it again can be skipped.
INPUTS_LABEL = "jupyter-sessmgr.inputs"

#: Says as what an image was built. Images that are made from it inherit this, and not the name.
NAME_LABEL = "jupyter-sessmgr.image"

#: What bases are called that debootstrap made.
BASE_NAME = "jupyter-sessmgr/base"
_BASE_MADE = re.compile(re.escape(BASE_NAME) + ":[a-z]+-[0-9a-f]{8}")
#: What engines put before names that have no registry.
_REGISTRY = re.compile(r"^(localhost|docker\.io)/")

#: Seconds without any answer after which a call is given up; a build step may be silent for long.
_SILENCE = 900

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")

_MADE = re.compile(r" ---> ([0-9a-f]{12,64})\s*$")

_ASK = (
    "import json,platform,sys;"
    "print(json.dumps([sys.version_info[:3],platform.libc_ver()[1],platform.machine()]))"
)


@dataclass(frozen=True, slots=True)
class PythonInside:
    """Which wheels an image's Python can use."""

    version: tuple[int, int, int]
    #: Version of the GNU C library, or "" where there is none.
    glibc: str
    machine: str


class ImageBuilder:
    """An engine, as a builder of images sees it. A context manager.

    Parameters
    ----------
    host : str
        The engine's address, such as ``unix:///var/run/docker.sock``; "" means: as the docker
        client finds it.
    progress : Progress
        Told about every step.
    deadline : float
        Seconds that one pull or build may take.

    Raises
    ------
    EngineUnavailable
        by any method, when no engine answers.
    EngineError
        by any method, when the engine refused; the message has the engine's words.
    """

    def __init__(self, host: str, progress: Progress, deadline: float = 3600) -> None:
        self._progress = progress
        self._deadline = deadline
        self._client = _connect(host)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._client.close()

    def labels(self, reference: str) -> Mapping[str, str] | None:
        """Return the labels of an image, or None when it is not here."""
        found = self._inspect(reference)
        return None if found is None else dict(found["Config"].get("Labels") or {})

    def pull(self, reference: str) -> None:
        """Fetch an image from its registry."""
        name, _, tag = with_tag(reference).rpartition(":")
        with _translated():
            lines = self._client.pull(name, tag=tag, stream=True, decode=True)
            layers: dict[str, tuple[int, int]] = {}
            for line in self._until_deadline(lines, f"Pulling {reference}"):
                detail = line.get("progressDetail") or {}
                if line.get("status") == "Downloading" and detail.get("total"):
                    layers[line["id"]] = (detail["current"], detail["total"])
                    done, total = (sum(column) for column in zip(*layers.values(), strict=True))
                    self._progress(f"pulling {reference}", done / total)

    def ask_python(self, reference: str) -> PythonInside:
        """Run an image's ``python3`` once, to learn which wheels it can use."""
        out = self._run(reference, ["python3", "-I", "-c", _ASK])
        try:
            version, glibc, machine = json.loads(out)
            major, minor, micro = (int(number) for number in version)
            return PythonInside((major, minor, micro), str(glibc), str(machine))
        except (ValueError, TypeError) as error:
            raise EngineError(
                f"{reference} has no usable python3; choose a base image that has one."
            ) from error

    def import_rootfs(self, archive: IO[bytes], reference: str) -> None:
        """Make an image of a tar archive of a root file system."""
        name, _, tag = with_tag(reference).rpartition(":")
        self._progress(f"importing {reference}", None)
        with _translated():
            answer = self._client.import_image_from_stream(archive, repository=name, tag=tag)
        if '"error"' in answer:
            raise EngineError(f"The engine could not import {reference}: {answer.strip()[-400:]}")

    def build(
        self,
        folder: Path,
        reference: str,
        *,
        arguments: Mapping[str, str],
        labels: Mapping[str, str],
    ) -> str:
        """Build a folder with a Dockerfile; return the image's id.

        Leaves nothing but the image: not the stages it was made from, nor the image that had this
        name before (unless something uses it).
        """
        before = self._id(reference)
        reached = ""
        try:
            with _translated():
                lines = self._client.build(
                    path=str(folder),
                    tag=with_tag(reference),
                    buildargs=dict(arguments),
                    labels={**labels, NAME_LABEL: with_tag(reference)},
                    rm=True,
                    forcerm=True,
                    decode=True,
                )
                for line in self._until_deadline(lines, f"Building {reference}"):
                    reached = _image_in(line.get("stream", "")) or reached
                    self._step(line.get("stream", ""))
        except BaseException:
            self._remove_unused(reached)
            raise
        finally:
            self._remove_stages()
        now = self._id(reference)
        if before and before != now:
            self._remove_unused(before)
        return now

    def _step(self, text: str) -> None:
        text = _COLOURS.sub("", text).strip()
        if text.startswith("Step "):
            done, _, total = text.split()[1].partition("/")
            at = (int(done) - 1) / int(total) if done.isdigit() and total.isdigit() else None
            self._progress(text.splitlines()[0][:160], at)
        elif text and not text.startswith(("--->", "Removing", "Successfully")):
            self._progress(text.splitlines()[-1][:160], None)

    def _until_deadline(self, lines: Iterable[Any], what: str) -> Iterator[dict[str, Any]]:
        """Yield an engine's progress lines; its errors come as lines too."""
        ends = time.monotonic() + self._deadline
        tail = ""
        for line in lines:
            if "error" in line:
                words = f"{tail}{line['error']}".strip()[-1600:]
                raise EngineError(f"{what} failed: {words}")
            tail = f"{tail}{line.get('stream', '')}"[-800:]
            if time.monotonic() > ends:
                raise EngineError(f"{what} took longer than {self._deadline:.0f} s; given up.")
            yield line

    def _run(self, reference: str, command: list[str]) -> bytes:
        with _translated():
            made = self._client.create_container(
                reference, entrypoint=command[:1], command=command[1:], network_disabled=True
            )
            try:
                self._client.start(made["Id"])
                self._client.wait(made["Id"], timeout=120)
                return bytes(self._client.logs(made["Id"], stdout=True, stderr=False))
            except APIError as error:
                raise EngineError(f"{reference} does not run: {error.explanation}") from error
            finally:
                self._client.remove_container(made["Id"], v=True, force=True)

    def _inspect(self, reference: str) -> dict[str, Any] | None:
        with _translated():
            try:
                return dict(self._client.inspect_image(with_tag(reference)))
            except NotFound:
                return None

    def _id(self, reference: str) -> str:
        found = self._inspect(reference)
        return str(found["Id"]) if found else ""

    def _remove_stages(self) -> None:
        with _translated():
            filters = {"dangling": True, "label": STAGE_LABEL}
            stages = self._client.images(filters=filters, quiet=True)
        for stage in stages:
            self._remove_unused(stage)

    def _remove_unused(self, image_id: str) -> None:
        """Remove an image without a name. Another build or a container may hold it: let it."""
        if not image_id:
            return
        with _translated(), contextlib.suppress(APIError):
            found = self._client.inspect_image(image_id)
            if not found.get("RepoTags") and not found.get("RepoDigests"):
                self._client.remove_image(image_id)


@dataclass(frozen=True, slots=True)
class BuiltImages:
    """Names of images that carry our labels."""

    #: Built here, by whichever installation.
    ours: list[str]
    #: Made from ours by somebody, renamed, or built by an older release.
    others: list[str]


def built_images(host: str) -> BuiltImages:
    """List the names of the images that were built here, and of those made from them.

    Raises
    ------
    EngineUnavailable
        when no engine answers.
    """
    with contextlib.closing(_connect(host)) as client, _translated():
        built = client.images(filters={"label": INPUTS_LABEL})
        bases = client.images(name=BASE_NAME)
    found = BuiltImages([], [])
    for image in (*built, *bases):
        for name in image.get("RepoTags") or ():
            if name not in (*found.ours, *found.others, "<none>:<none>"):
                made = _is_own(_REGISTRY.sub("", name, count=1), image.get("Labels") or {})
                (found.ours if made else found.others).append(name)
    return found


def _is_own(name: str, labels: Mapping[str, str]) -> bool:
    """Tell whether we gave an image this name: a label is inherited, so it is not enough."""
    given = labels.get(NAME_LABEL)
    if given is None:
        return INPUTS_LABEL not in labels and _BASE_MADE.fullmatch(name) is not None
    return _REGISTRY.sub("", given, count=1) == name


def remove_image(host: str, reference: str) -> None:
    """Remove an image's name, and the image with its last one.

    Raises
    ------
    EngineError
        when the engine refuses, such as for one that a container uses.
    """
    with contextlib.closing(_connect(host)) as client, _translated():
        client.remove_image(reference)


def _connect(host: str) -> Any:
    options: dict[str, Any] = {**kwargs_from_env()}
    if host:
        options["base_url"] = host
    with _translated():
        return docker.APIClient(version="auto", timeout=_SILENCE, **options)


def _image_in(text: str) -> str:
    """Return the image that a step of a build has made, when this line says so."""
    match = _MADE.match(text)
    return match[1] if match else ""


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn what the SDK raises into our tree."""
    try:
        yield
    except APIError as error:
        raise EngineError(f"The Docker engine refused: {error.explanation or error}") from error
    except (requests.RequestException, DockerException, OSError, ValueError) as error:
        raise EngineUnavailable(f"No Docker engine answers: {cause(error)}") from error
