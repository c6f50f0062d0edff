"""Handover: all of it comes out of the file as it went in."""

import os

import msgspec
import pytest

from proxy.supervisor.handover import Handover, HeldChild

CHILD = HeldChild(
    id=3, role="worker", slot=1, pid=4711, era=2, state="draining", generation=9, protocol=1, is_doomed=True,
    descriptor=12, unread=b"\x00\x01", unsent=b"\xff" * 100_000,
)  # fmt: skip
HANDOVER = Handover(
    config="/etc/sluice/sluice.yaml", next_id=17, era=3, restarts=2, generation=9,
    parts={"routes": b"\x90", "service:shop": bytes(range(256))}, notes={"file": b"", "health": b"\x80"},
    binds=("0.0.0.0:80", "[::]:80", "unix:/run/a.sock"), own=("127.0.0.1:9900",), workers=2,
    restart_grace=3600.0, shutdown=25.5, children=(CHILD, msgspec.structs.replace(CHILD, id=4, unread=b"", unsent=b"")),
    slots={"0.0.0.0:80": {0: 5, 1: 6}, "[::]:80": {0: 7, 1: 8}}, shared={"unix:/run/a.sock": 9},
    own_sockets={"127.0.0.1:9900": 10},
)  # fmt: skip


def test_handover_comes_back_as_it_was_and_its_file_is_closed() -> None:
    descriptor = HANDOVER.to_file()
    assert os.get_inheritable(descriptor), "it is for after an exec"
    assert Handover.from_file(descriptor) == HANDOVER
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_handover_of_many_megabytes_comes_back_whole() -> None:
    big = msgspec.structs.replace(HANDOVER, parts={"routes": os.urandom(20_000_000)})
    assert Handover.from_file(big.to_file()) == big


@pytest.mark.parametrize("cut", [0, 1, -1])
def test_handover_that_is_not_whole_is_an_error(cut: int) -> None:
    descriptor = os.memfd_create("cut")
    os.write(descriptor, msgspec.msgpack.encode(HANDOVER)[:cut])
    os.lseek(descriptor, 0, os.SEEK_SET)
    with pytest.raises(msgspec.DecodeError):
        Handover.from_file(descriptor)
