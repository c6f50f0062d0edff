"""The thread that writes a log: whole lines, to what the path names, and an account of what is lost."""

import os
from pathlib import Path

import pytest

from proxy.core.appending import open_log
from proxy.worker import log_file
from proxy.worker.log_file import LogFile


def closed(file: LogFile) -> LogFile:
    file.close()
    file.join(10)
    assert file.is_closed
    return file


def test_lines_are_appended(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("before\n")
    file = LogFile(str(path), open_log(str(path)))
    file.write(b"one\ntwo\n", 2)
    file.write(b"three\n", 1)
    assert closed(file).dropped == 0
    assert path.read_text() == "before\none\ntwo\nthree\n"


def test_reopened_file_is_that_of_the_path(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    file = LogFile(str(path), open_log(str(path)))
    file.write(b"old\n", 1)
    path.rename(tmp_path / "a.log.1")
    file.write(b"old too\n", 1)
    file.reopen()
    file.write(b"new\n", 1)
    closed(file)
    assert (tmp_path / "a.log.1").read_text() == "old\nold too\n"
    assert path.read_text() == "new\n"


def test_reopening_what_cannot_be_opened_goes_on_with_the_old_one(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "a.log"
    file = LogFile(str(path), open_log(str(path)))
    folder.rename(tmp_path / "gone")
    file.reopen()
    file.write(b"one\n", 1)
    assert closed(file).dropped == 0
    assert (tmp_path / "gone" / "a.log").read_text() == "one\n"


def test_what_could_not_be_opened_anew_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "a.log"
    file = LogFile(str(path), open_log(str(path)))
    folder.rename(tmp_path / "gone")
    file.reopen()
    file.write(b"one\n", 1)
    while file._waiting:
        pass  # until the thread has written it
    folder.mkdir()
    file._opened -= 5  # seconds later
    file.write(b"two\n", 1)
    assert closed(file).dropped == 0
    assert ((tmp_path / "gone" / "a.log").read_text(), path.read_text()) == ("one\n", "two\n")
    (told,) = [each.getMessage() for each in caplog.records]
    assert told.endswith("cannot be opened: No such file or directory; traffic goes on, lines go to the old file")


def test_full_disk_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    file = LogFile("/dev/full", open_log("/dev/full"))
    file.write(b"one\ntwo\n", 2)
    file.write(b"three\n", 1)
    assert closed(file).dropped == 3
    (told,) = [each.getMessage() for each in caplog.records]
    assert told.startswith("the access log /dev/full cannot be written: No space left on device; traffic goes on")


def test_gone_reader_of_a_pipe_is_counted() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    file = LogFile("stdout", writing)
    file.write(b"one\n", 1)
    assert closed(file).dropped == 1


def test_what_waits_is_bounded_and_what_is_too_much_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "MOST_WAITING", 100_000)
    reading, writing = os.pipe()  # which nobody reads: it takes 64 KiB
    file = LogFile("stdout", writing)
    piece = b"x" * 99 + b"\n"
    for _ in range(20):
        file.write(piece * 100, 100)
    dropped = file.dropped
    assert 0 < dropped < 2000
    file.close()
    with os.fdopen(reading, "rb") as pipe:
        left = 2000 - dropped
        for _ in range(left):
            assert pipe.readline() == piece
        file.join(10)
        assert pipe.read() == b""
    assert file.dropped == dropped


def test_what_could_not_be_opened_is_dropped(tmp_path: Path) -> None:
    file = LogFile(str(tmp_path / "no" / "a.log"), None)
    file.write(b"one\n", 1)
    assert closed(file).dropped == 1


def test_batch_larger_than_what_may_wait_is_taken_where_nothing_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_file, "MOST_WAITING", 10)
    file = LogFile(str(tmp_path / "a.log"), open_log(str(tmp_path / "a.log")))
    file.write(b"x" * 99 + b"\n", 1)  # what one client can make of its fields must not cost others their lines
    assert closed(file).dropped == 0
    assert (tmp_path / "a.log").stat().st_size == 100
