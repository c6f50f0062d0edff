"""A worker on its channel, before it has been told what to serve."""

import asyncio
import socket

from proxy.channel import messages as say
from proxy.channel.frames import CONTROLLER, Frame
from proxy.channel.link import Link, decode
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
