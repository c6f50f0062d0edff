"""Frames: whole ones out of whatever pieces come, and an end to what is none."""

import pytest

from proxy.channel.frames import CONTROLLER, HEAD, MASTER, MOST, Frame, FrameError, Frames, encode

ROWS = [
    Frame(MASTER, b""),
    Frame(CONTROLLER, b"a"),
    Frame(7, b"\x00\xff" * 40),
    Frame(2**31 - 1, encode(1, b"a frame in a frame")),
]
STREAM = b"".join(encode(frame.peer, frame.body) for frame in ROWS)


@pytest.mark.parametrize("at", range(len(STREAM) + 1))
def test_frames_are_the_same_wherever_the_stream_is_split(at: int) -> None:
    frames = Frames()
    assert frames.feed(STREAM[:at]) + frames.feed(STREAM[at:]) == ROWS
    assert frames.rest == b""


def test_frames_come_byte_by_byte() -> None:
    frames = Frames()
    assert [frame for byte in STREAM for frame in frames.feed(bytes([byte]))] == ROWS


@pytest.mark.parametrize("at", range(len(STREAM) + 1))
def test_rest_is_what_another_goes_on_with(at: int) -> None:
    frames = Frames()
    first = frames.feed(STREAM[:at])
    assert first + Frames(frames.rest).feed(STREAM[at:]) == ROWS


def test_descriptors_belong_to_the_frames_that_say_so_in_order() -> None:
    frames = Frames()
    data = encode(1, b"two", 2) + encode(2, b"none") + encode(3, b"one", 1)
    assert frames.feed(data, (10, 11, 12)) == [Frame(1, b"two", (10, 11)), Frame(2, b"none"), Frame(3, b"one", (12,))]


def test_descriptors_wait_for_the_rest_of_their_frame() -> None:
    frames = Frames()
    data = encode(1, b"body", 1)
    assert frames.feed(data[:3], (10,)) == []
    assert frames.feed(data[3:]) == [Frame(1, b"body", (10,))]


@pytest.mark.parametrize("count", [1, 3, 255])
def test_frame_whose_descriptors_were_lost_is_an_error(count: int) -> None:
    with pytest.raises(FrameError, match="descriptors were lost"):
        Frames().feed(encode(1, b"", count), tuple(range(count - 1)))


@pytest.mark.parametrize("length", [MOST + 1, 2**32 - 1])
def test_frame_that_is_too_long_is_an_error_before_its_body(length: int) -> None:
    with pytest.raises(FrameError, match=str(length)):
        Frames().feed(HEAD.pack(length, 0, 0))


def test_longest_frame_passes() -> None:
    body = bytes(MOST)
    assert Frames().feed(encode(0, body)) == [Frame(0, body)]


def test_garbage_is_an_error_or_waits_for_more_and_never_a_frame() -> None:
    with pytest.raises(FrameError):
        Frames().feed(b"GET / HTTP/1.1\r\n\r\n")
