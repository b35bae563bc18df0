"""Turns what was asked into what will be, or says why not: presets, minima, limits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from traitlets import Bool, Dict, Float, Integer, List, TraitError, Unicode, validate
from traitlets.config import LoggingConfigurable

from jupyter_sessmgr.engines.base import Engine
from jupyter_sessmgr.manager.folders import (
    INSIDE_HOME,
    home_mount,
    named_mounts,
    notebook_mount,
)
from jupyter_sessmgr.manager.sizing import Limits, size
from jupyter_sessmgr.model.errors import ImageNotFound, InvalidRequest, LimitExceeded
from jupyter_sessmgr.model.images import Image, check_reference, is_allowed, with_tag
from jupyter_sessmgr.model.mounts import Mount
from jupyter_sessmgr.model.naming import check_environ, is_text
from jupyter_sessmgr.model.presets import Preset
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.model.resources import Resources, parse_count
from jupyter_sessmgr.model.session import Encryption, SessionSpec
from jupyter_sessmgr.store.base import Quota
from jupyter_sessmgr.traits import ByteSize

#: What there is without any configuration.
BUILT_IN_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "python": {
        "title": "Python (remote)",
        "description": "The notebook's folder is the working folder, the home folder survives "
        "the session, and there is network access.",
    },
    "isolated": {
        "title": "Python (isolated)",
        "description": "Sees neither the notebook's folder nor a lasting home, and has no network.",
        "network": "isolated",
        "notebook_folder": False,
        "home": False,
    },
}
#: Longest text of a request's plain fields, in characters.
MAX_TEXT = 256


@dataclass(frozen=True, slots=True)
class Admitted:
    """What admission made of a request."""

    spec: SessionSpec
    #: What the person should know of it, a sentence each.
    remarks: tuple[str, ...] = ()


class AdmissionControl(LoggingConfigurable):
    """Judges requests. Called by the manager, before anything is written."""

    allowed_images = List(
        Unicode(),
        config=True,
        help="""Images that people may ask for, as `repository:tag` or by digest; `*` matches
        anything. Empty: only the images of the presets.""",
    )
    presets = Dict(
        config=True,
        help="""Presets by name, each a dictionary with any of: title, description, image, kernel,
        network ("egress" or "isolated"), notebook_folder, home, resources, environ, encryption,
        listed. They are added to the built-in ones "python" and "isolated"; None removes one.""",
    )
    default_preset = Unicode(
        "python",
        config=True,
        help="""The preset of requests that name none.""",
    )
    mounts = Dict(
        config=True,
        help="""Folders that people may mount by name, each `{"path": "/srv/data", "writable":
        False}`. Nobody can name a path.""",
    )
    max_sessions_per_owner = Integer(
        20,
        config=True,
        help="""How many live sessions one owner may have. Raise it on big machines.""",
    )
    max_sessions = Integer(
        100,
        config=True,
        help="""How many live sessions there may be in all.""",
    )
    default_mem = ByteSize(
        2 * 2**30,
        config=True,
        help="""Memory of sessions that ask for none and whose image names no minimum.""",
    )
    default_cpu = Float(
        0.0,
        config=True,
        help="""Processors of sessions that ask for none and whose image names no minimum; 0 means
        no limit.""",
    )
    max_mem = ByteSize(
        2**40,
        config=True,
        help="""Most memory that one session may have. Lower it to what the machine can give.""",
    )
    max_cpu = Float(256.0, config=True, help="""Most processors that one session may have.""")
    max_shmem = ByteSize(
        16 * 2**30, config=True, help="""Most shared memory (/dev/shm) that one session may have."""
    )
    max_devices = Integer(8, config=True, help="""Most devices, such as GPUs, of one session.""")
    pids_limit = Integer(
        512,
        config=True,
        help="""Most processes and threads of one session. Raise it for heavily threaded work.""",
    )
    encryption_required = Bool(
        False,
        config=True,
        help="""Refuse kernels that cannot encrypt their channels (CurveZMQ), whatever the
        preset says.""",
    )

    @validate("presets")
    def _check_presets(self, proposal: Any) -> Any:
        for name, values in proposal["value"].items():
            try:
                _preset(name, values or {})
            except (TypeError, ValueError) as error:
                raise TraitError(f"presets: {name!r}: {error}") from error
        return proposal["value"]

    def all_presets(self) -> Mapping[str, Preset]:
        """Return the built-in presets with the admin's over them."""
        values: dict[str, Any] = {**BUILT_IN_PRESETS}
        for name, change in self.presets.items():
            values[name] = None if change is None else {**values.get(name, {}), **change}
        return {name: _preset(name, one) for name, one in values.items() if one is not None}

    def quota(self) -> Quota:
        """Say how many live sessions there may be; the store checks it."""
        return Quota(per_owner=self.max_sessions_per_owner, total=self.max_sessions)

    def image_patterns(self) -> Iterable[str]:
        """Say which images are allowed: the admin's, and those of the presets."""
        return [*self.allowed_images, *(preset.image for preset in self.all_presets().values())]

    async def admit(
        self, request: CreateRequest, owner: str, engine: Engine, state: Path
    ) -> Admitted:
        """Make a complete spec of a request.

        Raises
        ------
        InvalidRequest, ImageNotFound, LimitExceeded
            naming the field, the limit, and what would fit.
        EngineUnavailable
            when the engine could not be asked for the image.
        """
        preset = self._preset_of(request)
        image = await self._image_of(request, preset, engine)
        can = engine.capabilities
        _check_network(preset, engine)
        self._check_size(request, can.max_cluster_size)
        slots = {**preset.resources, **request.resources}
        resources = size(slots, request.shmem, image, engine, self._limits())
        environ = self._environ(request, preset, image, resources)
        mounts, workdir, remarks = await asyncio.to_thread(
            _folders,
            request,
            preset,
            owner=owner,
            engine=engine,
            state=state,
            table=self.mounts,
        )
        spec = SessionSpec(
            image=with_tag(image.reference),
            preset=preset.name,
            kernel=preset.kernel if request.kernel is None else request.kernel,
            environ=MappingProxyType(environ),
            mounts=tuple(mounts),
            workdir=workdir,
            resources=resources,
            service_ports=image.service_ports,
            network=preset.network,
            encryption=self._encryption(request, preset),
            durable=request.durable,
            jupyter_session=_text(request.jupyter_session, "jupyter_session", 4096),
        )
        return Admitted(spec, tuple(remarks))

    def _preset_of(self, request: CreateRequest) -> Preset:
        presets = self.all_presets()
        preset = presets.get(request.preset or self.default_preset)
        if preset is None:
            known = ", ".join(sorted(presets))
            raise InvalidRequest(
                f"There is no preset {request.preset!r:.60}; known: {known}.", field="preset"
            )
        for name in ("domain", "group", "tag"):
            _text(getattr(request, name), name)
        return preset

    async def _image_of(self, request: CreateRequest, preset: Preset, engine: Engine) -> Image:
        reference = check_reference(request.image or preset.image)
        if not is_allowed(reference, self.image_patterns()):
            raise ImageNotFound(
                f"There is no image {with_tag(reference)!r} that may be used here.", field="image"
            )
        try:
            return await engine.image(reference)
        except ImageNotFound:
            if not engine.capabilities.pull:
                raise
            # It is fetched when the session starts; until then its labels are not known.
            return Image(reference=reference, digest="")

    def _check_size(self, request: CreateRequest, most: int) -> None:
        size = parse_count(request.cluster_size, "clusterSize")
        if size != int(size) or size < 1:
            raise InvalidRequest("clusterSize: a whole number from 1 on.", field="clusterSize")
        if size > most:
            raise LimitExceeded(
                f"clusterSize: {size} containers for one session; here it is at most {most}.",
                field="clusterSize",
                limit=most,
                asked=int(size),
            )

    def _limits(self) -> Limits:
        return Limits(
            default_cpu=Decimal(str(self.default_cpu)) or None,
            default_mem=self.default_mem,
            max_cpu=Decimal(str(self.max_cpu)),
            max_mem=self.max_mem,
            max_shmem=self.max_shmem,
            max_devices=self.max_devices,
            pids=self.pids_limit,
        )

    def _environ(
        self, request: CreateRequest, preset: Preset, image: Image, resources: Resources
    ) -> dict[str, str]:
        cores = str(max(int(resources.cpu), 1)) if resources.cpu else ""
        corecount = dict.fromkeys(image.corecount_envs, cores) if cores else {}
        asked = check_environ({**preset.environ, **request.environ})
        return check_environ({**corecount, **asked})

    def _encryption(self, request: CreateRequest, preset: Preset) -> Encryption:
        if self.encryption_required:
            return "required"
        encryption = request.encryption or preset.encryption
        if encryption not in get_args(Encryption):
            raise InvalidRequest(
                f"encryption: {encryption!r:.60} is none of {', '.join(get_args(Encryption))}.",
                field="encryption",
            )
        return encryption


