"""A document in parts, each with a hash of its content: what is the same needs no new compile, and no new journey."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, Final, get_type_hints

import msgspec

from proxy.snapshot.document import Document, Service

_SERVICE: Final = "service:"
_TYPES: Final[Mapping[str, Any]] = get_type_hints(Document)
_ORDER: Final = "services"


def parts(document: Document) -> dict[str, bytes]:
    """The document's parts by name (`routes`, `service:shop`, …), each in its canonical encoding.

    All fields but the services are a part each. A service keeps the order of its pools and of its split, which mean
    something; so does `services`, which holds only their names.
    """
    names = (field for field in document.__struct_fields__ if field != _ORDER)
    found = {name: msgspec.msgpack.encode(getattr(document, name)) for name in names}
    found[_ORDER] = msgspec.msgpack.encode([service.name for service in document.services])
    found.update({service_part(service.name): msgspec.msgpack.encode(service) for service in document.services})
    return found


class DocumentReader:
    """Makes documents of parts; what came in the very same bytes as last time is not read again."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[bytes, Any]] = {}

    def read(self, found: Mapping[str, bytes]) -> Document:
        """The document; KeyError or msgspec.DecodeError where the parts make none.

        What an earlier version had no part for is as if nobody had written it.
        """
        read: dict[str, tuple[bytes, Any]] = {}
        names = self._part(found, _ORDER, list[str], read)
        services = tuple(self._part(found, service_part(name), Service, read) for name in names)
        fields = {
            name: self._part(found, name, kind, read)
            for name, kind in _TYPES.items()
            if name in found and name != _ORDER
        }
        self._read = read
        return Document(services=services, **fields)

    def _part(self, found: Mapping[str, bytes], name: str, kind: Any, read: dict[str, tuple[bytes, Any]]) -> Any:
        data = found[name]
        before = self._read.get(name)
        value = before[1] if before is not None and before[0] is data else msgspec.msgpack.decode(data, type=kind)
        read[name] = data, value
        return value


def hashes(found: Mapping[str, bytes]) -> dict[str, bytes]:
    """The hash of every part, by name."""
    return {name: blake2b(data, digest_size=16).digest() for name, data in found.items()}


def service_part(name: str) -> str:
    """What the part of a service is called."""
    return f"{_SERVICE}{name}"
