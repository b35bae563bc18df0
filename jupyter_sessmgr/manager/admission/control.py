"""Judges requests: presets, images, minima and maxima of one session."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_args

from traitlets import Bool, Dict, Integer, List, TraitError, Unicode, validate

from jupyter_sessmgr.engines.base import Engine
from jupyter_sessmgr.manager.admission.allowance import (
    Allowance,
    Situation,
    cpu_span,
    device_spans,
    images_for,
    mem_span,
    preset_terms,
)
from jupyter_sessmgr.manager.admission.groups import DEFAULT, Group, groups_of
from jupyter_sessmgr.manager.admission.idling import read_idle_timeout
from jupyter_sessmgr.manager.admission.mounting import choose_folders, may_mount
from jupyter_sessmgr.manager.admission.presets import make_preset, make_presets
from jupyter_sessmgr.manager.admission.quotas import QuotaSettings, decimal_or_none
from jupyter_sessmgr.manager.admission.sizing import Limits, size
from jupyter_sessmgr.model.errors import (
    EngineUnavailable,
    ImageNotFound,
    InvalidRequest,
    LimitExceeded,
)
from jupyter_sessmgr.model.images import Image, check_reference, is_allowed, with_tag
from jupyter_sessmgr.model.naming import check_environ, is_text
from jupyter_sessmgr.model.ports import check_preopen_ports
from jupyter_sessmgr.model.presets import Preset
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.model.resources import Resources, parse_count
from jupyter_sessmgr.model.session import Encryption, SessionSpec, SessionType
from jupyter_sessmgr.store.quota import UNLIMITED, Quota
from jupyter_sessmgr.traits import ByteSize, Quantity

#: Longest text of a request's plain fields, and of its scripts, in characters.
MAX_TEXT, MAX_SCRIPT = 256, 64 * 1024

Amount = TypeVar("Amount", int, Decimal)


@dataclass(frozen=True, slots=True)
class Admitted:
    """What admission made of a request."""

    spec: SessionSpec
    #: What the store checks when it writes the session down.
    quota: Quota = UNLIMITED
    #: What the person should know of it, a sentence each.
    remarks: tuple[str, ...] = ()
    #: Which image that is, exactly; "" while it is not here.
    digest: str = ""


class AdmissionControl(QuotaSettings):
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
    default_mem = ByteSize(
        2 * 2**30,
        config=True,
        help="""Memory of sessions that ask for none and whose image names no minimum.""",
    )
    default_cpu = Quantity(
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
    max_cpu = Quantity(256.0, config=True, help="""Most processors that one session may have.""")
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
                make_preset(name, values or {})
            except (TypeError, ValueError) as error:
                raise TraitError(f"presets: {name!r}: {error}") from error
        return proposal["value"]

    def all_presets(self) -> Mapping[str, Preset]:
        """Return the built-in presets with the admin's over them."""
        return make_presets(self.presets)

    def image_patterns(self) -> Iterable[str]:
        """Say which images are allowed to somebody."""
        groups = self.groups().values()
        return [
            *self._usual_images(),
            *(pattern for group in groups for pattern in group.allowed_images or ()),
        ]

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
        _check_words(request)
        group = self.group_of(request.group, owner)
        preset = self._preset_of(request, group)
        image = await self._image_of(request, preset, group, engine)
        _check_network(preset, engine)
        _check_size(request, engine.capabilities.max_cluster_size)
        slots = {**preset.resources, **request.resources}
        resources = size(slots, request.shmem, image, engine, self._limits(group))
        mounts, workdir, remarks = await asyncio.to_thread(
            choose_folders,
            request,
            preset,
            owner=owner,
            can=engine.capabilities,
            state=state,
            table=self.mounts,
        )
        spec = SessionSpec(
            image=with_tag(image.reference),
            preset=preset.name,
            kernel=_kernel(request, preset),
            environ=MappingProxyType(_environ(request, preset, image, resources)),
            mounts=tuple(mounts),
            workdir=workdir,
            resources=resources,
            service_ports=image.service_ports,
            network=preset.network,
            encryption=self._encryption(request, preset),
            durable=request.durable,
            session_type=_type(request),
            startup_command=_text(request.startup_command, "startupCommand", MAX_SCRIPT),
            bootstrap_script=_text(request.bootstrap_script, "bootstrap_script", MAX_SCRIPT),
            preopen_ports=_ports(request.preopen_ports, image),
            jupyter_session=_text(request.jupyter_session, "jupyter_session", 4096),
            idle_timeout=read_idle_timeout(request.idle_timeout),
        )
        return Admitted(spec, self.quota(group), tuple(remarks), image.digest)

    def allowance(self, owner: str, name: str, now: Situation) -> Allowance:
        """Say what an owner may still ask for in a group; "" is the first that there is.

        Raises
        ------
        InvalidRequest
            when there is no such group, or the owner may not use it.
        """
        mine = groups_of(self.groups(), owner)
        name = name or (DEFAULT if not mine or DEFAULT in mine else mine[0])
        group = self.group_of(name, owner)
        limits, quota = self._limits(group), self.quota(group)
        presets = sorted(
            self._presets_of(group).values(), key=lambda one: one.name != self.default_preset
        )
        images = images_for(self._images_of(group), presets, now)
        return Allowance(
            group=name,
            groups=mine,
            most_sessions=quota.owner.sessions,
            sessions=now.taken.sessions,
            cpu=cpu_span(limits, quota, now),
            mem=mem_span(limits, quota, now),
            devices=device_spans(limits, quota, now),
            presets=preset_terms(presets, images, limits, now.engine),
            images=images,
            mounts=may_mount(self.mounts, now.engine.capabilities),
        )

    def _presets_of(self, group: Group) -> Mapping[str, Preset]:
        presets = self.all_presets()
        if group.presets is None:
            return presets
        return {name: one for name, one in presets.items() if name in group.presets}

    def _preset_of(self, request: CreateRequest, group: Group) -> Preset:
        presets = self._presets_of(group)
        usual = self.default_preset if self.default_preset in presets else next(iter(presets), "")
        wanted = request.preset or usual
        if wanted not in presets:
            known = ", ".join(sorted(presets))
            raise InvalidRequest(
                f"There is no preset {wanted!r:.60}; known: {known}.", field="preset"
            )
        return presets[wanted]

    async def _image_of(
        self, request: CreateRequest, preset: Preset, group: Group, engine: Engine
    ) -> Image:
        reference = check_reference(request.image or preset.image)
        if not is_allowed(reference, self._images_of(group)):
            raise ImageNotFound(
                f"There is no image {with_tag(reference)!r} that may be used here.", field="image"
            )
        try:
            async with asyncio.timeout(request.patience):
                return await engine.image(reference)
        except TimeoutError:
            raise EngineUnavailable(
                f"The engine {engine.name} did not answer within {request.patience:g} s, so "
                "nothing was made. Ask again, or wait longer."
            ) from None
        except ImageNotFound:
            if not engine.capabilities.pull:
                raise
            # It is fetched when the session starts; until then its labels are not known.
            return Image(reference=reference, digest="")

    def _images_of(self, group: Group) -> Sequence[str]:
        return self._usual_images() if group.allowed_images is None else group.allowed_images

    def _usual_images(self) -> list[str]:
        return [*self.allowed_images, *(preset.image for preset in self.all_presets().values())]

    def _limits(self, group: Group) -> Limits:
        return Limits(
            default_cpu=decimal_or_none(self.default_cpu) or None,
            default_mem=self.default_mem,
            max_cpu=_lower(Decimal(str(self.max_cpu)), group.max_cpu),
            max_mem=_lower(self.max_mem, group.max_mem),
            max_shmem=_lower(self.max_shmem, group.max_shmem),
            max_devices=_lower(self.max_devices, group.max_devices),
            pids=self.pids_limit,
        )

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