def _check_network(preset: Preset, engine: Engine) -> None:
    if preset.network not in engine.capabilities.networks:
        raise LimitExceeded(
            f"The preset {preset.name!r} wants an isolated network, which the {engine.name} "
            "engine cannot give here.",
            limit=sorted(engine.capabilities.networks),
            asked=preset.network,
        )


def _folders(
    request: CreateRequest,
    preset: Preset,
    *,
    owner: str,
    engine: Engine,
    state: Path,
    table: Mapping[str, Mapping[str, object]],
) -> tuple[list[Mount], str, list[str]]:
    """Make the mounts, the working folder, and remarks for people. Runs in a thread."""
    can = engine.capabilities
    if not can.host_mounts:
        if request.mounts:
            raise LimitExceeded(
                "mounts: the engine runs on another machine, which does not have these folders.",
                field="mounts",
            )
        wanted = preset.home or preset.notebook_folder
        remark = "The engine runs on another machine: no folder of this one is mounted."
        return [], "", [remark] if wanted else []
    mounts = named_mounts(request.mounts, table)
    remarks: list[str] = []
    workdir = ""
    if preset.home:
        inside = INSIDE_HOME if can.images else ""
        mounts.append(home_mount(state, owner, inside, can.runs_as))
    if preset.notebook_folder and request.notebook_folder:
        found = notebook_mount(
            request.notebook_folder,
            request.notebook_path,
            state,
            same_paths=not can.images,
            runs_as=can.runs_as,
        )
        mounts.extend(found.mounts)
        workdir = found.workdir
        remarks.extend([found.remark] if found.remark else [])
    return mounts, workdir, remarks


def _preset(name: str, values: Mapping[str, Any]) -> Preset:
    known = {field.name for field in fields(Preset)} - {"name"}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ValueError(f"unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")
    defaults = {"title": name, "description": ""}
    return Preset(name=name, **{**defaults, **values})


def _text(value: object, name: str, longest: int = MAX_TEXT) -> str:
    if not isinstance(value, str) or len(value) > longest or not is_text(value) or "\0" in value:
        raise InvalidRequest(f"{name}: not a text of at most {longest} characters.", field=name)
    return value
