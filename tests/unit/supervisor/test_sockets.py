"""The master's sockets: one for each worker's slot, the same for its successors, and none left behind."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.supervisor.sockets import Sockets


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    """None yet; closed in the end."""
    made = Sockets()
    yield made
    made.close()


def address_of(sock: socket.socket) -> str:
    return f"127.0.0.1:{sock.getsockname()[1]}"


@pytest.fixture
def free() -> str:
    """An address that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return address_of(sock)


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def connects(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port))).close()
    except ConnectionRefusedError:
        return False
    return True


def test_every_slot_has_its_own_socket_and_keeps_it(sockets: Sockets, free: str) -> None:
    assert sockets.bind((free,), (), 2) == {}
    first = sockets.of_slot((free,), 0), sockets.of_slot((free,), 1)
    assert first[0] != first[1]
    assert sockets.bind((free,), (), 3) == {}
    assert (sockets.of_slot((free,), 0), sockets.of_slot((free,), 1)) == first
    assert sockets.of_slot((free,), 2) not in first


def test_only_the_first_slot_listens_before_it_is_served(sockets: Sockets, free: str) -> None:
    sockets.bind((free,), (), 3)
    slots = [socket.socket(fileno=os.dup(sockets.of_slot((free,), slot)[0])) for slot in range(3)]
    assert [each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) for each in slots] == [1, 0, 0]
    for each in slots:
        each.close()


def test_fewer_workers_and_addresses_close_what_nobody_serves(sockets: Sockets, free: str) -> None:
    sockets.bind((free,), (), 2)
    (kept,), (gone,) = sockets.of_slot((free,), 0), sockets.of_slot((free,), 1)
    sockets.keep_only((free,), (), 1)
    assert (is_open(kept), is_open(gone)) == (True, False)
    assert connects(free)
    sockets.keep_only((), (), 1)
    assert not connects(free)


def test_address_that_another_has_is_told_and_leaves_the_others(sockets: Sockets, free: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert sockets.bind((free, address_of(other)), (), 2) == {address_of(other): "address already in use"}
    assert connects(free)


def test_another_proxy_with_reuse_port_is_found_out(sockets: Sockets, free: str) -> None:
    other = Sockets()
    assert other.bind((free,), (), 1) == {}
    assert sockets.bind((free,), (), 1) == {free: "address already in use"}
    other.close()
    assert sockets.bind((free,), (), 1) == {}


def test_address_that_is_not_ours_is_told(sockets: Sockets) -> None:
    assert sockets.bind(("192.0.2.1:80",), (), 1) == {"192.0.2.1:80": "cannot assign requested address"}


def test_unix_socket_is_shared_and_gone_from_the_file_system_in_the_end(sockets: Sockets, tmp_path: Path) -> None:
    bind = f"unix:{tmp_path}/front"
    assert sockets.bind((bind,), (), 2) == {}
    assert sockets.of_slot((bind,), 0) == sockets.of_slot((bind,), 1)
    sockets.keep_only((), (), 2)
    assert not (tmp_path / "front").exists()


def test_unix_socket_that_a_crash_left_is_replaced_and_one_that_lives_is_not(sockets: Sockets, tmp_path: Path) -> None:
    bind = f"unix:{tmp_path}/front"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{tmp_path}/front")
        other.listen()
        assert sockets.bind((bind,), (), 1) == {bind: "address already in use"}
    assert sockets.bind((bind,), (), 1) == {}


def test_file_in_the_place_of_a_unix_socket_is_never_removed(sockets: Sockets, tmp_path: Path) -> None:
    (tmp_path / "front").write_text("precious")
    bind = f"unix:{tmp_path}/front"
    assert sockets.bind((bind,), (), 1) == {bind: "address already in use"}
    assert (tmp_path / "front").read_text() == "precious"


def test_socket_of_the_admin_is_its_owners_alone(sockets: Sockets, tmp_path: Path) -> None:
    bind = f"unix:{tmp_path}/admin"
    assert sockets.bind((), (bind,), 1) == {}
    assert (tmp_path / "admin").stat().st_mode & 0o777 == 0o600
    assert sockets.of_controller() == ((bind,), (sockets.own[bind].fileno(),))


def test_socket_that_was_given_is_used_in_the_place_of_an_own_one(sockets: Sockets) -> None:
    given = socket.create_server(("127.0.0.1", 0))
    address = address_of(given)
    sockets.given[address] = given
    assert sockets.bind((address,), (), 2) == {}
    assert sockets.of_slot((address,), 0) == sockets.of_slot((address,), 1) == (given.fileno(),)


def test_release_leaves_listening_to_the_workers(sockets: Sockets, free: str, tmp_path: Path) -> None:
    sockets.bind((free, f"unix:{tmp_path}/front"), (), 1)
    worker = os.dup(sockets.of_slot((free,), 0)[0])
    sockets.release()
    assert connects(free)
    os.close(worker)
    assert not connects(free)


def test_socket_that_was_given_is_given_back_and_its_file_stays(sockets: Sockets, tmp_path: Path) -> None:
    bind = f"unix:{tmp_path}/front"
    given = socket.socket(socket.AF_UNIX)
    given.bind(f"{tmp_path}/front")
    given.listen()
    sockets.given[bind] = given
    for _ in range(2):  # served, left, and served again
        assert sockets.bind((bind,), (), 1) == {}
        assert (sockets.given, sockets.of_slot((bind,), 0)) == ({}, (given.fileno(),))
        sockets.keep_only((), (), 1)
        assert sockets.given == {bind: given}
    descriptor = given.fileno()
    sockets.close()
    assert not is_open(descriptor)
    assert (tmp_path / "front").is_socket()
