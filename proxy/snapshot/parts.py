"""A document in parts, each with a hash of its content: what is the same needs no new compile."""

from hashlib import blake2b

import msgspec

from proxy.snapshot.document import Document


def parts(document: Document) -> dict[str, bytes]:
    """The document's parts by name (`routes`, `service:shop`, …), each in its canonical encoding.

    All fields but the services are a part each. A service keeps the order of its pools and of its split, which mean
    something.
    """
    names = (field for field in document.__struct_fields__ if field != "services")
    found = {name: msgspec.msgpack.encode(getattr(document, name)) for name in names}
    found.update({service_part(service.name): msgspec.msgpack.encode(service) for service in document.services})
    return found


def hashes(found: dict[str, bytes]) -> dict[str, bytes]:
    """The hash of every part, by name."""
    return {name: blake2b(data, digest_size=16).digest() for name, data in found.items()}


def service_part(name: str) -> str:
    """What the part of a service is called."""
    return f"service:{name}"
