"""Turns what Jupyter gives a provisioner into a wish for a session. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from string import Template
from types import MappingProxyType
from typing import Any, cast

from jupyter_client.connect import KernelConnectionInfo

from jupyter_sessmgr.model.errors import InvalidRequest
from jupyter_sessmgr.model.naming import check_environ, is_uuid
from jupyter_sessmgr.model.requests import CreateRequest
from jupyter_sessmgr.model.session import Encryption

#: What the ``config`` of a kernelspec's ``kernel_provisioner`` may say.
CONFIG_KEYS = ("image", "preset", "kernel", "resources", "environ", "encryption", "durable")
ENCRYPTIONS = ("auto", "required", "disabled")

#: The one variable that Jupyter sets for a kernel and that a session may know.
SESSION_NAME = "JPY_SESSION_NAME"


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelWish:
    """What a kernelspec says about the sessions of its kernels."""

    image: str = ""
    preset: str = ""
    kernel: str | None = None
    resources: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    encryption: Encryption | None = None
    durable: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where a kernel is started from."""

    kernel_id: str
    #: Host folder that is to be the working folder, absolute; "" when there is none.
    folder: str = ""
    #: The server's root folder, absolute; "" outside a server.
    root: str = ""
    #: The environment that the kernel's starter made, mostly the server's own.
    environ: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    #: KernelManager.transport_encryption.
    encryption: str = "disabled"
    #: Whether the session may outlive its starter, and does unless the kernelspec says otherwise.
    may_last: bool = False
    lasts: bool = False


def read_config(config: Mapping[str, Any]) -> KernelWish:
    """Read the ``config`` of a kernelspec's ``kernel_provisioner``.

    Raises
    ------
    InvalidRequest
        naming the key that is unknown or whose value has the wrong type. Values are judged by
        admission, where every door's requests are.
    """
    for key in config:
        if key not in CONFIG_KEYS:
            raise InvalidRequest(
                f"The kernelspec's kernel_provisioner config has an unknown key {key!r:.60}; "
                f"known are {', '.join(CONFIG_KEYS)}. Correct the kernel.json.",
                field=str(key)[:60],
            )
    for key in ("image", "preset", "kernel"):
        _check(key, config.get(key, ""), str, "a text")
    for key in ("resources", "environ"):
        _check(key, config.get(key, {}), Mapping, "an object of names and values")
    _check("durable", config.get("durable", False), bool, "true or false")
    if config.get("kernel") == "":
        raise _wrong("kernel", "the name of a kernelspec inside the image")
    encryption = config.get("encryption")
    if encryption is not None and encryption not in ENCRYPTIONS:
        raise _wrong("encryption", f"one of {', '.join(ENCRYPTIONS)}")
    return KernelWish(
        image=config.get("image", ""),
        preset=config.get("preset", ""),
        kernel=config.get("kernel"),
        resources=MappingProxyType(dict(config.get("resources", {}))),
        environ=MappingProxyType(check_environ(dict(config.get("environ", {})))),
        encryption=encryption,
        durable=config.get("durable"),
    )


def make_request(
    wish: KernelWish, spec_environ: Mapping[str, str], around: Surroundings
) -> CreateRequest:
    """Make the wish for the session of one kernel.

    Of the starter's environment only the notebook's name goes on: it is mostly the server's own
    environment, with the server's secrets. The kernelspec's ``env`` goes on as it is written.

    Raises
    ------
    InvalidRequest
        when the kernel's id is no UUID, or the kernelspec's ``env`` refers to variables of the
        server.
    """
    if not is_uuid(around.kernel_id):
        raise InvalidRequest(
            f"{around.kernel_id!r:.80} cannot be the id of a remote kernel: use a UUID in lower "
            "case, or give none.",
            field="kernel_id",
        )
    return CreateRequest(
        image=wish.image,
        preset=wish.preset,
        kernel=wish.kernel,
        environ={**_plain(spec_environ), **wish.environ},
        resources=wish.resources,
        encryption=_encryption(wish.encryption, around.encryption),
        durable=around.may_last and (around.lasts if wish.durable is None else wish.durable),
        reuse=False,
        origin="kernel",
        session_id=around.kernel_id,
        notebook_folder=around.folder,
        notebook_path=relative_folder(around.folder, around.root),
        jupyter_session=around.environ.get(SESSION_NAME, ""),
    )


def relative_folder(folder: str, root: str) -> str:
    """Spell a folder relative to the root, with ``/``; "" for the root and for others."""
    if not folder or not root:
        return ""
    path, top = PurePath(folder), PurePath(root)
    if path == top or not path.is_relative_to(top):
        return ""
    return path.relative_to(top).as_posix()


def kernel_connection(info: Mapping[str, Any]) -> KernelConnectionInfo:
    """Spell connection info as jupyter_client compares it: the key as bytes, Curve keys as text."""
    spelled = dict(info)
    if isinstance(spelled["key"], str):
        spelled["key"] = spelled["key"].encode()
    for name in ("curve_publickey", "curve_secretkey"):
        if isinstance(spelled.get(name), bytes):
            spelled[name] = spelled[name].decode("ascii")
    return cast("KernelConnectionInfo", spelled)


def _encryption(wish: Encryption | None, transport_encryption: str) -> Encryption | None:
    """Choose the stricter; the kernel manager's "disabled" is Jupyter's default, nobody's wish."""
    return "required" if transport_encryption == "required" else wish


def _plain(environ: Mapping[str, str]) -> dict[str, str]:
    plain = {}
    for name, value in check_environ(dict(environ)).items():
        text = Template(value)
        if text.get_identifiers():
            raise InvalidRequest(
                f"The kernelspec's env refers to a variable of the server in {name}. Sessions do "
                "not see the server's environment; write the value itself into the kernel.json, "
                "with $$ for a dollar sign.",
                field="env",
            )
        plain[name] = text.safe_substitute()
    return plain


def _check(key: str, value: object, kind: type, what: str) -> None:
    if not isinstance(value, kind):
        raise _wrong(key, what)


def _wrong(key: str, what: str) -> InvalidRequest:
    return InvalidRequest(
        f"The kernelspec's kernel_provisioner config: {key} is not {what}. Correct the "
        "kernel.json.",
        field=key,
    )
