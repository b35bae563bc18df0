"""F4: who has no key neither reads a kernel's channels nor speaks on them."""

from __future__ import annotations

import asyncio

import zmq
import zmq.asyncio

from tests.plugins.managers import managed, run_code, running


def url(info, channel):
    port = info[f"{channel}_port"]
    return (
        f"ipc://{info['ip']}-{port}" if info["transport"] == "ipc" else f"tcp://{info['ip']}:{port}"
    )


async def hear(info, keys, seconds=1.5):
    """Listen on iopub with these keys while the kernel prints; returns the frames heard."""
    with zmq.asyncio.Context() as context, context.socket(zmq.SUB) as socket:
        if keys:
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
            socket.curve_serverkey = keys
        socket.linger = 0
        socket.subscribe(b"")
        socket.connect(url(info, "iopub"))
        await asyncio.sleep(0.3)  # a wait for nothing to happen has no condition
        _, written = await run_code(info, "print('canary-in-a-cell')")
        assert "canary" in written
        heard = []
        while await socket.poll(int(seconds * 1000)):
            heard += await socket.recv_multipart()
        return heard


async def speak(info, keys):
    """Send a request on shell with these keys; returns whether any answer came."""
    from jupyter_client.session import Session

    with zmq.asyncio.Context() as context, context.socket(zmq.DEALER) as socket:
        if keys:
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
            socket.curve_serverkey = keys
        socket.linger = 0
        socket.connect(url(info, "shell"))
        session = Session(key=info["key"])
        frames = session.serialize(session.msg("kernel_info_request"))
        try:
            # A handshake that failed leaves the socket nobody to send to, and it waits for one.
            await asyncio.wait_for(socket.send_multipart(frames), 1.5)
        except TimeoutError:
            return False
        return bool(await socket.poll(1500))


async def test_F4_channels_are_encrypted_by_default(tmp_path, engine_name):
    async with managed(tmp_path / "s", engine_name) as manager:
        session = await running(manager)
        assert session.encrypted
        info = manager.connection_info(session.id)
        wrong, _ = zmq.curve_keypair()
        assert await hear(info, b"") == []
        assert await hear(info, wrong) == []
        assert not await speak(info, b"")
        assert not await speak(info, wrong)
        # The same ears and mouth with the right key: the test can fail.
        assert any(b"canary" in frame for frame in await hear(info, info["curve_publickey"]))
        assert await speak(info, info["curve_publickey"])


async def test_F4_without_encryption_a_keyless_peer_would_hear_all(tmp_path):
    async with managed(tmp_path / "s") as manager:
        session = await running(manager, encryption="disabled")
        assert not session.encrypted
        heard = await hear(manager.connection_info(session.id), b"")
        assert any(b"canary" in frame for frame in heard)


async def test_F4_a_kernel_that_cannot_encrypt_is_refused_where_that_is_required(tmp_path):
    from jupyter_sessmgr.model.requests import CreateRequest

    async with managed(tmp_path / "s") as manager:
        first = await running(manager)
        await run_code(
            manager.connection_info(first.id),
            "import pathlib, json\n"
            "spec = pathlib.Path.home() / '.local/share/jupyter/kernels/plain'\n"
            "spec.mkdir(parents=True)\n"
            "argv = ['/bin/cat', '{connection_file}']\n"
            "words = dict(argv=argv, display_name='x', language='python', metadata={})\n"
            "(spec / 'kernel.json').write_text(json.dumps(words))\n",
        )
        session, _ = await manager.create(
            CreateRequest(kernel="plain", encryption="required"), "me"
        )
        ended = await manager.settled(session.id, 30)
        assert ended.status == "ERROR"
        assert "encrypt" in ended.failure.lower()
