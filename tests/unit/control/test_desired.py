"""How an override ends, and what is said of it."""

import pytest
from msgspec.structs import replace

from proxy.control.desired import reconciled
from proxy.control.state import State
from proxy.snapshot.document import Document, Endpoint, Listener, Pool, Route, Service

POOLS = (Pool("blue", (Endpoint("a:1"),)), Pool("green", (Endpoint("b:1"),)))
ENDS = [
    ({"blue": 1.0, "green": 0.0}, []),  # as it was when it was overridden
    ({"blue": 0.5, "green": 0.5}, ["the override of the split ends: the file says the same"]),  # it was persisted
    ({"blue": 0.9, "green": 0.1}, ["the override of the split ends: the file says something else now"]),
]


@pytest.mark.parametrize(("split", "told"), ENDS)
def test_end_of_an_override_says_what_the_file_says(split: dict[str, float], told: list[str]) -> None:
    (blue, even) = ({"blue": 1.0, "green": 0.0}, {"blue": 0.5, "green": 0.5})
    before = Document((Listener("127.0.0.1:1"),), (Service("shop", POOLS, blue),), (Route(service="shop"),))
    after = replace(before, services=(replace(before.services[0], split=split),))
    state = State().with_split("shop", blue, even)
    assert [each.what for each in reconciled(after, state)[1]] == told
