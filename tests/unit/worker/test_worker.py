"""A worker on its channel, without the processes around it."""

import asyncio
import socket

import pytest

from proxy.channel import messages as say
from proxy.channel.frames import CONTROLLER, Frame
from proxy.channel.link import Link, decode
from proxy.config.load import load_text
from proxy.snapshot.parts import parts
from proxy.worker.worker import Worker


async def test_worker_passes_over_what_it_does_not_understand_and_hears_what_comes_after() -> None:
    ours, theirs = socket.socketpair()
    heard: asyncio.Queue[Frame] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    worker = Worker(loop, theirs)
    master = Link(loop, ours, heard.put_nowait, lambda: None)
    master.forward(CONTROLLER, b"\xc1")
    master.forward(CONTROLLER, b"\x81\xa4type\xa5Later")
    master.send(CONTROLLER, say.Ask(5))
    answer = await asyncio.wait_for(heard.get(), 10)
    assert decode(answer.body) == say.Counted(5, b"")
    master.send(CONTROLLER, say.Drain())
    await asyncio.wait_for(worker.run(), 10)
    master.close()


async def test_time_in_which_the_machine_stood_still_does_not_count_as_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "listeners: [{bind: '127.0.0.1:1'}]\nroutes: [{respond: {status: 200, body: here}}]\n"
    document = load_text(text, "test.yaml", {}).document
    assert document is not None
    ours, theirs = socket.socketpair()
    heard: asyncio.Queue[Frame] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    worker = Worker(loop, theirs)
    runs = asyncio.create_task(worker.run())
    master = Link(loop, ours, heard.put_nowait, lambda: None)
    start = say.StartWorker(0, 1, parts(document), ("127.0.0.1:1",))
    master.send(CONTROLLER, start, (listening.fileno(),))
    assert decode((await asyncio.wait_for(heard.get(), 10)).body) == say.Ready(1)
    master.send(CONTROLLER, say.Serve())
    reader, writer = await asyncio.open_connection(*listening.getsockname())

    async def asked() -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return await asyncio.wait_for(reader.readuntil(b"here"), 10)

    assert b"connection: close" not in (await asked()).lower()
    master.send(CONTROLLER, say.Drain(restart=True))
    clock = loop.time
    for number in range(20):
        monkeypatch.setattr(loop, "time", lambda ahead=9.0 * (number + 1): clock() + ahead)
        master.send(CONTROLLER, say.Ask(number))
        await asyncio.wait_for(heard.get(), 10)
    assert b"connection: close" in (await asked()).lower()
    await asyncio.wait_for(runs, 10)
    for each in (master, writer, listening):
        each.close()
