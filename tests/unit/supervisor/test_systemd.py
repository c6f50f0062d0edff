"""Sockets from systemd: which are taken, and what is none of them."""

import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from proxy.supervisor.systemd import listening

FIRST = 500  # in the place of 3, which is taken in a process that runs tests


@pytest.fixture
def passed(tmp_path: Path) -> Iterator[Callable[..., dict[str, str]]]:
    """Puts descriptors where systemd does; the environment that tells of them."""
    with ExitStack() as stack:

        def put(*kinds: str) -> dict[str, str]:
            for number, kind in enumerate(kinds):
                there = stack.enter_context(_made(kind, tmp_path))
                assert fcntl.fcntl(there.fileno(), fcntl.F_DUPFD, FIRST + number) == FIRST + number
                stack.callback(_close, FIRST + number)
            return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(kinds)), "LISTEN_FDNAMES": "a"}

        yield put


def _made(kind: str, folder: Path) -> socket.socket:
    family = {"4": socket.AF_INET, "6": socket.AF_INET6, "u": socket.AF_UNIX}[kind[0]]
    sock = socket.socket(family, socket.SOCK_DGRAM if "datagram" in kind else socket.SOCK_STREAM)
    sock.bind({"4": ("127.0.0.1", 0), "6": ("::1", 0), "u": str(folder / "sock")}[kind[0]])
    if "listening" in kind:
        sock.listen()
    return sock


def _close(descriptor: int) -> None:
    with suppress(OSError):  # it was taken, and closed by who took it
        os.close(descriptor)


def taken(environ: dict[str, str]) -> list[str]:
    """The addresses of what is taken, ports left out."""
    found = listening(environ, FIRST)
    assert environ.keys().isdisjoint({"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"}), "they are not the children's"
    for sock in found.values():
        assert not sock.get_inheritable()
        assert not sock.getblocking()
        sock.close()
    return [address.rpartition(":")[0] if "unix:" not in address else "unix" for address in found]


def test_listening_sockets_are_taken_by_the_addresses_that_bind_has(passed: Callable[..., dict[str, str]]) -> None:
    environ = passed("4 listening", "6 listening", "u listening")
    assert taken(environ) == ["127.0.0.1", "[::1]", "unix"]


@pytest.mark.parametrize("kind", ["4 stream", "4 datagram", "u stream", "u datagram"])
def test_socket_that_does_not_listen_is_left_out(passed: Callable[..., dict[str, str]], kind: str) -> None:
    environ = passed(kind, "4 listening")
    assert taken(environ) == ["127.0.0.1"]


@pytest.mark.parametrize("count", ["2", "100000"])
def test_descriptor_that_is_not_there_is_left_out(passed: Callable[..., dict[str, str]], count: str) -> None:
    assert taken(passed("4 listening") | {"LISTEN_FDS": count}) == ["127.0.0.1"]


def test_descriptor_of_a_file_is_left_out(passed: Callable[..., dict[str, str]], tmp_path: Path) -> None:
    environ = passed("4 listening") | {"LISTEN_FDS": "2"}
    with (tmp_path / "file").open("w") as file:
        os.dup2(file.fileno(), FIRST + 1)
    try:
        assert taken(environ) == ["127.0.0.1"]
    finally:
        os.close(FIRST + 1)


@pytest.mark.parametrize(
    "change",
    [
        {"LISTEN_PID": "1"},
        {"LISTEN_PID": ""},
        {"LISTEN_FDS": "0"},
        {"LISTEN_FDS": ""},
        {"LISTEN_FDS": "-1"},
        {"LISTEN_FDS": "one"},
        {"LISTEN_FDS": "\N{SUPERSCRIPT TWO}"},
        {"LISTEN_FDS": "1_0"},
        {"LISTEN_FDS": " 1"},
    ],
    ids=str,
)
def test_environment_that_is_not_for_us_or_makes_no_sense_gives_nothing(
    passed: Callable[..., dict[str, str]], change: dict[str, str]
) -> None:
    assert taken(passed("4 listening") | change) == []


def test_environment_without_it_gives_nothing() -> None:
    assert taken({"PATH": "/bin"}) == []