def _lower(one: Amount, other: Amount | None) -> Amount:
    return one if other is None else min(one, other)


def _check_words(request: CreateRequest) -> None:
    for name in ("domain", "group", "tag"):
        _text(getattr(request, name), name)


def _check_size(request: CreateRequest, most: int) -> None:
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


def _check_network(preset: Preset, engine: Engine) -> None:
    if preset.network not in engine.capabilities.networks:
        raise LimitExceeded(
            f"The preset {preset.name!r} wants an isolated network, which the {engine.name} "
            "engine cannot give here.",
            limit=sorted(engine.capabilities.networks),
            asked=preset.network,
        )


def _environ(
    request: CreateRequest, preset: Preset, image: Image, resources: Resources
) -> dict[str, str]:
    cores = str(max(int(resources.cpu), 1)) if resources.cpu else ""
    corecount = dict.fromkeys(image.corecount_envs, cores) if cores else {}
    asked = check_environ({**preset.environ, **request.environ})
    return check_environ({**corecount, **asked})


def _kernel(request: CreateRequest, preset: Preset) -> str:
    """Choose the kernel; a batch session has a command in its place."""
    if request.session_type == "batch":
        return ""
    return preset.kernel if request.kernel is None else request.kernel


def _type(request: CreateRequest) -> SessionType:
    if request.session_type not in get_args(SessionType):
        raise InvalidRequest(
            f"sessionType: {request.session_type!r:.60} is none of "
            f"{', '.join(get_args(SessionType))}.",
            field="sessionType",
        )
    if request.session_type == "batch" and not request.startup_command:
        raise InvalidRequest(
            "startupCommand: a batch session needs one; it ends with it.", field="startupCommand"
        )
    return request.session_type


def _ports(asked: tuple[int, ...], image: Image) -> tuple[int, ...]:
    ports = check_preopen_ports(asked)
    for service in image.service_ports:
        for port in set(ports) & set(service.ports):
            raise InvalidRequest(
                f"preopen_ports: {port} is the port of the image's service {service.name}.",
                field="preopen_ports",
            )
    return ports


def _text(value: object, name: str, longest: int = MAX_TEXT) -> str:
    if not isinstance(value, str) or len(value) > longest or not is_text(value) or "\0" in value:
        raise InvalidRequest(f"{name}: not a text of at most {longest} characters.", field=name)
    return value
