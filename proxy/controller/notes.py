"""What a controller leaves with the master for the next one: the last valid file, the state, a key, who is alive."""

from contextlib import suppress

import msgspec

from proxy.control.state import State
from proxy.control.store import Store
from proxy.controller.fleet import ChannelFleet
from proxy.pools import report as health
from proxy.pools.report import Report
from proxy.snapshot.document import Document
from proxy.snapshot.parts import DocumentReader, parts


class Notes:
    """What an earlier controller has left, if there was one; None for what it has not."""

    def __init__(self, kept: dict[str, bytes]) -> None:
        self._kept = kept

    @property
    def file(self) -> Document | None:
        """The last valid file."""
        data = self._kept.get("file")
        return None if data is None else DocumentReader().read(msgspec.msgpack.decode(data, type=dict[str, bytes]))

    @property
    def state(self) -> State | None:
        """Overrides and all else that people have changed."""
        with suppress(KeyError, msgspec.DecodeError):  # of a version that wrote it otherwise
            return msgspec.msgpack.decode(self._kept["state"], type=State)
        return None

    @property
    def cookie_key(self) -> str | None:
        """The key of the sticky cookie that was made where none is configured."""
        data = self._kept.get("cookie_key")
        return None if data is None else data.decode()

    @property
    def rollouts(self) -> bytes | None:
        """What the conductor has left."""
        return self._kept.get("rollouts")

    @property
    def health(self) -> Report:
        """What was known of endpoints."""
        data = self._kept.get("health")
        return health.decode(data) if data else {}


class Keeper:
    """Keeps the state in the store, and in the master: the next controller has it whatever becomes of the store."""

    def __init__(self, store: Store, fleet: ChannelFleet) -> None:
        self._store = store
        self._fleet = fleet
        self._file = b""

    def save(self, state: State) -> None:
        """Keep it."""
        self._store.save(state)
        self._fleet.keep_note("state", msgspec.msgpack.encode(state))

    def keep_rollouts(self, data: bytes) -> None:
        """Keep what the conductor knows."""
        self._store.keep("rollouts", data)
        self._fleet.keep_note("rollouts", data)

    def keep_key(self, key: str) -> None:
        """Keep the key of the sticky cookie."""
        self._fleet.keep_note("cookie_key", key.encode())

    def keep_file(self, file: Document) -> None:
        """Keep a valid file, should it be broken when the next controller starts."""
        encoded = msgspec.msgpack.encode(parts(file))
        if encoded != self._file:
            self._file = encoded
            self._fleet.keep_note("file", encoded)
