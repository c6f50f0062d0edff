"""The workers as the controller reaches them."""

import asyncio
import socket
from typing import Any

import pytest

from proxy.channel import messages as say
from proxy.channel.frames import Frame
from proxy.channel.link import Link, decode
from proxy.controller.fleet import ChannelFleet
from proxy.flags.spec import Flags
from proxy.snapshot.document import Document


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


@pytest.mark.parametrize("flags", [Flags({"flags": {}}), None])
async def test_worker_is_told_once_that_all_have_what_it_has(flags: Any) -> None:
    ours, theirs = socket.socketpair()
    heard: asyncio.Queue[Frame] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    link = Link(loop, ours, lambda _frame: None, lambda: None)
    master = Link(loop, theirs, heard.put_nowait, lambda: None)
    fleet = ChannelFleet(link, lambda _sockets: None)
    workers = [
        say.Child(2, "worker", 0, 102, "ready", generation=7),
        say.Child(3, "worker", 1, 103, "ready", generation=6),  # it did not hear of the last change
        say.Child(4, "worker", 0, 104, "draining", generation=7),
    ]
    fleet.adopt((say.Child(1, "controller", 0, 101, "ready"), *workers), ())
    fleet.take_over(7, Document((), (), (), flags=flags), {})
    fleet.received(3, say.Applied(7), ())
    fleet.received(3, say.Applied(7), ())
    link.send(0, say.Restart())
    seen = []
    while not seen or seen[-1][1] != say.Restart():
        frame = await asyncio.wait_for(heard.get(), 10)
        seen.append((frame.peer, decode(frame.body)))
    settled = [(2, say.Settled(7)), (4, say.Settled(7)), (3, say.Settled(7))] if flags else []
    assert seen == [(3, say.Apply(7, -1, {})), *settled, (0, say.Restart())]
    link.close()
    master.close()


async def test_worker_is_replaced_for_silence_of_its_own_but_not_for_that_of_the_master(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = socket.socketpair()
    heard: asyncio.Queue[Frame] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    clock, ahead = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: clock() + ahead)
    link = Link(loop, ours, lambda frame: fleet.received(frame.peer, decode(frame.body), ()), lambda: None)
    master = Link(loop, theirs, heard.put_nowait, lambda: None)
    fleet = ChannelFleet(link, lambda _sockets: None)
    fleet.adopt((say.Child(2, "worker", 0, 102, "ready"),), ())
    asking = asyncio.create_task(fleet.ask())
    assert decode((await asyncio.wait_for(heard.get(), 10)).body) == say.Ask(1)
    echoes = 0
    while isinstance(said := decode((await asyncio.wait_for(heard.get(), 10)).body), say.Echo):
        echoes += 1
        if echoes == 15:
            ahead += 5.0  # it was held up, and the worker, who is asked through it, not asked yet
        master.send(0, said)
        ahead += 0.1
    assert said == say.Replace(2)
    assert echoes >= 15 + 20, "2 s of looks from the start"
    assert await asking == []
    link.close()
    master.close()
