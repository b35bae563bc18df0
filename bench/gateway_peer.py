"""The reference to beat: gateway_provisioners' Docker provisioner, on the same image and engine.

It needs an image with its launcher inside: ours, with what its own documents say to add.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import tempfile
from importlib import resources
from pathlib import Path

import docker

IMAGE = "sessmgr-bench-gateway"
BASE = "jupyter-sessmgr/python"
DOCKERFILE = f"""
FROM {BASE}
USER root
COPY wheels /tmp/wheels
RUN $(python3 -c 'import sys; print(sys.executable)') -m pip install --no-index --no-deps /tmp/wheels/*.whl
COPY kernel-launchers /usr/local/bin/kernel-launchers
RUN cp /usr/local/bin/kernel-launchers/shared/scripts/*.py /usr/local/bin/kernel-launchers/python/scripts/
COPY bootstrap-kernel.sh /usr/local/bin/bootstrap-kernel.sh
RUN chmod -R a+rX /usr/local/bin && chmod 0755 /usr/local/bin/bootstrap-kernel.sh
ENV KERNEL_LANGUAGE=python
USER 1000
CMD ["/usr/local/bin/bootstrap-kernel.sh"]
"""


def build_image(client: docker.DockerClient) -> None:
    """Build the peer's image where it is not there yet."""
    if client.images.list(IMAGE):
        return
    launchers = resources.files("gateway_provisioners") / "kernel-launchers"
    with tempfile.TemporaryDirectory() as folder:
        wheels = Path(folder) / "wheels"
        version = _python_version(client)
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:"]
            + ["--python-version", version, "-d", str(wheels), "pycryptodomex"],
            check=True,
        )
        script = (launchers / "bootstrap" / "bootstrap-kernel.sh").read_text()
        script = script.replace("${install_dir}", "/usr/local/bin")
        # Its parent's number is doubled by mistake, and a current ipykernel ends for it.
        script = script.replace("JPY_PARENT_PID=$$$$", "JPY_PARENT_PID=$$")
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as tar:
            tar.add(wheels, "wheels")
            tar.add(str(launchers), "kernel-launchers")
            _add(tar, "bootstrap-kernel.sh", script, 0o755)
            _add(tar, "Dockerfile", DOCKERFILE, 0o644)
        context.seek(0)
        client.images.build(fileobj=context, custom_context=True, tag=IMAGE, rm=True)


def _python_version(client: docker.DockerClient) -> str:
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    said = client.containers.run(BASE, entrypoint=["python3", "-c", code], remove=True)
    return said.decode().strip()


def _add(tar: tarfile.TarFile, name: str, text: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(text.encode()), mode
    tar.addfile(entry, io.BytesIO(text.encode()))


def write_kernelspec(folder: Path) -> str:
    """Write the peer's kernelspec as its installer does; returns the kernel's name."""
    name = "bench-gateway"
    target = folder / "kernels" / name
    target.mkdir(parents=True)
    launcher = (
        resources.files("gateway_provisioners") / "kernel-launchers/docker/scripts/launch_docker.py"
    )
    spec = {
        "argv": [
            sys.executable,
            str(launcher),
            "--public-key",
            "{public_key}",
            "--response-address",
            "{response_address}",
            "--port-range",
            "{port_range}",
            "--kernel-id",
            "{kernel_id}",
        ],
        "display_name": "gateway",
        "language": "python",
        "env": {"KERNEL_LANGUAGE": "python"},
        "metadata": {
            "kernel_provisioner": {
                "provisioner_name": "docker-provisioner",
                "config": {"image_name": IMAGE, "launch_timeout": 60},
            }
        },
    }
    (target / "kernel.json").write_text(json.dumps(spec))
    return name
