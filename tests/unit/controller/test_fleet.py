"""The workers as the controller reaches them."""

import asyncio
import socket

from proxy.channel import messages as say
from proxy.channel.frames import Frame
from proxy.channel.link import Link, decode
from proxy.controller.fleet import ChannelFleet


async def test_spent_tokens_reach_all_other_workers_that_understand_them() -> None:
    ours, theirs = socket.socketpair()
    heard: asyncio.Queue[Frame] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    link = Link(loop, ours, lambda _frame: None, lambda: None)
    master = Link(loop, theirs, heard.put_nowait, lambda: None)
    fleet = ChannelFleet(link, lambda _sockets: None)
    fleet.adopt(
        (
            say.Child(1, "controller", 0, 101, "ready"),
            say.Child(2, "worker", 0, 102, "ready"),
            say.Child(3, "worker", 1, 103, "ready"),
            say.Child(4, "worker", 0, 104, "draining"),  # of before a hot restart
            say.Child(5, "worker", 2, 105, "starting"),
            say.Child(6, "worker", 2, 106, "draining", protocol=say.PROTOCOL + 1),
        ),
        (),
    )
    spent = say.Spent({b"where": {b"key": 3}})
    fleet.received(2, spent, ())
    link.send(0, say.Restart())
    frames = [await asyncio.wait_for(heard.get(), 10) for _ in range(3)]
    assert [(frame.peer, decode(frame.body)) for frame in frames] == [(3, spent), (4, spent), (0, say.Restart())]
    link.close()
    master.close()
