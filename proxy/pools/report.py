"""What the controller says of all endpoints' health, as a worker takes it in."""

from collections.abc import Mapping

import msgspec

from proxy.pools.registry import EndpointKey, EndpointRegistry


def decode(data: bytes) -> Mapping[EndpointKey, str]:
    return dict(msgspec.msgpack.decode(data, type=list[tuple[EndpointKey, str]]))


def bring_in(registry: EndpointRegistry, report: Mapping[EndpointKey, str]) -> None:
    pass
