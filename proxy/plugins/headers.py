"""Header fields as plug-ins see them: text, by names whose case does not count."""

import re
from collections.abc import Callable
from typing import Final

from proxy.http1 import fields

_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Headers:
    """The fields of one head. Text stands for bytes as Latin-1, as in WSGI (PEP 3333).

    ValueError for what could break the message (RFC 9110 §5), and for fields that are the proxy's own: framing, and
    what it tells of the client.
    """

    __slots__ = ("_apart", "_own", "_read", "_write")

    def __init__(
        self,
        read: Callable[[], bytes],
        write: Callable[[bytes], None],
        own: frozenset[str],
        apart: "dict[str, tuple[Callable[[], bytes | None], Callable[[bytes | None], None]]]",
    ) -> None:
        self._read = read
        self._write = write
        self._own = own
        self._apart = apart

    def get(self, name: str) -> str | None:
        """The value, several joined by ", "; None where there is none."""
        low = name.lower()
        value = self._apart[low][0]() if low in self._apart else fields.get(self._read(), low.encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def get_all(self, name: str) -> list[str]:
        """Every value, in order."""
        low = name.lower()
        if low in self._apart:
            value = self.get(low)
            return [] if value is None else [value]
        return [value.decode("latin-1") for value in fields.get_all(self._read(), low.encode("latin-1"))]

    def items(self) -> list[tuple[str, str]]:
        """Every field as (lower-case name, value)."""
        apart = [(name, value) for name in self._apart if (value := self.get(name)) is not None]
        return apart + [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields.items(self._read())]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def set(self, name: str, value: str) -> None:
        """This value alone."""
        low, line = self._checked(name, value)
        if low in self._apart:
            self._apart[low][1](value.strip(" \t").encode("latin-1"))
        else:
            self._write(fields.without(self._read(), frozenset((low.encode(),))) + line)

    def add(self, name: str, value: str) -> None:
        """One more line of this name."""
        low, line = self._checked(name, value)
        if low in self._apart:
            raise ValueError(f"a message has one {name}; use set")
        self._write(self._read() + line)

    def remove(self, name: str) -> None:
        """None of this name."""
        low, _ = self._checked(name, "")
        if low in self._apart:
            self._apart[low][1](None)
        else:
            self._write(fields.without(self._read(), frozenset((low.encode(),))))

    def _checked(self, name: str, value: str) -> tuple[str, bytes]:
        low = name.lower()
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name!r} cannot be the name of a header")
        if low in self._own:
            raise ValueError(f"header {name!r} is the proxy's own")
        if _CONTROL.search(value):
            raise ValueError(f"the value of header {name!r} holds a control character")
        return low, b"%b: %b\r\n" % (name.encode(), value.strip(" \t").encode("latin-1"))


def lines(headers: dict[str, str], own: frozenset[str]) -> bytes:
    """The fields as lines that each end in CRLF; ValueError as for Headers."""
    block = b""

    def write(value: bytes) -> None:
        nonlocal block
        block = value

    written = Headers(lambda: block, write, own, {})
    for name, value in headers.items():
        written.add(name, value)
    return block
