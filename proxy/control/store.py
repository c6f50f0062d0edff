"""What outlives the process: the state, the journal, a made cookie key. SQLite in one directory, one instance each.

A store that cannot be used never keeps the proxy from starting: it runs on the file alone, says so in `problems`, and
what was damaged is put aside, never overwritten. What cannot be written just now (a full disk) is kept in memory, and
written when it can be.
"""

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from proxy.control.journal import Event
from proxy.control.state import State

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
"""
_VERSION: Final = 1
MOST_EVENTS: Final = 10_000
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

T = TypeVar("T")


class StoreInUseError(Exception):
    """Another instance has this store."""


def default_path(config: str, environ: Mapping[str, str]) -> Path:
    """Where state is kept when the configuration does not say."""
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    base = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME", "/"), ".local/state"))
    return Path(base, "sluice", blake2b(os.fsencode(Path(config).resolve()), digest_size=8).hexdigest())


class Store:
    """Opened by the controller in charge. `problems` says, by what it is about, what is wrong with it now."""

    def __init__(self, path: Path, wall: Callable[[], float]) -> None:
        self.path = path
        self.problems: dict[str, str] = {}
        self._wall = wall
        self._lock: int | None = None
        self._db: sqlite3.Connection | None = None
        self._unsaved: dict[str, bytes] = {}
        self._unwritten: list[Event] = []

    def __repr__(self) -> str:
        return f"<Store {self.path}{'' if self._db else ' (not in use)'}>"

    @property
    def file(self) -> Path:
        """The database."""
        return self.path / "sluice.db"

    def open(self) -> None:
        """Open or make it; StoreInUseError where another instance has it. Whatever else is wrong is in `problems`."""
        try:
            self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._take()
            self._db = self._opened()
        except OSError as error:
            self._unusable(os.strerror(error.errno).lower() if error.errno else str(error))
        except sqlite3.Error as error:
            if _is_damage(error):
                self._put_aside(error)
            else:
                self._unusable(str(error))

    def close(self) -> None:
        """Let go of it."""
        self.try_again()
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # -- what is kept

    def state(self) -> State:
        """The state as it was saved last; an empty one where there is none."""
        return self._load("state", State, State())

    def save(self, state: State) -> None:
        """Keep the state. A failure is in `problems`, and gone from there once saving works again."""
        self._write("state", msgspec.msgpack.encode(state))

    def kept(self, name: str) -> bytes | None:
        """What was kept under this name."""
        return self._load(name, bytes, b"") or None

    def keep(self, name: str, data: bytes) -> None:
        """Keep something under a name of its own."""
        self._write(name, msgspec.msgpack.encode(data))

    def try_again(self) -> None:
        """Write what could not be written so far."""
        for name, data in tuple(self._unsaved.items()):
            self._write(name, data)
        if self._unwritten:
            self._append()

    def cookie_key(self) -> str:
        """The key that was made for this instance, or a new one."""
        found = self._load("cookie_key", str, "")
        if not found:
            found = secrets.token_hex(32)
            self._write("cookie_key", msgspec.msgpack.encode(found))
        return found

    def events(self, after: int = 0) -> list[Event]:
        """The journal from the event after this one on."""
        if self._db is None:
            return []
        try:
            rows = self._db.execute("SELECT data FROM events WHERE id > ? ORDER BY id", (after,)).fetchall()
            return [msgspec.msgpack.decode(data, type=Event) for (data,) in rows]
        except (sqlite3.Error, msgspec.DecodeError) as error:
            self.problems["journal"] = f"the journal of {self.file} cannot be read: {error}"
            return []

    def add(self, event: Event) -> None:
        """Append to the journal."""
        if self._db is not None:
            self._unwritten = [*self._unwritten[-MOST_EVENTS + 1 :], event]
            self._append()

    # -- inside

    def _load(self, name: str, kind: type[T], otherwise: T) -> T:
        if self._db is None:
            return otherwise
        try:
            row = self._db.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
            return otherwise if row is None else msgspec.msgpack.decode(row[0], type=kind)
        except sqlite3.Error as error:
            if _is_damage(error):
                self._put_aside(error)
            else:
                self._unusable(str(error))
                self._db = None  # what could not be read must not be written over
            return otherwise
        except msgspec.DecodeError as error:
            self._put_aside(error)
            return otherwise

    def _write(self, name: str, data: bytes) -> None:
        if self._db is None:
            return
        try:
            with self._db:
                self._db.execute("INSERT OR REPLACE INTO kept VALUES (?, ?)", (name, data))
        except sqlite3.Error as error:
            self._unsaved[name] = data
            self.problems["store"] = f"{self.file} cannot be written, changes are lost at the next start: {error}"
        else:
            self._unsaved.pop(name, None)
            self.problems.pop("store", None)

    def _append(self) -> None:
        if self._db is None:
            return
        rows = [(event.id, msgspec.msgpack.encode(event)) for event in self._unwritten]
        try:
            with self._db:
                self._db.executemany("INSERT OR REPLACE INTO events VALUES (?, ?)", rows)
                self._db.execute("DELETE FROM events WHERE id <= ?", (rows[-1][0] - MOST_EVENTS,))
        except sqlite3.Error as error:
            self.problems["journal"] = f"the journal cannot be written to {self.file}: {error}"
        else:
            self._unwritten.clear()
            self.problems.pop("journal", None)

    def _take(self) -> None:
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(lock)
            raise StoreInUseError(
                f"another sluice uses the store {self.path}; give each its own `store: {{path: …}}`"
            ) from error
        self._lock = lock

    def _opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.file, timeout=1.0)
        try:
            self.file.chmod(0o600)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=NORMAL")
            if _version_of(db) < _VERSION:
                db.executescript(_SCHEMA)
                db.execute(f"PRAGMA user_version={_VERSION}")
        except BaseException:
            db.close()
            raise
        return db

    def _unusable(self, why: str) -> None:
        self.problems["store"] = f"the store {self.path} cannot be used, overrides are lost at the next start: {why}"

    def _free_name(self, name: str) -> Path:
        """A name that nothing has: what was put aside before stays, also when the clock was set back."""
        names = (self.file.with_name(name + suffix) for suffix in ("", *(f"-{number}" for number in range(2, 1000))))
        return next(path for path in names if not path.exists())

    def _put_aside(self, error: Exception) -> None:
        """Keep what is damaged under another name, and begin anew."""
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
            self._db = None
        aside = self._free_name(f"sluice.db.damaged-{int(self._wall())}")
        try:
            for suffix in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    self.file.with_name(f"sluice.db{suffix}").rename(aside.with_name(aside.name + suffix))
            self.file.rename(aside)
            self._db = self._opened()
        except (OSError, sqlite3.Error) as again:
            self.problems["store"] = f"the store {self.path} cannot be used: {error}; nor replaced: {again}"
            return
        self.problems["damaged"] = (
            f"the store was damaged ({error}); it is kept as {aside}, and the file alone is in force"
        )


def _is_damage(error: sqlite3.Error) -> bool:
    """Is it the file, rather than what is around it (a full disk, permissions, whoever else reads it)?"""
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF in _DAMAGE  # the low byte is the kind, the rest the occasion


def _version_of(db: sqlite3.Connection) -> int:
    """The version that wrote it, 0 where nobody has; an error where it is damaged, or from a later one."""
    if db.execute("PRAGMA quick_check").fetchone() != ("ok",):
        raise sqlite3.DatabaseError("it fails its integrity check")
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise sqlite3.DatabaseError(f"it was written by a later version ({version})")
    return version
