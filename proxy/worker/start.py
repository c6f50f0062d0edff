"""What a worker is started with: the document, and the sockets it inherits."""

import os
from typing import Self

import msgspec

from proxy.snapshot.document import Document


class Start(msgspec.Struct, frozen=True):
    """Handed over in an inherited file; `sockets` are descriptors of listening sockets by their `bind`.

    `cookie_key` signs sticky cookies where the document brings none.
    """

    document: Document
    sockets: dict[str, int]
    cookie_key: str

    def to_file(self) -> int:
        """The descriptor of an inheritable file that has it."""
        descriptor = os.memfd_create("sluice-start", 0)
        os.write(descriptor, msgspec.msgpack.encode(self))
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.set_inheritable(descriptor, True)
        return descriptor

    @classmethod
    def from_file(cls, descriptor: int) -> Self:
        """Read it, and close the file."""
        with os.fdopen(descriptor, "rb") as file:
            return msgspec.msgpack.decode(file.read(), type=cls)
