"""The store: what it keeps, what it puts aside, and what it does about a disk that takes no more."""

import os
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.control.journal import Event
from proxy.control.state import State
from proxy.control.store import Store, StoreInUseError

STATE = State(epochs={"shop": {"blue": 7}})


def event(number: int) -> Event:
    return Event(id=number, at=0.0, kind="flip", generation=1, by="a test")


def opened(path: Path) -> Store:
    store = Store(path, lambda: 1000.0)
    store.open()
    return store


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process may grow beyond that."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A store with a state, a key and three events, closed."""
    store = opened(tmp_path / "store")
    store.save(STATE)
    store.cookie_key()
    for number in (1, 2, 3):
        store.add(event(number))
    store.close()
    assert store.problems == {}
    return store.path


def test_store_gives_back_what_it_was_given(kept: Path) -> None:
    store = opened(kept)
    assert store.state() == STATE
    assert [each.id for each in store.events(after=1)] == [2, 3]
    assert store.cookie_key() == store.cookie_key()
    store.close()


def test_store_belongs_to_one_at_a_time(kept: Path) -> None:
    store = opened(kept)
    with pytest.raises(StoreInUseError, match="another sluice uses the store"):
        opened(kept)
    store.close()
    opened(kept).close()


def _later(file: Path) -> None:
    db = sqlite3.connect(file)
    db.execute("PRAGMA user_version=99")
    db.close()


def _other_tables(file: Path) -> None:
    db = sqlite3.connect(file)
    db.execute("UPDATE kept SET value = x'c1' WHERE name = 'state'")
    db.commit()
    db.close()


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b"this is no database" * 100),
        lambda file: file.write_bytes(file.read_bytes()[:5000]),
        lambda file: file.write_bytes(file.read_bytes()[:4096] + bytes(4096) + file.read_bytes()[8192:]),
        _later,
        _other_tables,
    ],
    ids=["garbage", "truncated", "a page of zeros", "of a later version", "not a state"],
)
def test_damaged_store_is_put_aside_as_it_is(kept: Path, damage: Callable[[Path], None]) -> None:
    damage(kept / "sluice.db")
    content = (kept / "sluice.db").read_bytes()
    store = opened(kept)
    assert store.state() == State()
    assert "the store was damaged" in store.problems["damaged"]
    (aside,) = kept.glob("sluice.db.damaged-*")
    assert aside.read_bytes() == content
    store.save(STATE)
    store.close()
    again = opened(kept)
    assert (again.state(), again.problems) == (STATE, {})
    again.close()


def test_store_that_is_damaged_twice_in_a_second_is_put_aside_twice(kept: Path) -> None:
    for content in (b"one" * 1000, b"two" * 1000):
        (kept / "sluice.db").write_bytes(content)
        opened(kept).close()
    assert sorted(path.read_bytes()[:3] for path in kept.glob("sluice.db.damaged-*")) == [b"one", b"two"]


def _directory(path: Path) -> None:
    (path / "sluice.db").unlink()
    (path / "sluice.db").mkdir()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do what nobody may")
@pytest.mark.parametrize("name", [".", "sluice.db"])
def test_store_without_permission_is_left_as_it_is(kept: Path, name: str) -> None:
    (kept / name).chmod(0)
    store = opened(kept)
    (kept / name).chmod(0o700)
    assert "cannot be used" in store.problems["store"]
    assert not list(kept.glob("*damaged*"))


def test_store_that_is_no_file_is_left_as_it_is(kept: Path) -> None:
    _directory(kept)
    store = opened(kept)
    assert store.state() == State()
    store.save(STATE)
    assert "cannot be used" in store.problems["store"]
    assert (kept / "sluice.db").is_dir()
    store.close()


def test_store_below_a_file_is_not_in_use(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = opened(tmp_path / "file" / "store")
    assert store.problems["store"].endswith("not a directory")
    assert store.state() == State()
    store.close()


def test_store_that_opens_on_a_full_disk_is_not_taken_for_damaged(kept: Path) -> None:
    with full_disk(0):
        store = opened(kept)
        assert store.problems.keys() == {"store"}
        store.close()
    again = opened(kept)
    assert again.state() == STATE
    assert not list(kept.glob("*damaged*"))
    again.close()


def test_full_disk_is_told_and_what_it_did_not_take_is_written_later(kept: Path) -> None:
    store = opened(kept)
    other = State(epochs={"shop": {"blue": 8}})
    store.save(STATE)
    with full_disk((kept / "sluice.db-wal").stat().st_size + 1000):  # in the middle of a page
        store.save(other)
        store.add(event(4))
        store.add(event(5))
        store.try_again()
        assert store.problems.keys() == {"store", "journal"}
        assert "cannot be written" in store.problems["store"]
        assert store.state() == STATE, "what was written before is whole"
    store.try_again()
    assert store.problems == {}
    assert store.state() == other
    assert [each.id for each in store.events()] == [1, 2, 3, 4, 5]
    store.close()


def test_what_a_full_disk_did_not_take_is_written_at_the_end_if_it_can_be(kept: Path) -> None:
    store = opened(kept)
    with full_disk(0):
        store.save(State())
        store.add(event(4))
        assert store.problems.keys() == {"store", "journal"}
    store.close()
    again = opened(kept)
    assert again.state() == State()
    assert [each.id for each in again.events()] == [1, 2, 3, 4]
    again.close()
