"""Parts of a document: named, encoded, hashed."""

import msgspec
import pytest

from proxy.snapshot.document import Document, Endpoint, Listener, Plugin, Pool, Route, Service
from proxy.snapshot.parts import hashes, parts

SHOP = Service("shop", (Pool("blue", (Endpoint("a"),)),), {"blue": 1.0})
CART = Service("cart", (Pool("blue", (Endpoint("b"),)),), {"blue": 1.0})
DOCUMENT = Document((Listener("127.0.0.1:80"),), (SHOP, CART), (Route(service="shop"),))


def changed(document: Document, other: Document) -> set[str]:
    old, new = hashes(parts(document)), hashes(parts(other))
    return {name for name in old | new if old.get(name) != new.get(name)}


def test_parts_are_the_fields_and_each_service() -> None:
    assert {"routes", "filters", "listeners", "cookie_keys", "service:shop", "service:cart"} < parts(DOCUMENT).keys()
    assert msgspec.msgpack.decode(parts(DOCUMENT)["services"]) == ["shop", "cart"]


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, set()),
        ({"routes": ()}, {"routes"}),
        ({"filters": (Plugin("rewrite", {"host": "a"}),)}, {"filters"}),
        ({"services": (CART, SHOP)}, {"services"}),
        ({"services": (SHOP,)}, {"service:cart", "services"}),
        ({"services": (SHOP, msgspec.structs.replace(CART, split={"blue": 0.5}))}, {"service:cart"}),
        ({"cookie_keys": ("k",)}, {"cookie_keys"}),
    ],
)
def test_hash_of_a_part_changes_with_it_alone(change: dict[str, object], names: set[str]) -> None:
    assert changed(DOCUMENT, msgspec.structs.replace(DOCUMENT, **change)) == names


def test_part_is_the_whole_service() -> None:
    assert msgspec.msgpack.decode(parts(DOCUMENT)["service:shop"], type=Service) == SHOP
