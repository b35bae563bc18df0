"""Kernelspecs for what can be picked: in a server by themselves, for other tools as files."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from jupyter_core.paths import ENV_JUPYTER_PATH, SYSTEM_JUPYTER_PATH, jupyter_data_dir

from jupyter_sessmgr.model.images import with_tag
from jupyter_sessmgr.model.presets import Offer
from jupyter_sessmgr.provisioning.locate import registered

PROVISIONER = "sessmgr-provisioner"

#: Kernelspec of sessions that no offer describes, such as one made by REST from another image.
#: It is found by name, so that the kernel can be listed, but never offered.
OTHER_SESSION = "sessmgr-session"

_LOGOS = frozenset({"python"})

#: What kernelspecs that are files say of themselves, to be found again: others may use our
#: provisioner in theirs.
_MARK, _INSTALLED_BY, _INSTALLER = "sessmgr", "installed_by", "jupyter sessmgr kernelspec install"


def remote_kernelspecs(base: type[KernelSpecManager]) -> type[KernelSpecManager]:
    """Make a kernelspec manager that adds what the sessions' manager offers.

    Called by the extension with the class that the server was given; local kernels stay beside.
    A class that asks another server (a gateway) is returned as it is: its kernels run there.
    """
    if inspect.iscoroutinefunction(base.get_kernel_spec) or issubclass(base, _RemoteKernelspecs):
        return base

    class RemoteKernelSpecManager(_RemoteKernelspecs, base):  # type: ignore[valid-type,misc]
        """Local kernelspecs, and those of sessions."""

    return RemoteKernelSpecManager


class _RemoteKernelspecs:
    """What is added to a `KernelSpecManager`.

    Offers come from memory, so nothing waits for an engine; when it is away there are none, and
    nobody finds a card that leads nowhere.
    """

    def find_kernel_specs(self) -> dict[str, str]:
        """Map names of kernelspecs to their folders."""
        found: dict[str, str] = super().find_kernel_specs()  # type: ignore[misc]
        found.update((one.kernel_name, logo_folder(one.language)) for one in self._offers())
        return found

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Find a kernelspec by name; also that of a session which nothing offers."""
        kind: type[KernelSpec] = self.kernel_spec_class  # type: ignore[attr-defined]
        for offer in self._offers():
            if offer.kernel_name == kernel_name:
                return kind(resource_dir=logo_folder(offer.language), **describe(offer))
        if kernel_name == OTHER_SESSION and registered(self) is not None:
            return kind(resource_dir=logo_folder("other"), **_OTHER)
        return super().get_kernel_spec(kernel_name)  # type: ignore[misc,no-any-return]

    def _offers(self) -> list[Offer]:
        allowed = self.allowed_kernelspecs  # type: ignore[attr-defined]
        return [one for one in offers_for(self) if not allowed or one.kernel_name in allowed]


def offers_for(manager: Any) -> tuple[Offer, ...]:
    """List what can be picked in the server to which a kernelspec manager belongs."""
    home = registered(manager)
    return () if home is None else home.sessions.offers


def describe(offer: Offer) -> dict[str, Any]:
    """Write an offer as the content of a ``kernel.json``."""
    preset = offer.preset
    metadata: dict[str, Any] = {
        "kernel_provisioner": {
            "provisioner_name": PROVISIONER,
            "config": {"preset": preset.name, "image": preset.image, "kernel": preset.kernel},
        },
        "description": preset.description,
    }
    if offer.language == "python":
        metadata["debugger"] = True
        if preset.encryption != "disabled":
            metadata["supported_encryption"] = ["curve"]
    return {
        "argv": [],
        "display_name": offer.display_name,
        "language": offer.language,
        # SIGINT reaches the provisioner, which knows how the kernel inside wants it.
        "interrupt_mode": "signal",
        "env": {},
        "metadata": metadata,
    }


_OTHER: Mapping[str, Any] = {
    "argv": [],
    "display_name": "Session",
    "language": "",
    "interrupt_mode": "signal",
    "env": {},
    "metadata": {"kernel_provisioner": {"provisioner_name": PROVISIONER, "config": {}}},
}


def logo_folder(language: str) -> str:
    """Find the folder with the logos for a language."""
    logos = Path(str(resources.files("jupyter_sessmgr.provisioning").joinpath("logos")))
    return str(logos / (language if language in _LOGOS else "other"))


def install_kernelspecs(
    offers: Iterable[Offer], *, user: bool = False, prefix: str | None = None
) -> list[str]:
    """Write kernelspecs as files, for tools that run without a Jupyter server.

    Called by ``jupyter sessmgr kernelspec install``, in a thread: it does file I/O.

    Parameters
    ----------
    offers : iterable of Offer
        What to install.
    user : bool
        Install for this user; else `prefix` or, without it, system-wide.
    prefix : str, optional
        Install below ``{prefix}/share/jupyter/kernels``.

    Returns
    -------
    list of str
        The folders that were written.

    Raises
    ------
    OSError
        when the destination cannot be written.
    """
    manager = KernelSpecManager()
    written = []
    for offer in offers:
        with tempfile.TemporaryDirectory() as scratch:
            source = Path(scratch) / offer.kernel_name
            shutil.copytree(logo_folder(offer.language), source)
            content = describe(offer)
            content["metadata"][_MARK] = {_INSTALLED_BY: _INSTALLER}
            text = json.dumps(content, indent=1) + "\n"
            (source / "kernel.json").write_text(text, encoding="utf-8")
            written.append(
                manager.install_kernel_spec(
                    str(source), offer.kernel_name, user=user, prefix=prefix
                )
            )
    return written


def installed_kernelspecs() -> list[str]:
    """List the folders that this user had `install_kernelspecs` write.

    Looks where it writes without being told a prefix, and into this Python environment; a prefix
    of somebody's choice is theirs to tidy.
    """
    data = (jupyter_data_dir(), *ENV_JUPYTER_PATH, *SYSTEM_JUPYTER_PATH[:1])
    found = (path for at in dict.fromkeys(data) for path in Path(at, "kernels").glob("*"))
    return [str(path) for path in found if _is_installed(path)]


def _is_installed(folder: Path) -> bool:
    """Tell whether a kernelspec carries our mark, and is this user's."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            return False
        content = json.loads((folder / "kernel.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return False
    for key in ("metadata", _MARK):
        content = content.get(key) if isinstance(content, dict) else None
    return isinstance(content, dict) and content.get(_INSTALLED_BY) == _INSTALLER


def kernel_name_for(manager: KernelSpecManager, image: str, preset: str, kernel: str) -> str:
    """Choose the kernelspec under which a session that was not picked is listed."""
    for offer in offers_for(manager):
        of = offer.preset
        if (with_tag(of.image), of.name, of.kernel) == (with_tag(image), preset, kernel):
            try:
                manager.get_kernel_spec(offer.kernel_name)
            except NoSuchKernel:
                break  # an admin's list of allowed kernelspecs leaves it out
            return offer.kernel_name
    return OTHER_SESSION
